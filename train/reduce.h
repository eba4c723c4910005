/* reduce.h - sums over the ranks of what lies in the backend's memory: gradients in buckets while backward goes on, batch statistics.
 *
 * Memory of the host is summed where it is (dist/buckets.h), and so is that of cards with the `nccl` communicator. With `mpi` a card's is
 * brought to the host, summed there and brought back: for several ranks on one card and clusters without NCCL. A rank alone sums nothing. All functions are collective. */
#ifndef TRAIN_REDUCE_H
#define TRAIN_REDUCE_H
#include "dist/buckets.h"
#include "ops/ops.h"

struct reduce;
struct reduce_options {
    size_t bucket_bytes;
    bool fixed_order, overlap; /* dist/buckets.h; what goes through the host is not overlapped */
    bool bf16;                 /* rounded to bf16 for the sum: by NCCL only, in no fixed order */
};
/* Borrows all. NULL with err: the cards cannot be connected. */
struct reduce *reduce_open(struct comm *c, const struct ops *ops, float *gradients, int64_t count, const struct reduce_options *options,
                           struct error *err);
void reduce_close(struct reduce *r); /* NULL is fine */
/* The calls between two steps' updates wait for nothing: the backend may record them (ops->replay). */
bool reduce_may_be_recorded(const struct reduce *r);
void reduce_statistics(struct reduce *r, double *sums, int count);
/* Gradients [0, end) are final on this rank. */
void reduce_ready(struct reduce *r, int64_t end);
/* All gradients are summed. Returns the seconds spent in here. */
double reduce_wait(struct reduce *r);
/* After all calls of a step: waits for a card that sums with others, with the time limit of dist/. */
void reduce_watch(struct reduce *r);
#endif
