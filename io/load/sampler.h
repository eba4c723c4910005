/* sampler.h - which image when. The unit is the global batch; order depends on (seed, epoch) only.
 * A global batch of B images is cut into V virtual shards of nearly equal size (the first B mod V get one more); rank r of
 * R owns the virtual shards [r*V/R, (r+1)*V/R). Numerics are defined by the virtual shards alone, so the rank count
 * does not change them. */
#ifndef IO_LOAD_SAMPLER_H
#define IO_LOAD_SAMPLER_H
#include <stdint.h>

/* Permutation of 0..n-1 for an epoch. */
void sampler_order(int64_t *order, int64_t n, uint64_t seed, uint64_t epoch);
/* Images of virtual shard v when `count` images are cut into `shards`: first index and number (may be 0). */
void sampler_slice(int *first, int *number, int count, int shards, int v);
#endif
