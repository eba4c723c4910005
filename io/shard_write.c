/* shard_write.c - builds one shard file in memory, stores it and reads it back before it gets its name. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "io/hdf5_call.h"
#include "io/shard_format.h"

#ifndef LADNN_VERSION /* given by the build */
#define LADNN_VERSION "unknown"
#endif

enum { GZIP_LEVEL = 4 };
struct shard_writer {
    char *path;
    struct shard_info info; /* strings are owned */
    struct shard_item *items;
    int64_t count;  /* appended so far */
    int64_t offset; /* pixel bytes so far */
    struct hdf5_memory memory;
    hid_t pixels;
};

/* With a size: (N, H, W, C) in chunks of one image; else flat bytes in one piece. */
static hid_t create_pixels(hid_t file, const struct shard_info *info)
{
    hsize_t side = (hsize_t)info->size, channels = (hsize_t)info->channels;
    hsize_t dims[4] = {(hsize_t)info->images, side, side, channels}, chunk[4] = {1, side, side, channels};
    hsize_t flat = (hsize_t)info->pixel_bytes;
    hid_t space = info->size ? H5Screate_simple(4, dims, NULL) : H5Screate_simple(1, &flat, NULL);
    hid_t create = H5Pcreate(H5P_DATASET_CREATE), access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_obj_track_times(create, 0);
    /* A chunk is written whole and never again. Not together with H5D_FILL_TIME_NEVER: HDF5 1.10.8 then loses the chunk
     * of a shard of one image. */
    H5Pset_chunk_cache(access, 0, 0, 0);
    if (info->size) H5Pset_chunk(create, 4, chunk);
    if (info->gzip) H5Pset_deflate(create, GZIP_LEVEL);
    hid_t set = H5Dcreate2(file, info->size ? "images" : "pixels", H5T_STD_U8LE, space, H5P_DEFAULT, create, access);
    H5Pclose(access);
    H5Pclose(create);
    H5Sclose(space);
    return set;
}

static int check_info(const struct shard_info *info, struct error *err)
{
    if (info->images < 1 || info->images > SHARD_IMAGES_MAX)
        return error_set(err, "a shard holds 1 to %d images, not %" PRId64, SHARD_IMAGES_MAX, info->images);
    if (!*info->dataset || strspn(info->dataset, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
                               strlen(info->dataset))
        return error_set(err, "the data set's name '%s' must be of letters, digits, . _ -", info->dataset);
    ASSERT(info->index >= 0 && info->index < info->count && info->count <= 99999);
    ASSERT(info->size ? info->channels == 1 || info->channels == 3 : info->channels == 0 && !info->gzip);
    return 0;
}

struct shard_writer *shard_create(const char *folder, const struct shard_info *given, int64_t images, struct error *err)
{
    struct shard_info info = *given;
    info.images = images;
    if (info.size && !info.channels) info.channels = 3;
    if (check_info(&info, err)) return NULL;
    struct shard_writer *w = NEW(struct shard_writer);
    char *name = shard_file_name(info.dataset, info.split, info.index, info.count);
    w->path = path_join(folder, name);
    mem_free(name);
    w->info = info;
    w->info.dataset = mem_string(info.dataset);
    w->info.set_id = mem_string(info.set_id ? info.set_id : "");
    w->info.settings = mem_string(info.settings ? info.settings : "");
    w->info.tool = "ladnn " LADNN_VERSION;
    w->items = NEW_ARRAY(struct shard_item, images);
    hdf5_lock();
    int64_t bytes = info.size ? images * info.size * info.size * info.channels : info.pixel_bytes;
    w->pixels = hdf5_memory_open(&w->memory, (size_t)(info.gzip ? bytes / 2 : bytes)) ? -1 : create_pixels(w->memory.file, &info);
    if (w->pixels < 0) hdf5_fail(err, w->path, "begin the file");
    hdf5_unlock();
    if (w->pixels >= 0) return w;
    shard_abandon(w);
    return NULL;
}

/* A chunk goes to its place as it is, filtered here: H5Dwrite would walk over it element by element. */
static int write_chunk(struct shard_writer *w, const uint8_t *pixels, size_t bytes, struct error *err)
{
    hsize_t start[4] = {(hsize_t)w->count, 0, 0, 0};
    uint8_t *packed = NULL;
    if (w->info.gzip) {
        uLongf room = compressBound(bytes);
        packed = mem_alloc(room);
        CHECK(compress2(packed, &room, pixels, bytes, GZIP_LEVEL) == Z_OK, "%s: zlib cannot compress", w->path);
        bytes = room;
    }
    hdf5_lock();
    herr_t status = H5Dwrite_chunk(w->pixels, H5P_DEFAULT, 0, start, bytes, packed ? packed : pixels);
    if (status < 0) hdf5_fail(err, w->path, "add an image");
    hdf5_unlock();
    mem_free(packed);
    return status < 0 ? -1 : 0;
}

static int write_flat(struct shard_writer *w, const uint8_t *pixels, size_t bytes, struct error *err)
{
    hsize_t start = (hsize_t)w->offset, count = bytes;
    hdf5_lock();
    hid_t to = H5Dget_space(w->pixels), from = H5Screate_simple(1, &count, NULL);
    herr_t status = H5Sselect_hyperslab(to, H5S_SELECT_SET, &start, NULL, &count, NULL);
    if (status >= 0) status = H5Dwrite(w->pixels, H5T_NATIVE_UINT8, from, to, H5P_DEFAULT, pixels);
    if (status < 0) hdf5_fail(err, w->path, "add an image");
    H5Sclose(from);
    H5Sclose(to);
    hdf5_unlock();
    return status < 0 ? -1 : 0;
}

static uint8_t *grey_to_rgb(const struct image *image)
{
    size_t count = (size_t)image->height * (size_t)image->width;
    uint8_t *rgb = mem_alloc(3 * count);
    for (size_t i = 0; i < count; i++) rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = image->pixels[i];
    return rgb;
}

int shard_append(struct shard_writer *w, const struct image *image, const struct shard_item *item, struct error *err)
{
    const struct shard_info *info = &w->info;
    ASSERT(w->count < info->images && *item->patient);
    ASSERT(!info->size || (image->height == info->size && image->width == info->size));
    ASSERT(!info->size || image->channels <= info->channels);
    struct shard_item *mine = &w->items[w->count];
    *mine = *item;
    mine->file = mem_string(item->file);
    mine->patient = mem_string(item->patient);
    mine->figure = mem_string(item->figure);
    mine->height = image->height;
    mine->width = image->width;
    mine->channels = info->size ? info->channels : image->channels;
    size_t bytes = shard_item_bytes(mine);
    uint8_t *rgb = mine->channels > image->channels ? grey_to_rgb(image) : NULL;
    const uint8_t *pixels = rgb ? rgb : image->pixels;
    ASSERT(info->size || w->offset + (int64_t)bytes <= info->pixel_bytes);
    mine->crc32c = crc32c(0, pixels, bytes);
    int status = info->size ? write_chunk(w, pixels, bytes, err) : write_flat(w, pixels, bytes, err);
    mem_free(rgb);
    w->count++;
    w->offset += (int64_t)bytes;
    return status;
}

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

static int store(struct shard_writer *w, const char *temporary, struct error *err)
{
    hdf5_lock();
    int status = 0;
    if (write_attributes(w->memory.file, &w->info, shard_metadata_crc(&w->info, w->items)) || write_string_columns(w) ||
        write_number_columns(w))
        status = hdf5_fail(err, w->path, "add the labels");
    H5Dclose(w->pixels);
    w->pixels = -1;
    if (!status) status = hdf5_memory_store(&w->memory, temporary, err);
    hdf5_unlock();
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
    for (int64_t i = 0; !status && i < s.info.images; i++) {
        uint8_t *pixels = mem_alloc(shard_item_bytes(&s.items[i]));
        status = shard_read(&s, i, pixels, err);
        mem_free(pixels);
    }
    shard_close(&s);
    return status;
}

int shard_finish(struct shard_writer *w, struct error *err)
{
    ASSERT(w->count == w->info.images && (w->info.size || w->offset == w->info.pixel_bytes));
    char *temporary = mem_format("%s.tmp-%ld", w->path, (long)getpid());
    int status = store(w, temporary, err);
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
    if (w->pixels >= 0) H5Dclose(w->pixels);
    hdf5_memory_close(&w->memory);
    hdf5_unlock();
    for (int64_t i = 0; i < w->count; i++) {
        mem_free((char *)w->items[i].file);
        mem_free((char *)w->items[i].patient);
        mem_free((char *)w->items[i].figure);
    }
    mem_free(w->items);
    mem_free((char *)w->info.dataset);
    mem_free((char *)w->info.set_id);
    mem_free((char *)w->info.settings);
    mem_free(w->path);
    mem_free(w);
}
