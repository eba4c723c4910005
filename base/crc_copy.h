/* crc_copy.h - copies bytes and sums them on the way: a checksum for little more than the price of a copy. */
#ifndef BASE_CRC_COPY_H
#define BASE_CRC_COPY_H
#include <stddef.h>
#include <stdint.h>

/* memcpy that returns the CRC-32C of the bytes, as crc32c(0, from, bytes) of base/hash.h would. A source that somebody else changes
 * meanwhile may leave bytes in `to` that the sum does not see. */
uint32_t crc32c_copy(void *restrict to, const void *restrict from, size_t bytes);
#endif
