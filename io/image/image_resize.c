/* image_resize.c - bilinear resizing whose every bit is Pillow's.
 *
 * The method is that of Pillow's src/libImaging/Resample.c (A. Clark and contributors): one pass along the rows, one
 * along the columns, weights of a triangle whose half width is the scale when shrinking, in fixed point with 22 bits.
 * The order of the passes, the rounding between them (to 8 bits) and the rounding of the weights are part of the result. */
#include <math.h>
#include <stdbool.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/memory.h"
#include "io/image/image.h"
#include "io/image/image_planes.h"
#include "io/image/image_transpose.h"

#define INLINE static inline __attribute__((always_inline))

enum { WEIGHT_BITS = 32 - 8 - 2 };

struct filter { /* of one axis */
    int taps;     /* room per output position */
    int *first;   /* (out) first input position */
    int *count;   /* (out) how many */
    int *weight;  /* (out, taps) fixed point */
};

static double triangle(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static void filter_one(struct filter *f, double *w, int o, int in, double scale, double stretch)
{
    double center = (o + 0.5) * scale, sum = 0, narrow = 1.0 / stretch;
    int first = (int)(center - stretch + 0.5), last = (int)(center + stretch + 0.5);
    if (first < 0) first = 0;
    if (last > in) last = in;
    int count = last - first;
    for (int i = 0; i < count; i++) {
        w[i] = triangle((i + first - center + 0.5) * narrow);
        sum += w[i];
    }
    for (int i = 0; i < count; i++) {
        if (sum != 0) w[i] /= sum;
        f->weight[(size_t)o * (size_t)f->taps + (size_t)i] = (int)(0.5 + w[i] * (1 << WEIGHT_BITS));
    }
    f->first[o] = first;
    f->count[o] = count;
}

static void filter_make(struct filter *f, int in, int out)
{
    double scale = (double)in / out, stretch = scale < 1 ? 1 : scale;
    f->taps = (int)ceil(stretch) * 2 + 1;
    f->first = NEW_ARRAY(int, out);
    f->count = NEW_ARRAY(int, out);
    f->weight = mem_zero((size_t)out * (size_t)f->taps * sizeof(int));
    double *w = NEW_ARRAY(double, f->taps);
    for (int o = 0; o < out; o++) filter_one(f, w, o, in, scale, stretch);
    mem_free(w);
}

static void filter_free(struct filter *f)
{
    mem_free(f->first);
    mem_free(f->count);
    mem_free(f->weight);
}

/* ---- one pass: along the columns; bytes side by side have the same weights, which suits vectors ---- */

enum { STRIP = 64 };

/* to[i], i < STRIP: the weighted sum over `taps` rows of `stride` bytes. The weights are not negative, so no sum is. */
typedef void filter_strip(uint8_t *to, const uint8_t *from, size_t stride, const int *weight, int taps);

static inline void strip_plain(uint8_t *to, const uint8_t *from, size_t stride, const int *weight, int taps)
{
    int sum[STRIP];
    for (int i = 0; i < STRIP; i++) sum[i] = 1 << (WEIGHT_BITS - 1);
    for (int k = 0; k < taps; k++, from += stride)
        for (int i = 0; i < STRIP; i++) sum[i] += from[i] * weight[k];
    for (int i = 0; i < STRIP; i++) to[i] = (uint8_t)(sum[i] >> WEIGHT_BITS > 255 ? 255 : sum[i] >> WEIGHT_BITS);
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))

AVX2 static inline void strip_avx2(uint8_t *to, const uint8_t *from, size_t stride, const int *weight, int taps)
{
    __m256i sum[8];
    for (int i = 0; i < 8; i++) sum[i] = _mm256_set1_epi32(1 << (WEIGHT_BITS - 1));
    for (int k = 0; k < taps; k++, from += stride) {
        __m256i w = _mm256_set1_epi32(weight[k]);
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            __m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(from + 8 * i)));
            sum[i] = _mm256_add_epi32(sum[i], _mm256_mullo_epi32(x, w));
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) { /* packs saturates, and works in halves: put in order by permute */
        __m256i two = _mm256_packs_epi32(_mm256_srai_epi32(sum[i], WEIGHT_BITS), _mm256_srai_epi32(sum[i + 1], WEIGHT_BITS));
        two = _mm256_permute4x64_epi64(_mm256_packus_epi16(two, two), 0x08);
        two = _mm256_permutevar8x32_epi32(two, _mm256_setr_epi32(0, 2, 1, 3, 4, 5, 6, 7));
        _mm_storeu_si128((__m128i *)(to + 8 * i), _mm256_castsi256_si128(two));
    }
}

AVX512 static inline void strip_avx512(uint8_t *to, const uint8_t *from, size_t stride, const int *weight, int taps)
{
    __m512i sum[4];
    for (int i = 0; i < 4; i++) sum[i] = _mm512_set1_epi32(1 << (WEIGHT_BITS - 1));
    for (int k = 0; k < taps; k++, from += stride) {
        __m512i w = _mm512_set1_epi32(weight[k]);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            __m512i x = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(from + 16 * i)));
            sum[i] = _mm512_add_epi32(sum[i], _mm512_mullo_epi32(x, w));
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        _mm_storeu_si128((__m128i *)(to + 16 * i), _mm512_cvtusepi32_epi8(_mm512_srai_epi32(sum[i], WEIGHT_BITS)));
}
#endif

/* A row of `stride` bytes; the last strip laps over the one before. */
INLINE void filter_row_body(uint8_t *to, const uint8_t *from, size_t stride, const int *weight, int taps, filter_strip *strip)
{
    size_t i = 0;
    for (; i + STRIP <= stride; i += STRIP) strip(to + i, from + i, stride, weight, taps);
    if (i == stride) return;
    if (stride >= STRIP) {
        strip(to + stride - STRIP, from + stride - STRIP, stride, weight, taps);
        return;
    }
    for (; i < stride; i++) {
        int sum = 1 << (WEIGHT_BITS - 1);
        for (int k = 0; k < taps; k++) sum += from[(size_t)k * stride + i] * weight[k];
        sum >>= WEIGHT_BITS;
        to[i] = (uint8_t)(sum > 255 ? 255 : sum);
    }
}

typedef void (*filter_row)(uint8_t *to, const uint8_t *from, size_t stride, const int *weight, int taps);

static void row_plain(uint8_t *to, const uint8_t *from, size_t stride, const int *weight, int taps)
{
    filter_row_body(to, from, stride, weight, taps, strip_plain);
}

#ifdef __x86_64__
AVX2 static void row_avx2(uint8_t *to, const uint8_t *from, size_t stride, const int *weight, int taps)
{
    filter_row_body(to, from, stride, weight, taps, strip_avx2);
}

AVX512 static void row_avx512(uint8_t *to, const uint8_t *from, size_t stride, const int *weight, int taps)
{
    filter_row_body(to, from, stride, weight, taps, strip_avx512);
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}
#else
#define row_avx2 row_plain
#define row_avx512 row_plain
#define has_avx512() false
#define has_avx2() false
#endif

/* (H, W, C) -> (height, W, C) */
static void resize_columns(struct image *out, const struct image *in, int height)
{
    *out = (struct image){.height = height, .width = in->width, .channels = in->channels};
    size_t stride = (size_t)in->width * (size_t)in->channels;
    filter_row row = has_avx512() ? row_avx512 : has_avx2() ? row_avx2 : row_plain;
    struct filter f;
    out->pixels = mem_alloc((size_t)height * stride);
    filter_make(&f, in->height, height);
    for (int y = 0; y < height; y++)
        row(out->pixels + (size_t)y * stride, in->pixels + (size_t)f.first[y] * stride, stride, f.weight + (size_t)y * (size_t)f.taps,
            f.count[y]);
    filter_free(&f);
}

/* ---- the other pass is the same on a transposed picture: a band of 64 rows of one channel at a time, which stays in the cache ---- */

enum { SIDE = 16 }; /* of the blocks that are transposed */

struct band {
    size_t width, room;     /* pixels of a row, and rounded up to SIDE */
    uint8_t *rows[3];       /* (channels) of (STRIP, room) */
    uint8_t *across;        /* (room, STRIP) of one channel */
};

static void band_make(struct band *b, int width, int channels)
{
    *b = (struct band){.width = (size_t)width, .room = ((size_t)width + SIDE - 1) / SIDE * SIDE};
    for (int c = 0; c < channels; c++) b->rows[c] = mem_zero(b->room * STRIP);
    b->across = mem_zero(b->room * STRIP);
}

static void band_free(struct band *b)
{
    for (int c = 0; c < 3; c++) mem_free(b->rows[c]);
    mem_free(b->across);
}

/* Rows y.. to b->rows. */
static size_t band_load(struct band *b, const struct image *in, int y)
{
    size_t rows = (size_t)(in->height - y < STRIP ? in->height - y : STRIP), row_bytes = b->width * (size_t)in->channels;
    const uint8_t *from = in->pixels + (size_t)y * row_bytes;
    for (size_t at = 0; at < rows * b->room; at += b->room, from += row_bytes) {
        if (in->channels == 1) memcpy(b->rows[0] + at, from, b->width);
        else planes_split((uint8_t *[3]){b->rows[0] + at, b->rows[1] + at, b->rows[2] + at}, from, b->width, 3);
    }
    return rows;
}

/* b->rows to rows y.. */
static void band_store(struct image *out, const struct band *b, int y, size_t rows)
{
    size_t row_bytes = b->width * (size_t)out->channels;
    uint8_t *to = out->pixels + (size_t)y * row_bytes;
    for (size_t at = 0; at < rows * b->room; at += b->room, to += row_bytes) {
        if (out->channels == 1) memcpy(to, b->rows[0] + at, b->width);
        else planes_join(to, (const uint8_t *[3]){b->rows[0] + at, b->rows[1] + at, b->rows[2] + at}, b->width);
    }
}

INLINE void band_turn(struct band *b, int c, size_t rows)
{
    for (size_t i = 0; i < rows; i += SIDE)
        for (size_t x = 0; x < b->room; x += SIDE) transpose_16(b->across + x * STRIP + i, STRIP, b->rows[c] + i * b->room + x, b->room);
}

INLINE void band_turn_back(struct band *b, int c, size_t rows)
{
    for (size_t i = 0; i < rows; i += SIDE)
        for (size_t x = 0; x < b->room; x += SIDE) transpose_16(b->rows[c] + i * b->room + x, b->room, b->across + x * STRIP + i, STRIP);
}

/* (H, W, C) -> (H, width, C), whose pixels are there. Compiled for each set of instructions, which also turn blocks in registers. */
INLINE void resize_rows_body(struct image *out, const struct image *in, const struct filter *f, filter_strip *strip)
{
    struct band wide, narrow;
    band_make(&wide, in->width, in->channels);
    band_make(&narrow, out->width, in->channels);
    for (int y = 0; y < in->height; y += STRIP) {
        size_t rows = band_load(&wide, in, y);
        for (int c = 0; c < in->channels; c++) {
            band_turn(&wide, c, rows);
            for (int x = 0; x < out->width; x++)
                strip(narrow.across + (size_t)x * STRIP, wide.across + (size_t)f->first[x] * STRIP, STRIP,
                      f->weight + (size_t)x * (size_t)f->taps, f->count[x]);
            band_turn_back(&narrow, c, rows);
        }
        band_store(out, &narrow, y, rows);
    }
    band_free(&wide);
    band_free(&narrow);
}

static void rows_plain(struct image *out, const struct image *in, const struct filter *f)
{
    resize_rows_body(out, in, f, strip_plain);
}

#ifdef __x86_64__
AVX2 static void rows_avx2(struct image *out, const struct image *in, const struct filter *f)
{
    resize_rows_body(out, in, f, strip_avx2);
}

AVX512 static void rows_avx512(struct image *out, const struct image *in, const struct filter *f)
{
    resize_rows_body(out, in, f, strip_avx512);
}
#else
#define rows_avx2 rows_plain
#define rows_avx512 rows_plain
#endif

static void resize_rows(struct image *out, const struct image *in, int width)
{
    struct filter f;
    *out = (struct image){.height = in->height, .width = width, .channels = in->channels};
    out->pixels = mem_alloc((size_t)in->height * (size_t)width * (size_t)in->channels);
    filter_make(&f, in->width, width);
    (has_avx512() ? rows_avx512 : has_avx2() ? rows_avx2 : rows_plain)(out, in, &f);
    filter_free(&f);
}

static void copy_image(struct image *out, const struct image *in)
{
    size_t bytes = (size_t)in->height * (size_t)in->width * (size_t)in->channels;
    *out = *in;
    out->pixels = memcpy(mem_alloc(bytes), in->pixels, bytes);
}

void image_resize(struct image *out, const struct image *in, int height, int width)
{
    struct image narrow;
    if (width != in->width)
        resize_rows(&narrow, in, width);
    else
        copy_image(&narrow, in);
    if (height == in->height) {
        *out = narrow;
        return;
    }
    resize_columns(out, &narrow, height);
    image_free(&narrow);
}
