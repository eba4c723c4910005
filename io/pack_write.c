/* pack_write.c - cuts each split's good images into shards and writes them.
 *
 * Images are decoded a block at a time by all cores and appended in order, so memory holds one shard and one block. */
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "io/pack_private.h"
#include "io/shard.h"

enum { SHARD_IMAGES = 512, SHARD_PIXELS = 256 << 20, BLOCK = 64 };

struct job {
    const struct pack_options *o;
    const struct manifest *m;
    const struct verdict *v;
    const char *staging;
    char *settings, set_id[65];
    struct progress progress;
    int64_t done;
};

static int64_t pixel_bytes(const struct verdict *v, const int *rows, int64_t count)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < count; i++) bytes += (int64_t)v[rows[i]].height * v[rows[i]].width * v[rows[i]].channels;
    return bytes;
}

/* How many files a split of `count` images is cut into. */
static int shard_count(const struct job *job, const int *rows, int64_t count, struct error *err)
{
    const struct pack_options *o = job->o;
    int64_t parts = o->shards, least = (count + SHARD_IMAGES_MAX - 1) / SHARD_IMAGES_MAX;
    if (parts && parts < least)
        return error_set(err, "%" PRId64 " images do not fit in %" PRId64 " shards: at least %" PRId64 " are needed (--shards)",
                         count, parts, least);
    if (!parts) {
        int64_t by_bytes = o->size ? 0 : pixel_bytes(job->v, rows, count) / SHARD_PIXELS + 1;
        parts = (count + SHARD_IMAGES - 1) / SHARD_IMAGES;
        if (parts < by_bytes) parts = by_bytes;
    }
    return (int)(parts > count ? count : parts);
}

/* Settings and sources of the whole set: equal for equal input, different for anything else. */
static void make_set_id(struct job *job)
{
    struct sha256 sum;
    uint8_t digest[32];
    sha256_start(&sum);
    sha256_add(&sum, job->settings, strlen(job->settings) + 1);
    for (int i = 0; i < job->m->count; i++) {
        const struct manifest_row *row = &job->m->rows[i];
        const uint8_t labels[3] = {(uint8_t)row->split, (uint8_t)row->covid, job->v[i].good};
        sha256_add(&sum, row->file, strlen(row->file) + 1);
        sha256_add(&sum, row->patient, strlen(row->patient) + 1);
        sha256_add(&sum, row->figure, strlen(row->figure) + 1);
        sha256_add(&sum, labels, sizeof labels);
        sha256_add(&sum, row->lesion, LESION_COUNT);
        sha256_add(&sum, job->v[i].sha256, 32);
    }
    sha256_end(&sum, digest);
    hash_hex(job->set_id, digest);
}

static int decode_block(const struct job *job, const int *rows, int count, struct image images[BLOCK], struct error *err)
{
    int failed = 0;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < count; i++) {
        struct verdict again = {0};
        struct error mine = {0};
        struct image whole;
        const char *file = job->m->rows[rows[i]].file;
        int status = pack_decode(&whole, &again, job->o->folder, file, &mine);
        if (!status && memcmp(again.sha256, job->v[rows[i]].sha256, 32))
            status = error_set(&mine, "%s: changed while it was being packed", file);
        images[i] = whole;
        if (!status && job->o->size) {
            image_resize(&images[i], &whole, job->o->size, job->o->size);
            image_free(&whole);
        }
        if (!status) continue;
#pragma omp critical(pack_error)
        if (!failed++) *err = mine;
    }
    return failed ? -1 : 0;
}

static int append_block(struct job *job, struct shard_writer *w, const int *rows, int count, struct error *err)
{
    struct image images[BLOCK] = {0};
    int status = decode_block(job, rows, count, images, err);
    for (int i = 0; i < count; i++) {
        const struct manifest_row *row = &job->m->rows[rows[i]];
        struct shard_item item = {.file = row->file, .patient = row->patient, .figure = row->figure, .covid = row->covid};
        memcpy(item.lesion, row->lesion, LESION_COUNT);
        memcpy(item.source_sha256, job->v[rows[i]].sha256, 32);
        if (!status) shard_append(w, &images[i], &item);
        image_free(&images[i]);
    }
    job->done += count;
    progress_update(&job->progress, job->done, "images");
    return status;
}

static int write_shard(struct job *job, enum split split, int index, int parts, const int *rows, int64_t count, struct error *err)
{
    const struct pack_options *o = job->o;
    struct shard_info info = {.dataset = o->name, .split = split, .index = index, .count = parts, .size = o->size,
                              .gzip = o->gzip, .synthetic = job->m->synthetic, .settings = job->settings,
                              .set_id = job->set_id, .by_figure = o->by_figure};
    struct shard_writer *w = shard_create(job->staging, &info, err);
    int status = w ? 0 : -1;
    for (int64_t i = 0; i < count && !status; i += BLOCK)
        status = append_block(job, w, rows + i, (int)(count - i < BLOCK ? count - i : BLOCK), err);
    if (!status) return shard_finish(w, err);
    shard_abandon(w);
    return -1;
}

static int write_split(struct job *job, enum split split, struct error *err)
{
    int *rows = NEW_ARRAY(int, job->m->count), status = 0;
    int64_t count = 0;
    for (int i = 0; i < job->m->count; i++)
        if (job->v[i].good && job->m->rows[i].split == split) rows[count++] = i;
    int parts = count ? shard_count(job, rows, count, err) : 0;
    if (parts < 0) status = -1;
    for (int k = 0; k < parts && !status; k++) {
        int64_t first = count * k / parts, next = count * (k + 1) / parts;
        status = write_shard(job, split, k, parts, rows + first, next - first, err);
    }
    mem_free(rows);
    return status;
}

int pack_write(const char *staging, const struct pack_options *o, const struct manifest *m, const struct verdict *v,
               struct error *err)
{
    struct job job = {.o = o, .m = m, .v = v, .staging = staging};
    int64_t good = 0;
    int status = 0;
    for (int i = 0; i < m->count; i++) good += v[i].good;
    job.settings = mem_format("preset=%s size=%d shards=%d filter=%s by_figure=%s", o->covid_ct ? "covid-ct" : "none", o->size,
                              o->shards, o->gzip ? "gzip" : "none", o->by_figure ? "true" : "false");
    make_set_id(&job);
    progress_start(&job.progress, good, "write");
    for (int s = 0; s < SPLIT_COUNT && !status; s++) status = write_split(&job, (enum split)s, err);
    progress_end(&job.progress);
    mem_free(job.settings);
    return status;
}
