/* sampler.c - the order of an epoch and the cut of a global batch into virtual shards; see sampler.h. */
#include "io/load/sampler.h"

#include "base/error.h"
#include "base/random.h"

void sampler_order(int64_t *order, int64_t n, uint64_t seed, uint64_t epoch)
{
    struct random r = random_stream(seed, RANDOM_SHUFFLE, epoch, 0);
    for (int64_t i = 0; i < n; i++) {
        order[i] = i;
    }
    random_shuffle(&r, order, n);
}

void sampler_slice(int *first, int *number, int count, int shards, int v)
{
    ASSERT(count >= 0 && shards > 0 && v >= 0 && v < shards);
    int base = count / shards, extra = count % shards;
    *first = v * base + (v < extra ? v : extra);
    *number = base + (v < extra);
}
