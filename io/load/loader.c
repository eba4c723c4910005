/* loader.c - the ring of batches between the worker threads and the training step; see loader.h.
 *
 * DESIGN: one mutex guards everything but pixels and tensors. Slot b mod (prefetch + 1) holds batch b: `prefetch` batches
 * in work or ready, and the one the caller has borrowed. A worker takes the next (batch, image) job in order when its
 * slot is free, works without the lock, and counts it off; the last image of a batch wakes the caller. `work` wakes
 * workers (a new pass, a slot came free, the end), `done` wakes the caller (a batch is whole, or a dropped pass has no
 * job left in flight). Which thread does a job changes nothing: each writes its own part of the slot. */
#include "io/load/loader.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

struct slot {
    float *pixels, *targets;
    int remaining;      /* images not yet in their place */
    int failed;         /* position of the first image that could not be read, or count */
    struct error error; /* of that image */
};
struct pass {
    int64_t *items;
    int *counts;
    int64_t *firsts; /* (batches + 1): where each batch begins in items */
    int batches;
    bool train;
    uint64_t epoch;
};
struct job {
    int batch, position;
    int64_t expect_from, expect_to; /* items of the pass to announce first */
};
enum { EXPECT_IMAGES = 64 }; /* announced ahead: their bytes wait in the page cache */
struct loader {
    struct dataset *data;
    enum split split;
    struct augment augment;
    int threads, prefetch;
    pthread_t *ids;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct pass pass;
    struct slot *slots;   /* (prefetch + 1) */
    int slot_images;      /* room of each slot */
    struct job next;      /* the next job to hand to a worker */
    int opened;           /* batches whose slot has been made ready: those before it may be worked on */
    int given;            /* batches handed to the caller */
    int in_flight;        /* jobs in work */
    int64_t expected;     /* items of the pass that were announced */
    bool stop;
    struct pixel_cache *cache; /* or NULL */
};

/* ---- one image ---- */

static size_t item_bytes(const struct shard_item *item)
{
    return (size_t)item->height * (size_t)item->width * (size_t)item->channels;
}

/* The pixels of an item: in the cache, or read into `scratch`, which grows to hold them. */
static int pixels_of(struct image *view, struct loader *l, int64_t item, struct image *scratch, size_t *scratch_bytes,
                     struct error *err)
{
    int cached = l->cache ? pixel_cache_get(view, l->cache, l->split, item, err) : 0;
    if (cached) {
        return cached < 0 ? -1 : 0;
    }
    size_t bytes = item_bytes(dataset_item(l->data, l->split, item));
    if (bytes > *scratch_bytes) {
        mem_free(scratch->pixels);
        scratch->pixels = mem_alloc(bytes);
        *scratch_bytes = bytes;
    }
    if (dataset_read(l->data, l->split, item, scratch, err)) {
        return -1;
    }
    *view = *scratch;
    return 0;
}

/* Announces items [from, to) of the pass that must come from a shard. */
static void expect_items(struct loader *l, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        int64_t item = l->pass.items[i];
        if (!l->cache || !pixel_cache_has(l->cache, l->split, item)) {
            dataset_expect(l->data, l->split, item);
        }
    }
}

static int fill_image(struct loader *l, struct job job, struct image *scratch, size_t *scratch_bytes, struct error *err)
{
    struct slot *slot = &l->slots[job.batch % (l->prefetch + 1)];
    int64_t index = l->pass.items[l->pass.firsts[job.batch] + job.position];
    const struct shard_item *item = dataset_item(l->data, l->split, index);
    struct image view;
    if (pixels_of(&view, l, index, scratch, scratch_bytes, err)) {
        return -1;
    }
    size_t plane = (size_t)l->augment.size * (size_t)l->augment.size;
    augment_apply(slot->pixels + (size_t)job.position * 3 * plane, &l->augment, &view, l->pass.train, l->pass.epoch,
                  (uint64_t)index);
    float *target = slot->targets + job.position * LOGIT_COUNT;
    target[0] = (float)item->covid;
    for (int i = 0; i < LESION_COUNT; i++) {
        target[1 + i] = item->lesion[i];
    }
    return 0;
}

/* ---- workers (all below hold the lock unless they say otherwise) ---- */

/* Makes slots ready for the batches that may be worked on now. An empty batch is whole at once. */
static void open_slots(struct loader *l)
{
    while (l->opened < l->pass.batches && l->opened < l->given + l->prefetch) {
        struct slot *slot = &l->slots[l->opened % (l->prefetch + 1)];
        slot->remaining = slot->failed = l->pass.counts[l->opened];
        l->opened++;
    }
}

static bool take_job(struct loader *l, struct job *job)
{
    while (l->next.batch < l->opened && l->next.position >= l->pass.counts[l->next.batch]) {
        l->next = (struct job){.batch = l->next.batch + 1};
    }
    if (l->next.batch >= l->opened) {
        return false;
    }
    *job = l->next;
    int64_t all = l->pass.firsts[l->pass.batches], ahead = l->pass.firsts[job->batch] + job->position + EXPECT_IMAGES;
    job->expect_from = l->expected;
    job->expect_to = l->expected = ahead < all ? ahead : all;
    l->next.position++;
    l->in_flight++;
    return true;
}

static void finish_job(struct loader *l, struct job job, int status, const struct error *err)
{
    struct slot *slot = &l->slots[job.batch % (l->prefetch + 1)];
    if (status && job.position < slot->failed) { /* which error is told must not depend on which thread was first */
        slot->failed = job.position;
        slot->error = *err;
    }
    slot->remaining--;
    l->in_flight--;
    if (slot->remaining == 0 || l->in_flight == 0) {
        pthread_cond_signal(&l->done);
    }
}

static void *worker(void *argument)
{
    struct loader *l = argument;
    struct image scratch = {0, 0, 0, NULL};
    size_t scratch_bytes = 0;
    struct error err;
    struct job job;
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        if (!take_job(l, &job)) {
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        expect_items(l, job.expect_from, job.expect_to);
        int status = fill_image(l, job, &scratch, &scratch_bytes, &err);
        pthread_mutex_lock(&l->lock);
        finish_job(l, job, status, &err);
    }
    pthread_mutex_unlock(&l->lock);
    mem_free(scratch.pixels);
    return NULL;
}

/* ---- the caller's side ---- */

struct loader *loader_open(struct dataset *d, enum split split, const struct augment *augment,
                           const struct loader_options *options)
{
    ASSERT(options->threads >= 1 && options->prefetch >= 1);
    struct loader *l = NEW(struct loader);
    l->data = d;
    l->split = split;
    l->augment = *augment;
    l->threads = options->threads;
    l->prefetch = options->prefetch;
    l->slots = NEW_ARRAY(struct slot, options->prefetch + 1);
    l->ids = NEW_ARRAY(pthread_t, options->threads);
    l->cache = options->cache;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->done, NULL);
    sigset_t all, before; /* signals (stop warnings) are the main thread's business, but for one (base/file_map.h) */
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < l->threads; i++) {
        int status = pthread_create(&l->ids[i], NULL, worker, l);
        CHECK_HINT(status == 0, "the limit of processes (ulimit -u) may be reached; use fewer loader threads",
                   "loader thread %d of %d: %s", i + 1, l->threads, strerror(status));
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return l;
}

/* Takes away what is not begun and waits for what is. */
static void drop_pass(struct loader *l)
{
    l->next = (struct job){.batch = 0};
    l->expected = 0;
    l->opened = 0;
    while (l->in_flight > 0) {
        pthread_cond_wait(&l->done, &l->lock);
    }
    mem_free(l->pass.items);
    mem_free(l->pass.counts);
    mem_free(l->pass.firsts);
    memset(&l->pass, 0, sizeof l->pass);
}

static void copy_pass(struct pass *p, const int64_t *items, const int *counts, int batches)
{
    p->batches = batches;
    p->firsts = NEW_ARRAY(int64_t, batches + 1);
    p->counts = NEW_ARRAY(int, batches);
    for (int b = 0; b < batches; b++) {
        p->counts[b] = counts[b];
        p->firsts[b + 1] = p->firsts[b] + counts[b];
    }
    p->items = NEW_ARRAY(int64_t, p->firsts[batches]);
    if (p->firsts[batches]) {
        memcpy(p->items, items, sizeof *items * (size_t)p->firsts[batches]);
    }
}

static void grow_slots(struct loader *l)
{
    int largest = l->slot_images;
    for (int b = 0; b < l->pass.batches; b++) {
        largest = l->pass.counts[b] > largest ? l->pass.counts[b] : largest;
    }
    if (largest == l->slot_images) {
        return;
    }
    l->slot_images = largest;
    size_t image_bytes = sizeof(float) * 3 * (size_t)l->augment.size * (size_t)l->augment.size;
    for (int i = 0; i <= l->prefetch; i++) {
        mem_free(l->slots[i].pixels);
        mem_free(l->slots[i].targets);
        l->slots[i].pixels = mem_alloc((size_t)largest * image_bytes);
        l->slots[i].targets = NEW_ARRAY(float, largest * LOGIT_COUNT);
    }
}

void loader_start(struct loader *l, const int64_t *items, const int *counts, int batches, bool train, uint64_t epoch)
{
    pthread_mutex_lock(&l->lock);
    drop_pass(l);
    copy_pass(&l->pass, items, counts, batches);
    l->pass.train = train;
    l->pass.epoch = epoch;
    grow_slots(l);
    l->given = 0;
    open_slots(l);
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
}

/* Waits for batch `given`, hands out its slot or its error. */
static int give_batch(struct loader *l, struct loader_batch *batch, struct error *err)
{
    int b = l->given;
    struct slot *slot = &l->slots[b % (l->prefetch + 1)];
    while (slot->remaining > 0) {
        pthread_cond_wait(&l->done, &l->lock);
    }
    int count = l->pass.counts[b];
    if (slot->failed < count) { /* not counted as given: the next call tells it again */
        if (err) {
            *err = slot->error;
        }
        return -1;
    }
    batch->count = count;
    batch->pixels = slot->pixels;
    batch->targets = slot->targets;
    batch->items = l->pass.items + l->pass.firsts[b];
    l->given++;
    open_slots(l); /* the slot of the batch borrowed before is free now */
    pthread_cond_broadcast(&l->work);
    return 0;
}

int loader_next(struct loader *l, struct loader_batch *batch, struct error *err)
{
    double start = clock_s();
    memset(batch, 0, sizeof *batch);
    pthread_mutex_lock(&l->lock);
    int status = l->given < l->pass.batches ? give_batch(l, batch, err) : 0;
    pthread_mutex_unlock(&l->lock);
    batch->wait_s = clock_s() - start;
    return status;
}

void loader_close(struct loader *l)
{
    if (!l) {
        return;
    }
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    drop_pass(l);
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->threads; i++) {
        pthread_join(l->ids[i], NULL);
    }
    for (int i = 0; i <= l->prefetch; i++) {
        mem_free(l->slots[i].pixels);
        mem_free(l->slots[i].targets);
    }
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->done);
    mem_free(l->slots);
    mem_free(l->ids);
    mem_free(l);
}
