/* hash.h - SHA-256 (FIPS 180-4) for identity, CRC-32C (Castagnoli, RFC 3720) for checksums of stored bytes. */
#ifndef BASE_HASH_H
#define BASE_HASH_H
#include <stddef.h>
#include <stdint.h>

struct error;
struct sha256 {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t block[64];
};
void sha256_start(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t bytes);
void sha256_end(struct sha256 *s, uint8_t digest[32]);
void sha256_of(uint8_t digest[32], const void *data, size_t bytes);
/* The definition, without the CPU's SHA instructions: what sha256_of is tested against. */
void sha256_plain(uint8_t digest[32], const void *data, size_t bytes);
void hash_hex(char hex[65], const uint8_t digest[32]); /* lower case, NUL-ended */
/* Hash of a whole file. Returns -1 with err. */
int sha256_file(uint8_t digest[32], const char *path, struct error *err);

/* Continues from `crc` (start with 0). Uses the SSE4.2 instruction where the CPU has it; same value either way. */
uint32_t crc32c(uint32_t crc, const void *data, size_t bytes);
/* The definition, one byte at a time: what crc32c is tested against. */
uint32_t crc32c_table(uint32_t crc, const void *data, size_t bytes);
#endif
