/* image_png_filter.c - see image_png_filter.h.
 *
 * DESIGN: each pixel waits for the one to its left, so the time is that of the chain of operations from one to the next. Pixels of
 * 3 and 4 bytes go through a vector register, one at a time; all else a byte at a time. */
#include "io/image/image_png_filter.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

/* The predictor of the specification, in a form with fewer steps that wait for a (S. Barrett's stb_image). */
INLINE int paeth(int a, int b, int c)
{
    int far = 3 * c - a - b, low = a < b ? a : b, high = a < b ? b : a;
    return far >= high ? low : far <= low ? high : c;
}

static void undo_up(uint8_t *restrict to, const uint8_t *restrict from, const uint8_t *restrict up, size_t stride)
{
#pragma omp simd
    for (size_t i = 0; i < stride; i++) to[i] = (uint8_t)(from[i] + up[i]);
}

/* Any size of pixel, in plain bytes: the definition of the vector forms below. */
INLINE void undo_bytes(uint8_t *to, const uint8_t *from, const uint8_t *up, size_t stride, size_t bpp, int filter)
{
    for (size_t i = 0; i < stride; i++) {
        int a = i < bpp ? 0 : to[i - bpp], b = up[i], c = i < bpp ? 0 : up[i - bpp];
        to[i] = (uint8_t)(from[i] + (filter == 1 ? a : filter == 3 ? (a + b) >> 1 : paeth(a, b, c)));
    }
}

#if defined(__SSE2__)
INLINE __m128i load_pixel(const uint8_t *p)
{
    int32_t x;
    memcpy(&x, p, 4);
    return _mm_cvtsi32_si128(x);
}

/* Of a pixel of 3 bytes the fourth is wrong until the next pixel overwrites it. */
INLINE void store_pixel(uint8_t *p, __m128i pixel)
{
    int32_t x = _mm_cvtsi128_si32(pixel);
    memcpy(p, &x, 4);
}

INLINE void sub_pixels(uint8_t *to, const uint8_t *from, size_t stride, size_t bpp)
{
    __m128i left = _mm_setzero_si128();
    for (size_t i = 0; i < stride; i += bpp) store_pixel(to + i, left = _mm_add_epi8(left, load_pixel(from + i)));
}

INLINE void average_pixels(uint8_t *to, const uint8_t *from, const uint8_t *up, size_t stride, size_t bpp)
{
    const __m128i one = _mm_set1_epi8(1);
    __m128i left = _mm_setzero_si128();
    for (size_t i = 0; i < stride; i += bpp) {
        __m128i above = load_pixel(up + i), odd = _mm_and_si128(_mm_xor_si128(left, above), one);
        left = _mm_add_epi8(_mm_sub_epi8(load_pixel(from + i), odd), _mm_avg_epu8(left, above)); /* avg rounds up */
        store_pixel(to + i, left);
    }
}

/* A pixel's channels side by side, 16 bits each. */
INLINE void paeth_pixels(uint8_t *to, const uint8_t *from, const uint8_t *up, size_t stride, size_t bpp)
{
    const __m128i zero = _mm_setzero_si128(), byte = _mm_set1_epi16(255);
    __m128i a = zero, c = zero;
    for (size_t i = 0; i < stride; i += bpp) {
        __m128i b = _mm_unpacklo_epi8(load_pixel(up + i), zero), x = _mm_unpacklo_epi8(load_pixel(from + i), zero);
        __m128i far = _mm_sub_epi16(_mm_sub_epi16(_mm_add_epi16(_mm_add_epi16(c, c), c), b), a);
        __m128i low = _mm_min_epi16(a, b), high = _mm_max_epi16(a, b);
        __m128i not_low = _mm_cmpgt_epi16(high, far), not_high = _mm_cmpgt_epi16(far, low);
        __m128i guess = _mm_xor_si128(_mm_andnot_si128(not_low, _mm_xor_si128(low, c)), _mm_andnot_si128(not_high, _mm_xor_si128(high, c)));
        a = _mm_and_si128(_mm_add_epi16(x, _mm_xor_si128(guess, c)), byte);
        c = b;
        store_pixel(to + i, _mm_packus_epi16(a, a));
    }
}

INLINE void undo_pixels(uint8_t *to, const uint8_t *from, const uint8_t *up, size_t stride, size_t bpp, int filter)
{
    if (filter == 1) sub_pixels(to, from, stride, bpp);
    if (filter == 3) average_pixels(to, from, up, stride, bpp);
    if (filter == 4) paeth_pixels(to, from, up, stride, bpp);
}
#else
#define undo_pixels undo_bytes
#endif

/* One byte a pixel keeps it in a register. */
INLINE void undo_single(uint8_t *to, const uint8_t *from, const uint8_t *up, size_t stride, int filter)
{
    int a = 0, c = 0;
    for (size_t i = 0; i < stride; i++) {
        int b = up[i];
        to[i] = (uint8_t)(a = (from[i] + (filter == 1 ? a : filter == 3 ? (a + b) >> 1 : paeth(a, b, c))) & 255);
        c = b;
    }
}

/* A function for each filter, so that the compiler knows filter and bpp in the loops. */
INLINE void undo(uint8_t *to, const uint8_t *from, const uint8_t *up, size_t stride, size_t bpp, int filter)
{
    switch (bpp) {
    case 1: undo_single(to, from, up, stride, filter); break;
    case 3: undo_pixels(to, from, up, stride, 3, filter); break;
    case 4: undo_pixels(to, from, up, stride, 4, filter); break;
    default: undo_bytes(to, from, up, stride, bpp, filter);
    }
}

bool png_unfilter(uint8_t *to, const uint8_t *from, const uint8_t *up, size_t stride, size_t bpp)
{
    int filter = *from++;
    switch (filter) {
    case 0: memcpy(to, from, stride); return true;
    case 1: undo(to, from, up, stride, bpp, 1); return true;
    case 2: undo_up(to, from, up, stride); return true;
    case 3: undo(to, from, up, stride, bpp, 3); return true;
    case 4: undo(to, from, up, stride, bpp, 4); return true;
    }
    return false;
}

/* Sums along the row: 16 at a time by four shifts, each doubling how far a byte has come. */
static void sum_row(uint8_t *row, size_t width)
{
    size_t i = 0;
    int sum = 0;
#if defined(__SSE2__)
    for (; i + 16 <= width; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(row + i));
        x = _mm_add_epi8(x, _mm_slli_si128(x, 1));
        x = _mm_add_epi8(x, _mm_slli_si128(x, 2));
        x = _mm_add_epi8(x, _mm_slli_si128(x, 4));
        x = _mm_add_epi8(_mm_add_epi8(x, _mm_slli_si128(x, 8)), _mm_set1_epi8((char)sum));
        _mm_storeu_si128((__m128i *)(row + i), x);
        sum = row[i + 15];
    }
#endif
    for (; i < width; i++) row[i] = (uint8_t)(sum += row[i]);
}

static void add_row(uint8_t *restrict row, const uint8_t *restrict up, size_t width)
{
#pragma omp simd
    for (size_t i = 0; i < width; i++) row[i] = (uint8_t)(row[i] + up[i]);
}

void png_unfilter_grey(uint8_t *row, const uint8_t *up, size_t width, int filter)
{
    switch (filter) {
    case 1: sum_row(row, width); break;
    case 2: add_row(row, up, width); break;
    case 3: undo_single(row, row, up, width, 3); break;
    case 4: undo_single(row, row, up, width, 4); break;
    }
}
