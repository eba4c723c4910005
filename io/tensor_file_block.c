/* tensor_file_block.c - what writing and reading tensor files share: sums, names of shapes. */
#include "io/tensor_file_block.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"

static int gap_crc(uint32_t *crc, uint8_t *piece, int fd, uint64_t from, uint64_t to, const char *path, struct error *err)
{
    while (from < to) {
        size_t bytes = to - from < PIECE_BYTES ? (size_t)(to - from) : PIECE_BYTES;
        if (file_pread(fd, piece, bytes, from, path, err)) return -1;
        *crc = crc32c(*crc, piece, bytes);
        from += bytes;
    }
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const struct block_tensor *)a)->offset, y = ((const struct block_tensor *)b)->offset;
    return x < y ? -1 : x > y;
}

int block_metadata_crc(uint32_t *crc, int fd, const struct block_head *head, const struct block_tensor *tensors, const char *path,
                       struct error *err)
{
    struct block_tensor *sorted = NEW_ARRAY(struct block_tensor, head->count);
    uint8_t *piece = mem_alloc(PIECE_BYTES);
    uint64_t at = head->block_bytes;
    int status = 0;
    memcpy(sorted, tensors, sizeof *sorted * head->count);
    qsort(sorted, head->count, sizeof *sorted, by_offset);
    *crc = 0;
    for (uint32_t i = 0; i < head->count && !status; i++) {
        const struct block_tensor *t = &sorted[i];
        if (!t->bytes) continue;
        if (t->offset < at || t->offset > head->file_bytes || t->bytes > head->file_bytes - t->offset)
            status = error_set(err, "%s: is damaged: a tensor lies outside the file or on another", path);
        else
            status = gap_crc(crc, piece, fd, at, t->offset, path, err);
        at = t->offset + t->bytes;
    }
    if (!status) status = gap_crc(crc, piece, fd, at, head->file_bytes, path, err);
    mem_free(piece);
    mem_free(sorted);
    return status;
}

uint32_t block_crc(const void *block)
{
    struct block_head head;
    memcpy(&head, block, sizeof head);
    head.crc = 0;
    uint32_t crc = crc32c(0, &head, sizeof head);
    return crc32c(crc, (const char *)block + sizeof head, head.block_bytes - sizeof head);
}

static const struct { const char *name; size_t bytes; } types[] = {
    [TENSOR_F32] = {"f32", 4}, [TENSOR_F64] = {"f64", 8}, [TENSOR_I64] = {"i64", 8}, [TENSOR_U8] = {"u8", 1}};

uint64_t tensor_bytes(const struct tensor_entry *entry)
{
    uint64_t bytes = types[entry->type].bytes;
    for (int i = 0; i < entry->ndim; i++) bytes *= (uint64_t)entry->dims[i];
    return bytes;
}

void tensor_describe(char *text, size_t room, const struct tensor_entry *entry)
{
    size_t length = (size_t)snprintf(text, room, "(");
    for (int i = 0; i < entry->ndim; i++)
        length += (size_t)snprintf(text + length, room - length, "%s%lld", i ? ", " : "", (long long)entry->dims[i]);
    snprintf(text + length, room - length, ") %s", types[entry->type].name);
}
