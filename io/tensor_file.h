/* tensor_file.h - named tensors and attributes in one HDF5 file: weights and checkpoints. Readable with h5py: each tensor is
 * a dataset of that name (dots stay dots), attributes are root attributes. Written whole or not at all. */
#ifndef IO_TENSOR_FILE_H
#define IO_TENSOR_FILE_H
#include <stdint.h>
#include "base/error.h"

enum tensor_type { TENSOR_F32, TENSOR_F64, TENSOR_I64, TENSOR_U8 };
struct tensor_entry {
    const char *name;
    enum tensor_type type;
    int ndim;
    int64_t dims[4];
    void *data; /* written from, or read into */
};
struct tensor_attribute { const char *name, *text; };
/* Atomic (temporary name, fsync, rename); carries a CRC-32C per tensor as an attribute. */
int tensor_file_write(const char *path, const struct tensor_entry *entries, int count,
                      const struct tensor_attribute *attributes, int attribute_count, struct error *err);
struct tensor_file;
struct tensor_file *tensor_file_open(const char *path, struct error *err);
void tensor_file_close(struct tensor_file *f); /* NULL is fine */
int tensor_file_count(const struct tensor_file *f);
/* Shape and type of tensor i (data NULL; name borrowed). */
void tensor_file_entry(const struct tensor_file *f, int i, struct tensor_entry *entry);
/* Reads entry->name into entry->data; type and shape must be equal (the error names both shapes); checksum checked. */
int tensor_file_read(struct tensor_file *f, const struct tensor_entry *entry, struct error *err);
/* NULL when absent; borrowed. */
const char *tensor_file_attribute(const struct tensor_file *f, const char *name);
#endif
