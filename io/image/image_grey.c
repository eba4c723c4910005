/* image_grey.c - see image_grey.h. */
#include "io/image/image_grey.h"

#if defined(__x86_64__)
#include <tmmintrin.h>
#define SSSE3 __attribute__((target("ssse3")))
#endif

static bool equal_plain(uint8_t *to, const uint8_t *from, size_t width, size_t bpp)
{
    int differ = 0;
    for (size_t x = 0; x < width; x++, from += bpp) {
        differ |= (from[0] ^ from[1]) | (from[0] ^ from[2]);
        to[x] = from[0];
    }
    return !differ;
}

static void rgb_plain(uint8_t *restrict to, const uint8_t *restrict from, size_t count)
{
    for (size_t i = 0; i < count; i++) to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = from[i];
}

#if defined(__x86_64__)
/* Five pixels of 3 bytes or four of 4 in a register. */
SSSE3 static bool equal_ssse3(uint8_t *to, const uint8_t *from, size_t width, size_t bpp)
{
    const __m128i first3 = _mm_setr_epi8(0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 9, 12, 12, 12, 15);
    const __m128i first4 = _mm_setr_epi8(0, 0, 0, 3, 4, 4, 4, 7, 8, 8, 8, 11, 12, 12, 12, 15);
    const __m128i pick3 = _mm_setr_epi8(0, 3, 6, 9, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m128i pick4 = _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m128i first = bpp == 3 ? first3 : first4, pick = bpp == 3 ? pick3 : pick4;
    size_t x = 0, step = bpp == 3 ? 5 : 4;
    __m128i differ = _mm_setzero_si128();
    for (; x + 8 <= width; x += step) {
        __m128i v = _mm_loadu_si128((const __m128i *)(from + x * bpp));
        differ = _mm_or_si128(differ, _mm_xor_si128(v, _mm_shuffle_epi8(v, first)));
        _mm_storel_epi64((__m128i *)(to + x), _mm_shuffle_epi8(v, pick));
    }
    bool same = _mm_movemask_epi8(_mm_cmpeq_epi8(differ, _mm_setzero_si128())) == 0xFFFF;
    return equal_plain(to + x, from + x * bpp, width - x, bpp) && same;
}

/* 16 pixels to three registers. */
SSSE3 static void rgb_ssse3(uint8_t *restrict to, const uint8_t *restrict from, size_t count)
{
    const __m128i a = _mm_setr_epi8(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5), b = _mm_setr_epi8(5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10);
    const __m128i c = _mm_setr_epi8(10, 11, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15);
    for (; count >= 16; count -= 16, from += 16, to += 48) {
        __m128i v = _mm_loadu_si128((const __m128i *)from);
        _mm_storeu_si128((__m128i *)to, _mm_shuffle_epi8(v, a));
        _mm_storeu_si128((__m128i *)(to + 16), _mm_shuffle_epi8(v, b));
        _mm_storeu_si128((__m128i *)(to + 32), _mm_shuffle_epi8(v, c));
    }
    rgb_plain(to, from, count);
}

bool grey_from_equal(uint8_t *to, const uint8_t *from, size_t width, size_t bpp)
{
    return (__builtin_cpu_supports("ssse3") ? equal_ssse3 : equal_plain)(to, from, width, bpp);
}

void grey_to_rgb(uint8_t *restrict to, const uint8_t *restrict from, size_t count)
{
    (__builtin_cpu_supports("ssse3") ? rgb_ssse3 : rgb_plain)(to, from, count);
}
#else
bool grey_from_equal(uint8_t *to, const uint8_t *from, size_t width, size_t bpp)
{
    return equal_plain(to, from, width, bpp);
}

void grey_to_rgb(uint8_t *restrict to, const uint8_t *restrict from, size_t count)
{
    rgb_plain(to, from, count);
}
#endif
