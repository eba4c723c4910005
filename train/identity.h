/* identity.h - what makes a run this run, and whether a folder holds it: also for who plans many runs and opens none of them.
 * Not collective. */
#ifndef TRAIN_IDENTITY_H
#define TRAIN_IDENTITY_H
#include <stdbool.h>
#include "base/error.h"
#include "base/settings.h"
#include "base/text.h"

/* Adds to `out` what RUN/identity.txt holds: a "key = value" line for each setting that decides the numbers, and the sum of the data
 * (train.data). `s` are settings of `ladnn train`. */
int run_identity(const struct settings *s, struct text *out, struct error *err);
/* The same with a sum that is known. */
int run_identity_of(const struct settings *s, const char *data_sha256, struct text *out, struct error *err);
/* SHA-256 of names, patients, labels, splits and pixel checksums of a folder of shards. A folder is read once in a process and then
 * remembered by its name. One thread at a time. */
int run_data_hash(const char *folder, char hex[65], struct error *err);

/* Compares with the identity that a run folder keeps. *there: it keeps one. -1 with err: another run's, with the first line that differs. */
int run_identity_compare(const char *folder, const char *identity, bool *there, struct error *err);
/* Whether a run folder holds a result (metrics.json) of so many epochs. -1 with err: one of other epochs, or no result of a run. */
int run_finished(const char *folder, int epochs, bool *finished, struct error *err);
#endif
