/* image_transpose.h - a 16 x 16 block of bytes turned over its diagonal: to[k][i] = from[i][k]. The two may be one. */
#ifndef IO_IMAGE_IMAGE_TRANSPOSE_H
#define IO_IMAGE_IMAGE_TRANSPOSE_H
#include <stddef.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <emmintrin.h>

/* Four rounds that interleave row i with row i + 8. */
static inline __attribute__((always_inline)) void transpose_16(uint8_t *to, size_t to_stride, const uint8_t *from, size_t from_stride)
{
    __m128i a[16], b[16];
    for (int i = 0; i < 16; i++) a[i] = _mm_loadu_si128((const __m128i *)(from + (size_t)i * from_stride));
#pragma GCC unroll 2
    for (int round = 0; round < 2; round++) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
            b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
        }
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            a[2 * i] = _mm_unpacklo_epi8(b[i], b[i + 8]);
            a[2 * i + 1] = _mm_unpackhi_epi8(b[i], b[i + 8]);
        }
    }
    for (int i = 0; i < 16; i++) _mm_storeu_si128((__m128i *)(to + (size_t)i * to_stride), a[i]);
}
#else
static inline __attribute__((always_inline)) void transpose_16(uint8_t *to, size_t to_stride, const uint8_t *from, size_t from_stride)
{
    for (size_t i = 0; i < 16; i++)
        for (size_t k = 0; k < 16; k++) to[k * to_stride + i] = from[i * from_stride + k];
}
#endif
#endif
