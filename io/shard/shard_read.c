/* shard_read.c - opens one shard file, judges it and reads its pixels.
 *
 * DESIGN: a file may be truncated or altered anywhere. Types and shapes are compared with the format before anything is
 * read, sizes with the file's length before anything is allocated, and all that is read with a checksum: a shard that
 * opens holds the labels that were written, and a picture that is handed out the pixels that were written. */
#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "io/shard/deflate.h"
#include "io/shard/hdf5_call.h"
#include "io/shard/shard_format.h"

static int damaged(const struct shard *s, struct error *err, const char *what)
{
    error_set(err, "%s: damaged: %s", s->path, what);
    return error_hint(err, "make the data set again with ladnn pack, or copy it again");
}

/* ---- attributes ---- */

static int read_kind(struct shard *s, struct error *err)
{
    char *format = NULL;
    int64_t version = 0;
    int status = hdf5_read_text(s->h5, s->path, "format", &format, err);
    if (!status && strcmp(format, "ladnn-shard")) status = error_set(err, "%s: not a shard of ladnn ('%s')", s->path, format);
    if (!status) status = hdf5_read_int(s->h5, s->path, "format_version", &version, err);
    if (!status && version != SHARD_FORMAT_VERSION) {
        status = error_set(err, "%s: shard format %" PRId64 ", this program reads %d", s->path, version, SHARD_FORMAT_VERSION);
        error_hint(err, "pack the data set again, or use the version of ladnn that wrote it");
    }
    mem_free(format);
    return status;
}

static int read_texts(struct shard *s, struct error *err)
{
    char *split = NULL;
    struct shard_info *info = &s->info;
    int status = hdf5_read_text(s->h5, s->path, "dataset", (char **)&info->dataset, err) ||
                 hdf5_read_text(s->h5, s->path, "set_id", (char **)&info->set_id, err) ||
                 hdf5_read_text(s->h5, s->path, "settings", (char **)&info->settings, err) ||
                 hdf5_read_text(s->h5, s->path, "tool", (char **)&info->tool, err) ||
                 hdf5_read_text(s->h5, s->path, "split", &split, err)
                     ? -1
                     : 0;
    int found = split ? split_from_name(split) : -1;
    if (!status && found < 0) status = damaged(s, err, "an unknown split");
    if (found >= 0) info->split = (enum split)found;
    mem_free(split);
    return status;
}

static int read_number(struct shard *s, const char *name, int64_t least, int64_t most, int64_t *value, struct error *err)
{
    if (hdf5_read_int(s->h5, s->path, name, value, err)) return -1;
    return *value < least || *value > most ? damaged(s, err, name) : 0;
}

static int read_numbers(struct shard *s, struct error *err)
{
    int64_t index, count, images, size, channels, synthetic, by_figure;
    if (read_number(s, "shard_count", 1, 99999, &count, err) || read_number(s, "shard_index", 0, count - 1, &index, err) ||
        read_number(s, "images", 1, SHARD_IMAGES_MAX, &images, err) ||
        read_number(s, "size", 0, SHARD_SIDE_MAX, &size, err) || read_number(s, "channels", 0, 3, &channels, err) ||
        read_number(s, "synthetic", 0, 1, &synthetic, err) || read_number(s, "by_figure", 0, 1, &by_figure, err))
        return -1;
    if (size ? channels != 1 && channels != 3 : channels != 0) return damaged(s, err, "the number of channels");
    s->info.index = (int)index;
    s->info.count = (int)count;
    s->info.images = images;
    s->info.size = (int)size;
    s->info.channels = (int)channels;
    s->info.synthetic = synthetic;
    s->info.by_figure = by_figure;
    return 0;
}

/* ---- columns ---- */

static int read_strings(struct shard *s, struct error *err)
{
    size_t file, patient, figure;
    int64_t n = s->info.images;
    if (hdf5_read_strings(s->h5, s->path, "file", n, &s->file, &file, err) ||
        hdf5_read_strings(s->h5, s->path, "patient", n, &s->patient, &patient, err) ||
        hdf5_read_strings(s->h5, s->path, "figure", n, &s->figure, &figure, err))
        return -1;
    for (size_t i = 0; i < (size_t)n; i++) {
        s->items[i].file = s->file + i * file;
        s->items[i].patient = s->patient + i * patient;
        s->items[i].figure = s->figure + i * figure;
    }
    return 0;
}

struct columns {
    uint8_t *covid, *lesion, *sha;
    int32_t *shape;
    uint32_t *crc;
};

static int read_arrays(struct shard *s, struct columns *c, struct error *err)
{
    hsize_t n = (hsize_t)s->info.images, lesion[2] = {n, LESION_COUNT}, sha[2] = {n, 32}, shape[2] = {n, 3};
    return hdf5_read_array(s->h5, s->path, "covid", H5T_STD_U8LE, H5T_NATIVE_UINT8, 1, &n, c->covid, err) ||
           hdf5_read_array(s->h5, s->path, "lesion", H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, lesion, c->lesion, err) ||
           hdf5_read_array(s->h5, s->path, "source_sha256", H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, sha, c->sha, err) ||
           hdf5_read_array(s->h5, s->path, "shape", H5T_STD_I32LE, H5T_NATIVE_INT32, 2, shape, c->shape, err) ||
           hdf5_read_array(s->h5, s->path, "crc32c", H5T_STD_U32LE, H5T_NATIVE_UINT32, 1, &n, c->crc, err);
}

static void fill_items(struct shard *s, const struct columns *c)
{
    for (size_t i = 0; i < (size_t)s->info.images; i++) {
        struct shard_item *item = &s->items[i];
        item->covid = c->covid[i];
        memcpy(item->lesion, c->lesion + i * LESION_COUNT, LESION_COUNT);
        memcpy(item->source_sha256, c->sha + i * 32, 32);
        item->height = c->shape[3 * i];
        item->width = c->shape[3 * i + 1];
        item->channels = c->shape[3 * i + 2];
        item->crc32c = c->crc[i];
    }
}

static bool item_is_sound(const struct shard *s, const struct shard_item *item)
{
    const struct shard_info *info = &s->info;
    if (!*item->patient || !*item->file || (item->covid != 0 && item->covid != 1)) return false;
    for (int l = 0; l < LESION_COUNT; l++)
        if (item->lesion[l] > 1) return false;
    if (info->size) return item->height == info->size && item->width == info->size && item->channels == info->channels;
    return item->height >= 1 && item->height <= SHARD_SIDE_MAX && item->width >= 1 && item->width <= SHARD_SIDE_MAX &&
           (item->channels == 1 || item->channels == 3);
}

static int check_metadata(struct shard *s, struct error *err)
{
    int64_t want;
    if (hdf5_read_int(s->h5, s->path, "metadata_crc32c", &want, err)) return -1;
    if (shard_metadata_crc(&s->info, s->items) != want)
        return damaged(s, err, "a label, a name or an attribute is not what was written");
    for (int64_t i = 0; i < s->info.images; i++)
        if (!item_is_sound(s, &s->items[i])) return damaged(s, err, s->items[i].file);
    return 0;
}

static int read_columns(struct shard *s, struct error *err)
{
    size_t n = (size_t)s->info.images;
    s->items = NEW_ARRAY(struct shard_item, n);
    struct columns c = {mem_zero(n), mem_zero(n * LESION_COUNT), mem_zero(n * 32), NEW_ARRAY(int32_t, 3 * n),
                        NEW_ARRAY(uint32_t, n)};
    int status = read_strings(s, err) || read_arrays(s, &c, err) ? -1 : 0;
    if (!status) fill_items(s, &c);
    mem_free(c.covid);
    mem_free(c.lesion);
    mem_free(c.sha);
    mem_free(c.shape);
    mem_free(c.crc);
    return status ? status : check_metadata(s, err);
}

/* ---- where the pixels are ---- */

static bool is_gzip_per_image(hid_t create, const hsize_t *image_dims)
{
    hsize_t chunk[4];
    unsigned flags, setting[4];
    size_t settings = 4;
    return H5Pget_chunk(create, 4, chunk) == 4 && chunk[0] == 1 && !memcmp(chunk + 1, image_dims, 3 * sizeof *chunk) &&
           H5Pget_nfilters(create) == 1 && H5Pget_filter2(create, 0, &flags, &settings, setting, 0, NULL, NULL) == H5Z_FILTER_DEFLATE;
}

/* The dataset's rank and dims as wanted, bytes; in one piece, or with a size in gzipped chunks of one image. */
static int check_pixels(struct shard *s, hid_t pixels, int rank, const hsize_t *want, struct error *err)
{
    hsize_t dims[H5S_MAX_RANK];
    hid_t space = H5Dget_space(pixels), type = H5Dget_type(pixels), create = H5Dget_create_plist(pixels);
    bool sound = H5Sget_simple_extent_ndims(space) == rank && H5Sget_simple_extent_dims(space, dims, NULL) == rank &&
                 !memcmp(dims, want, (size_t)rank * sizeof *want) && H5Tequal(type, H5T_STD_U8LE) > 0;
    s->info.gzip = rank == 4 && H5Pget_layout(create) == H5D_CHUNKED;
    sound = sound && (s->info.gzip ? is_gzip_per_image(create, want + 1)
                                   : H5Pget_layout(create) == H5D_CONTIGUOUS && H5Pget_external_count(create) == 0);
    H5Pclose(create);
    H5Tclose(type);
    H5Sclose(space);
    return sound ? 0 : damaged(s, err, "the pixels have another shape or layout than the format says");
}

static int find_chunks(struct shard *s, hid_t pixels, struct error *err)
{
    for (int64_t i = 0; i < s->info.images; i++) {
        hsize_t where[4] = {(hsize_t)i, 0, 0, 0}, bytes = 0;
        unsigned skipped = 0;
        haddr_t address = HADDR_UNDEF;
        if (H5Dget_chunk_info_by_coord(pixels, where, &skipped, &address, &bytes) < 0 || address == HADDR_UNDEF || skipped ||
            bytes > deflate_bound(shard_item_bytes(&s->items[i])))
            return damaged(s, err, "an image's chunk is missing");
        s->address[i] = address;
        s->stored_bytes[i] = bytes;
    }
    return 0;
}

/* Without filter images lie one behind the other. */
static int find_row(struct shard *s, hid_t pixels, struct error *err)
{
    haddr_t at = H5Dget_offset(pixels);
    if (at == HADDR_UNDEF) return damaged(s, err, "the pixels are missing");
    for (int64_t i = 0; i < s->info.images; i++) {
        s->address[i] = at;
        s->stored_bytes[i] = shard_item_bytes(&s->items[i]);
        at += s->stored_bytes[i];
    }
    return 0;
}

/* With images of their own size a column says so for other readers. */
static int check_offsets(struct shard *s, struct error *err)
{
    hsize_t n = (hsize_t)s->info.images;
    int64_t *offset = NEW_ARRAY(int64_t, n);
    int status = hdf5_read_array(s->h5, s->path, "offset", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, &n, offset, err);
    for (hsize_t i = 0; i < n && !status; i++)
        if (offset[i] != (int64_t)(s->address[i] - s->address[0])) status = damaged(s, err, "the images' offsets");
    mem_free(offset);
    return status;
}

static int check_bounds(struct shard *s, struct error *err)
{
    for (int64_t i = 0; i < s->info.images; i++)
        if (s->address[i] > s->map.bytes || s->stored_bytes[i] > s->map.bytes - s->address[i])
            return damaged(s, err, "the file ends before its pixels");
    return 0;
}

static int find_pixels(struct shard *s, struct error *err)
{
    hsize_t side = (hsize_t)s->info.size, dims[4] = {(hsize_t)s->info.images, side, side, (hsize_t)s->info.channels}, flat = 0;
    for (int64_t i = 0; i < s->info.images; i++) flat += shard_item_bytes(&s->items[i]);
    hid_t pixels = H5Dopen2(s->h5, side ? "images" : "pixels", H5P_DEFAULT);
    if (pixels < 0) return hdf5_fail(err, s->path, "find the pixels");
    s->address = NEW_ARRAY(uint64_t, s->info.images);
    s->stored_bytes = NEW_ARRAY(uint64_t, s->info.images);
    int status = side ? check_pixels(s, pixels, 4, dims, err) : check_pixels(s, pixels, 1, &flat, err);
    if (!status) status = s->info.gzip ? find_chunks(s, pixels, err) : find_row(s, pixels, err);
    if (!status && !side) status = check_offsets(s, err);
    H5Dclose(pixels);
    return status ? status : check_bounds(s, err);
}

/* ---- the file ---- */

int shard_open(struct shard *s, const char *path, struct error *err)
{
    *s = (struct shard){.path = mem_string(path), .h5 = -1};
    int status = file_map_open(&s->map, path, err);
    hdf5_lock();
    if (!status) s->h5 = hdf5_open(path, err);
    if (s->h5 < 0 || read_kind(s, err) || read_texts(s, err) || read_numbers(s, err) || read_columns(s, err) ||
        find_pixels(s, err))
        status = -1;
    if (s->h5 >= 0) H5Fclose(s->h5);
    hdf5_unlock();
    if (status) shard_close(s);
    return status;
}

void shard_close(struct shard *s)
{
    file_map_close(&s->map);
    mem_free((char *)s->info.dataset);
    mem_free((char *)s->info.set_id);
    mem_free((char *)s->info.settings);
    mem_free((char *)s->info.tool);
    mem_free(s->file);
    mem_free(s->patient);
    mem_free(s->figure);
    mem_free(s->items);
    mem_free(s->address);
    mem_free(s->stored_bytes);
    mem_free(s->path);
    *s = (struct shard){.h5 = -1};
}

/* ---- pixels ---- */

static int unpack(const struct shard *s, int64_t i, uint8_t *to, uint32_t *crc, struct error *err)
{
    size_t bytes = shard_item_bytes(&s->items[i]);
    uint8_t *packed = mem_alloc(s->stored_bytes[i]);
    int status = file_map_copy(packed, crc, &s->map, s->address[i], s->stored_bytes[i], err);
    if (!status && !deflate_unpack(to, bytes, packed, s->stored_bytes[i]))
        status = error_set(err, "the gzip data are damaged");
    if (!status) *crc = crc32c(0, to, bytes);
    mem_free(packed);
    return status;
}

int shard_read(const struct shard *s, int64_t i, uint8_t *pixels, struct error *err)
{
    const struct shard_item *item = &s->items[i];
    uint32_t crc;
    int status = s->info.gzip ? unpack(s, i, pixels, &crc, err)
                              : file_map_copy(pixels, &crc, &s->map, s->address[i], s->stored_bytes[i], err);
    if (!status && crc != item->crc32c) {
        status = error_set(err, "the pixels are not those that were written (CRC-32C)");
        error_hint(err, "the file was altered or its disk is failing; ladnn inspect --verify lists all such images");
    }
    return status ? error_prefix(err, "%s: image %" PRId64 " (%s)", s->path, i, item->file) : 0;
}

void shard_expect(const struct shard *s, int64_t i)
{
    file_map_expect(&s->map, s->address[i], s->stored_bytes[i]);
}

int shard_check_pixels(const struct shard *s, struct error *err)
{
    int failed = 0;
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < s->info.images; i++) {
        struct error mine = {0};
        uint8_t *pixels = mem_alloc(shard_item_bytes(&s->items[i]));
        int status = shard_read(s, i, pixels, &mine);
        mem_free(pixels);
        if (!status) continue;
#pragma omp critical(shard_error)
        if (!failed++) *err = mine;
    }
    return failed ? -1 : 0;
}
