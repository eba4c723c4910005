/* image_png_fast.c - the usual PNG, on libdeflate: 8 bits a channel, not interlaced. Several times as fast as libpng on zlib.
 *
 * DESIGN: whatever is unusual or wrong is left to libpng (image_png.c), which then decodes or says what is wrong: this file never
 * judges. So it must only accept what libpng accepts, with the same pixels; tests/unit/test_io_image.c compares the two. Filters and
 * colour types are those of the PNG specification (ISO/IEC 15948), sections 9 and 11. */
#include <string.h>

#include "base/memory.h"
#include "io/image_private.h"

#ifdef LADNN_HAVE_LIBDEFLATE
#include <libdeflate.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6 };

struct png {
    int height, width, type;
    size_t bpp, stride;             /* bytes per pixel, per row without its filter byte */
    const uint8_t *palette;         /* (colours, 3) */
    size_t colours;
    const uint8_t *packed;          /* the one IDAT, or `joined` */
    size_t packed_bytes;
    uint8_t *joined;                /* ours; several IDATs in a row */
    uint8_t *nothing;               /* ours; a row of zeros */
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

/* ---- filters: in place; `up` is the row above, zeros above the first ---- */

static void undo_up(uint8_t *row, const uint8_t *up, size_t stride)
{
#pragma omp simd
    for (size_t i = 0; i < stride; i++) row[i] = (uint8_t)(row[i] + up[i]);
}

static uint8_t paeth(int a, int b, int c)
{
    int pa = b - c, pb = a - c, pc = pa + pb;
    pa = pa < 0 ? -pa : pa;
    pb = pb < 0 ? -pb : pb;
    pc = pc < 0 ? -pc : pc;
    return (uint8_t)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

/* The three that look to the left, from byte i > 0 on. One byte a pixel keeps it in a register. */
static void undo_sub(uint8_t *row, size_t i, size_t stride, size_t bpp)
{
    uint8_t left = row[i - 1];
    if (bpp == 1)
        for (; i < stride; i++) row[i] = left = (uint8_t)(row[i] + left);
    for (; i < stride; i++) row[i] = (uint8_t)(row[i] + row[i - bpp]);
}

static void undo_average(uint8_t *row, const uint8_t *up, size_t i, size_t stride, size_t bpp)
{
    uint8_t left = row[i - 1];
    if (bpp == 1)
        for (; i < stride; i++) row[i] = left = (uint8_t)(row[i] + ((up[i] + left) >> 1));
    for (; i < stride; i++) row[i] = (uint8_t)(row[i] + ((up[i] + row[i - bpp]) >> 1));
}

static void undo_paeth(uint8_t *row, const uint8_t *up, size_t i, size_t stride, size_t bpp)
{
    uint8_t left = row[i - 1];
    if (bpp == 1)
        for (; i < stride; i++) row[i] = left = (uint8_t)(row[i] + paeth(left, up[i], up[i - 1]));
    for (; i < stride; i++) row[i] = (uint8_t)(row[i] + paeth(row[i - bpp], up[i], up[i - bpp]));
}

#if defined(__SSE2__)
/* Pixels of 3 or 4 bytes, one at a time in a register; 3 bytes are read as 4 while that stays inside the row. Each returns where it
 * stopped. */
static __m128i load_pixel(const uint8_t *p)
{
    int32_t x;
    memcpy(&x, p, 4);
    return _mm_cvtsi32_si128(x);
}

static void store_pixel(uint8_t *p, __m128i pixel, size_t bpp)
{
    int32_t x = _mm_cvtsi128_si32(pixel);
    memcpy(p, &x, bpp == 4 ? 4 : 3);
}

static size_t sub_pixels(uint8_t *row, size_t stride, size_t bpp)
{
    __m128i left = _mm_setzero_si128();
    size_t i = 0;
    for (; i + 4 <= stride; i += bpp) {
        left = _mm_add_epi8(left, load_pixel(row + i));
        store_pixel(row + i, left, bpp);
    }
    return i;
}

static size_t average_pixels(uint8_t *row, const uint8_t *up, size_t stride, size_t bpp)
{
    const __m128i one = _mm_set1_epi8(1);
    __m128i left = _mm_setzero_si128();
    size_t i = 0;
    for (; i + 4 <= stride; i += bpp) {
        __m128i above = load_pixel(up + i), rounded_up = _mm_avg_epu8(left, above);
        __m128i mean = _mm_sub_epi8(rounded_up, _mm_and_si128(_mm_xor_si128(left, above), one));
        left = _mm_add_epi8(load_pixel(row + i), mean);
        store_pixel(row + i, left, bpp);
    }
    return i;
}

static __m128i absolute(__m128i x)
{
    return _mm_max_epi16(x, _mm_sub_epi16(_mm_setzero_si128(), x));
}

static __m128i either(__m128i mask, __m128i yes, __m128i no)
{
    return _mm_or_si128(_mm_and_si128(mask, yes), _mm_andnot_si128(mask, no));
}

/* A pixel's channels side by side, 16 bits each. */
static size_t paeth_pixels(uint8_t *row, const uint8_t *up, size_t stride, size_t bpp)
{
    const __m128i zero = _mm_setzero_si128();
    __m128i a = zero, c = zero;
    size_t i = 0;
    for (; i + 4 <= stride; i += bpp) {
        __m128i b = _mm_unpacklo_epi8(load_pixel(up + i), zero), x = _mm_unpacklo_epi8(load_pixel(row + i), zero);
        __m128i pa = _mm_sub_epi16(b, c), pb = _mm_sub_epi16(a, c), pc = absolute(_mm_add_epi16(pa, pb));
        pa = absolute(pa);
        pb = absolute(pb);
        __m128i least = _mm_min_epi16(pc, _mm_min_epi16(pa, pb));
        __m128i nearest = either(_mm_cmpeq_epi16(least, pa), a, either(_mm_cmpeq_epi16(least, pb), b, c));
        a = _mm_and_si128(_mm_add_epi16(x, nearest), _mm_set1_epi16(255));
        c = b;
        store_pixel(row + i, _mm_packus_epi16(a, a), bpp);
    }
    return i;
}
#else
static size_t sub_pixels(uint8_t *row, size_t stride, size_t bpp) { return (void)row, (void)stride, (void)bpp, (size_t)0; }
static size_t average_pixels(uint8_t *row, const uint8_t *up, size_t stride, size_t bpp) { return (void)up, sub_pixels(row, stride, bpp); }
static size_t paeth_pixels(uint8_t *row, const uint8_t *up, size_t stride, size_t bpp) { return (void)up, sub_pixels(row, stride, bpp); }
#endif

/* The first pixel has nothing to its left. */
static size_t first_pixel(uint8_t *row, const uint8_t *up, int shift, size_t bpp)
{
    for (size_t i = 0; i < bpp; i++) row[i] = (uint8_t)(row[i] + (up[i] >> shift));
    return bpp;
}

static bool undo_row(uint8_t *row, const uint8_t *up, int filter, const struct png *p)
{
    size_t stride = p->stride, bpp = p->bpp, i = 0;
    bool pixels = bpp >= 3;
    switch (filter) {
    case 0: return true;
    case 1:
        if (pixels) i = sub_pixels(row, stride, bpp);
        undo_sub(row, i ? i : bpp, stride, bpp);
        return true;
    case 2: undo_up(row, up, stride); return true;
    case 3:
        if (pixels) i = average_pixels(row, up, stride, bpp);
        undo_average(row, up, i ? i : first_pixel(row, up, 1, bpp), stride, bpp);
        return true;
    case 4:
        if (pixels) i = paeth_pixels(row, up, stride, bpp);
        undo_paeth(row, up, i ? i : first_pixel(row, up, 0, bpp), stride, bpp);
        return true;
    }
    return false;
}

static bool undo_filters(struct png *p)
{
    const uint8_t *up = p->nothing = mem_zero(p->stride); /* above the first row */
    for (int y = 0; y < p->height; y++) {
        uint8_t *filter = p->raw + (p->stride + 1) * (size_t)y;
        if (!undo_row(filter + 1, up, *filter, p)) return false;
        up = filter + 1;
    }
    return true;
}

/* ---- pixels without alpha ---- */

static bool row_is_grey(const uint8_t *row, size_t width, size_t bpp)
{
    enum { RUN = 48 };
    static const uint8_t in_pixel[RUN] = {1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0,
                                          1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0};
    size_t x = 0;
    int differ = 0;
    for (; bpp == 3 && (x + RUN / 3) < width; x += RUN / 3) /* neighbours within a pixel, sixteen pixels at once */
#pragma omp simd reduction(| : differ)
        for (int i = 0; i < RUN; i++) differ |= in_pixel[i] * (row[3 * x + (size_t)i] ^ row[3 * x + (size_t)i + 1]);
    for (; x < width; x++) differ |= (row[bpp * x] ^ row[bpp * x + 1]) | (row[bpp * x] ^ row[bpp * x + 2]);
    return !differ;
}

static bool is_grey(const struct png *p)
{
    if (p->type == GREY || p->type == GREY_ALPHA) return true;
    if (p->type == PALETTE) return false; /* image_decode looks */
    for (int y = 0; y < p->height; y++)
        if (!row_is_grey(p->raw + (p->stride + 1) * (size_t)y + 1, (size_t)p->width, p->bpp)) return false;
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

static bool copy_pixels(struct image *image, const struct png *p)
{
    *image = (struct image){.height = p->height, .width = p->width, .channels = is_grey(p) ? 1 : 3};
    size_t step = (size_t)image->channels, row_bytes = (size_t)p->width * step;
    image->pixels = mem_alloc(row_bytes * (size_t)p->height);
    for (int y = 0; y < p->height; y++) {
        const uint8_t *row = p->raw + (p->stride + 1) * (size_t)y + 1;
        uint8_t *to = image->pixels + row_bytes * (size_t)y;
        if (p->type == PALETTE) {
            if (!expand_palette(to, row, p)) return false;
        } else if (p->bpp == step) {
            memcpy(to, row, row_bytes);
        } else if (step == 1) {
            for (int x = 0; x < p->width; x++, row += p->bpp) to[x] = row[0];
        } else {
            for (int x = 0; x < p->width; x++, row += 4, to += 3) memcpy(to, row, 3);
        }
    }
    return true;
}

bool image_decode_png_fast(struct image *image, const uint8_t *data, size_t bytes)
{
    struct png p = {0};
    bool good = read_chunks(&p, data, bytes) && unpack(&p) && undo_filters(&p) && copy_pixels(image, &p);
    mem_free(p.joined);
    mem_free(p.nothing);
    mem_free(p.raw);
    if (!good) image_free(image);
    return good;
}
#else
bool image_decode_png_fast(struct image *image, const uint8_t *data, size_t bytes)
{
    (void)image, (void)data, (void)bytes;
    return false;
}
#endif
