/* run_folder.h - what a run leaves behind: config.cfg, record.jsonl, best.h5, checkpoints/, predictions.csv, metrics.json.
 * metrics.json is written last: it stands for "finished". Rank 0 only. */
#ifndef TRAIN_RUN_FOLDER_H
#define TRAIN_RUN_FOLDER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/text.h"
#include "io/shard/shard.h"

struct run_folder;
/* Creates the folder and locks it until it is closed. A folder with files that is no run folder is refused. A finished run is told in
 * *finished; the folder of another run is an error unless `overwrite`, which empties it. `identity` is compared with the one kept in
 * the folder. */
struct run_folder *run_folder_open(const char *path, const char *identity, bool overwrite, bool *finished, struct error *err);
void run_folder_close(struct run_folder *r); /* NULL is fine */
char *run_folder_file(const struct run_folder *r, const char *name); /* mem_free */
/* Appends one JSON line; returns the record's length so far. */
int64_t run_record_add(struct run_folder *r, const char *line);
/* Cuts the record back to a checkpoint's length. */
int run_record_rewind(struct run_folder *r, int64_t bytes, struct error *err);
/* probability (n, 6) of the split's items in order; NaN is written empty. */
int run_write_predictions(struct run_folder *r, const struct dataset *d, enum split split, const double *probability,
                          struct error *err);
#endif
