/* vector.h - vectors of floats as wide as the instruction set has them: 16, 8 or 4 lanes, chosen by the compiler's flags.
 *
 * Written with the vector extensions of gcc and clang; intrinsics appear only where these have no word (masked access,
 * maximum, reciprocal). Arithmetic is always f32; bf16 exists in memory only. Everything here is inlined into its user,
 * so that no code of one instruction set can be linked into an object of another. For ops/cpu/kernels.c alone.
 *
 * `lanes` says how many channels exist at an address: LANES, a constant where it matters, or fewer at the end of a row
 * of channels. Lanes that do not exist read as 0 and are not written.
 */
#ifndef OPS_CPU_VECTOR_H
#define OPS_CPU_VECTOR_H
#include <string.h>
#include "ops/tensor.h"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 25")
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define VECTOR_AVX512
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t ivec __attribute__((vector_size(LANES * 4))); /* also the result of a comparison: -1 or 0 */
typedef uint32_t uvec __attribute__((vector_size(LANES * 4)));
typedef uint16_t vec16 __attribute__((vector_size(LANES * 2)));
typedef uint8_t vec8 __attribute__((vector_size(LANES)));

/* ---- choosing ---- */

INLINE vec vec_all(float f) { return (vec){0} + f; }
INLINE vec vec_where(ivec mask, vec a, vec b) { return (vec)(((ivec)a & mask) | ((ivec)b & ~mask)); }
INLINE vec vec_where_else_0(ivec mask, vec a) { return (vec)((ivec)a & mask); }

/* The second operand where either is NaN, so keep the data there: vec_max(limit, data). */
INLINE vec vec_max(vec a, vec b)
{
#if defined(VECTOR_AVX512)
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return vec_where(a > b, a, b);
#endif
}

INLINE vec vec_min(vec a, vec b)
{
#if defined(VECTOR_AVX512)
    return (vec)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vec)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return vec_where(a < b, a, b);
#endif
}

INLINE float vec_sum(vec v)
{
#if defined(VECTOR_AVX512)
    return _mm512_reduce_add_ps((__m512)v);
#else
    float part[LANES];
    memcpy(part, &v, sizeof v);
    for (int step = LANES / 2; step > 0; step /= 2)
        for (int i = 0; i < step; i++) part[i] += part[i + step];
    return part[0];
#endif
}

/* ---- memory ---- */

/* gcc 12 splits __builtin_convertvector into pieces where one instruction does it. */
INLINE uvec vec_widen(vec16 h)
{
#if defined(VECTOR_AVX512)
    return (uvec)_mm512_cvtepu16_epi32((__m256i)h);
#elif defined(__AVX2__)
    return (uvec)_mm256_cvtepu16_epi32((__m128i)h);
#else
    return __builtin_convertvector(h, uvec);
#endif
}

INLINE vec vec_from_bf16(vec16 h) { return (vec)(vec_widen(h) << 16); }

/* Round to nearest even; NaN stays NaN. */
INLINE vec16 vec_to_bf16(vec v)
{
    uvec bits = (uvec)v, rounded = bits + 0x7fff + ((bits >> 16) & 1);
#if defined(VECTOR_AVX512)
    static const uint16_t odd[32] = {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31};
    __mmask16 nan = _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q);
    __m512i fixed = _mm512_mask_or_epi32((__m512i)rounded, nan, (__m512i)bits, _mm512_set1_epi32(0x400000));
    return (vec16)_mm512_castsi512_si256(_mm512_permutexvar_epi16(_mm512_loadu_si512(odd), fixed));
#else
    uvec nan = (uvec)(v != v);
    uvec high = ((rounded & ~nan) | ((bits | 0x400000) & nan)) >> 16;
#if defined(__AVX2__)
    __m256i pairs = _mm256_packus_epi32((__m256i)high, (__m256i)high);
    return (vec16)_mm256_castsi256_si128(_mm256_permute4x64_epi64(pairs, 8));
#else
    return __builtin_convertvector(high, vec16);
#endif
#endif
}

INLINE vec vec_load_f32(const void *p, int lanes)
{
    vec v = {0};
    if (lanes == LANES) {
        memcpy(&v, p, sizeof v);
        return v;
    }
#if defined(VECTOR_AVX512)
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << lanes) - 1), p);
#else
    float part[LANES] = {0};
    for (int i = 0; i < lanes; i++) memcpy(part + i, (const char *)p + 4 * i, 4);
    memcpy(&v, part, sizeof v);
    return v;
#endif
}

INLINE void vec_store_f32(void *p, vec v, int lanes)
{
    if (lanes == LANES) {
        memcpy(p, &v, sizeof v);
        return;
    }
#if defined(VECTOR_AVX512)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << lanes) - 1), (__m512)v);
#else
    float part[LANES];
    memcpy(part, &v, sizeof v);
    for (int i = 0; i < lanes; i++) memcpy((char *)p + 4 * i, part + i, 4);
#endif
}

INLINE vec16 vec_load_16(const void *p, int lanes)
{
    vec16 h = {0};
    if (lanes == LANES) {
        memcpy(&h, p, sizeof h);
        return h;
    }
#if defined(VECTOR_AVX512)
    return (vec16)_mm256_maskz_loadu_epi16((__mmask16)((1u << lanes) - 1), p);
#else
    uint16_t part[LANES] = {0};
    for (int i = 0; i < lanes; i++) memcpy(part + i, (const char *)p + 2 * i, 2);
    memcpy(&h, part, sizeof h);
    return h;
#endif
}

INLINE void vec_store_16(void *p, vec16 h, int lanes)
{
    if (lanes == LANES) {
        memcpy(p, &h, sizeof h);
        return;
    }
#if defined(VECTOR_AVX512)
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << lanes) - 1), (__m256i)h);
#else
    uint16_t part[LANES];
    memcpy(part, &h, sizeof h);
    for (int i = 0; i < lanes; i++) memcpy((char *)p + 2 * i, part + i, 2);
#endif
}

INLINE vec vec_load(const void *p, enum dtype t, int lanes)
{
    return t == DTYPE_F32 ? vec_load_f32(p, lanes) : vec_from_bf16(vec_load_16(p, lanes));
}

INLINE void vec_store(void *p, enum dtype t, vec v, int lanes)
{
    if (t == DTYPE_F32) vec_store_f32(p, v, lanes);
    else vec_store_16(p, vec_to_bf16(v), lanes);
}

/* One byte for each lane: positions within a pooling window. */
INLINE ivec vec_load_bytes(const uint8_t *p, int lanes)
{
    vec8 b = {0};
    if (lanes == LANES) memcpy(&b, p, sizeof b);
    else {
        uint8_t part[LANES] = {0};
        for (int i = 0; i < lanes; i++) part[i] = p[i];
        memcpy(&b, part, sizeof b);
    }
#if defined(VECTOR_AVX512)
    return (ivec)_mm512_cvtepu8_epi32((__m128i)b);
#else
    return __builtin_convertvector(b, ivec);
#endif
}

INLINE void vec_store_bytes(uint8_t *p, ivec v, int lanes)
{
#if defined(VECTOR_AVX512)
    vec8 b = (vec8)_mm512_cvtepi32_epi8((__m512i)v);
#else
    vec8 b = __builtin_convertvector(v, vec8);
#endif
    if (lanes == LANES) memcpy(p, &b, sizeof b);
    else {
        uint8_t part[LANES];
        memcpy(part, &b, sizeof b);
        for (int i = 0; i < lanes; i++) p[i] = part[i];
    }
}

/* sums[0..LANES) += v */
INLINE void vec_add_to_doubles(double *sums, vec v)
{
#if defined(VECTOR_AVX512)
    __m256 low = _mm512_castps512_ps256((__m512)v), high = _mm512_extractf32x8_ps((__m512)v, 1);
    _mm512_storeu_pd(sums, _mm512_add_pd(_mm512_loadu_pd(sums), _mm512_cvtps_pd(low)));
    _mm512_storeu_pd(sums + 8, _mm512_add_pd(_mm512_loadu_pd(sums + 8), _mm512_cvtps_pd(high)));
#elif defined(__AVX2__)
    __m128 low = _mm256_castps256_ps128((__m256)v), high = _mm256_extractf128_ps((__m256)v, 1);
    _mm256_storeu_pd(sums, _mm256_add_pd(_mm256_loadu_pd(sums), _mm256_cvtps_pd(low)));
    _mm256_storeu_pd(sums + 4, _mm256_add_pd(_mm256_loadu_pd(sums + 4), _mm256_cvtps_pd(high)));
#else
    for (int i = 0; i < LANES; i++) sums[i] += (double)v[i];
#endif
}

/* ---- functions ---- */

/* exp within 2 units in the last place for x in [-87, 88]; outside, the value at that bound. Cephes' expf: n is x / ln 2
 * rounded by adding a number whose last place counts ones, then a polynomial on the rest, then n goes to the exponent. */
INLINE vec vec_exp(vec x)
{
    const float rounder = 12582912; /* 1.5 * 2^23 */
    x = vec_min(vec_all(88), vec_max(vec_all(-87), x));
    vec shifted = x * 1.44269504f + rounder, n = shifted - rounder;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    /* pairs of terms side by side (Estrin): a long chain of dependent steps would bound the loops that call this */
    vec r2 = r * r, p45 = r * 8.3334519073e-3f + 4.1665795894e-2f, p67 = r * 1.9875691500e-4f + 1.3981999507e-3f;
    vec p23 = r * 1.6666665459e-1f + 5.0000001201e-1f;
    vec p = ((p67 * r2 + p45) * r2 + p23) * r2 + (r + 1);
    return (vec)((uvec)p + ((uvec)shifted << 23));
}

/* 1 / (1 + exp(-x)); the division is by Newton's rule where the CPU has a good first guess. */
INLINE vec vec_sigmoid(vec x)
{
    vec d = 1 + vec_exp(-x);
#if defined(VECTOR_AVX512)
    vec guess = (vec)_mm512_rcp14_ps((__m512)d);
    return guess * (2 - d * guess);
#else
    return 1 / d;
#endif
}
#endif
