/* pack.h - image folder + manifest -> shards, with a reconciliation report. */
#ifndef IO_PACK_PACK_H
#define IO_PACK_PACK_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/text.h"
#include "io/image/image_window.h"
#include "io/pack/manifest.h"

struct comm;
enum pack_colour { PACK_AUTO, PACK_GREY, PACK_RGB };
enum pack_preset { PRESET_NONE, PRESET_COVID_CT, PRESET_IMAGEFOLDER };
struct pack_options {
    const char *folder;   /* images are here */
    enum pack_preset preset;
    const char *manifest;        /* CSV, with PRESET_NONE */
    const struct merge *merge;   /* instead of all these: data sets that are there (io/pack/merge.h); NULL: none */
    struct folder_rules rules;   /* of PRESET_IMAGEFOLDER */
    bool make_split;             /* also when the manifest has one; made anyway when it has none */
    uint64_t seed;               /* of the split */
    const char *out, *name;
    int size;    /* 0 = original */
    int shards;  /* per split; 0 = one per 512 images (128 of original size) or 96 MiB */
    bool strict, by_figure, gzip;
    struct image_window window; /* of DICOM and 16-bit pictures */
    enum pack_colour colour; /* auto: a shard is grey when all its pictures are */
    bool afresh; /* do not continue an interrupted packing */
    struct comm *comm;
};
struct pack_result {
    int64_t images[3], bad; /* per split; unreadable */
    int64_t misnamed;       /* JPEG in a file called .png, or the reverse */
    int64_t duplicates;     /* files with the bytes of an earlier one */
    int64_t alike;          /* pairs of patients in two splits whose pictures look the same (io/pack/near_duplicates.h) */
    int64_t resumed;        /* images taken over from an interrupted run */
    struct text report;     /* also when packing failed, as far as it got; text_free */
};
/* Collective over options->comm; the manifest is read, the result told and the set published by rank 0. Bad images are counted and
 * listed; with `strict` the first one stops the run. An existing data set of that name in `out` is replaced only when all new
 * shards are whole. Finished shards wait in out/.NAME-packing: after an error or a kill the same call continues there, and
 * takes nothing over that it has not checked. The report is also kept in out/NAME-report.txt. */
int pack_run(struct pack_result *result, const struct pack_options *options, struct error *err);
#endif
