/* bench_pack.c - `ladnn bench pack`: where the time of packing goes, stage by stage, on a folder of the user's own pictures.
 *
 * All threads work on one stage at a time, on PIECE pictures at once, so a stage's figure is its own:
 *   read     the files' bytes (from the page cache when they were read before)
 *   hash     SHA-256 of the files
 *   decode   PNG, JPEG, TIFF, DICOM to pixels
 *   resize   to bench.size
 *   store    shards, synced and read back, in a folder of their own below TMPDIR (or /tmp), removed afterwards */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/settings.h"
#include "base/text.h"
#include "base/threads.h"
#include "io/image/image.h"
#include "io/shard/shard.h"
#include "train/bench_data.h"

enum { PIECE = 256, FILES_MAX = 100000, DEPTH_MAX = 32 };
enum stage { READ, HASH, DECODE, RESIZE, STORE, STAGES };
static const char *const stage_names[STAGES] = {"read", "hash", "decode", "resize", "store"};

struct file {
    uint8_t *data;
    size_t bytes;
    struct image whole, small;
};
struct bench_pack {
    char **names;
    int count, threads, size, unreadable;
    double seconds[STAGES], file_bytes, pixel_bytes;
    char *folder; /* for the shards */
};

/* Pictures by name; a link to a folder may lead back and is not followed, a pipe would wait for a writer. */
static void find_files(struct bench_pack *b, const char *path, int depth)
{
    char **names;
    int count;
    struct error ignored;
    if (depth > DEPTH_MAX || folder_list(&names, &count, path, &ignored)) return;
    for (int i = 0; i < count && b->count < FILES_MAX; i++) {
        char *name = path_join(path, names[i]);
        struct stat link, file;
        bool is_there = !lstat(name, &link) && !stat(name, &file);
        if (is_there && S_ISDIR(link.st_mode)) find_files(b, name, depth + 1);
        else if (is_there && S_ISREG(file.st_mode) && image_format_of_name(name) != IMAGE_UNKNOWN) {
            if ((b->count & (b->count - 1)) == 0)
                b->names = mem_grow(b->names, (size_t)b->count * sizeof *b->names, (size_t)(b->count ? 2 * b->count : 1) * sizeof *b->names);
            b->names[b->count++] = name;
            continue;
        }
        mem_free(name);
    }
    folder_list_free(names, count);
}

static void work_on(struct file *f, enum stage stage, const char *name, int size)
{
    struct error ignored;
    uint8_t digest[32];
    if (stage == READ && file_read(&f->data, &f->bytes, name, &ignored)) f->bytes = 0;
    if (stage == HASH && f->data) sha256_of(digest, f->data, f->bytes);
    if (stage == DECODE && f->data) image_decode(&f->whole, f->data, f->bytes, name, &(struct image_window){-600, 1500}, &ignored);
    if (stage == RESIZE && f->whole.pixels) image_resize(&f->small, &f->whole, size, size);
}

static int store(struct bench_pack *b, struct file *files, int first, int count, struct error *err)
{
    struct shard_info info = {.dataset = "bench", .split = SPLIT_TRAIN, .index = first / PIECE, .count = 99999, .size = b->size};
    struct shard_writer *w = shard_create(b->folder, &info, err);
    int images = 0;
    for (int i = 0; i < count && w; i++) {
        struct shard_item item = {.file = b->names[first + i], .patient = b->names[first + i], .figure = ""};
        if (!files[i].small.pixels) continue;
        b->pixel_bytes += (double)files[i].small.channels * b->size * b->size;
        shard_append(w, &files[i].small, &item);
        images++;
    }
    if (w && !images) shard_abandon(w);
    return !w || (images && shard_finish(w, err)) ? -1 : 0;
}

static int run_piece(struct bench_pack *b, int first, int count, struct error *err)
{
    struct file *files = NEW_ARRAY(struct file, count);
    int status = 0;
    for (int stage = 0; stage < STAGES && !status; stage++) {
        double start = clock_s();
        if (stage == STORE) status = store(b, files, first, count, err);
        else
#pragma omp parallel for schedule(dynamic)
            for (int i = 0; i < count; i++) work_on(&files[i], (enum stage)stage, b->names[first + i], b->size);
        b->seconds[stage] += clock_s() - start;
    }
    for (int i = 0; i < count; i++) {
        b->file_bytes += (double)files[i].bytes;
        b->unreadable += files[i].whole.pixels == NULL;
        mem_free(files[i].data);
        image_free(&files[i].whole);
        image_free(&files[i].small);
    }
    mem_free(files);
    return status;
}

static void print(const struct bench_pack *b, bool as_json)
{
    struct text out = {0};
    struct json j;
    double all = 0;
    for (int s = 0; s < STAGES; s++) all += b->seconds[s];
    if (!as_json)
        printf("%d pictures (%d unreadable), %.1f MB of files, %.1f MB of pixels, %d threads\n%-8s %10s %9s %7s\n", b->count, b->unreadable,
               b->file_bytes / 1e6, b->pixel_bytes / 1e6, b->threads, "stage", "images/s", "MB/s", "share");
    for (int s = 0; s <= STAGES; s++) {
        const char *name = s < STAGES ? stage_names[s] : "all";
        double seconds = s < STAGES ? b->seconds[s] : all, bytes = s == STORE ? b->pixel_bytes : b->file_bytes;
        if (!as_json) {
            printf("%-8s %10.0f %9.1f %5.0f %%\n", name, b->count / seconds, bytes / 1e6 / seconds, 100 * seconds / all);
            continue;
        }
        json_open(&j, &out, false);
        json_object(&j, NULL);
        json_string(&j, "what", "pack");
        json_string(&j, "stage", name);
        json_int(&j, "images", b->count);
        json_int(&j, "unreadable", b->unreadable);
        json_int(&j, "threads", b->threads);
        json_number(&j, "images_per_s", b->count / seconds);
        json_number(&j, "bytes_per_s", bytes / seconds);
        json_end_object(&j);
        printf("%s\n", out.data);
        text_clear(&out);
    }
    text_free(&out);
}

int bench_pack(const struct settings *s, struct error *err)
{
    struct bench_pack b = {.threads = threads_of_rank((int)settings_int(s, "bench.threads"), 1), .size = (int)settings_int(s, "bench.size")};
    const char *path = settings_string(s, "bench.data"), *temporary = getenv("TMPDIR");
    if (!*path) return error_set(err, "bench.data is not set: --data DIR, a folder of pictures");
    find_files(&b, path, 0);
    b.folder = mem_format("%s/ladnn-bench-XXXXXX", temporary ? temporary : "/tmp");
    int status = b.count ? 0 : error_set(err, "%s: no pictures (.png, .jpg, .tif, .dcm)", path);
    if (!status && !mkdtemp(b.folder)) status = error_set(err, "%s: cannot be made: %m", b.folder);
    bool made = !status;
    omp_set_num_threads(b.threads);
    for (int first = 0; first < b.count && !status; first += PIECE)
        status = run_piece(&b, first, b.count - first < PIECE ? b.count - first : PIECE, err);
    if (!status) print(&b, settings_bool(s, "bench.json"));
    struct error late;
    if (made && folder_remove(b.folder, &late)) log_warn("%s", late.message);
    for (int i = 0; i < b.count; i++) mem_free(b.names[i]);
    mem_free(b.names);
    mem_free(b.folder);
    return status;
}
