/* image_planes.c - see image_planes.h. Vector forms do what they can in whole registers and leave the rest to the plain ones. */
#include "io/image/image_planes.h"

#if defined(__x86_64__)
#include <tmmintrin.h>
#endif

static void split_plain(uint8_t *const to[3], const uint8_t *from, size_t x, size_t width, size_t bpp)
{
    for (; x < width; x++)
        for (int c = 0; c < 3; c++) to[c][x] = from[x * bpp + (size_t)c];
}

static void join_plain(uint8_t *to, const uint8_t *const from[3], size_t x, size_t width)
{
    for (; x < width; x++)
        for (int c = 0; c < 3; c++) to[3 * x + (size_t)c] = from[c][x];
}

static bool equal_plain(uint8_t *to, const uint8_t *from, size_t x, size_t width, size_t bpp)
{
    int differ = 0;
    for (from += x * bpp; x < width; x++, from += bpp) {
        differ |= (from[0] ^ from[1]) | (from[0] ^ from[2]);
        to[x] = from[0];
    }
    return !differ;
}

static void rgb_plain(uint8_t *restrict to, const uint8_t *restrict from, size_t x, size_t width)
{
    for (; x < width; x++) to[3 * x] = to[3 * x + 1] = to[3 * x + 2] = from[x];
}

#if defined(__x86_64__)
#define SSSE3 __attribute__((target("ssse3")))
#define INLINE static inline __attribute__((always_inline))

INLINE __m128i load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

INLINE void store(uint8_t *p, __m128i x)
{
    _mm_storeu_si128((__m128i *)p, x);
}

/* Where byte i of channel c lies among 48 bytes of pixels: register (3i + c) / 16, byte (3i + c) % 16. */
SSSE3 INLINE __m128i picked(__m128i v, int c, int part)
{
    uint8_t from[16];
    for (int i = 0; i < 16; i++) from[i] = (uint8_t)((3 * i + c) / 16 == part ? (3 * i + c) % 16 : 0x80); /* known to the compiler */
    return _mm_shuffle_epi8(v, load(from));
}

/* Byte i of a register of pixels is channel (16 part + i) % 3 of pixel (16 part + i) / 3. */
SSSE3 INLINE __m128i spread(__m128i v, int c, int part)
{
    uint8_t from[16];
    for (int i = 0; i < 16; i++) from[i] = (uint8_t)((16 * part + i) % 3 == c ? (16 * part + i) / 3 : 0x80);
    return _mm_shuffle_epi8(v, load(from));
}

SSSE3 static size_t split_3(uint8_t *const to[3], const uint8_t *from, size_t width)
{
    size_t x = 0;
    for (; x + 16 <= width; x += 16) {
        __m128i p = load(from + 3 * x), q = load(from + 3 * x + 16), r = load(from + 3 * x + 32);
#pragma GCC unroll 3
        for (int c = 0; c < 3; c++)
            store(to[c] + x, _mm_or_si128(_mm_or_si128(picked(p, c, 0), picked(q, c, 1)), picked(r, c, 2)));
    }
    return x;
}

/* Four pixels a register: channels together in it, then the same channel of four registers. */
SSSE3 static size_t split_4(uint8_t *const to[3], const uint8_t *from, size_t width)
{
    const __m128i together = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    size_t x = 0;
    for (; x + 16 <= width; x += 16) {
        __m128i v[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) v[i] = _mm_shuffle_epi8(load(from + 4 * x + 16 * (size_t)i), together);
        __m128i rg0 = _mm_unpacklo_epi32(v[0], v[1]), rg1 = _mm_unpacklo_epi32(v[2], v[3]);
        __m128i ba0 = _mm_unpackhi_epi32(v[0], v[1]), ba1 = _mm_unpackhi_epi32(v[2], v[3]);
        store(to[0] + x, _mm_unpacklo_epi64(rg0, rg1));
        store(to[1] + x, _mm_unpackhi_epi64(rg0, rg1));
        store(to[2] + x, _mm_unpacklo_epi64(ba0, ba1));
    }
    return x;
}

SSSE3 static size_t join_vector(uint8_t *to, const uint8_t *const from[3], size_t width)
{
    size_t x = 0;
    for (; x + 16 <= width; x += 16) {
        __m128i r = load(from[0] + x), g = load(from[1] + x), b = load(from[2] + x);
#pragma GCC unroll 3
        for (int part = 0; part < 3; part++)
            store(to + 3 * x + 16 * part, _mm_or_si128(_mm_or_si128(spread(r, 0, part), spread(g, 1, part)), spread(b, 2, part)));
    }
    return x;
}

/* Five pixels of 3 bytes or four of 4 in a register; the answer is in *same. */
SSSE3 static size_t equal_vector(uint8_t *to, const uint8_t *from, size_t width, size_t bpp, bool *same)
{
    const __m128i first3 = _mm_setr_epi8(0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 9, 12, 12, 12, 15);
    const __m128i first4 = _mm_setr_epi8(0, 0, 0, 3, 4, 4, 4, 7, 8, 8, 8, 11, 12, 12, 12, 15);
    const __m128i pick3 = _mm_setr_epi8(0, 3, 6, 9, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m128i pick4 = _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m128i first = bpp == 3 ? first3 : first4, pick = bpp == 3 ? pick3 : pick4;
    size_t x = 0, step = bpp == 3 ? 5 : 4;
    __m128i differ = _mm_setzero_si128();
    for (; x + 8 <= width; x += step) {
        __m128i v = load(from + x * bpp);
        differ = _mm_or_si128(differ, _mm_xor_si128(v, _mm_shuffle_epi8(v, first)));
        _mm_storel_epi64((__m128i *)(to + x), _mm_shuffle_epi8(v, pick));
    }
    *same = _mm_movemask_epi8(_mm_cmpeq_epi8(differ, _mm_setzero_si128())) == 0xFFFF;
    return x;
}

SSSE3 static size_t rgb_vector(uint8_t *restrict to, const uint8_t *restrict from, size_t width)
{
    const __m128i a = _mm_setr_epi8(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5), b = _mm_setr_epi8(5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10);
    const __m128i c = _mm_setr_epi8(10, 11, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15);
    size_t x = 0;
    for (; x + 16 <= width; x += 16) {
        __m128i v = load(from + x);
        store(to + 3 * x, _mm_shuffle_epi8(v, a));
        store(to + 3 * x + 16, _mm_shuffle_epi8(v, b));
        store(to + 3 * x + 32, _mm_shuffle_epi8(v, c));
    }
    return x;
}

static bool has_vectors(void)
{
    return __builtin_cpu_supports("ssse3");
}
#else
#define split_3(to, from, width) 0
#define split_4(to, from, width) 0
#define join_vector(to, from, width) 0
#define equal_vector(to, from, width, bpp, same) 0
#define rgb_vector(to, from, width) 0
#define has_vectors() false
#endif

void planes_split(uint8_t *const to[3], const uint8_t *from, size_t width, size_t bpp)
{
    size_t done = !has_vectors() ? 0 : bpp == 3 ? split_3(to, from, width) : split_4(to, from, width);
    split_plain(to, from, done, width, bpp);
}

void planes_join(uint8_t *to, const uint8_t *const from[3], size_t width)
{
    join_plain(to, from, has_vectors() ? join_vector(to, from, width) : 0, width);
}

bool grey_from_equal(uint8_t *to, const uint8_t *from, size_t width, size_t bpp)
{
    bool same = true;
    size_t done = has_vectors() ? equal_vector(to, from, width, bpp, &same) : 0;
    return equal_plain(to, from, done, width, bpp) && same;
}

void grey_to_rgb(uint8_t *restrict to, const uint8_t *restrict from, size_t width)
{
    rgb_plain(to, from, has_vectors() ? rgb_vector(to, from, width) : 0, width);
}
