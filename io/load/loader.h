/* loader.h - keeps batches ready: worker threads read, verify and augment images ahead of the training step.
 *
 * The caller says which images in which batches (train/ owns the order: see sampler.h); the loader only fills buffers.
 * DESIGN: a ring of `prefetch` batches; workers take (batch, image) jobs in order; loader_next waits for the next batch
 * in order, in the buffer that the workers filled. Errors of a worker are handed out by loader_next. Pixels come from the `cache`
 * when there is one, else from the shards; images that a pass will soon need are announced to the system (dataset_expect). */
#ifndef IO_LOAD_LOADER_H
#define IO_LOAD_LOADER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "io/load/augment.h"
#include "io/load/pixel_cache.h"
#include "io/shard/shard.h"

struct loader_options {
    int threads;  /* >= 1 */
    int prefetch; /* batches ahead, >= 1 */
    struct pixel_cache *cache; /* of the same data set, borrowed; NULL: streamed */
};
struct loader_batch { /* borrowed until the next loader_next */
    int count;
    float *pixels;        /* (count, 3, size, size) */
    float *targets;       /* (count, LOGIT_COUNT): COVID, lesions; 0 or 1 */
    const int64_t *items; /* index in the split of each image */
    double wait_s;        /* how long loader_next had to wait */
};
struct loader;
/* Borrows the data set. */
struct loader *loader_open(struct dataset *d, enum split split, const struct augment *augment,
                           const struct loader_options *options);
void loader_close(struct loader *l); /* stops the threads; NULL is fine */
/* Begins a pass: batch b holds counts[b] images, the next ones of `items` (copied). A running pass is dropped. */
void loader_start(struct loader *l, const int64_t *items, const int *counts, int batches, bool train, uint64_t epoch);
/* The next batch; after the last returns 0 with count 0. Returns -1 with err when an image could not be read. */
int loader_next(struct loader *l, struct loader_batch *batch, struct error *err);
#endif
