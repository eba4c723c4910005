/* image_png_fast.c - the usual PNG, on libdeflate: 8 bits a channel, not interlaced. Several times as fast as libpng on zlib.
 *
 * DESIGN: whatever is unusual or wrong is left to libpng (image_png.c), which then decodes or says what is wrong: this file never
 * judges. So it must only accept what libpng accepts, with the same pixels; tests/unit/test_io_png_fast.c compares the two. Rows are
 * tested for colour, unfiltered and copied while they are in the nearest cache; most pictures here are grey in three channels, so grey
 * is tried first, and the first coloured pixel starts again with three. */
#include <string.h>

#include "base/memory.h"
#include "io/image/image_planes.h"
#include "io/image/image_png_filter.h"
#include "io/image/image_private.h"

#ifdef LADNN_HAVE_LIBDEFLATE
#include <libdeflate.h>

enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6 };

struct png {
    int height, width, type;
    size_t bpp, stride;             /* bytes per pixel, per row without its filter byte */
    const uint8_t *palette;         /* (colours, 3) */
    size_t colours;
    const uint8_t *packed;          /* the one IDAT, or `joined` */
    size_t packed_bytes;
    uint8_t *joined;                /* ours; several IDATs in a row */
    uint8_t *raw;                   /* ours; (height) rows of a filter byte and stride bytes */
};

static uint32_t read_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- chunks ---- */

static bool take_header(struct png *p, const uint8_t *data, size_t bytes)
{
    static const uint8_t samples[7] = {[GREY] = 1, [RGB] = 3, [PALETTE] = 1, [GREY_ALPHA] = 2, [RGB_ALPHA] = 4};
    if (bytes != 13 || p->stride) return false;
    uint32_t width = read_be32(data), height = read_be32(data + 4);
    bool usual = data[8] == 8 && data[9] < 7 && samples[data[9]] && !data[10] && !data[11] && !data[12];
    if (!usual || !width || !height || width > IMAGE_PIXELS_MAX || height > IMAGE_PIXELS_MAX / width) return false;
    p->width = (int)width;
    p->height = (int)height;
    p->type = data[9];
    p->bpp = samples[p->type];
    p->stride = width * p->bpp;
    return true;
}

static bool is_letters(const uint8_t *type)
{
    for (int i = 0; i < 4; i++)
        if (!((type[i] >= 'A' && type[i] <= 'Z') || (type[i] >= 'a' && type[i] <= 'z'))) return false;
    return true;
}

static void add_data(struct png *p, const uint8_t *data, size_t bytes, size_t file_bytes)
{
    if (!p->packed) {
        p->packed = data;
    } else {
        if (!p->joined) {
            p->joined = mem_alloc(file_bytes);
            memcpy(p->joined, p->packed, p->packed_bytes);
            p->packed = p->joined;
        }
        memcpy(p->joined + p->packed_bytes, data, bytes);
    }
    p->packed_bytes += bytes;
}

/* Header, palette, data in a row, end; ancillary chunks but transparency are passed over. */
static bool read_chunks(struct png *p, const uint8_t *data, size_t bytes)
{
    bool in_data = false;
    for (size_t at = 8; bytes - at >= 12;) {
        size_t length = read_be32(data + at);
        const uint8_t *type = data + at + 4, *body = data + at + 8;
        if (length > bytes - at - 12 || !is_letters(type) || libdeflate_crc32(0, type, length + 4) != read_be32(body + length)) return false;
        bool is_data = !memcmp(type, "IDAT", 4);
        if (at == 8) {
            if (memcmp(type, "IHDR", 4) || !take_header(p, body, length)) return false;
        } else if (is_data) {
            if (p->packed && !in_data) return false;
            add_data(p, body, length, bytes);
        } else if (!memcmp(type, "PLTE", 4)) {
            if (p->palette || p->packed || p->type != PALETTE || !length || length % 3 || length > 768) return false;
            p->palette = body;
            p->colours = length / 3;
        } else if (!memcmp(type, "IEND", 4)) {
            return !length && p->packed && (p->palette || p->type != PALETTE);
        } else if (!(type[0] & 0x20) || !memcmp(type, "tRNS", 4)) {
            return false;
        }
        in_data = is_data;
        at += 12 + length;
    }
    return false;
}

static bool unpack(struct png *p)
{
    size_t want = (p->stride + 1) * (size_t)p->height, used = 0, got = 0;
    p->raw = mem_alloc(want);
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    bool good = d && libdeflate_zlib_decompress_ex(d, p->packed, p->packed_bytes, p->raw, want, &used, &got) == LIBDEFLATE_SUCCESS;
    libdeflate_free_decompressor(d);
    return good && got == want && used == p->packed_bytes;
}

/* ---- pixels without alpha ---- */

struct decoding {
    const struct png *p;
    struct image *image;
    int planes;                /* 1: grey, or numbers of colours */
    struct png_band band[3];   /* (planes) */
    uint8_t filter[PNG_BAND];
};

/* A row as filtered, channel by channel; false when there should be one plane, and the channels differ. A filter does the same to each
 * channel: three are equal when they are equal as filtered, and then one is enough. */
static bool load_row(const struct decoding *d, const uint8_t *from, int i)
{
    size_t width = (size_t)d->p->width, bpp = d->p->bpp;
    uint8_t *to = png_band_row(&d->band[0], i);
    if (d->planes == 3) planes_split((uint8_t *[3]){to, png_band_row(&d->band[1], i), png_band_row(&d->band[2], i)}, from, width, bpp);
    else if (bpp >= 3) return grey_from_equal(to, from, width, bpp);
    else if (bpp == 1) memcpy(to, from, width);
    else for (size_t x = 0; x < width; x++) to[x] = from[2 * x];
    return true;
}

static bool load_rows(struct decoding *d, int y, int rows)
{
    for (int i = 0; i < rows; i++) {
        const uint8_t *from = d->p->raw + (d->p->stride + 1) * (size_t)(y + i);
        d->filter[i] = *from;
        if (*from >= PNG_FILTERS || !load_row(d, from + 1, i)) return false;
    }
    return true;
}

static bool expand_palette(uint8_t *to, const uint8_t *row, const struct png *p)
{
    for (int x = 0; x < p->width; x++, to += 3) {
        if (row[x] >= p->colours) return false;
        memcpy(to, p->palette + 3 * (size_t)row[x], 3);
    }
    return true;
}

/* False: a colour is not in the palette. */
static bool store_rows(const struct decoding *d, int y, int rows)
{
    size_t width = (size_t)d->p->width, row_bytes = width * (size_t)d->image->channels;
    for (int i = 0; i < rows; i++) {
        uint8_t *to = d->image->pixels + row_bytes * (size_t)(y + i);
        const uint8_t *row = png_band_row(&d->band[0], i);
        if (d->planes == 3) planes_join(to, (const uint8_t *[3]){row, png_band_row(&d->band[1], i), png_band_row(&d->band[2], i)}, width);
        else if (d->p->type != PALETTE) memcpy(to, row, width);
        else if (!expand_palette(to, row, d->p)) return false;
    }
    return true;
}

static bool make_rows(struct decoding *d)
{
    for (int y = 0; y < d->p->height; y += PNG_BAND) {
        int rows = d->p->height - y < PNG_BAND ? d->p->height - y : PNG_BAND;
        if (!load_rows(d, y, rows)) return false;
        png_bands_unfilter(d->band, d->planes, d->filter, rows);
        if (!store_rows(d, y, rows)) return false;
        for (int c = 0; c < d->planes; c++) png_band_next(&d->band[c]);
    }
    return true;
}

static bool make_pixels(struct image *image, const struct png *p, int channels)
{
    struct decoding d = {.p = p, .image = image, .planes = p->type == PALETTE ? 1 : channels};
    *image = (struct image){.height = p->height, .width = p->width, .channels = channels};
    image->pixels = mem_alloc((size_t)p->width * (size_t)p->height * (size_t)channels);
    for (int c = 0; c < d.planes; c++) png_band_make(&d.band[c], (size_t)p->width);
    bool good = make_rows(&d);
    for (int c = 0; c < d.planes; c++) png_band_free(&d.band[c]);
    if (!good) image_free(image);
    return good;
}

bool image_decode_png_fast(struct image *image, const uint8_t *data, size_t bytes)
{
    struct png p = {0};
    bool good = read_chunks(&p, data, bytes) && unpack(&p);
    bool may_be_grey = p.type != PALETTE, may_be_rgb = p.type != GREY && p.type != GREY_ALPHA;
    good = good && ((may_be_grey && make_pixels(image, &p, 1)) || (may_be_rgb && make_pixels(image, &p, 3)));
    mem_free(p.joined);
    mem_free(p.raw);
    return good;
}
#else
bool image_decode_png_fast(struct image *image, const uint8_t *data, size_t bytes)
{
    (void)image, (void)data, (void)bytes;
    return false;
}
#endif
