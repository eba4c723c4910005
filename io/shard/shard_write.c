/* shard_write.c - a shard file from images that were collected in memory, read back before it gets its name.
 *
 * DESIGN: HDF5 makes the file in memory (io/shard/hdf5_call.h says why) but for the pixels: their dataset is created last, its place is
 * reserved behind everything else, and they go there by pwrite. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/pool.h"
#include "io/image/image_planes.h"
#include "io/shard/deflate.h"
#include "io/shard/hdf5_call.h"
#include "io/shard/shard_format.h"

#ifndef LADNN_VERSION /* given by the build */
#define LADNN_VERSION "unknown"
#endif

struct shard_writer {
    char *path;
    struct shard_info info; /* strings are owned */
    struct shard_item *items;
    struct image *images;
    struct pool *pool; /* of their pixels; NULL: each has its own */
    int64_t room;
    struct hdf5_memory memory;
    uint64_t pixels_at; /* without filter: where the pixels begin in the file */
};

int shard_check_name(const char *dataset, struct error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (*dataset && strspn(dataset, allowed) == strlen(dataset)) return 0;
    return error_set(err, "the data set's name '%s' must be of letters, digits, . _ -", dataset);
}

static int check_info(const struct shard_info *info, struct error *err)
{
    if (shard_check_name(info->dataset, err)) return -1;
    ASSERT(info->index >= 0 && info->index < info->count && info->count <= 99999);
    ASSERT(info->channels == 0 || info->channels == 1 || info->channels == 3);
    ASSERT(info->size || !info->gzip);
    return 0;
}

struct shard_writer *shard_create(const char *folder, const struct shard_info *info, struct error *err)
{
    if (check_info(info, err)) return NULL;
    struct shard_writer *w = NEW(struct shard_writer);
    char *name = shard_file_name(info->dataset, info->split, info->index, info->count);
    w->path = path_join(folder, name);
    mem_free(name);
    w->info = *info;
    w->info.images = 0;
    w->info.dataset = mem_string(info->dataset);
    w->info.set_id = mem_string(info->set_id ? info->set_id : "");
    w->info.settings = mem_string(info->settings ? info->settings : "");
    w->info.tool = "ladnn " LADNN_VERSION;
    w->memory.file = -1;
    return w;
}

void shard_append(struct shard_writer *w, struct image *image, const struct shard_item *item)
{
    const struct shard_info *info = &w->info;
    ASSERT(*item->patient && (!info->size || (image->height == info->size && image->width == info->size)));
    if (info->images == w->room) {
        int64_t room = w->room ? 2 * w->room : 64;
        w->items = mem_grow(w->items, (size_t)w->room * sizeof *w->items, (size_t)room * sizeof *w->items);
        w->images = mem_grow(w->images, (size_t)w->room * sizeof *w->images, (size_t)room * sizeof *w->images);
        w->room = room;
    }
    struct shard_item *mine = &w->items[info->images];
    *mine = *item;
    mine->file = mem_string(item->file);
    mine->patient = mem_string(item->patient);
    mine->figure = mem_string(item->figure);
    mine->height = image->height;
    mine->width = image->width;
    mine->channels = image->channels;
    w->images[w->info.images++] = *image;
    *image = (struct image){0};
}

void shard_take_pool(struct shard_writer *w, struct pool *pool)
{
    w->pool = pool;
}

/* ---- pixels as they are stored ---- */

/* A grey picture among coloured ones stays narrow in memory; it is widened into `room` (a stored image) when its bytes are wanted. */
static const uint8_t *stored_pixels(const struct shard_writer *w, int64_t i, uint8_t *room)
{
    const struct image *image = &w->images[i];
    if (image->channels == w->items[i].channels) return image->pixels;
    grey_to_rgb(room, image->pixels, (size_t)image->height * (size_t)image->width);
    return room;
}

static uint8_t *stored_room(const struct shard_writer *w)
{
    size_t side = (size_t)w->info.size; /* 0: nothing is widened */
    return mem_alloc(side * side * (size_t)w->info.channels);
}

/* One number of channels for all of one size, and the sums. */
static void settle_images(struct shard_writer *w)
{
    struct shard_info *info = &w->info;
    for (int64_t i = 0; i < info->images && info->size; i++)
        if (w->images[i].channels > info->channels) info->channels = w->images[i].channels;
#pragma omp parallel
    {
        uint8_t *room = stored_room(w);
#pragma omp for
        for (int64_t i = 0; i < info->images; i++) {
            w->items[i].channels = info->size ? info->channels : w->images[i].channels;
            w->items[i].crc32c = crc32c(0, stored_pixels(w, i, room), shard_item_bytes(&w->items[i]));
        }
        mem_free(room);
    }
}

static uint64_t pixel_bytes(const struct shard_writer *w)
{
    uint64_t bytes = 0;
    for (int64_t i = 0; i < w->info.images; i++) bytes += shard_item_bytes(&w->items[i]);
    return bytes;
}

/* ---- the file without its pixels, in memory ---- */

static int write_attributes(hid_t file, const struct shard_info *info, uint32_t crc)
{
    return hdf5_write_text(file, "format", "ladnn-shard") || hdf5_write_int(file, "format_version", SHARD_FORMAT_VERSION) ||
           hdf5_write_text(file, "dataset", info->dataset) || hdf5_write_text(file, "set_id", info->set_id) ||
           hdf5_write_text(file, "split", split_names[info->split]) || hdf5_write_text(file, "settings", info->settings) ||
           hdf5_write_text(file, "tool", info->tool) || hdf5_write_int(file, "shard_index", info->index) ||
           hdf5_write_int(file, "shard_count", info->count) || hdf5_write_int(file, "images", info->images) ||
           hdf5_write_int(file, "size", info->size) || hdf5_write_int(file, "channels", info->channels) ||
           hdf5_write_int(file, "synthetic", info->synthetic) || hdf5_write_int(file, "by_figure", info->by_figure) ||
           hdf5_write_names(file, "lesion_names", lesion_names, LESION_COUNT) ||
           hdf5_write_int(file, "metadata_crc32c", crc);
}

static int write_string_columns(struct shard_writer *w)
{
    int64_t n = w->info.images;
    const char **values = NEW_ARRAY(const char *, n);
    for (int64_t i = 0; i < n; i++) values[i] = w->items[i].file;
    int status = hdf5_write_strings(w->memory.file, "file", values, n);
    for (int64_t i = 0; i < n; i++) values[i] = w->items[i].patient;
    status = status || hdf5_write_strings(w->memory.file, "patient", values, n);
    for (int64_t i = 0; i < n; i++) values[i] = w->items[i].figure;
    status = status || hdf5_write_strings(w->memory.file, "figure", values, n);
    mem_free(values);
    return status;
}

static int write_number_columns(struct shard_writer *w)
{
    hsize_t n = (hsize_t)w->info.images, lesions[2] = {n, LESION_COUNT}, sha[2] = {n, 32}, three[2] = {n, 3};
    uint8_t *covid = mem_alloc(n), *lesion = mem_alloc(n * LESION_COUNT), *source = mem_alloc(n * 32);
    int32_t *shape = NEW_ARRAY(int32_t, 3 * n);
    uint32_t *crc = NEW_ARRAY(uint32_t, n);
    int64_t *offset = NEW_ARRAY(int64_t, n + 1);
    for (hsize_t i = 0; i < n; i++) {
        const struct shard_item *item = &w->items[i];
        covid[i] = (uint8_t)item->covid;
        memcpy(lesion + i * LESION_COUNT, item->lesion, LESION_COUNT);
        memcpy(source + i * 32, item->source_sha256, 32);
        shape[3 * i] = item->height, shape[3 * i + 1] = item->width, shape[3 * i + 2] = item->channels;
        crc[i] = item->crc32c;
        offset[i + 1] = offset[i] + (int64_t)shard_item_bytes(item);
    }
    int status = hdf5_write_array(w->memory.file, "covid", H5T_STD_U8LE, H5T_NATIVE_UINT8, 1, &n, covid) ||
                 hdf5_write_array(w->memory.file, "lesion", H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, lesions, lesion) ||
                 hdf5_write_array(w->memory.file, "source_sha256", H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, sha, source) ||
                 hdf5_write_array(w->memory.file, "shape", H5T_STD_I32LE, H5T_NATIVE_INT32, 2, three, shape) ||
                 hdf5_write_array(w->memory.file, "crc32c", H5T_STD_U32LE, H5T_NATIVE_UINT32, 1, &n, crc) ||
                 (!w->info.size && hdf5_write_array(w->memory.file, "offset", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, &n, offset));
    mem_free(covid);
    mem_free(lesion);
    mem_free(source);
    mem_free(shape);
    mem_free(crc);
    mem_free(offset);
    return status;
}

/* Without filter: (N, H, W, C), or flat bytes, in one piece; HDF5 reserves the place and never fills it. */
static int plan_pixels(struct shard_writer *w)
{
    const struct shard_info *info = &w->info;
    hsize_t side = (hsize_t)info->size, flat = pixel_bytes(w), dims[4] = {(hsize_t)info->images, side, side, (hsize_t)info->channels};
    hid_t space = side ? H5Screate_simple(4, dims, NULL) : H5Screate_simple(1, &flat, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(create, 0);
    H5Pset_alloc_time(create, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(create, H5D_FILL_TIME_NEVER);
    hid_t set = H5Dcreate2(w->memory.file, side ? "images" : "pixels", H5T_STD_U8LE, space, H5P_DEFAULT, create, H5P_DEFAULT);
    haddr_t at = set >= 0 ? H5Dget_offset(set) : HADDR_UNDEF;
    w->pixels_at = at;
    if (set >= 0) H5Dclose(set);
    H5Pclose(create);
    H5Sclose(space);
    return at == HADDR_UNDEF ? -1 : 0;
}

struct packed {
    uint8_t *data;
    size_t bytes;
};

static struct packed *compress_images(const struct shard_writer *w)
{
    struct packed *packed = NEW_ARRAY(struct packed, w->info.images);
#pragma omp parallel
    {
        uint8_t *room = stored_room(w);
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < w->info.images; i++) {
            size_t bytes = shard_item_bytes(&w->items[i]);
            packed[i].data = mem_alloc(deflate_bound(bytes));
            packed[i].bytes = deflate_pack(packed[i].data, stored_pixels(w, i, room), bytes);
        }
        mem_free(room);
    }
    return packed;
}

/* A chunk is one image. It goes to its place as it is: H5Dwrite would filter under the lock and walk over its elements. */
static int write_chunks(struct shard_writer *w, const struct packed *packed)
{
    const struct shard_info *info = &w->info;
    hsize_t side = (hsize_t)info->size, dims[4] = {(hsize_t)info->images, side, side, (hsize_t)info->channels};
    hsize_t chunk[4] = {1, side, side, (hsize_t)info->channels}, at[4] = {0};
    hid_t space = H5Screate_simple(4, dims, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(create, 0);
    H5Pset_chunk(create, 4, chunk);
    H5Pset_deflate(create, DEFLATE_LEVEL);
    hid_t set = H5Dcreate2(w->memory.file, "images", H5T_STD_U8LE, space, H5P_DEFAULT, create, H5P_DEFAULT);
    herr_t status = set < 0 ? -1 : 0;
    for (; status >= 0 && at[0] < dims[0]; at[0]++)
        status = H5Dwrite_chunk(set, H5P_DEFAULT, 0, at, packed[at[0]].bytes, packed[at[0]].data);
    if (set >= 0) H5Dclose(set);
    H5Pclose(create);
    H5Sclose(space);
    return status < 0 ? -1 : 0;
}

static int write_columns(struct shard_writer *w)
{
    return write_attributes(w->memory.file, &w->info, shard_metadata_crc(&w->info, w->items)) || write_string_columns(w) ||
           write_number_columns(w);
}

static int plan(struct shard_writer *w, struct error *err)
{
    struct packed *packed = w->info.gzip ? compress_images(w) : NULL;
    int status = 0;
    hdf5_lock();
    if (hdf5_memory_open(&w->memory) || write_columns(w) || (packed ? write_chunks(w, packed) : plan_pixels(w)) ||
        hdf5_memory_finish(&w->memory))
        status = hdf5_fail(err, w->path, "make the file in memory");
    hdf5_unlock();
    for (int64_t i = 0; packed && i < w->info.images; i++) mem_free(packed[i].data);
    mem_free(packed);
    return status;
}

/* ---- to the disk ---- */

static int write_pixels(const struct shard_writer *w, int file, const char *temporary, struct error *err)
{
    uint64_t at = w->pixels_at;
    uint8_t *room = stored_room(w);
    int status = 0;
    for (int64_t i = 0; i < w->info.images && !status; i++) {
        size_t bytes = shard_item_bytes(&w->items[i]);
        status = file_pwrite(file, stored_pixels(w, i, room), bytes, at, temporary, err);
        at += bytes;
    }
    mem_free(room);
    return status;
}

static int write_file(const struct shard_writer *w, int file, const char *temporary, struct error *err)
{
    const struct hdf5_memory *m = &w->memory;
    if (ftruncate(file, (off_t)m->file_bytes))
        return error_set(err, "%s: cannot make a file of %.1f MB: %m", temporary, (double)m->file_bytes / 1e6);
    if (file_pwrite(file, m->image, m->used < m->file_bytes ? m->used : (size_t)m->file_bytes, 0, temporary, err)) return -1;
    if (!w->info.gzip && write_pixels(w, file, temporary, err)) return -1;
    return fsync(file) ? error_set(err, "%s: cannot sync: %m", temporary) : 0;
}

static int store(const struct shard_writer *w, const char *temporary, struct error *err)
{
    int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) return error_set(err, "%s: cannot create: %m", temporary);
    int status = write_file(w, file, temporary, err);
    if (close(file) && !status) status = error_set(err, "%s: cannot close: %m", temporary);
    return status;
}

/* Reads the stored file and compares it with what was appended. */
static int verify(const struct shard_writer *w, const char *temporary, struct error *err)
{
    struct shard s;
    if (shard_open(&s, temporary, err)) return -1;
    int status = 0;
    if (s.info.images != w->info.images ||
        shard_metadata_crc(&s.info, s.items) != shard_metadata_crc(&w->info, w->items))
        status = error_set(err, "%s: what was read back is not what was written", temporary);
    if (!status) status = shard_check_pixels(&s, err);
    shard_close(&s);
    return status;
}

int shard_finish(struct shard_writer *w, struct error *err)
{
    char *temporary = mem_format("%s.tmp-%ld", w->path, (long)getpid());
    int status = 0;
    if (w->info.images < 1 || w->info.images > SHARD_IMAGES_MAX)
        status = error_set(err, "a shard holds 1 to %d images, not %" PRId64, SHARD_IMAGES_MAX, w->info.images);
    if (!status) settle_images(w);
    if (!status) status = plan(w, err);
    if (!status) status = store(w, temporary, err);
    if (!status) status = verify(w, temporary, err);
    if (!status) status = file_rename(temporary, w->path, err);
    if (status) unlink(temporary);
    if (status) error_prefix(err, "%s was not written", path_base(w->path));
    mem_free(temporary);
    shard_abandon(w);
    return status;
}

void shard_abandon(struct shard_writer *w)
{
    if (!w) return;
    hdf5_lock();
    hdf5_memory_close(&w->memory);
    hdf5_unlock();
    for (int64_t i = 0; i < w->info.images; i++) {
        mem_free((char *)w->items[i].file);
        mem_free((char *)w->items[i].patient);
        mem_free((char *)w->items[i].figure);
        if (!w->pool) image_free(&w->images[i]);
    }
    pool_close(w->pool);
    mem_free(w->items);
    mem_free(w->images);
    mem_free((char *)w->info.dataset);
    mem_free((char *)w->info.set_id);
    mem_free((char *)w->info.settings);
    mem_free(w->path);
    mem_free(w);
}
