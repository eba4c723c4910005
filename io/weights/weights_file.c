/* weights_file.c - what all kinds have in common: the list of tensors, checked as it grows, and which kind it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/weights/weights_private.h"

const char *const weights_type_names[] = {"f32", "f64", "f16", "bf16", "i64", "i32", "i16", "i8", "u8", "bool", "other", NULL};

int weights_type_bytes(enum weights_type type)
{
    static const int bytes[WEIGHTS_TYPES] = {4, 8, 2, 2, 8, 4, 2, 1, 1, 1, 0};
    return bytes[type];
}

void weights_describe(char *text, size_t room, const struct weights_tensor *t)
{
    size_t used = (size_t)snprintf(text, room, "(");
    for (int d = 0; d < t->ndim && used < room; d++)
        used += (size_t)snprintf(text + used, room - used, "%s%lld", d ? ", " : "", (long long)t->dims[d]);
    if (used < room) snprintf(text + used, room - used, ") %s", weights_type_names[t->type]);
}

/* ---- filling ---- */

/* Room for one more; doubles. */
static void *grown(void *old, int count, int *room, size_t each)
{
    if (count < *room) return old;
    int more = *room ? 2 * *room : 64;
    old = mem_grow(old, each * (size_t)*room, each * (size_t)more);
    *room = more;
    return old;
}

int weights_storage_add(struct weights_file *f, struct weights_storage s)
{
    f->storage = grown(f->storage, f->storage_count, &f->storage_room, sizeof *f->storage);
    f->storage[f->storage_count] = s;
    return f->storage_count++;
}

/* Elements of the shape and the last element's place, or -1 when they are no whole numbers that fit. */
static int measure(int64_t *elements, int64_t *last, int ndim, const int64_t *dims, const int64_t *strides, int64_t offset)
{
    *elements = 1;
    *last = offset;
    for (int d = 0; d < ndim; d++)
        if (dims[d] < 0 || strides[d] < 0 || __builtin_mul_overflow(*elements, dims[d], elements)) return -1;
    if (*elements == 0) return 0;
    for (int d = 0; d < ndim; d++) {
        int64_t way;
        if (__builtin_mul_overflow(dims[d] - 1, strides[d], &way) || __builtin_add_overflow(*last, way, last)) return -1;
    }
    return 0;
}

static int check_name(const struct weights_file *f, const char *name, struct error *err)
{
    if (f->count >= WEIGHTS_TENSORS_MOST) return error_set(err, "%s: has more than %d tensors", f->source.name, WEIGHTS_TENSORS_MOST);
    if (!*name || strlen(name) > 400) return error_set(err, "%s: a tensor has no name, or one of more than 400 bytes", f->source.name);
    return 0;
}

int weights_tensor_add(struct weights_file *f, char *name, enum weights_type type, int ndim, const int64_t *dims, const int64_t *strides,
                       int storage, int64_t offset, struct error *err)
{
    struct weights_tensor t = {.name = name, .type = type, .ndim = ndim};
    struct weights_view v = {.storage = storage, .offset = offset};
    const struct weights_storage *s = &f->storage[storage];
    int64_t last = 0, each = weights_type_bytes(type);
    int status = check_name(f, name, err);
    ASSERT(ndim >= 0 && ndim <= WEIGHTS_DIMS);
    for (int d = ndim - 1; d >= 0; d--) {
        t.dims[d] = dims[d];
        int64_t dense = d == ndim - 1 ? 1 : v.strides[d + 1];
        if (!strides && d < ndim - 1 && __builtin_mul_overflow(dense, dims[d + 1], &dense)) dense = -1;
        v.strides[d] = strides ? strides[d] : dense;
    }
    if (!status && (offset < 0 || measure(&t.elements, &last, ndim, t.dims, v.strides, offset)))
        status = error_set(err, "%s: tensor '%s' has an impossible shape", f->source.name, name);
    if (!status && t.elements && each && (uint64_t)last >= s->bytes / (uint64_t)each)
        status = error_set(err, "%s: tensor '%s' reaches beyond its storage of %llu bytes", f->source.name, name, (unsigned long long)s->bytes);
    if (status) {
        mem_free(name);
        return status;
    }
    int room = f->room;
    f->tensor = grown(f->tensor, f->count, &room, sizeof *f->tensor);
    f->view = grown(f->view, f->count, &f->room, sizeof *f->view);
    f->tensor[f->count] = t;
    f->view[f->count++] = v;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int weights_names_check(const struct weights_file *f, struct error *err)
{
    const char **names = NEW_ARRAY(const char *, f->count);
    int status = 0;
    for (int i = 0; i < f->count; i++) names[i] = f->tensor[i].name;
    qsort(names, (size_t)f->count, sizeof *names, by_name);
    for (int i = 1; i < f->count && !status; i++)
        if (!strcmp(names[i - 1], names[i])) status = error_set(err, "%s: tensor '%s' is there twice", f->source.name, names[i]);
    mem_free(names);
    return status;
}

/* ---- opening ---- */

static const char PICKLE_MAGIC[] = "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20j\xa8P\x19."; /* torch's number, as a pickle */
enum { PICKLE_MAGIC_BYTES = sizeof PICKLE_MAGIC - 1, LOOK_BYTES = 512 };

/* Our own tensor file: its list is copied, its tensors stay its business. */
static int read_own(struct weights_file *f, struct error *err)
{
    static const enum weights_type types[] = {[TENSOR_F32] = WEIGHTS_F32, [TENSOR_F64] = WEIGHTS_F64, [TENSOR_I64] = WEIGHTS_I64, [TENSOR_U8] = WEIGHTS_U8};
    f->own = tensor_file_open(f->source.name, err);
    if (!f->own) return -1;
    int storage = weights_storage_add(f, (struct weights_storage){.bytes = f->source.bytes});
    for (int i = 0; i < tensor_file_count(f->own); i++) {
        struct tensor_entry e;
        tensor_file_entry(f->own, i, &e);
        if (weights_tensor_add(f, mem_string(e.name), types[e.type], e.ndim, e.dims, NULL, storage, 0, err)) return -1;
    }
    return 0;
}

static int no_kind(const struct weights_file *f, struct error *err)
{
    error_set(err, "%s: is not a file of weights that is known here, or damaged at its start", f->source.name);
    return error_hint(err, "known are .safetensors, what torch.save writes (.pth, .pt), and ladnn's own .h5");
}

static int read_kind(struct weights_file *f, struct error *err)
{
    uint8_t look[LOOK_BYTES] = {0};
    uint64_t bytes = f->source.bytes < LOOK_BYTES ? f->source.bytes : LOOK_BYTES;
    if (weights_source_read(&f->source, look, 0, bytes, err)) return -1;
    if (!memcmp(look, "PK\3\4", 4)) {
        f->kind = "torch.save, zip";
        return torch_zip_read(f, err);
    }
    if (!memcmp(look, PICKLE_MAGIC, PICKLE_MAGIC_BYTES)) {
        f->kind = "torch.save before 1.6, pickles";
        return torch_pickles_read(f, err);
    }
    if (!memcmp(look + 257, "ustar", 5)) {
        f->kind = "torch.save before 0.1.10, tar";
        return torch_tar_read(f, err);
    }
    if (!f->source.data && !memcmp(look, "LADNNTF1", 8)) {
        f->kind = "ladnn";
        return read_own(f, err);
    }
    if (look[8] == '{') {
        f->kind = "safetensors";
        return safetensors_read(f, err);
    }
    return no_kind(f, err);
}

static struct weights_file *opened(struct weights_file *f, int status, struct error *err)
{
    f->held = -1;
    if (!status) status = read_kind(f, err);
    if (!status && f->count == 0) status = error_set(err, "%s: holds no tensors", f->source.name);
    if (!status) status = weights_names_check(f, err);
    if (!status) return f;
    weights_file_close(f);
    return NULL;
}

struct weights_file *weights_file_open(const char *path, struct error *err)
{
    struct weights_file *f = NEW(struct weights_file);
    return opened(f, weights_source_open(&f->source, path, err), err);
}

struct weights_file *weights_memory_open(const void *data, size_t bytes, const char *name, struct error *err)
{
    struct weights_file *f = NEW(struct weights_file);
    weights_source_memory(&f->source, name, data, bytes);
    return opened(f, 0, err);
}

void weights_file_close(struct weights_file *f)
{
    if (!f) return;
    for (int i = 0; i < f->count; i++) mem_free((char *)f->tensor[i].name);
    mem_free(f->tensor);
    mem_free(f->view);
    mem_free(f->storage);
    mem_free(f->held_bytes);
    text_free(&f->note);
    tensor_file_close(f->own);
    weights_source_close(&f->source);
    mem_free(f);
}

const char *weights_file_kind(const struct weights_file *f) { return f->kind; }
const char *weights_file_note(const struct weights_file *f) { return f->note.data ? f->note.data : ""; }
int weights_file_count(const struct weights_file *f) { return f->count; }

const struct weights_tensor *weights_file_tensor(const struct weights_file *f, int i)
{
    ASSERT(i >= 0 && i < f->count);
    return &f->tensor[i];
}
