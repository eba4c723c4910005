/* image_resize.c - bilinear resizing whose every bit is Pillow's.
 *
 * The method is that of Pillow's src/libImaging/Resample.c (A. Clark and contributors): one pass along the rows, one
 * along the columns, weights of a triangle whose half width is the scale when shrinking, in fixed point with 22 bits.
 * The order of the passes, the rounding between them (to 8 bits) and the rounding of the weights are part of the result. */
#include <math.h>
#include <stdbool.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/memory.h"
#include "io/image.h"

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

enum { STRIP = 64 }; /* sums that stay in the nearest cache */

/* `to[i]`, i < count <= STRIP: the weighted sum over `taps` rows of `stride` bytes. */
static inline __attribute__((always_inline)) void filter_strip(uint8_t *to, const uint8_t *from, size_t stride, const int *weight,
                                                               int taps, int count)
{
    int sum[STRIP];
    for (int i = 0; i < STRIP; i++) sum[i] = 1 << (WEIGHT_BITS - 1);
    for (int k = 0; k < taps; k++, from += stride) {
        int w = weight[k];
#pragma omp simd
        for (int i = 0; i < count; i++) sum[i] += from[i] * w;
    }
#pragma omp simd
    for (int i = 0; i < count; i++) {
        int value = sum[i] >> WEIGHT_BITS; /* an arithmetic shift, as in Pillow */
        to[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

static inline __attribute__((always_inline)) void filter_row_body(uint8_t *to, const uint8_t *from, size_t stride, const int *weight, int taps)
{
    size_t i = 0;
    for (; i + STRIP <= stride; i += STRIP) filter_strip(to + i, from + i, stride, weight, taps, STRIP);
    if (i < stride) filter_strip(to + i, from + i, stride, weight, taps, (int)(stride - i));
}

typedef void (*filter_row)(uint8_t *to, const uint8_t *from, size_t stride, const int *weight, int taps);

static void filter_row_plain(uint8_t *to, const uint8_t *from, size_t stride, const int *weight, int taps)
{
    filter_row_body(to, from, stride, weight, taps);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void filter_row_avx2(uint8_t *to, const uint8_t *from, size_t stride, const int *weight, int taps)
{
    filter_row_body(to, from, stride, weight, taps);
}

static filter_row pick_filter_row(void)
{
    return __builtin_cpu_supports("avx2") ? filter_row_avx2 : filter_row_plain;
}
#else
static filter_row pick_filter_row(void)
{
    return filter_row_plain;
}
#endif

/* (H, W, C) -> (height, W, C) */
static void resize_columns(struct image *out, const struct image *in, int height)
{
    *out = (struct image){.height = height, .width = in->width, .channels = in->channels};
    size_t stride = (size_t)in->width * (size_t)in->channels;
    filter_row row = pick_filter_row();
    struct filter f;
    out->pixels = mem_alloc((size_t)height * stride);
    filter_make(&f, in->height, height);
    for (int y = 0; y < height; y++)
        row(out->pixels + (size_t)y * stride, in->pixels + (size_t)f.first[y] * stride, stride, f.weight + (size_t)y * (size_t)f.taps,
            f.count[y]);
    filter_free(&f);
}

/* ---- the other pass is the same on the transposed picture ---- */

static inline __attribute__((always_inline)) void transpose_block(uint8_t *to, const uint8_t *from, const struct image *in, int y0, int x0,
                                                                  size_t channels)
{
    enum { SIDE = 16 };
    int y1 = y0 + SIDE < in->height ? y0 + SIDE : in->height, x1 = x0 + SIDE < in->width ? x0 + SIDE : in->width;
    for (int x = x0; x < x1; x++)
        for (int y = y0; y < y1; y++)
            memcpy(to + ((size_t)x * (size_t)in->height + (size_t)y) * channels, from + ((size_t)y * (size_t)in->width + (size_t)x) * channels,
                   channels);
}

#if defined(__SSE2__)
/* 16 x 16 bytes: four rounds that interleave row i with row i + 8. */
static void transpose_16(uint8_t *to, size_t to_stride, const uint8_t *from, size_t from_stride)
{
    __m128i a[16], b[16];
    for (int i = 0; i < 16; i++) a[i] = _mm_loadu_si128((const __m128i *)(from + (size_t)i * from_stride));
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 8; i++) {
            b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
            b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
        }
        memcpy(a, b, sizeof a);
    }
    for (int i = 0; i < 16; i++) _mm_storeu_si128((__m128i *)(to + (size_t)i * to_stride), a[i]);
}
#else
static void transpose_16(uint8_t *to, size_t to_stride, const uint8_t *from, size_t from_stride)
{
    for (size_t i = 0; i < 16; i++)
        for (size_t k = 0; k < 16; k++) to[k * to_stride + i] = from[i * from_stride + k];
}
#endif

/* (H, W, C) -> (W, H, C) */
static void transpose(struct image *out, const struct image *in)
{
    enum { SIDE = 16 };
    *out = (struct image){.height = in->width, .width = in->height, .channels = in->channels};
    out->pixels = mem_alloc((size_t)in->height * (size_t)in->width * (size_t)in->channels);
    for (int y = 0; y < in->height; y += SIDE)
        for (int x = 0; x < in->width; x += SIDE) {
            bool whole = in->channels == 1 && y + SIDE <= in->height && x + SIDE <= in->width;
            if (whole)
                transpose_16(out->pixels + (size_t)x * (size_t)in->height + (size_t)y, (size_t)in->height,
                             in->pixels + (size_t)y * (size_t)in->width + (size_t)x, (size_t)in->width);
            else if (in->channels == 1) transpose_block(out->pixels, in->pixels, in, y, x, 1);
            else transpose_block(out->pixels, in->pixels, in, y, x, 3);
        }
}

/* (H, W, C) -> (H, width, C) */
static void resize_rows(struct image *out, const struct image *in, int width)
{
    struct image tall, narrow;
    transpose(&tall, in);
    resize_columns(&narrow, &tall, width);
    image_free(&tall);
    transpose(out, &narrow);
    image_free(&narrow);
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
