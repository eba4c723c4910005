/* pixel_cache.c - see pixel_cache.h. */
#include "io/load/pixel_cache.h"

#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

enum state { EMPTY, FILLING, READY };
struct pixel_cache {
    struct dataset *data;
    struct comm *comm;
    size_t *offset[SPLIT_COUNT];  /* of each image's place in `memory` */
    size_t first[SPLIT_COUNT];    /* index of each split's first state */
    size_t images, bytes;
    char *memory;                 /* shared: reads, states, places */
    _Atomic int64_t *reads;
    _Atomic uint8_t *state;       /* (images) */
};

enum { ALIGNMENT = 64 };

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Where everything lies, the same on all ranks. */
static void plan(struct pixel_cache *c)
{
    for (int s = 0; s < SPLIT_COUNT; s++) {
        c->first[s] = c->images;
        c->images += (size_t)dataset_count(c->data, (enum split)s);
    }
    c->bytes = aligned(sizeof *c->reads) + aligned(c->images);
    for (int s = 0; s < SPLIT_COUNT; s++) {
        int64_t count = dataset_count(c->data, (enum split)s);
        c->offset[s] = NEW_ARRAY(size_t, count);
        for (int64_t i = 0; i < count; i++) {
            const struct shard_item *item = dataset_item(c->data, (enum split)s, i);
            c->offset[s][i] = c->bytes;
            c->bytes += aligned((size_t)item->height * (size_t)item->width * (size_t)item->channels);
        }
    }
}

/* An index means the same image on all ranks. */
static int check_same(const struct pixel_cache *c, struct error *err)
{
    uint8_t mine[32], first[32];
    int status = 0;
    dataset_hash(c->data, mine);
    memcpy(first, mine, sizeof first);
    comm_broadcast(c->comm, first, sizeof first, 0, "comparing the data");
    if (memcmp(first, mine, sizeof first)) {
        status = error_set(err, "%s: this rank sees another data set than rank 0", dataset_shard_path(c->data, 0));
        error_hint(err, "the folder must be the same on all hosts");
    }
    return comm_agree(c->comm, status, err, "comparing the data");
}

/* Whether it fits on every host; says so. */
static bool fits(const struct pixel_cache *c, int64_t limit_mb)
{
    const double mib = 1048576;
    double room = -(double)comm_shared_room(c->comm), need = (double)c->bytes;
    comm_max_double(c->comm, &room, 1, "free memory");
    room = -room;
    double limit = limit_mb ? (double)limit_mb * mib : room / 2;
    if (limit_mb && need > limit)
        log_info("pixels are streamed: %.1f MiB are more than loader.cache_mb = %lld", need / mib, (long long)limit_mb);
    else if (need > limit)
        log_info("pixels are streamed: %.1f MiB are more than half of the %.1f MiB that a host has free", need / mib, room / mib);
    else if (need > room)
        log_info("pixels are streamed: %.1f MiB are more than the %.1f MiB that a host has free", need / mib, room / mib);
    else
        log_info("pixels are cached: %.1f MiB a host, of %.1f MiB free", need / mib, room / mib);
    return need <= limit && need <= room;
}

static int share(struct pixel_cache *c, struct error *err)
{
    c->memory = comm_shared_alloc(c->comm, c->bytes, err);
    if (!c->memory) return error_hint(err, "loader.cache = false reads the images for each batch instead");
    c->reads = (_Atomic int64_t *)c->memory;
    c->state = (_Atomic uint8_t *)(c->memory + aligned(sizeof *c->reads));
    if (comm_local_rank(c->comm) == 0) {
        atomic_init(c->reads, 0);
        for (size_t i = 0; i < c->images; i++) atomic_init(&c->state[i], EMPTY);
    }
    comm_barrier(c->comm, "clearing the cache");
    return 0;
}

int pixel_cache_open(struct pixel_cache **cache, struct dataset *d, struct comm *comm, bool wanted, int64_t limit_mb, struct error *err)
{
    struct pixel_cache *c = NEW(struct pixel_cache);
    c->data = d;
    c->comm = comm;
    *cache = NULL;
    if (!wanted) log_info("pixels are streamed: loader.cache = false");
    plan(c);
    int status = check_same(c, err);
    bool cached = !status && wanted && fits(c, limit_mb);
    if (cached) status = share(c, err);
    if (cached && !status)
        *cache = c;
    else
        pixel_cache_close(c);
    return status;
}

void pixel_cache_close(struct pixel_cache *c)
{
    if (!c) return;
    comm_shared_free(c->comm, c->memory);
    for (int s = 0; s < SPLIT_COUNT; s++) mem_free(c->offset[s]);
    mem_free(c);
}

static _Atomic uint8_t *state_of(const struct pixel_cache *c, enum split split, int64_t i)
{
    ASSERT(i >= 0 && i < dataset_count(c->data, split));
    return &c->state[c->first[split] + (size_t)i];
}

int pixel_cache_get(struct image *view, struct pixel_cache *c, enum split split, int64_t i, struct error *err)
{
    const struct shard_item *item = dataset_item(c->data, split, i);
    _Atomic uint8_t *state = state_of(c, split, i);
    uint8_t *place = (uint8_t *)c->memory + c->offset[split][i], was = EMPTY;
    *view = (struct image){item->height, item->width, item->channels, place};
    if (atomic_load_explicit(state, memory_order_acquire) == READY) return 1;
    if (!atomic_compare_exchange_strong(state, &was, FILLING)) return was == READY;
    int status = dataset_read(c->data, split, i, view, err);
    if (!status) atomic_fetch_add(c->reads, 1);
    atomic_store_explicit(state, status ? EMPTY : READY, memory_order_release);
    return status ? -1 : 1;
}

bool pixel_cache_has(const struct pixel_cache *c, enum split split, int64_t i)
{
    return atomic_load_explicit(state_of(c, split, i), memory_order_relaxed) == READY;
}

int64_t pixel_cache_reads(const struct pixel_cache *c)
{
    return atomic_load(c->reads);
}
