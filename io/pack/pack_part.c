/* pack_part.c - makes shards: reads and decodes a part's files by all cores, hands the pictures to the shard's writer, and enters
 * the part in the journal.
 *
 * DESIGN: while one part is stored, synced and read back by a thread of its own, the next one is decoded. Two parts' pictures are
 * in memory at most; everything else is small. */
#include <inttypes.h>
#include <omp.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/pool.h"
#include "dist/comm.h"
#include "io/image/stored_form.h"
#include "io/pack/merge.h"
#include "io/pack/pack_private.h"
#include "dist/stop.h"
#include "io/shard/shard.h"
#include "io/shard/shard_format.h"

static const int64_t PART_BYTES_MAX = 1ll << 30;

char *pack_source_path(const struct pack_options *o, const char *file)
{
    char *raw = text_name_decode(file), *path = *raw == '/' ? mem_string(raw) : path_join(o->folder, raw);
    mem_free(raw);
    return path;
}

int pack_decode(struct image *image, struct verdict *v, const struct pack_options *o, const char *file, struct error *err)
{
    uint8_t *data;
    size_t bytes;
    struct stat info;
    *image = (struct image){0};
    char *path = pack_source_path(o, file);
    int status = stat(path, &info) ? error_set(err, "%s: %m", path) : 0;
    if (!status && !S_ISREG(info.st_mode)) status = error_set(err, "%s: not a file", path); /* a pipe would wait for a writer */
    if (!status) status = file_read(&data, &bytes, path, err);
    if (!status) {
        v->file_bytes = info.st_size; /* as of before reading: a change since is seen later */
        v->modified_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
        v->format = image_format_of(data, bytes);
        sha256_of(v->sha256, data, bytes);
        status = image_decode(image, data, bytes, path, &o->window, err);
        mem_free(data);
    }
    mem_free(path);
    if (status) return -1;
    v->height = image->height;
    v->width = image->width;
    v->channels = image->channels;
    return 0;
}

void pack_verdicts_free(struct verdict *v, int count)
{
    for (int i = 0; i < count; i++) mem_free(v[i].why);
    mem_free(v);
}

/* ---- pictures of a part ---- */

/* An image that was packed before. */
static int take_merged(struct image *image, const struct pack_job *job, int row, struct error *err)
{
    struct verdict *v = &job->v[row];
    int number = job->m->rows[row].line;
    merge_state(job->o->merge, number, v->sha256, &v->file_bytes, &v->modified_ns);
    if (merge_read(image, job->o->merge, number, err)) return -1;
    image_simplify_grey(image);
    v->height = image->height;
    v->width = image->width;
    v->channels = image->channels;
    return 0;
}

static int decode_row(struct image *image, const struct pack_job *job, int row, struct error *err)
{
    const struct pack_options *o = job->o;
    struct image whole;
    if (o->merge ? take_merged(&whole, job, row, err) : pack_decode(&whole, &job->v[row], o, job->m->rows[row].file, err)) return -1;
    if (!o->size && (whole.height > SHARD_SIDE_MAX || whole.width > SHARD_SIDE_MAX)) {
        error_set(err, "%s: %d x %d pixels; a side of a stored picture may have %d", job->m->rows[row].file, whole.width, whole.height, SHARD_SIDE_MAX);
        image_free(&whole);
        return -1;
    }
    image_store(&whole, &(struct stored_form){.size = o->size, .grey = o->colour == PACK_GREY});
    *image = whole;
    look_of(job->v[row].look, image);
    return 0;
}

/* Into the part's memory, while the pixels are in the cache; what they leave is used again for the next picture. */
static void keep(struct image *image, struct pool *pool)
{
    size_t bytes = (size_t)image->height * (size_t)image->width * (size_t)image->channels;
    uint8_t *pixels = memcpy(pool_take(pool, bytes), image->pixels, bytes);
    mem_free(image->pixels);
    image->pixels = pixels;
}

/* `images` (part->images): empty where the file cannot be read; their pixels lie in `pool`. With strict the first such file is an error. */
static int decode_part(struct image *images, struct pool *pool, struct pack_job *job, const struct part *part, int64_t *done,
                       struct progress *progress, struct error *err)
{
    int64_t bytes = 0;
    int failed = 0;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < part->images; i++) {
        int row = part->rows[i], stop;
        struct error mine = {0};
#pragma omp atomic read
        stop = failed;
        if (stop || stop_asked()) continue;
        struct verdict *v = &job->v[row];
        v->good = decode_row(&images[i], job, row, &mine) == 0;
        if (v->good) keep(&images[i], pool);
        else v->why = mem_string(mine.message);
#pragma omp critical(pack_part)
        {
            bytes += (int64_t)images[i].height * images[i].width * images[i].channels;
            bool strict = !v->good && job->o->strict, large = bytes > PART_BYTES_MAX;
            if (strict && !failed) error_set(err, "strict: %s", v->why);
            if (large && !failed && !strict) {
                error_set(err, "the pictures of one shard are more than %d MiB", (int)(PART_BYTES_MAX >> 20));
                error_hint(err, "ask for more shards (--shards), or a smaller --size");
            }
            if (strict || large)
#pragma omp atomic write
                failed = 1;
            job->images_read++;
            job->bytes_read += v->file_bytes;
            double seconds = clock_s() - progress->started_s + 1e-9;
            progress_update(progress, ++*done, "images, %.0f img/s, %.1f MB/s", (double)job->images_read / seconds,
                            (double)job->bytes_read / 1e6 / seconds);
        }
    }
    if (!failed && stop_asked()) return error_set(err, "stopped by %s", stop_reason());
    return failed ? -1 : 0;
}

/* NULL when none of the part's files can be read. Takes the images. */
static struct shard_writer *fill_writer(struct image *images, const struct pack_job *job, const struct part *part, struct error *err)
{
    const struct pack_options *o = job->o;
    char unsealed[SHARD_SET_ID_LENGTH + 1] = "";
    memset(unsealed, '0', SHARD_SET_ID_LENGTH);
    struct shard_info info = {.set_id = unsealed, .dataset = o->name, .split = part->split, .index = part->index,
                              .count = part->count, .size = o->size, .gzip = o->gzip, .synthetic = job->m->synthetic, .settings = job->settings, .by_figure = o->by_figure,
                              .channels = o->size && o->colour == PACK_RGB ? 3 : 0};
    struct shard_writer *w = shard_create(job->staging, &info, err);
    for (int i = 0; i < part->images && w; i++) {
        const struct manifest_row *row = &job->m->rows[part->rows[i]];
        struct shard_item item = {.file = row->file, .patient = row->patient, .figure = row->figure, .covid = row->covid};
        if (!images[i].pixels) continue;
        memcpy(item.lesion, row->lesion, LESION_COUNT);
        memcpy(item.source_sha256, job->v[part->rows[i]].sha256, 32);
        shard_append(w, &images[i], &item);
    }
    return w;
}

/* ---- storing beside decoding ---- */

struct storing {
    bool active;
    pthread_t thread;
    int threads; /* OpenMP's, which a new thread does not inherit */
    const struct pack_job *job;
    const struct part *part;
    struct shard_writer *writer;
    bool empty; /* no picture: only the journal */
    int status;
    struct error err;
};

static void *store(void *argument)
{
    struct storing *s = argument;
    omp_set_num_threads(s->threads);
    if (s->empty) shard_abandon(s->writer);
    else s->status = shard_finish(s->writer, &s->err);
    if (!s->status) s->status = journal_write(s->job, s->part, &s->err);
    return NULL;
}

static int storing_wait(struct storing *s, struct error *err)
{
    if (!s->active) return 0;
    pthread_join(s->thread, NULL);
    s->active = false;
    if (s->status) *err = s->err;
    return s->status;
}

static int storing_start(struct storing *s, const struct pack_job *job, const struct part *part, struct shard_writer *writer, struct error *err)
{
    if (storing_wait(s, err)) {
        shard_abandon(writer);
        return -1;
    }
    *s = (struct storing){.active = true, .threads = omp_get_max_threads(), .job = job, .part = part, .writer = writer, .empty = true};
    for (int i = 0; i < part->images; i++) s->empty &= !job->v[part->rows[i]].good;
    CHECK(pthread_create(&s->thread, NULL, store, s) == 0, "cannot start a thread");
    return 0;
}

/* ---- this rank's parts ---- */

static int make_part(struct pack_job *job, const struct part *part, struct storing *storing, int64_t *done, struct progress *progress,
                     struct error *err)
{
    struct image *images = NEW_ARRAY(struct image, part->images);
    struct pool *pool = pool_open();
    int status = decode_part(images, pool, job, part, done, progress, err);
    struct shard_writer *w = status ? NULL : fill_writer(images, job, part, err);
    if (w) shard_take_pool(w, pool);
    else pool_close(pool);
    status = w ? storing_start(storing, job, part, w, err) : -1;
    mem_free(images);
    return status;
}

static void tell_resumed(const struct pack_job *job, const struct part *part, bool usable, struct text *why)
{
    char *path = part_path(job, part, "");
    if (usable) log_debug("%s: whole, from an earlier run", path_base(path));
    else if (why->length) log_info("%s is made again: %s", path_base(path), why->data);
    text_clear(why);
    mem_free(path);
}

int pack_make(struct pack_job *job, const struct part_list *list, int64_t *resumed, struct error *err)
{
    int rank = comm_rank(job->o->comm), size = comm_size(job->o->comm), status = 0;
    struct storing storing = {0};
    struct progress progress;
    struct text why = {0};
    int64_t total = 0, done = 0;
    for (int p = rank; p < list->count; p += size) total += list->parts[p].images;
    progress_start(&progress, total, size > 1 ? "pack (rank 0 of %d)" : "pack", size);
    for (int p = rank; p < list->count && !status; p += size) {
        const struct part *part = &list->parts[p];
        bool usable = !job->o->afresh && journal_read(job, part, &why);
        tell_resumed(job, part, usable, &why);
        if (usable) {
            *resumed += part->images;
            done += part->images;
        } else {
            status = make_part(job, part, &storing, &done, &progress, err);
        }
    }
    struct error late = {0};
    if (storing_wait(&storing, &late) && !status) {
        status = -1;
        *err = late;
    }
    progress_end(&progress);
    text_free(&why);
    return comm_agree(job->o->comm, status, err, "packing");
}
