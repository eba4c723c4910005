/* crc32c.c - CRC-32C (RFC 3720 appendix B.4), alone (base/hash.h) and while copying (base/crc_copy.h).
 *
 * DESIGN: the CPU's CRC instruction takes 8 bytes a cycle, but its result comes three cycles later. Three streams, PART bytes apart,
 * keep it busy; their sums are joined by moving one over the zeros that stand for the next part, which is linear and therefore
 * four table look-ups. Loading, summing and storing then overlap.
 *
 * CPUs that multiply polynomials in long registers are faster than their memory (Gopal and others, Fast CRC Computation for Generic
 * Polynomials Using PCLMULQDQ Instruction, 2009): 256 bytes are carried over the next 256 and added to them, which leaves the sum of
 * the whole as it is; the last 256 are then summed by the instruction. */
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/crc_copy.h"
#include "base/hash.h"

/* ---- the definition ---- */

#define POLYNOMIAL 0x82F63B78u /* reflected */

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_make(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
        table[i] = c;
    }
}

/* The register as it is; crc32c complements its value on the way in and out. */
static uint32_t add_plain(uint32_t sum, const uint8_t *p, size_t bytes)
{
    pthread_once(&table_once, table_make);
    while (bytes--) sum = sum >> 8 ^ table[(sum ^ *p++) & 255];
    return sum;
}

uint32_t crc32c_table(uint32_t crc, const void *data, size_t bytes)
{
    return ~add_plain(~crc, data, bytes);
}

#if defined(__x86_64__)
#define INLINE static inline __attribute__((always_inline))
#define SSE42 __attribute__((target("sse4.2")))
enum { PART = 4096, STRIDE = 32 };

static uint32_t shift[4][256]; /* [k][b]: the sum b << 8k, moved over PART zero bytes */

static void shift_make(void)
{
    static const uint8_t zeros[PART];
    uint32_t of_bit[32];
    for (int i = 0; i < 32; i++) of_bit[i] = add_plain(1u << i, zeros, PART);
    for (int k = 0; k < 4; k++)
        for (uint32_t b = 0; b < 256; b++)
            for (int i = 0; i < 8; i++)
                if (b >> i & 1) shift[k][b] ^= of_bit[8 * k + i];
}

static uint64_t over_part(uint64_t sum)
{
    return shift[0][sum & 255] ^ shift[1][sum >> 8 & 255] ^ shift[2][sum >> 16 & 255] ^ shift[3][sum >> 24 & 255];
}

static inline uint64_t word_at(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Adds STRIDE bytes to a sum; copies them unless `to` is NULL. */
SSE42 INLINE uint64_t add_stride(uint64_t sum, uint8_t *restrict to, const uint8_t *restrict from)
{
    if (to) memcpy(to, from, STRIDE);
    sum = __builtin_ia32_crc32di(sum, word_at(from)); /* -O2 would not unroll a loop */
    sum = __builtin_ia32_crc32di(sum, word_at(from + 8));
    sum = __builtin_ia32_crc32di(sum, word_at(from + 16));
    return __builtin_ia32_crc32di(sum, word_at(from + 24));
}

#define AFTER(n) (to ? to + (n) : NULL)

SSE42 INLINE uint32_t add_streams(uint32_t sum, uint8_t *restrict to, const uint8_t *restrict from, size_t bytes)
{
    uint64_t a = sum;
    for (; bytes >= 3 * PART; bytes -= 3 * PART, from += 3 * PART, to = AFTER(3 * PART)) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < PART; i += STRIDE) {
            a = add_stride(a, AFTER(i), from + i);
            b = add_stride(b, AFTER(PART + i), from + PART + i);
            c = add_stride(c, AFTER(2 * PART + i), from + 2 * PART + i);
        }
        a = over_part(over_part(a) ^ b) ^ c;
    }
    for (; bytes >= STRIDE; bytes -= STRIDE, from += STRIDE, to = AFTER(STRIDE)) a = add_stride(a, to, from);
    if (to && bytes) memcpy(to, from, bytes); /* of nothing, addresses may be NULL */
    for (sum = (uint32_t)a; bytes; bytes--) sum = __builtin_ia32_crc32qi(sum, *from++);
    return sum;
}

SSE42 static uint32_t add_sse42(uint32_t sum, uint8_t *restrict to, const uint8_t *restrict from, size_t bytes)
{
    return add_streams(sum, to, from, bytes);
}

#define FOLD __attribute__((target("avx512f,avx512vl,vpclmulqdq,pclmul,sse4.2")))
enum { FOLD_BYTES = 256 };
static uint64_t carry[2]; /* what the first and the second half of 16 bytes are multiplied by, to move FOLD_BYTES on */

/* x^n modulo the polynomial, as 64 bits with the highest power first. */
static uint64_t power_of_x(int n)
{
    uint32_t c = 1u << 31;
    for (; n; n--) c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
    return (uint64_t)c << 32;
}

/* One power less than the way is long: a product of two such numbers has one bit less than the two together. */
static void carry_make(void)
{
    carry[0] = power_of_x(8 * FOLD_BYTES + 64 - 1);
    carry[1] = power_of_x(8 * FOLD_BYTES - 1);
}

FOLD INLINE __m512i load_copy(uint8_t *restrict to, const uint8_t *restrict from)
{
    __m512i x = _mm512_loadu_si512(from);
    if (to) _mm512_storeu_si512(to, x);
    return x;
}

FOLD INLINE uint32_t add_folds(uint32_t sum, uint8_t *restrict to, const uint8_t *restrict from, size_t bytes)
{
    const __m512i by = _mm512_broadcast_i32x4(_mm_set_epi64x((int64_t)carry[1], (int64_t)carry[0]));
    uint8_t left[FOLD_BYTES];
    __m512i x[4];
    if (bytes < FOLD_BYTES) return add_streams(sum, to, from, bytes);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) x[i] = load_copy(to ? to + 64 * i : NULL, from + 64 * i);
    x[0] = _mm512_xor_si512(x[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)sum)));
    for (bytes -= FOLD_BYTES, from += FOLD_BYTES, to = AFTER(FOLD_BYTES); bytes >= FOLD_BYTES;
         bytes -= FOLD_BYTES, from += FOLD_BYTES, to = AFTER(FOLD_BYTES)) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            __m512i first = _mm512_clmulepi64_epi128(x[i], by, 0x00), second = _mm512_clmulepi64_epi128(x[i], by, 0x11);
            x[i] = _mm512_ternarylogic_epi64(first, second, load_copy(to ? to + 64 * i : NULL, from + 64 * i), 0x96); /* xor of three */
        }
    }
    for (int i = 0; i < 4; i++) _mm512_storeu_si512(left + 64 * i, x[i]);
    return add_streams(add_streams(0, NULL, left, FOLD_BYTES), to, from, bytes);
}

FOLD static uint32_t add_vpclmul(uint32_t sum, uint8_t *restrict to, const uint8_t *restrict from, size_t bytes)
{
    return to ? add_folds(sum, to, from, bytes) : add_folds(sum, NULL, from, bytes);
}

static uint32_t add_table(uint32_t sum, uint8_t *restrict to, const uint8_t *restrict from, size_t bytes)
{
    if (to && bytes) memcpy(to, from, bytes); /* of nothing, addresses may be NULL */
    return add_plain(sum, from, bytes);
}

static uint32_t (*add)(uint32_t sum, uint8_t *restrict to, const uint8_t *restrict from, size_t bytes);
static pthread_once_t add_once = PTHREAD_ONCE_INIT;

static void add_pick(void)
{
    bool fold = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("vpclmulqdq");
    shift_make();
    carry_make();
    add = !__builtin_cpu_supports("sse4.2") ? add_table : fold ? add_vpclmul : add_sse42;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t bytes)
{
    pthread_once(&add_once, add_pick);
    return ~add(~crc, NULL, data, bytes);
}

uint32_t crc32c_copy(void *restrict to, const void *restrict from, size_t bytes)
{
    pthread_once(&add_once, add_pick);
    return ~add(UINT32_MAX, to, from, bytes);
}
#else
uint32_t crc32c(uint32_t crc, const void *data, size_t bytes)
{
    return crc32c_table(crc, data, bytes);
}

uint32_t crc32c_copy(void *restrict to, const void *restrict from, size_t bytes)
{
    if (bytes) memcpy(to, from, bytes);
    return crc32c(0, from, bytes);
}
#endif
