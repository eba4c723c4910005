/* shard.h - the HDF5 shard files of FORMAT.md: one file holds a part of one split, self-describing and checksummed.
 *
 * A data set is a folder of files NAME-SPLIT-00000-of-00004.h5. Images are uint8 (H, W, C) in one of two forms:
 * all of one size (`pack --size`) or each of its own ("original size": flat bytes with a shape per image).
 * DESIGN: HDF5 is called under one lock, only to open and to index; pixel bytes are then copied out of a mapping of the file from
 * the addresses found once, by any number of threads, and summed during the copy: comparing with the image's CRC-32C at each
 * reading costs little (PERFORMANCE.md beside a plain copy). A shard keeps no file open.
 */
#ifndef IO_SHARD_SHARD_H
#define IO_SHARD_SHARD_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "io/image/image.h"
#include "io/labels.h"

struct shard_item { /* one image's row; strings belong to whoever gives it */
    const char *file;    /* name as in the manifest, folder included where there is one: "CT_COVID/a.png" */
    const char *patient; /* never empty */
    const char *figure;  /* source figure, or "" */
    int covid;           /* 0 or 1 */
    uint8_t lesion[LESION_COUNT]; /* 0 or 1 */
    uint8_t source_sha256[32];
    uint32_t crc32c;     /* of the stored (uncompressed) pixel bytes */
    int height, width, channels;
};

/* ---- writing: one thread per shard ---- */
enum { SHARD_IMAGES_MAX = 4096 }; /* a shard's pixels wait in memory, and HDF5 finds a chunk by walking over all of them */
struct shard_info { /* what the file says of itself */
    const char *dataset;     /* "d0": letters, digits, . _ - */
    enum split split;
    int index, count;        /* this file of how many of the split */
    int size;                /* stored height = width, or 0: each its own */
    bool gzip;               /* with a size only */
    bool synthetic;          /* made by `ladnn phantom` */
    const char *settings;    /* creation settings as text */
    const char *set_id;      /* the same in all files of one packing, so that files of two are never mixed; NULL: "" */
    bool by_figure;          /* source figures were kept in one split, too */
    int channels;            /* of every image, 1 or 3; writing: at least so many, 0 = what its images need; with size 0: 0 */
    int64_t images;          /* reading: rows */
    const char *tool;        /* reading: the writer and its version */
};
struct pool;
struct shard_writer;
/* Strings of info are copied. Images wait in memory until shard_finish. */
struct shard_writer *shard_create(const char *folder, const struct shard_info *info, struct error *err);
/* Takes the pixels (*image is cleared) and copies the strings; checksum and shape are made here. With a size, one picture of
 * 3 channels makes the whole shard so. */
void shard_append(struct shard_writer *w, struct image *image, const struct shard_item *item);
/* Says that the pixels of all images lie in `pool`, and gives it to w. */
void shard_take_pool(struct shard_writer *w, struct pool *pool);
/* Writes PATH.tmp-PID, syncs it, reads everything back and compares checksums, renames to the final name. On error the
 * temporary file is removed. Frees w either way. */
int shard_finish(struct shard_writer *w, struct error *err);
/* Changes the set_id of a finished shard that was written with one of the same length. */
enum { SHARD_SET_ID_LENGTH = 64 };
int shard_seal(const char *path, const char *set_id, struct error *err);
void shard_abandon(struct shard_writer *w); /* nothing was written; NULL is fine */
/* A data set's name is the first part of file names. */
int shard_check_name(const char *dataset, struct error *err);
/* "d0-train-00000-of-00004.h5" (mem_free). */
char *shard_file_name(const char *dataset, enum split split, int index, int count);
/* Whether a name has that form; *dataset_length is the length of its first part. */
bool shard_name_parse(const char *name, int *dataset_length, enum split *split, int *index, int *count);

/* ---- reading ---- */
struct dataset; /* all shards of all splits found in a folder, or of one split */
/* Opens PATH (a folder, or one file) and indexes every shard. Refuses: a missing or doubled part of k-of-n, other format
 * versions, truncated files, altered labels or names, a patient in two splits, files of two packings. Each error names
 * the file. One file alone may be any part. Files whose name is not a shard's are passed over.
 * Every rank may open the same folder; not collective. HDF5 file locking is switched off for reading. */
struct dataset *dataset_open(const char *path, struct error *err);
void dataset_close(struct dataset *d);
int64_t dataset_count(const struct dataset *d, enum split split);
/* Item `i` of a split in shard order; borrowed until close. */
const struct shard_item *dataset_item(const struct dataset *d, enum split split, int64_t i);
/* Copies the pixels of item i and compares them with their checksum, each time. Thread safe, outside HDF5's lock. out->pixels is
 * allocated when NULL, else must have room for the item's bytes. */
int dataset_read(struct dataset *d, enum split split, int64_t i, struct image *out, struct error *err);
/* Item i will be read soon: the system fetches it in the background. */
void dataset_expect(struct dataset *d, enum split split, int64_t i);
const char *dataset_name(const struct dataset *d);
bool dataset_synthetic(const struct dataset *d);
/* What every result made from the data must say: that it is for research, and whether the data are synthetic. */
const char *dataset_notice(const struct dataset *d);
/* Identity of the data for records: SHA-256 over all items of all splits (file, patient, labels, crc) in order. */
void dataset_hash(const struct dataset *d, uint8_t digest[32]);
int dataset_shard_count(const struct dataset *d);
const char *dataset_shard_path(const struct dataset *d, int shard);
const struct shard_info *dataset_shard_info(const struct dataset *d, int shard);
/* Reads everything back: every checksum, every header. Errors are counted in *bad and each is passed to `report`. */
int dataset_verify(struct dataset *d, int64_t *bad, void (*report)(void *context, const char *line), void *context);
#endif
