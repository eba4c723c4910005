/* shard_format.h - what writer and reader of FORMAT.md share; private to io/. */
#ifndef IO_SHARD_SHARD_FORMAT_H
#define IO_SHARD_SHARD_FORMAT_H
#include <hdf5.h>

#include "base/file_map.h"
#include "io/shard/shard.h"

enum { SHARD_FORMAT_VERSION = 2, SHARD_SIDE_MAX = 65536 };

struct shard { /* one open file */
    char *path;
    struct shard_info info; /* strings are owned */
    struct shard_item *items;
    char *file, *patient, *figure; /* pools that the items' strings lie in */
    uint64_t *address, *stored_bytes; /* (images): where in the file, and how many bytes there (gzip: packed) */
    struct file_map map;
    hid_t h5;                      /* while it is being opened */
};
/* Reads and judges all but the pixels. On failure *s is closed. */
int shard_open(struct shard *s, const char *path, struct error *err);
void shard_close(struct shard *s);
/* The pixels of item i, compared with their checksum. Thread safe. */
int shard_read(const struct shard *s, int64_t i, uint8_t *pixels, struct error *err);
/* Item i will be read soon. */
void shard_expect(const struct shard *s, int64_t i);
/* Verifies all of them, by all cores. */
int shard_check_pixels(const struct shard *s, struct error *err);

size_t shard_item_bytes(const struct shard_item *item);
/* The checksum over everything but the pixels; FORMAT.md gives the order. */
uint32_t shard_metadata_crc(const struct shard_info *info, const struct shard_item *items);
#endif
