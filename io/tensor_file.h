/* tensor_file.h - named tensors and attributes in one HDF5 file: weights and checkpoints. Readable with h5py: each tensor is
 * a dataset of that name (dots stay dots), attributes are root attributes. Written whole or not at all.
 *
 * The file starts with a block of our own (HDF5's user block, which other readers skip): magic, the file's size, a CRC-32C for
 * each tensor's bytes, one for everything else, one for the block itself (io/tensor_file_block.h). Nothing is handed to HDF5
 * before that is checked, because HDF5 1.10 may crash on damaged metadata; so a file not written here is refused.
 * DESIGN. HDF5 sees only the metadata: they are made in a file in memory (see io/shard/hdf5_call.h for why HDF5 must not write to
 * a disk) and copied; tensor bytes go by pwrite and pread and are hashed piece by piece on the way, so that writing runs at
 * the speed of the disk. Messages name the file and the cause. Threads may use different files at once. */
#ifndef IO_TENSOR_FILE_H
#define IO_TENSOR_FILE_H
#include <stdint.h>
#include "base/error.h"

enum tensor_type { TENSOR_F32, TENSOR_F64, TENSOR_I64, TENSOR_U8 };
struct tensor_entry {
    const char *name; /* no slash */
    enum tensor_type type;
    int ndim;         /* 0: a single value */
    int64_t dims[4];
    void *data; /* written from, or read into */
    /* Writing only, when data is NULL: puts the values into `to`, asked once; one such tensor is held at a time. */
    void (*make)(void *to, const void *source, int index);
    const void *source;
    int index;
};
struct tensor_attribute { const char *name, *text; };
/* Atomic: temporary name PATH.tmp-PID, fsync, rename. On failure nothing of `path` has changed and nothing is left. */
int tensor_file_write(const char *path, const struct tensor_entry *entries, int count,
                      const struct tensor_attribute *attributes, int attribute_count, struct error *err);
struct tensor_file;
/* Checks the file's size and all its metadata; tensor bytes are checked when they are read. */
struct tensor_file *tensor_file_open(const char *path, struct error *err);
void tensor_file_close(struct tensor_file *f); /* NULL is fine */
int tensor_file_count(const struct tensor_file *f);
/* Name, shape and type of tensor i, in the order of writing (data NULL; name borrowed). */
void tensor_file_entry(const struct tensor_file *f, int i, struct tensor_entry *entry);
/* Reads entry->name into entry->data; type and shape must be equal (the error names both shapes); checksum checked. */
int tensor_file_read(struct tensor_file *f, const struct tensor_entry *entry, struct error *err);
/* Reads every tensor and checks its sum. */
int tensor_file_verify(struct tensor_file *f, struct error *err);
/* SHA-256 of the first block, which pins every byte of the file by its sums: cheap for a file of any size. */
void tensor_file_identity(const struct tensor_file *f, uint8_t digest[32]);
/* NULL when absent; borrowed. */
const char *tensor_file_attribute(const struct tensor_file *f, const char *name);
#endif
