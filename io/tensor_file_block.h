/* tensor_file_block.h - private to io/tensor_file*.c: the first block of a tensor file, little endian.
 *
 *   0  char[8] "LADNNTF1"          24 u64 size of the whole file in bytes
 *   8  u32 CRC-32C of this block,  32 u32 CRC-32C of all bytes that are neither in this block nor a tensor's, in file order
 *      taken with this field 0     36 u32 number of tensors
 *  12  u32 0                       40 for each tensor, in the order of writing:
 *  16  u64 size of this block             u64 offset in the file, u64 bytes, u32 CRC-32C, u32 0
 * The size of the block is a power of two from 4096 on, as HDF5 wants it (a multiple of the alignment of large tensors); the
 * rest of it is 0. */
#ifndef IO_TENSOR_FILE_BLOCK_H
#define IO_TENSOR_FILE_BLOCK_H
#include <stddef.h>
#include <stdint.h>
#include "io/tensor_file.h"

struct block_head {
    char magic[8];
    uint32_t crc, zero;
    uint64_t block_bytes, file_bytes;
    uint32_t metadata_crc, count;
};
struct block_tensor {
    uint64_t offset, bytes; /* offset 0 when there are no bytes */
    uint32_t crc, zero;
};
_Static_assert(sizeof(struct block_head) == 40 && sizeof(struct block_tensor) == 24, "the block has no padding");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor files are written as memory has them");

static const char BLOCK_MAGIC[8] = {'L', 'A', 'D', 'N', 'N', 'T', 'F', '1'};
enum { BLOCK_LEAST_BYTES = 4096 };
enum { PIECE_BYTES = 1 << 20 }; /* read or written at once, and hashed while it is in the cache */

/* All return -1 with err, which names `path` and the cause. */
/* CRC of everything outside the block and the tensors. Tensors that overlap or lie outside the file are an error. */
int block_metadata_crc(uint32_t *crc, int fd, const struct block_head *head, const struct block_tensor *tensors, const char *path,
                       struct error *err);
/* Takes the block (head->block_bytes long) with its own field counted as 0. */
uint32_t block_crc(const void *block);

uint64_t tensor_bytes(const struct tensor_entry *entry);
/* "(512, 3, 7, 7) f32" */
void tensor_describe(char *text, size_t room, const struct tensor_entry *entry);
#endif
