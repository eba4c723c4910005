/* weights_file.h - named tensors out of the files that networks are published in: safetensors, what torch.save writes (the zip of torch 1.6
 * and later, the pickles of 0.1.10 to 1.5, the tar before) and our own tensor files. The kind is told by content, not by name.
 *
 * Nothing of a file is executed: a pickle that asks for anything but tensors in dictionaries is refused, naming what it asks for
 * (io/weights/pickle.h). Files are judged before tensors are read: whatever opens has tensors that lie within the file.
 * Single-threaded per file; messages name the file. */
#ifndef IO_WEIGHTS_FILE_H
#define IO_WEIGHTS_FILE_H
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

enum weights_type { WEIGHTS_F32, WEIGHTS_F64, WEIGHTS_F16, WEIGHTS_BF16, WEIGHTS_I64, WEIGHTS_I32, WEIGHTS_I16, WEIGHTS_I8, WEIGHTS_U8, WEIGHTS_BOOL,
                    WEIGHTS_OTHER, WEIGHTS_TYPES };
extern const char *const weights_type_names[]; /* "f32" ... */
enum { WEIGHTS_DIMS = 8 };
struct weights_tensor {
    const char *name;
    enum weights_type type;
    int ndim;
    int64_t dims[WEIGHTS_DIMS], elements;
};

struct weights_file;
struct weights_file *weights_file_open(const char *path, struct error *err);
/* The same of bytes in memory, borrowed: not our own kind of file. */
struct weights_file *weights_memory_open(const void *data, size_t bytes, const char *name, struct error *err);
void weights_file_close(struct weights_file *f); /* NULL is fine */
const char *weights_file_kind(const struct weights_file *f); /* "safetensors", ... for people */
/* What was set aside on the way to the tensors ("entry 'state_dict'; 3 entries that are no tensors"), or "". */
const char *weights_file_note(const struct weights_file *f);
int weights_file_count(const struct weights_file *f);
const struct weights_tensor *weights_file_tensor(const struct weights_file *f, int i);
/* Tensor i in C order as f32: from f32, f64, f16, bf16 (and integers). -1 with err, also for a number that is not finite. */
int weights_file_read(struct weights_file *f, int i, float *values, struct error *err);
/* "(64, 3, 7, 7) f32" */
void weights_describe(char *text, size_t room, const struct weights_tensor *t);

/* Writes a safetensors file: tensors in this order. Values come one tensor at a time; F32 and I64 only. Atomic. */
struct weights_output {
    const char *name;
    enum weights_type type;
    int ndim;
    int64_t dims[WEIGHTS_DIMS];
};
struct weights_metadata { const char *key, *text; };
int safetensors_write(const char *path, const struct weights_output *tensors, int count, const struct weights_metadata *metadata, int metadata_count,
                      int (*values)(void *context, int i, void *to, struct error *err), void *context, struct error *err);
#endif
