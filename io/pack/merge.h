/* merge.h - data sets that were packed before, as the source of a new one: their pixels are taken as they are stored. */
#ifndef IO_PACK_MERGE_H
#define IO_PACK_MERGE_H
#include <stdbool.h>
#include "io/image/image.h"
#include "io/pack/manifest.h"

struct merge; /* the open data sets */
/* `paths`: folders of shards, separated by commas. NULL with err. */
struct merge *merge_open(const char *paths, struct error *err);
void merge_close(struct merge *m); /* NULL is fine */
/* Whether `folder` is one of theirs: a set cannot be replaced while it is read. */
bool merge_reads(const struct merge *m, const char *folder);
/* What all of them store: pixels a side, 0 = each image's own size, -1 = they differ. */
int merge_size(const struct merge *m);

/* A row for each image, with file "NAME/FILE" and, in `line`, its number for merge_read. A picture whose source file had the same bytes
 * as an earlier one is left out, and listed when its labels differ; patients who share such a picture become one, so that a new
 * split keeps them together. All rows need a split: m->unsplit is true. */
int manifest_read_merge(struct manifest *m, const struct merge *from, struct error *err);

/* Of image `number`: its pixels, compared with their checksum (thread safe) ... */
int merge_read(struct image *image, const struct merge *m, int number, struct error *err);
/* ... the SHA-256 of its source file, and its bytes and checksum as stored, to see whether it changed since. */
void merge_state(const struct merge *m, int number, uint8_t sha256[32], int64_t *bytes, int64_t *checksum);
#endif
