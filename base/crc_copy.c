/* crc_copy.c - see crc_copy.h.
 *
 * DESIGN: the CPU's CRC instruction takes 8 bytes a cycle, but its result comes three cycles later. Three streams, PART bytes apart,
 * keep it busy; their sums are joined by moving one over the zeros that stand for the next part, which is linear and therefore
 * four table look-ups. Loading, summing and storing then overlap, and memory sets the pace. */
#include "base/crc_copy.h"

#include <pthread.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/hash.h"

static uint32_t copy_plain(void *restrict to, const void *restrict from, size_t bytes)
{
    memcpy(to, from, bytes);
    return crc32c(0, to, bytes);
}

#if defined(__x86_64__)
enum { PART = 4096, STRIDE = 32 };

static uint32_t shift[4][256]; /* [k][b]: the sum b << 8k, moved over PART zero bytes */
static pthread_once_t shift_once = PTHREAD_ONCE_INIT;

/* crc32c complements its value on the way in and out; the bare register does not. */
static uint32_t move(uint32_t sum, const uint8_t *zeros)
{
    return ~crc32c(~sum, zeros, PART);
}

static void shift_make(void)
{
    static const uint8_t zeros[PART];
    for (int k = 0; k < 4; k++)
        for (uint32_t b = 0; b < 256; b++) shift[k][b] = move(b << 8 * k, zeros);
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

/* Copies STRIDE bytes and adds them to a sum. */
__attribute__((target("avx2,sse4.2"))) static inline uint64_t add_copy(uint64_t sum, uint8_t *restrict to, const uint8_t *restrict from)
{
    _mm256_storeu_si256((__m256i *)to, _mm256_loadu_si256((const __m256i *)from));
    sum = __builtin_ia32_crc32di(sum, word_at(from)); /* -O2 would not unroll a loop */
    sum = __builtin_ia32_crc32di(sum, word_at(from + 8));
    sum = __builtin_ia32_crc32di(sum, word_at(from + 16));
    return __builtin_ia32_crc32di(sum, word_at(from + 24));
}

__attribute__((target("avx2,sse4.2"))) static uint32_t copy_avx2(uint8_t *restrict to, const uint8_t *restrict from, size_t bytes)
{
    uint64_t a = UINT32_MAX;
    for (; bytes >= 3 * PART; bytes -= 3 * PART, from += 3 * PART, to += 3 * PART) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < PART; i += STRIDE) {
            a = add_copy(a, to + i, from + i);
            b = add_copy(b, to + PART + i, from + PART + i);
            c = add_copy(c, to + 2 * PART + i, from + 2 * PART + i);
        }
        a = over_part(over_part(a) ^ b) ^ c;
    }
    for (; bytes >= STRIDE; bytes -= STRIDE, from += STRIDE, to += STRIDE) a = add_copy(a, to, from);
    uint32_t tail = (uint32_t)a;
    while (bytes--) tail = __builtin_ia32_crc32qi(tail, *to++ = *from++);
    return ~tail;
}

uint32_t crc32c_copy(void *restrict to, const void *restrict from, size_t bytes)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("sse4.2")) return copy_plain(to, from, bytes);
    pthread_once(&shift_once, shift_make);
    return copy_avx2(to, from, bytes);
}
#else
uint32_t crc32c_copy(void *restrict to, const void *restrict from, size_t bytes)
{
    return copy_plain(to, from, bytes);
}
#endif
