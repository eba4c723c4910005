/* hash.c - SHA-256; base/crc32c.c has the checksum. */
#include "base/hash.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#include "base/error.h"
#include "base/memory.h"

/* ---- SHA-256, FIPS 180-4 section 6.2 ---- */

static const uint32_t ROUND_CONSTANT[64] = { /* fractional parts of the cube roots of the first 64 primes */
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate_right(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void expand_block(uint32_t w[64], const uint8_t block[64])
{
    for (int t = 0; t < 16; t++, block += 4)
        w[t] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 | block[3];
    for (int t = 16; t < 64; t++) {
        uint32_t s0 = rotate_right(w[t - 15], 7) ^ rotate_right(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = rotate_right(w[t - 2], 17) ^ rotate_right(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
}

static void add_block(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[64], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
    expand_block(w, block);
    for (int t = 0; t < 64; t++) {
        uint32_t big1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        uint32_t t1 = h + big1 + ((e & f) ^ (~e & g)) + ROUND_CONSTANT[t] + w[t];
        uint32_t big0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        uint32_t t2 = big0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    const uint32_t sum[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) state[i] += sum[i];
}

static void add_blocks_plain(uint32_t state[8], const uint8_t *p, size_t blocks)
{
    for (; blocks; blocks--, p += 64) add_block(state, p);
}

#if defined(__x86_64__)
/* The CPU's SHA instructions want the state as (a b e f) and (c d g h), and do two rounds at once. */
__attribute__((target("sha,sse4.1"))) static void add_blocks_sha(uint32_t state[8], const uint8_t *p, size_t blocks)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
    for (; blocks; blocks--, p += 64) {
        __m128i abef_before = abef, cdgh_before = cdgh, w[4];
#pragma GCC unroll 16
        for (int r = 0; r < 16; r++) {
            __m128i *now = &w[r % 4];
            if (r < 4) {
                *now = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * r)), big_endian);
            } else {
                __m128i last = w[(r + 3) % 4], seven = _mm_alignr_epi8(last, w[(r + 2) % 4], 4);
                *now = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(*now, w[(r + 1) % 4]), seven), last);
            }
            __m128i added = _mm_add_epi32(*now, _mm_loadu_si128((const __m128i *)(ROUND_CONSTANT + 4 * r)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, added);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(added, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

static bool has_sha(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1 && __builtin_cpu_supports("sse4.1");
}
#else
#define add_blocks_sha add_blocks_plain
static bool has_sha(void)
{
    return false;
}
#endif

static void (*add_blocks)(uint32_t state[8], const uint8_t *p, size_t blocks);
static pthread_once_t add_blocks_once = PTHREAD_ONCE_INIT;

static void add_blocks_pick(void)
{
    add_blocks = has_sha() ? add_blocks_sha : add_blocks_plain;
}

void sha256_start(struct sha256 *s)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    pthread_once(&add_blocks_once, add_blocks_pick);
    memset(s, 0, sizeof *s);
    memcpy(s->state, start, sizeof start);
}

void sha256_add(struct sha256 *s, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    while (bytes) {
        size_t used = s->bytes % 64;
        if (!used && bytes >= 64) { /* whole blocks straight from the caller */
            add_blocks(s->state, p, bytes / 64);
            used = bytes / 64 * 64;
        } else {
            used = bytes < 64 - used ? bytes : 64 - used;
            memcpy(s->block + s->bytes % 64, p, used);
            if ((s->bytes + used) % 64 == 0) add_blocks(s->state, s->block, 1);
        }
        s->bytes += used;
        p += used;
        bytes -= used;
    }
}

void sha256_end(struct sha256 *s, uint8_t digest[32])
{
    uint64_t bits = s->bytes * 8;
    uint8_t tail[72] = {0x80};
    size_t pad = 64 - (s->bytes + 8) % 64; /* 1 to 64 bytes up to the length field */
    for (int i = 0; i < 8; i++) tail[pad + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_add(s, tail, pad + 8);
    for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(s->state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_plain(uint8_t digest[32], const void *data, size_t bytes)
{
    struct sha256 s;
    uint8_t tail[64] = {0};
    sha256_start(&s);
    add_blocks_plain(s.state, data, bytes / 64);
    memcpy(tail, (const uint8_t *)data + bytes / 64 * 64, bytes % 64);
    tail[bytes % 64] = 0x80;
    if (bytes % 64 >= 56) {
        add_block(s.state, tail);
        memset(tail, 0, sizeof tail);
    }
    for (int i = 0; i < 8; i++) tail[56 + i] = (uint8_t)((uint64_t)bytes * 8 >> (56 - 8 * i));
    add_block(s.state, tail);
    for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(s.state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_of(uint8_t digest[32], const void *data, size_t bytes)
{
    struct sha256 s;
    sha256_start(&s);
    sha256_add(&s, data, bytes);
    sha256_end(&s, digest);
}

void hash_hex(char hex[65], const uint8_t digest[32])
{
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

int sha256_file(uint8_t digest[32], const char *path, struct error *err)
{
    enum { PIECE_BYTES = 1 << 18 };
    FILE *f = fopen(path, "rb");
    if (!f) return error_set(err, "%s: cannot open: %s", path, strerror(errno));
    uint8_t *piece = mem_alloc(PIECE_BYTES);
    struct sha256 s;
    sha256_start(&s);
    size_t got;
    while ((got = fread(piece, 1, PIECE_BYTES, f)) > 0) sha256_add(&s, piece, got);
    int status = ferror(f) ? error_set(err, "%s: cannot read: %s", path, strerror(errno)) : 0;
    fclose(f);
    mem_free(piece);
    sha256_end(&s, digest);
    return status;
}
