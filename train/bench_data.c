/* bench_data.c - see bench_data.h.
 *
 * All figures are of the training split in shuffled batches, `bench.threads` threads, medians over `bench.steps` passes, the kinds
 * taking turns within a pass:
 *   copy      memcpy of every image's bytes from one block of memory into the batch's buffer: what the machine can do at all
 *   shards    dataset_read into the same buffer, page cache warm: what streaming costs
 *   cached    the bytes from the cache that the ranks of a host share (io/load/pixel_cache.h) into the buffer
 *   network   loader_next: read (cached), augmented to float, ready for the network; images/s only */
#include "train/bench_data.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/threads.h"
#include "dist/comm.h"
#include "io/load/loader.h"
#include "io/load/pixel_cache.h"
#include "io/load/sampler.h"

enum kind { COPY, SHARDS, CACHED, NETWORK, KINDS };
static const char *const kind_names[KINDS] = {"copy", "shards", "cached", "network"};

struct load {
    struct dataset *data;
    int64_t images, *order;
    int batch, passes, threads;
    size_t *at;            /* (images + 1): where each image would lie in `block` */
    uint8_t *block, *to;   /* source of the plain copy; one batch */
    size_t largest;        /* bytes of the largest image: a batch's buffer has room for `batch` of those */
    struct comm *comm;
    struct pixel_cache *cache;
    struct loader *loader;
    double *seconds[KINDS];
    struct error err;
};

static size_t bytes_of(const struct load *l, int64_t i)
{
    return l->at[i + 1] - l->at[i];
}

static void fetch(struct load *l, enum kind kind, int64_t item, uint8_t *to)
{
    struct image image = {.pixels = to};
    struct error err;
    if (kind == COPY) memcpy(to, l->block + l->at[item], bytes_of(l, item));
    if (kind == CACHED && pixel_cache_get(&image, l->cache, SPLIT_TRAIN, item, &err) == 1) memcpy(to, image.pixels, bytes_of(l, item));
    if (kind == SHARDS && dataset_read(l->data, SPLIT_TRAIN, item, &image, &err))
#pragma omp critical(bench_error)
        l->err = err;
}

static void run_bytes(struct load *l, enum kind kind)
{
    for (int64_t first = 0; first < l->images; first += l->batch) {
        int count = (int)(l->images - first < l->batch ? l->images - first : l->batch);
#pragma omp parallel for schedule(static)
        for (int i = 0; i < count; i++) fetch(l, kind, l->order[first + i], l->to + (size_t)i * l->largest);
    }
}

static void run_network(struct load *l, uint64_t epoch)
{
    int batches = (int)((l->images + l->batch - 1) / l->batch), *counts = NEW_ARRAY(int, batches);
    struct loader_batch batch;
    for (int b = 0; b < batches; b++) counts[b] = b + 1 < batches ? l->batch : (int)(l->images - (int64_t)b * l->batch);
    loader_start(l->loader, l->order, counts, batches, true, epoch);
    while (loader_next(l->loader, &batch, &l->err) == 0 && batch.count) {}
    mem_free(counts);
}

static int open_load(struct load *l, const struct settings *s, struct error *err)
{
    struct augment augment = {.recipe = AUGMENT_AFFINE, .size = (int)settings_int(s, "bench.size"), .flip = 0.5, .scale_min = 0.8,
                              .scale_max = 1.2, .shear_degrees = 0.2, .seed = 1};
    struct loader_options options = {.threads = l->threads, .prefetch = 2};
    l->comm = comm_open("self", 60, err);
    if (!l->comm || pixel_cache_open(&l->cache, l->data, l->comm, true, 0, err)) return -1;
    if (!l->cache) return error_set(err, "the data set does not fit in half of the free memory");
    options.cache = l->cache;
    l->order = NEW_ARRAY(int64_t, l->images);
    l->at = NEW_ARRAY(size_t, l->images + 1);
    for (int64_t i = 0; i < l->images; i++) {
        const struct shard_item *item = dataset_item(l->data, SPLIT_TRAIN, i);
        size_t bytes = (size_t)item->height * (size_t)item->width * (size_t)item->channels;
        l->at[i + 1] = l->at[i] + bytes;
        if (bytes > l->largest) l->largest = bytes;
        struct image view;
        if (pixel_cache_get(&view, l->cache, SPLIT_TRAIN, i, err) < 0) return -1; /* also warms the page cache */
    }
    l->block = mem_zero(l->at[l->images]);
    l->to = mem_zero(l->largest * (size_t)l->batch);
    for (int k = 0; k < KINDS; k++) l->seconds[k] = NEW_ARRAY(double, l->passes);
    l->loader = loader_open(l->data, SPLIT_TRAIN, &augment, &options);
    return 0;
}

static void close_load(struct load *l)
{
    loader_close(l->loader);
    pixel_cache_close(l->cache);
    if (l->comm) comm_close(l->comm);
    for (int k = 0; k < KINDS; k++) mem_free(l->seconds[k]);
    void *all[] = {l->order, l->at, l->block, l->to};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
    dataset_close(l->data);
}

static void measure(struct load *l)
{
    for (int pass = -1; pass < l->passes; pass++) { /* the first one warms up */
        sampler_order(l->order, l->images, 1, (uint64_t)(pass + 1));
        for (int kind = 0; kind < KINDS; kind++) {
            double start = clock_s();
            if (kind == NETWORK) run_network(l, (uint64_t)(pass + 1));
            else run_bytes(l, (enum kind)kind);
            if (pass >= 0) l->seconds[kind][pass] = clock_s() - start;
        }
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return (values[count / 2] + values[(count - 1) / 2]) / 2;
}

static void print(struct load *l, bool as_json)
{
    struct text out = {0};
    struct json j;
    double bytes = (double)l->at[l->images], copy = median(l->seconds[COPY], l->passes);
    if (!as_json)
        printf("%lld images, %.1f MB, batch %d, %d threads, %d passes\n", (long long)l->images, bytes / 1e6, l->batch, l->threads, l->passes);
    for (int k = 0; k < KINDS; k++) {
        double seconds = k == COPY ? copy : median(l->seconds[k], l->passes);
        if (!as_json) {
            printf("%-8s %10.0f images/s", kind_names[k], (double)l->images / seconds);
            if (k < NETWORK) printf("  %7.2f GB/s  %5.1f %% of a copy", bytes / seconds / 1e9, 100 * copy / seconds);
            printf("\n");
            continue;
        }
        json_open(&j, &out, false);
        json_object(&j, NULL);
        json_string(&j, "what", "load");
        json_string(&j, "kind", kind_names[k]);
        json_int(&j, "images", l->images);
        json_int(&j, "batch", l->batch);
        json_int(&j, "threads", l->threads);
        json_number(&j, "images_per_s", (double)l->images / seconds);
        json_number(&j, "bytes_per_s", bytes / seconds);
        json_number(&j, "of_copy", copy / seconds);
        json_end_object(&j);
        printf("%s\n", out.data);
        text_clear(&out);
    }
    text_free(&out);
}

int bench_load(const struct settings *s, struct error *err)
{
    struct load l = {.batch = (int)settings_int(s, "bench.batch"), .passes = (int)settings_int(s, "bench.steps"),
                     .threads = threads_of_rank((int)settings_int(s, "bench.threads"), 1)};
    const char *path = settings_string(s, "bench.data");
    if (!*path) return error_set(err, "bench.data is not set: --data DIR, a folder made by ladnn pack");
    l.data = dataset_open(path, err);
    if (!l.data) return -1;
    l.images = dataset_count(l.data, SPLIT_TRAIN);
    if (!l.images) {
        dataset_close(l.data);
        return error_set(err, "%s: no training images", path);
    }
    omp_set_num_threads(l.threads);
    int status = open_load(&l, s, err);
    if (!status) measure(&l);
    if (!status && *l.err.message) {
        *err = l.err;
        status = -1;
    }
    if (!status) print(&l, settings_bool(s, "bench.json"));
    close_load(&l);
    return status;
}
