/* crc32c.c - CRC-32C (RFC 3720 appendix B.4), alone (base/hash.h) and while copying (base/crc_copy.h).
 *
 * DESIGN: the CPU's CRC instruction takes 8 bytes a cycle, but its result comes three cycles later. Three streams, PART bytes apart,
 * keep it busy; their sums are joined by moving one over the zeros that stand for the next part, which is linear and therefore
 * four table look-ups. Loading, summing and storing then overlap, and memory sets the pace. */
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/crc_copy.h"
#include "base/hash.h"

/* ---- the definition: reflected polynomial 0x82F63B78 ---- */

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_make(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) c = c & 1 ? c >> 1 ^ 0x82F63B78u : c >> 1;
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
static pthread_once_t shift_once = PTHREAD_ONCE_INIT;

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
    if (to) memcpy(to, from, bytes);
    for (sum = (uint32_t)a; bytes; bytes--) sum = __builtin_ia32_crc32qi(sum, *from++);
    return sum;
}

SSE42 static uint32_t add_sse42(uint32_t sum, const uint8_t *from, size_t bytes)
{
    return add_streams(sum, NULL, from, bytes);
}

__attribute__((target("avx2,sse4.2"))) static uint32_t copy_avx2(uint8_t *restrict to, const uint8_t *restrict from, size_t bytes)
{
    return add_streams(UINT32_MAX, to, from, bytes);
}

uint32_t crc32c(uint32_t crc, const void *data, size_t bytes)
{
    if (!__builtin_cpu_supports("sse4.2")) return crc32c_table(crc, data, bytes);
    if (bytes >= 3 * PART) pthread_once(&shift_once, shift_make);
    return ~add_sse42(~crc, data, bytes);
}

uint32_t crc32c_copy(void *restrict to, const void *restrict from, size_t bytes)
{
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("sse4.2")) {
        pthread_once(&shift_once, shift_make);
        return ~copy_avx2(to, from, bytes);
    }
    return crc32c(0, memcpy(to, from, bytes), bytes);
}
#else
uint32_t crc32c(uint32_t crc, const void *data, size_t bytes)
{
    return crc32c_table(crc, data, bytes);
}

uint32_t crc32c_copy(void *restrict to, const void *restrict from, size_t bytes)
{
    return crc32c(0, memcpy(to, from, bytes), bytes);
}
#endif
