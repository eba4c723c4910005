/* deflate.h - a block of bytes to and from zlib's format (RFC 1950), by libdeflate where this build has it, which is faster than zlib. */
#ifndef IO_SHARD_DEFLATE_H
#define IO_SHARD_DEFLATE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DEFLATE_LEVEL = 4 };
/* The most bytes that `bytes` bytes can become. */
size_t deflate_bound(size_t bytes);
/* Returns how many bytes they became; `to` has room for deflate_bound(bytes). Thread safe. */
size_t deflate_pack(uint8_t *to, const uint8_t *from, size_t bytes);
/* False unless `from` holds exactly `bytes` bytes, whole and with the right checksum. Thread safe. */
bool deflate_unpack(uint8_t *to, size_t bytes, const uint8_t *from, size_t packed_bytes);
#endif
