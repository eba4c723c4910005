/* pack.h - image folder + manifest -> shards, with a reconciliation report. */
#ifndef IO_PACK_H
#define IO_PACK_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/text.h"

struct pack_options {
    const char *folder;   /* images are here */
    const char *manifest; /* CSV, or NULL with covid_ct */
    bool covid_ct;
    const char *out, *name;
    int size;    /* 0 = original */
    int shards;  /* per split; 0 = one per 512 images */
    bool strict, by_figure, gzip;
};
struct pack_result {
    int64_t images[3], bad; /* per split; unreadable */
    int64_t misnamed;       /* JPEG in a file called .png, or the reverse */
    int64_t duplicates;     /* files with the bytes of an earlier one */
    struct text report;     /* also when packing failed, as far as it got; text_free */
};
/* Rank 0 only. Bad images are counted and listed; with `strict` the first one stops the run. An existing data set of that
 * name in `out` is replaced only when all new shards are whole. The report is also kept in out/NAME-report.txt. */
int pack_run(struct pack_result *result, const struct pack_options *options, struct error *err);
#endif
