/* checkpoint.h - RUN/checkpoints/step-0000000123/state.h5 + SHA256: whole or absent.
 *
 * Written by rank 0 into a temporary folder (tmp-*), synced, renamed; older ones beyond `keep` are removed only after the new
 * one stands. The newest whole one is used; a damaged one is reported and passed over.
 * SHA256 is the hash of the first block of state.h5, which holds the sums of all its other bytes (io/tensor_file.h): hashing
 * 1.6 GB would cost seconds, this pins the same bytes. A step that is written a second time replaces its folder; meanwhile
 * the earlier one stands as step-N.old, which is used if the process dies between the two renames. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H
#include "io/tensor_file.h"
#include "train/fence.h"

/* Rank 0 only. keep >= 1 counts this one; checkpoints of later steps are never removed. The fence (NULL: none) is looked at before anything is
 * written and before it takes its place. */
int checkpoint_write(const char *run, int64_t step, int keep, const struct tensor_entry *entries, int count,
                     const struct tensor_attribute *attributes, int attribute_count, struct fence *fence, struct error *err);
/* Path of the newest whole checkpoint's state.h5 in *path (mem_free) and its step, or *path = NULL when there is none.
 * Every byte of it has been checked. Each damaged one adds a line to *damaged (caller: text_free). Leftover temporary folders
 * are removed. Rank 0 only. -1 only when the folder cannot be read. */
struct text;
int checkpoint_newest(const char *run, char **path, int64_t *step, struct text *damaged, struct error *err);
#endif
