/* image_png_filter.c - see image_png_filter.h.
 *
 * DESIGN: a pixel waits for the one to its left, but pixels on a diagonal do not wait for each other. Lane i of a register is row i,
 * one pixel behind the lane before, so what lane i needs from above is what lane i - 1 had one step ago: a shift of the register.
 * Sixteen steps are loaded and stored as 16 x 16 blocks with slanted sides, turned over on the way. Every lane has its own filter.
 * Left of a picture the room holds zeros, which stay zeros under every filter; right of it, whatever falls there is never looked at. */
#include "io/image/image_png_filter.h"

#include <stdbool.h>
#include <string.h>
#if defined(__x86_64__)
#include <smmintrin.h>
#endif

#include "base/error.h"
#include "base/memory.h"
#include "io/image/image_transpose.h"

enum { LEFT = 64, RIGHT = 64 }; /* room beside a row */

void png_band_make(struct png_band *b, size_t width)
{
    b->width = width;
    b->stride = (LEFT + width + RIGHT + 63) / 64 * 64;
    b->memory = mem_zero((PNG_BAND + 1) * b->stride);
    b->above = b->memory + LEFT;
}

void png_band_free(struct png_band *b)
{
    mem_free(b->memory);
    *b = (struct png_band){0};
}

void png_band_next(struct png_band *b)
{
    memcpy(b->above, png_band_row(b, PNG_BAND - 1), b->width);
}

/* ---- row by row ---- */

/* Sums along the row: 16 at a time by four shifts, each doubling how far a byte has come. */
static void add_left(uint8_t *row, size_t width)
{
    size_t i = 0;
    int sum = 0;
#if defined(__x86_64__)
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

static void add_up(uint8_t *restrict row, const uint8_t *restrict up, size_t width)
{
#pragma omp simd
    for (size_t i = 0; i < width; i++) row[i] = (uint8_t)(row[i] + up[i]);
}

static void add_average(uint8_t *row, const uint8_t *up, size_t width)
{
    int a = 0;
    for (size_t i = 0; i < width; i++) row[i] = (uint8_t)(a = (row[i] + ((a + up[i]) >> 1)) & 255);
}

/* The predictor of the specification, in a form with fewer steps that wait for a (S. Barrett's stb_image). */
static void add_paeth(uint8_t *row, const uint8_t *up, size_t width)
{
    int a = 0, c = 0;
    for (size_t i = 0; i < width; i++) {
        int b = up[i], far = 3 * c - a - b, low = a < b ? a : b, high = a < b ? b : a;
        row[i] = (uint8_t)(a = (row[i] + (far >= high ? low : far <= low ? high : c)) & 255);
        c = b;
    }
}

static void unfilter_rows(struct png_band *b, const uint8_t *filter, int rows)
{
    for (int i = 0; i < rows; i++) {
        uint8_t *row = png_band_row(b, i), *up = png_band_row(b, i - 1);
        switch (filter[i]) {
        case 1: add_left(row, b->width); break;
        case 2: add_up(row, up, b->width); break;
        case 3: add_average(row, up, b->width); break;
        case 4: add_paeth(row, up, b->width); break;
        }
    }
}

/* ---- along diagonals ---- */

#if defined(__x86_64__)
#define SSE41 __attribute__((target("sse4.1")))
#define INLINE static inline __attribute__((always_inline))

struct masks { /* 255 in the lanes that have the filter */
    __m128i sub, up, average, paeth;
};

SSE41 INLINE __m128i distance(__m128i x, __m128i y)
{
    return _mm_or_si128(_mm_subs_epu8(x, y), _mm_subs_epu8(y, x));
}

/* The specification's predictor. |a + b - 2c| is the sum of |b - c| and |a - c| or their difference; cut at 255, it compares the same. */
SSE41 INLINE __m128i paeth(__m128i a, __m128i b, __m128i c)
{
    __m128i of_a = distance(b, c), of_b = distance(a, c), zero = _mm_setzero_si128();
    __m128i a_above = _mm_cmpeq_epi8(_mm_subs_epu8(c, a), zero), b_above = _mm_cmpeq_epi8(_mm_subs_epu8(c, b), zero);
    __m128i of_c = _mm_blendv_epi8(_mm_adds_epu8(of_a, of_b), distance(of_a, of_b), _mm_xor_si128(a_above, b_above));
    __m128i least = _mm_min_epu8(_mm_min_epu8(of_a, of_b), of_c);
    __m128i guess = _mm_blendv_epi8(c, b, _mm_cmpeq_epi8(of_b, least));
    return _mm_blendv_epi8(guess, a, _mm_cmpeq_epi8(of_a, least));
}

SSE41 INLINE __m128i average(__m128i a, __m128i b)
{
    return _mm_sub_epi8(_mm_avg_epu8(a, b), _mm_and_si128(_mm_xor_si128(a, b), _mm_set1_epi8(1))); /* avg rounds up */
}

/* `planes` bands with the same filters, which do not wait for each other. */
SSE41 INLINE void diagonals(struct png_band *b, int planes, const uint8_t *filter, int rows)
{
    uint8_t own[PNG_BAND] = {0}, block[3][PNG_BAND * PNG_BAND];
    memcpy(own, filter, (size_t)rows);
    const __m128i filters = _mm_loadu_si128((const __m128i *)own);
    const struct masks is = {_mm_cmpeq_epi8(filters, _mm_set1_epi8(1)), _mm_cmpeq_epi8(filters, _mm_set1_epi8(2)),
                             _mm_cmpeq_epi8(filters, _mm_set1_epi8(3)), _mm_cmpeq_epi8(filters, _mm_set1_epi8(4))};
    __m128i a[3] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()}, c[3] = {a[0], a[0], a[0]};
    const size_t slant = b->stride - 1; /* row i begins one byte to the left of row i - 1 */
    for (size_t x = 0; x < b->width + PNG_BAND - 1; x += PNG_BAND) {
        for (int p = 0; p < planes; p++) transpose_16(block[p], PNG_BAND, png_band_row(&b[p], 0) + x, slant);
        for (size_t k = 0; k < PNG_BAND; k++)
#pragma GCC unroll 3
            for (int p = 0; p < planes; p++) {
                __m128i above = _mm_loadu_si128((const __m128i *)(b[p].above + x + k - 15)), up = _mm_alignr_epi8(a[p], above, 15);
                __m128i *at = (__m128i *)(block[p] + PNG_BAND * k);
                __m128i guess = _mm_or_si128(_mm_and_si128(a[p], is.sub), _mm_and_si128(up, is.up));
                guess = _mm_or_si128(guess, _mm_and_si128(average(a[p], up), is.average));
                guess = _mm_or_si128(guess, _mm_and_si128(paeth(a[p], up, c[p]), is.paeth));
                c[p] = up;
                a[p] = _mm_add_epi8(_mm_loadu_si128(at), guess);
                _mm_storeu_si128(at, a[p]);
            }
        for (int p = 0; p < planes; p++) transpose_16(png_band_row(&b[p], 0) + x, slant, block[p], PNG_BAND);
    }
}

SSE41 static void diagonals_sse41(struct png_band *b, int planes, const uint8_t *filter, int rows)
{
    if (planes == 3) diagonals(b, 3, filter, rows);
    else diagonals(b, 1, filter, rows);
}

/* The same on registers of 16 bytes, of which this CPU has 32. */
__attribute__((target("avx512vl,avx512bw"))) static void diagonals_avx512(struct png_band *b, int planes, const uint8_t *filter, int rows)
{
    if (planes == 3) diagonals(b, 3, filter, rows);
    else diagonals(b, 1, filter, rows);
}

/* Rows that wait for no neighbour, or only for sums along the row, are as fast one by one. */
static bool unfilter_diagonals(struct png_band *b, int planes, const uint8_t *filter, int rows)
{
    int slow = 0;
    for (int i = 0; i < rows; i++) slow += filter[i] >= 3;
    if (slow < 2 || !__builtin_cpu_supports("sse4.1")) return false;
    bool wide = __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
    (wide ? diagonals_avx512 : diagonals_sse41)(b, planes, filter, rows);
    return true;
}
#else
#define unfilter_diagonals(b, planes, filter, rows) false
#endif

void png_bands_unfilter(struct png_band *b, int planes, const uint8_t *filter, int rows)
{
    ASSERT(planes == 1 || planes == 3);
    if (unfilter_diagonals(b, planes, filter, rows)) return;
    for (int p = 0; p < planes; p++) unfilter_rows(&b[p], filter, rows);
}
