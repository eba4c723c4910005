/* buckets.h - gradient all-reduce in buckets, overlapped with backward.
 * The gradient arena is in the order in which backward finishes it; a bucket is a consecutive range of about bucket_bytes. As
 * soon as [0, end) covers a bucket its sum is started; every later call makes progress on the ones under way. */
#ifndef DIST_BUCKETS_H
#define DIST_BUCKETS_H
#include "dist/comm.h"

struct buckets;
/* Borrows comm and gradients. overlap false: everything starts in buckets_wait (for comparison and debugging). */
struct buckets *buckets_open(struct comm *c, float *gradients, int64_t count, size_t bucket_bytes, bool fixed_order, bool overlap);
void buckets_close(struct buckets *b);
void buckets_ready(struct buckets *b, int64_t end);
/* Ends the step: all sums are done; the gradients hold the sum over ranks. Returns the seconds spent waiting here. */
double buckets_wait(struct buckets *b);
int buckets_count(const struct buckets *b);
#endif
