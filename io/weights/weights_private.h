/* weights_private.h - what weights_file.c and the readers of the kinds share. */
#ifndef IO_WEIGHTS_PRIVATE_H
#define IO_WEIGHTS_PRIVATE_H
#include <stdbool.h>
#include "base/text.h"
#include "io/tensor_file.h"
#include "io/weights/weights_file.h"
#include "io/weights/weights_source.h"

struct weights_storage { /* bytes in a row that tensors are views of */
    uint64_t offset, bytes;
    bool has_crc;  /* zip: CRC-32 of all of them */
    uint32_t crc;
};
struct weights_view { /* of tensor i: in elements of its type */
    int storage;
    int64_t offset, strides[WEIGHTS_DIMS];
};
struct weights_file {
    struct weights_source source;
    const char *kind;
    struct text note;
    struct weights_tensor *tensor;
    struct weights_view *view;
    int count, room;
    struct weights_storage *storage;
    int storage_count, storage_room;
    int held; /* the storage in `held_bytes`, or -1 */
    uint8_t *held_bytes;
    struct tensor_file *own; /* our own kind: the rest is its business */
};

enum { WEIGHTS_TENSORS_MOST = 1 << 20 }; /* more than any network has */
int weights_type_bytes(enum weights_type type); /* 0: OTHER */
int weights_storage_add(struct weights_file *f, struct weights_storage s);
/* Takes `name` (mem_free). `strides` NULL: C order. Refuses what does not lie within the storage, and a name that is there already. */
int weights_tensor_add(struct weights_file *f, char *name, enum weights_type type, int ndim, const int64_t *dims, const int64_t *strides,
                       int storage, int64_t offset, struct error *err);
/* After the last one: refuses names that are there twice. */
int weights_names_check(const struct weights_file *f, struct error *err);

/* Each fills f from f->source. */
int safetensors_read(struct weights_file *f, struct error *err);
int torch_zip_read(struct weights_file *f, struct error *err);
int torch_pickles_read(struct weights_file *f, struct error *err); /* torch 0.1.10 to 1.5 */
int torch_tar_read(struct weights_file *f, struct error *err);     /* torch before that */
#endif
