/* random_normal.c - normal numbers by Box and Muller's method, many at a time.
 *
 * DESIGN: VGG-16 draws 138 million of them before its first step. So logarithm, sine and cosine are polynomials here, without a
 * branch, that the compiler turns into vector code, and the generator runs for LANES blocks side by side. Nothing but + - * / and
 * sqrt of doubles, and no contraction to fused steps (CMakeLists.txt), so every CPU and every C library gives the same bits. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "base/random_private.h"

#define INLINE static inline __attribute__((always_inline))
enum { LANES = 32 };

INLINE double from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

INLINE uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static const uint64_t MANTISSA = 0x000fffffffffffff, ONE = 0x3ff0000000000000, ROOT_HALF = 0x3fe6a09e667f3bcd;

/* [1, 2), 52 bits. */
INLINE double one_to_two(uint64_t random)
{
    return from_bits(random >> 12 | ONE);
}

/* x in (0, 1]: x = 2^k m with m within a factor sqrt 2 of 1, and ln m = 2 artanh s, s = (m - 1) / (m + 1), |s| < 0.172. */
INLINE double natural_log(double x)
{
    static const double LN_2 = 0.693147180559945309417;
    uint64_t shifted = bits_of(x) + (ONE - ROOT_HALF);
    double k = from_bits(0x4330000000000000 | shifted >> 52) - (0x1p52 + 1023);
    double m = from_bits((shifted & MANTISSA) + ROOT_HALF), s = (m - 1) / (m + 1), z = s * s, sum = 1.0 / 21;
    sum = sum * z + 1.0 / 19;
    sum = sum * z + 1.0 / 17;
    sum = sum * z + 1.0 / 15;
    sum = sum * z + 1.0 / 13;
    sum = sum * z + 1.0 / 11;
    sum = sum * z + 1.0 / 9;
    sum = sum * z + 1.0 / 7;
    sum = sum * z + 1.0 / 5;
    sum = sum * z + 1.0 / 3;
    return k * LN_2 + 2 * (s + s * z * sum);
}

/* Cosine and sine of 2 pi u, u in [0, 1): the nearest quarter turn, and Taylor's series for the rest, at most an eighth. */
INLINE void turn(double *cosine, double *sine, double u)
{
    static const double TWO_PI = 6.283185307179586476925;
    double quarters = (4 * u + 0x1.8p52) - 0x1.8p52; /* rounded to the nearest */
    double x = (u - quarters * 0.25) * TWO_PI, z = x * x;
    double s = -1.0 / 1307674368000, c = 1.0 / 20922789888000; /* 15!, 16! */
    s = s * z + 1.0 / 6227020800;
    s = s * z - 1.0 / 39916800;
    s = s * z + 1.0 / 362880;
    s = s * z - 1.0 / 5040;
    s = s * z + 1.0 / 120;
    s = s * z - 1.0 / 6;
    c = c * z - 1.0 / 87178291200;
    c = c * z + 1.0 / 479001600;
    c = c * z - 1.0 / 3628800;
    c = c * z + 1.0 / 40320;
    c = c * z - 1.0 / 720;
    c = c * z + 1.0 / 24;
    c = c * z - 0.5;
    s = x + x * z * s;
    c = 1 + z * c;
    double cos_of = quarters == 1 || quarters == 3 ? s : c, sin_of = quarters == 1 || quarters == 3 ? c : s;
    *cosine = quarters == 1 || quarters == 2 ? -cos_of : cos_of;
    *sine = quarters == 2 || quarters == 3 ? -sin_of : sin_of;
}

INLINE void box_muller(double *first, double *second, uint64_t a, uint64_t b)
{
    double radius = sqrt(-2 * natural_log(2 - one_to_two(a)));
    turn(first, second, one_to_two(b) - 1);
    *first *= radius;
    *second *= radius;
}

double random_normal(struct random *r)
{
    double first, second;
    uint64_t a = random_u64(r), b = random_u64(r);
    box_muller(&first, &second, a, b);
    return first;
}

INLINE void lanes_of(float out[2 * LANES], double deviation, const struct random_block *block, uint64_t pair)
{
    uint32_t x0[LANES], x1[LANES], x2[LANES], x3[LANES];
    for (int i = 0; i < LANES; i++) {
        uint64_t at = pair + (uint64_t)i;
        x0[i] = (uint32_t)at, x1[i] = (uint32_t)(at >> 32), x2[i] = block->place[0], x3[i] = block->place[1];
    }
    uint32_t k0 = block->key[0], k1 = block->key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++, k0 += PHILOX_WEYL_0, k1 += PHILOX_WEYL_1)
#pragma omp simd
        for (int i = 0; i < LANES; i++) {
            uint64_t p0 = (uint64_t)PHILOX_MULTIPLIER_0 * x0[i], p1 = (uint64_t)PHILOX_MULTIPLIER_1 * x2[i];
            x0[i] = (uint32_t)(p1 >> 32) ^ x1[i] ^ k0;
            x2[i] = (uint32_t)(p0 >> 32) ^ x3[i] ^ k1;
            x1[i] = (uint32_t)p1;
            x3[i] = (uint32_t)p0;
        }
    double first[LANES], second[LANES];
#pragma omp simd
    for (int i = 0; i < LANES; i++)
        box_muller(&first[i], &second[i], (uint64_t)x1[i] << 32 | x0[i], (uint64_t)x3[i] << 32 | x2[i]);
    for (int i = 0; i < LANES; i++) {
        out[2 * i] = (float)(deviation * first[i]);
        out[2 * i + 1] = (float)(deviation * second[i]);
    }
}

INLINE void row(float *out, int64_t count, double deviation, const struct random *r, uint64_t pair)
{
    struct random_block block = random_block_of(r);
    float last[2 * LANES];
    for (; count >= 2 * LANES; count -= 2 * LANES, out += 2 * LANES, pair += LANES) lanes_of(out, deviation, &block, pair);
    if (!count) return;
    lanes_of(last, deviation, &block, pair);
    memcpy(out, last, sizeof(float) * (size_t)count);
}

#ifdef __x86_64__
__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw"))) static void row_avx512(float *out, int64_t count, double deviation,
                                                                                     const struct random *r, uint64_t pair)
{
    row(out, count, deviation, r, pair);
}

__attribute__((target("avx2"))) static void row_avx2(float *out, int64_t count, double deviation, const struct random *r, uint64_t pair)
{
    row(out, count, deviation, r, pair);
}
#endif

void random_normals(float *out, int64_t count, double deviation, const struct random *r, uint64_t first_pair)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")) {
        row_avx512(out, count, deviation, r, first_pair);
        return;
    }
    if (__builtin_cpu_supports("avx2")) {
        row_avx2(out, count, deviation, r, first_pair);
        return;
    }
#endif
    row(out, count, deviation, r, first_pair);
}
