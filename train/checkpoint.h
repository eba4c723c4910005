/* checkpoint.h - RUN/checkpoints/step-0000000123/state.h5 + SHA256: whole or absent.
 * Written by rank 0 into a temporary folder, checksummed, synced, renamed; older ones beyond `keep` are removed only after the
 * new one stands. The newest whole one is used; a damaged one is reported and passed over. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H
#include "io/tensor_file.h"

/* Rank 0 only. */
int checkpoint_write(const char *run, int64_t step, int keep, const struct tensor_entry *entries, int count,
                     const struct tensor_attribute *attributes, int attribute_count, struct error *err);
/* Path of the newest whole checkpoint's state.h5 in *path (mem_free) and its step, or *path = NULL when there is none.
 * Each damaged one adds a line to *damaged (caller: text_free). Leftover temporary folders are removed. */
struct text;
int checkpoint_newest(const char *run, char **path, int64_t *step, struct text *damaged, struct error *err);
#endif
