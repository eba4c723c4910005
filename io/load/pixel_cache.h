/* pixel_cache.h - the pixels of a data set in memory, as uint8, one copy for all ranks of a host.
 *
 * DESIGN: the piece of memory (comm_shared_alloc) has a state and a place for each image of all splits. Who needs an image first claims
 * it (empty -> filling), reads it from its shard into its place, where it is compared with its checksum, and says so (ready). Nobody
 * waits: who finds an image `filling` reads it from the shard for itself, so a rank that dies meanwhile holds up no other. An image
 * that cannot be read is `empty` again.
 * What does not fit is streamed: then there is no cache, images are read for each batch, and the results are the same. */
#ifndef IO_LOAD_PIXEL_CACHE_H
#define IO_LOAD_PIXEL_CACHE_H
#include <stdbool.h>
#include "dist/comm.h"
#include "io/shard/shard.h"

struct pixel_cache;
/* Collective. limit_mb: the most it may take on a host, MiB; 0: half of what the host (or the job's limit on it) has free now. When the
 * data set needs more, or `wanted` is false, *cache is NULL. Logs which and why. An error when the ranks see different data sets or the host
 * cannot share memory. Borrows d and c. */
int pixel_cache_open(struct pixel_cache **cache, struct dataset *d, struct comm *c, bool wanted, int64_t limit_mb, struct error *err);
void pixel_cache_close(struct pixel_cache *cache); /* collective; NULL is fine */
/* 1: *view has the pixels (borrowed until close), read now if need be; 0: somebody is reading them just now; -1 with err. Thread safe. */
int pixel_cache_get(struct image *view, struct pixel_cache *cache, enum split split, int64_t i, struct error *err);
bool pixel_cache_has(const struct pixel_cache *cache, enum split split, int64_t i);
/* Images read from shards so far, by all ranks of the host. */
int64_t pixel_cache_reads(const struct pixel_cache *cache);
#endif
