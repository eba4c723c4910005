/* resident.h - the training pictures in the backend's memory, as stored (uint8): a backend that can samples and augments them itself
 * (ops->pictures), so that a step waits for no loader. The random numbers, maps and filter are those of io/load/augment.h. */
#ifndef TRAIN_RESIDENT_H
#define TRAIN_RESIDENT_H
#include "io/load/augment.h"
#include "io/load/pixel_cache.h"
#include "ops/ops.h"

struct resident;
/* Reads a split into the backend's memory, through the cache when there is one. *r is NULL when the backend does not sample pictures, or
 * when they would take more than half of its free memory (logged). For batches of up to `images`. -1 with err: a picture is damaged.
 * Borrows all. */
int resident_open(struct resident **r, const struct ops *ops, struct dataset *d, enum split split, struct pixel_cache *cache,
                  const struct augment *a, int images, struct error *err);
void resident_close(struct resident *r); /* NULL is fine */
/* Queues what the backend must know to make training pictures of these items. Returns the pictures in the backend's memory, to be sampled
 * from resident_pool; good until the next call. */
const struct picture *resident_batch(struct resident *r, const int64_t *items, int count, uint64_t epoch);
const struct picture_pool *resident_pool(const struct resident *r);
#endif
