/* torch_tar.c - what torch.save wrote before 0.1.10 (torchvision's resnet18-5c106cde.pth): a tar archive of `storages` (pickles and raw bytes),
 * `tensors` (pickles, shapes and strides) and `pickle`, the object, in which tensors are numbers. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/weights/torch_objects.h"

enum { BLOCK = 512, PART_BYTES_MOST = 4096, MEMBERS = 3, COUNT_MOST = 1 << 20 };

struct member { uint64_t at, end; };
struct stored { int64_t key; enum weights_type type; int place; int64_t count; };
struct shape { int64_t key, dims[WEIGHTS_DIMS], strides[WEIGHTS_DIMS], offset; int ndim, stored; };
struct tar {
    struct weights_file *f;
    struct member member[MEMBERS]; /* storages, tensors, pickle */
    struct stored *stored;
    struct shape *shape;
    int stored_count, shape_count;
};
static const char *const member_names[MEMBERS] = {"storages", "tensors", "pickle"};

static int bad(const struct tar *t, const char *how, struct error *err)
{
    return error_set(err, "%s: is truncated or damaged: %s", t->f->source.name, how);
}

/* ---- the archive ---- */

static int find_members(struct tar *t, struct error *err)
{
    uint64_t all = t->f->source.bytes, at = 0, size;
    char head[BLOCK + 1] = {0};
    while (at + BLOCK <= all) {
        if (weights_source_read(&t->f->source, head, at, BLOCK, err)) return -1;
        if (!head[0]) break;
        char digits[13] = {0};
        memcpy(digits, head + 124, 12);
        size = strtoull(digits, NULL, 8);
        at += BLOCK;
        if (size > all - at) return bad(t, "a part of the tar archive reaches beyond its end", err);
        for (int m = 0; m < MEMBERS; m++)
            if (!strncmp(head, member_names[m], 100) && (head[156] == '0' || !head[156])) t->member[m] = (struct member){at, at + size};
        at += (size + BLOCK - 1) / BLOCK * BLOCK;
    }
    for (int m = 0; m < MEMBERS; m++)
        if (!t->member[m].end) return bad(t, "a part of the tar archive is missing", err);
    return 0;
}

/* The next pickle of a member, of at most `most` bytes; *bytes is what its texts lie in (mem_free). */
static int next(struct tar *t, struct member *m, uint64_t most, struct pickle *p, uint8_t **bytes, struct error *err)
{
    uint64_t left = m->end - m->at, piece = left < most ? left : most;
    *p = (struct pickle){0};
    *bytes = weights_source_piece(&t->f->source, m->at, piece, most, "a pickle", err);
    if (!*bytes || pickle_read(p, *bytes, piece, t->f->source.name, err)) return -1;
    m->at += p->used;
    return 0;
}

/* A pickle that is a count. */
static int next_count(struct tar *t, struct member *m, int *count, struct error *err)
{
    struct pickle p;
    uint8_t *bytes;
    int status = next(t, m, PART_BYTES_MOST, &p, &bytes, err);
    int64_t n = status ? 0 : torch_integer(&p, p.result);
    if (!status && (n < 0 || n > COUNT_MOST)) status = bad(t, "a count makes no sense", err);
    *count = (int)n;
    pickle_free(&p);
    mem_free(bytes);
    return status;
}

static int next_bytes(struct tar *t, struct member *m, void *to, uint64_t bytes, struct error *err)
{
    if (bytes > m->end - m->at) return bad(t, "a part of the tar archive is too short", err);
    if (weights_source_read(&t->f->source, to, m->at, bytes, err)) return -1;
    m->at += bytes;
    return 0;
}

/* A pickle (number, second, type of torch). */
static int next_three(struct tar *t, struct member *m, int64_t *key, int64_t *second, enum weights_type *type, struct error *err)
{
    struct pickle p;
    uint8_t *bytes;
    int status = next(t, m, PART_BYTES_MOST, &p, &bytes, err);
    if (!status && p.value[p.result].kind == PICKLE_TUPLE && p.value[p.result].count == 3) {
        int global = pickle_item(&p, p.result, 2, PICKLE_GLOBAL);
        *key = torch_integer(&p, p.value[p.result].item[0]);
        *second = torch_integer(&p, p.value[p.result].item[1]);
        if (global >= 0 && p.value[global].global == GLOBAL_STORAGE) *type = p.value[global].type;
        else status = bad(t, "a tensor or storage has no type", err);
    } else if (!status) {
        status = bad(t, "a tensor or storage is not described", err);
    }
    pickle_free(&p);
    mem_free(bytes);
    return status;
}

/* ---- storages, tensors ---- */

static int by_key(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int read_storage(struct tar *t, struct member *m, struct stored *s, struct error *err)
{
    int64_t location;
    uint64_t bytes;
    if (next_three(t, m, &s->key, &location, &s->type, err) || next_bytes(t, m, &s->count, sizeof s->count, err)) return -1;
    if (s->count < 0 || __builtin_mul_overflow((uint64_t)s->count, (uint64_t)weights_type_bytes(s->type), &bytes) || bytes > m->end - m->at)
        return bad(t, "a storage is not all there", err);
    s->place = weights_storage_add(t->f, (struct weights_storage){.offset = m->at, .bytes = bytes});
    m->at += bytes;
    return 0;
}

/* Parts of storages that have keys of their own come as a list at the end: none in the files of networks. */
static int check_no_views(struct tar *t, struct member *m, struct error *err)
{
    struct pickle p;
    uint8_t *bytes;
    int status = next(t, m, TORCH_PICKLE_BYTES_MOST, &p, &bytes, err);
    if (!status && (p.value[p.result].kind != PICKLE_LIST || p.value[p.result].count)) status = bad(t, "a storage is a part of another one", err);
    pickle_free(&p);
    mem_free(bytes);
    return status;
}

static int read_storages(struct tar *t, struct error *err)
{
    struct member *m = &t->member[0];
    int count;
    if (next_count(t, m, &count, err)) return -1;
    t->stored = NEW_ARRAY(struct stored, count);
    for (; t->stored_count < count; t->stored_count++)
        if (read_storage(t, m, &t->stored[t->stored_count], err)) return -1;
    qsort(t->stored, (size_t)count, sizeof *t->stored, by_key);
    return check_no_views(t, m, err);
}

static int read_shape(struct tar *t, struct member *m, struct shape *s, struct error *err)
{
    int64_t storage;
    int32_t ndim[2];
    enum weights_type type;
    if (next_three(t, m, &s->key, &storage, &type, err) || next_bytes(t, m, ndim, sizeof ndim, err)) return -1;
    if (ndim[0] < 0 || ndim[0] > WEIGHTS_DIMS) return bad(t, "a tensor has too many dimensions", err);
    uint64_t row = sizeof(int64_t) * (uint64_t)ndim[0];
    s->ndim = ndim[0];
    if (next_bytes(t, m, s->dims, row, err) || next_bytes(t, m, s->strides, row, err) || next_bytes(t, m, &s->offset, sizeof s->offset, err)) return -1;
    const struct stored *found = bsearch(&storage, t->stored, (size_t)t->stored_count, sizeof *t->stored, by_key);
    if (!found || found->type != type) return bad(t, "a tensor has no storage of its type", err);
    s->stored = (int)(found - t->stored);
    return 0;
}

static int read_shapes(struct tar *t, struct error *err)
{
    struct member *m = &t->member[1];
    int count;
    if (next_count(t, m, &count, err)) return -1;
    t->shape = NEW_ARRAY(struct shape, count);
    for (; t->shape_count < count; t->shape_count++)
        if (read_shape(t, m, &t->shape[t->shape_count], err)) return -1;
    qsort(t->shape, (size_t)count, sizeof *t->shape, by_key);
    return 0;
}

/* ---- the object ---- */

static bool is_number(const struct pickle *p, int value)
{
    return p->value[value].kind == PICKLE_STORED && torch_integer(p, p->value[value].item[0]) >= 0;
}

static int add_shape(void *context, struct weights_file *f, const struct pickle *p, int value, char *name, struct error *err)
{
    struct tar *t = context;
    int64_t key = torch_integer(p, p->value[value].item[0]);
    const struct shape *s = t->shape_count ? bsearch(&key, t->shape, (size_t)t->shape_count, sizeof *t->shape, by_key) : NULL;
    if (s) return weights_tensor_add(f, name, t->stored[s->stored].type, s->ndim, s->dims, s->strides, t->stored[s->stored].place, s->offset, err);
    mem_free(name);
    return bad(t, "a tensor is not described", err);
}

int torch_tar_read(struct weights_file *f, struct error *err)
{
    struct tar t = {.f = f};
    struct torch_kind kind = {is_number, add_shape, &t};
    struct pickle p = {0};
    uint8_t *bytes = NULL;
    int status = find_members(&t, err);
    if (!status) status = read_storages(&t, err);
    if (!status) status = read_shapes(&t, err);
    if (!status) status = next(&t, &t.member[2], TORCH_PICKLE_BYTES_MOST, &p, &bytes, err);
    if (!status) status = torch_state_dict(f, &p, &kind, err);
    pickle_free(&p);
    mem_free(bytes);
    mem_free(t.stored);
    mem_free(t.shape);
    return status;
}
