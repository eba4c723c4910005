/* image_png_fast.c - the usual PNG, on libdeflate: 8 bits a channel, not interlaced. Several times as fast as libpng on zlib.
 *
 * DESIGN: whatever is unusual or wrong is left to libpng (image_png.c), which then decodes or says what is wrong: this file never
 * judges. So it must only accept what libpng accepts, with the same pixels; tests/unit/test_io_png_fast.c compares the two. Rows are
 * tested for colour, unfiltered and copied while they are in the nearest cache; most pictures here are grey in three channels, so grey
 * is tried first, and the first coloured pixel starts again with three. */
#include <string.h>

#include "base/memory.h"
#include "io/image/image_grey.h"
#include "io/image/image_png_filter.h"
#include "io/image/image_png_grey.h"
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
    p->raw = mem_alloc(want + PNG_ROW_SLACK);
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    bool good = d && libdeflate_zlib_decompress_ex(d, p->packed, p->packed_bytes, p->raw, want, &used, &got) == LIBDEFLATE_SUCCESS;
    libdeflate_free_decompressor(d);
    return good && got == want && used == p->packed_bytes;
}

/* ---- pixels without alpha ---- */

/* The rows from y on to the band, one byte a pixel, still filtered; false when a row is not grey, or its filter unknown. */
static bool load_band(struct png_band *band, uint8_t filter[PNG_BAND], const struct png *p, size_t y, int rows)
{
    size_t width = (size_t)p->width;
    for (int i = 0; i < rows; i++) {
        const uint8_t *from = p->raw + (p->stride + 1) * (y + (size_t)i);
        uint8_t *to = png_band_row(band, i);
        filter[i] = *from++;
        if (filter[i] > 4) return false;
        if (p->bpp == 1) memcpy(to, from, width);
        else if (p->bpp == 2) for (size_t x = 0; x < width; x++) to[x] = from[2 * x];
        else if (!grey_from_equal(to, from, width, p->bpp)) return false;
    }
    return true;
}

/* A filter does the same to each channel: three channels are equal when they are equal as filtered, and then one is enough. */
static bool make_grey(struct image *image, const struct png *p)
{
    struct png_band band;
    uint8_t filter[PNG_BAND];
    bool good = true;
    *image = (struct image){.height = p->height, .width = p->width, .channels = 1};
    image->pixels = mem_alloc((size_t)p->width * (size_t)p->height);
    png_band_make(&band, (size_t)p->width);
    for (int y = 0; y < p->height && good; y += PNG_BAND) {
        int rows = p->height - y < PNG_BAND ? p->height - y : PNG_BAND;
        good = load_band(&band, filter, p, (size_t)y, rows);
        if (!good) break;
        png_band_unfilter(&band, filter, rows);
        for (int i = 0; i < rows; i++)
            memcpy(image->pixels + (size_t)(y + i) * (size_t)p->width, png_band_row(&band, i), (size_t)p->width);
        png_band_next(&band);
    }
    png_band_free(&band);
    if (!good) image_free(image);
    return good;
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
static bool copy_row(uint8_t *to, const uint8_t *row, const struct png *p)
{
    size_t width = (size_t)p->width;
    if (p->type == PALETTE) return expand_palette(to, row, p);
    if (p->bpp == 3) memcpy(to, row, p->stride);
    else for (size_t x = 0; x < width; x++) memcpy(to + 3 * x, row + 4 * x, 3);
    return true;
}

static bool make_rgb(struct image *image, const struct png *p)
{
    size_t row_bytes = 3 * (size_t)p->width;
    uint8_t *rows[2]; /* the one being made and the one above, in turn */
    bool good = true;
    *image = (struct image){.height = p->height, .width = p->width, .channels = 3};
    image->pixels = mem_alloc(row_bytes * (size_t)p->height);
    for (int i = 0; i < 2; i++) rows[i] = mem_zero(p->stride + PNG_ROW_SLACK);
    for (size_t y = 0; y < (size_t)p->height && good; y++) {
        uint8_t *row = rows[y % 2];
        good = png_unfilter(row, p->raw + (p->stride + 1) * y, rows[(y + 1) % 2], p->stride, p->bpp) &&
               copy_row(image->pixels + row_bytes * y, row, p);
    }
    for (int i = 0; i < 2; i++) mem_free(rows[i]);
    if (!good) image_free(image);
    return good;
}

bool image_decode_png_fast(struct image *image, const uint8_t *data, size_t bytes)
{
    struct png p = {0};
    bool good = read_chunks(&p, data, bytes) && unpack(&p);
    bool may_be_grey = p.type != PALETTE, may_be_rgb = p.type != GREY && p.type != GREY_ALPHA;
    good = good && ((may_be_grey && make_grey(image, &p)) || (may_be_rgb && make_rgb(image, &p)));
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
