/* tensor_file.c - reading: the first block and the metadata's sum are checked before HDF5 sees the file; names, shapes and
 * attributes are then copied out, HDF5 is left, and tensors are read with pread. */
#include "io/tensor_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "io/shard/hdf5_call.h"
#include "io/tensor_file_block.h"

struct tensor_file {
    char *path;
    int fd;
    uint8_t *block; /* head and tensors point into it */
    const struct block_head *head;
    const struct block_tensor *tensors;
    struct tensor_entry *entries; /* as many as the head says */
    int named;                    /* entries whose names are ours */
    char **attribute_names, **attribute_texts;
    int attribute_count;
};

/* ---- the first block ---- */

static int damaged(const struct tensor_file *f, const char *how, struct error *err)
{
    return error_set(err, "%s: is damaged: %s", f->path, how);
}

static int read_block(struct tensor_file *f, struct error *err)
{
    struct block_head head;
    struct stat info;
    if (fstat(f->fd, &info)) return error_set(err, "%s: cannot look at it: %s", f->path, strerror(errno));
    uint64_t file_bytes = (uint64_t)info.st_size;
    if (!S_ISREG(info.st_mode) || file_bytes < sizeof head)
        return error_set(err, "%s: is not a tensor file, or truncated near its start", f->path);
    if (file_pread(f->fd, &head, sizeof head, 0, f->path, err)) return -1;
    if (memcmp(head.magic, BLOCK_MAGIC, sizeof BLOCK_MAGIC)) {
        error_set(err, "%s: is not a tensor file of ladnn, or damaged in its first bytes", f->path);
        return error_hint(err, "other formats are taken in by ladnn weights");
    }
    uint64_t need = sizeof head + (uint64_t)head.count * sizeof(struct block_tensor);
    if (head.block_bytes > file_bytes || head.block_bytes < need) return damaged(f, "its first block does not fit", err);
    f->block = mem_alloc(head.block_bytes);
    if (file_pread(f->fd, f->block, head.block_bytes, 0, f->path, err)) return -1;
    f->head = (const struct block_head *)f->block;
    f->tensors = (const struct block_tensor *)(f->block + sizeof head);
    if (block_crc(f->block) != f->head->crc) return damaged(f, "wrong checksum of its first block", err);
    if (file_bytes != head.file_bytes)
        return error_set(err, "%s: has %llu bytes instead of %llu: %s", f->path, (unsigned long long)file_bytes,
                         (unsigned long long)head.file_bytes, file_bytes < head.file_bytes ? "truncated" : "something was added");
    uint32_t crc;
    if (block_metadata_crc(&crc, f->fd, f->head, f->tensors, f->path, err)) return -1;
    return crc == head.metadata_crc ? 0 : damaged(f, "wrong checksum of its metadata", err);
}

/* ---- what HDF5 knows ---- */

static int find_type(hid_t type, enum tensor_type *found)
{
    const hid_t known[] = {[TENSOR_F32] = H5T_IEEE_F32LE, [TENSOR_F64] = H5T_IEEE_F64LE, [TENSOR_I64] = H5T_STD_I64LE,
                           [TENSOR_U8] = H5T_STD_U8LE};
    for (int i = 0; i <= TENSOR_U8; i++)
        if (H5Tequal(type, known[i]) > 0) {
            *found = (enum tensor_type)i;
            return 0;
        }
    return -1;
}

static int copy_entry(struct tensor_entry *e, hid_t set, const struct block_tensor *t)
{
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    hsize_t dims[H5S_MAX_RANK];
    int status = find_type(type, &e->type);
    e->ndim = H5Sget_simple_extent_ndims(space);
    if (!status && (e->ndim < 0 || e->ndim > 4 || H5Sget_simple_extent_dims(space, dims, NULL) != e->ndim)) status = -1;
    for (int d = 0; !status && d < e->ndim; d++) e->dims[d] = (int64_t)dims[d];
    H5Sclose(space);
    H5Tclose(type);
    if (status || tensor_bytes(e) != t->bytes) return -1;
    return t->bytes && H5Dget_offset(set) != t->offset ? -1 : 0;
}

static herr_t one_tensor(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    (void)info;
    struct tensor_file *f = context;
    if ((uint32_t)f->named >= f->head->count) return -1;
    hid_t set = H5Dopen2(group, name, H5P_DEFAULT);
    if (set < 0) return -1;
    struct tensor_entry *e = &f->entries[f->named];
    int status = copy_entry(e, set, &f->tensors[f->named]);
    e->name = mem_string(name);
    f->named++;
    H5Dclose(set);
    return status;
}

static herr_t one_attribute(hid_t group, const char *name, const H5A_info_t *info, void *context)
{
    (void)info;
    struct tensor_file *f = context;
    hid_t attribute = H5Aopen(group, name, H5P_DEFAULT);
    if (attribute < 0) return -1;
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    char *text = NULL;
    int status = H5Tis_variable_str(type) > 0 && H5Aread(attribute, type, &text) >= 0 ? 0 : -1;
    size_t old = (size_t)f->attribute_count * sizeof(char *);
    f->attribute_names = mem_grow(f->attribute_names, old, old + sizeof(char *));
    f->attribute_texts = mem_grow(f->attribute_texts, old, old + sizeof(char *));
    f->attribute_names[f->attribute_count] = mem_string(name);
    f->attribute_texts[f->attribute_count++] = mem_string(text ? text : "");
    if (!status) H5Dvlen_reclaim(type, space, H5P_DEFAULT, &text);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return status;
}

static int read_metadata(struct tensor_file *f, struct error *err)
{
    f->entries = NEW_ARRAY(struct tensor_entry, f->head->count);
    hdf5_lock();
    hid_t file = H5Fopen(f->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    int status = file < 0 ? hdf5_fail(err, f->path, "open") : 0;
    if (!status && H5Literate(file, H5_INDEX_CRT_ORDER, H5_ITER_INC, NULL, one_tensor, f) < 0)
        status = hdf5_fail(err, f->path, "list the tensors");
    if (!status && H5Aiterate2(file, H5_INDEX_NAME, H5_ITER_INC, NULL, one_attribute, f) < 0)
        status = hdf5_fail(err, f->path, "list the attributes");
    if (file >= 0) H5Fclose(file);
    hdf5_unlock();
    if (!status && (uint32_t)f->named != f->head->count) status = damaged(f, "a tensor is missing", err);
    return status;
}

struct tensor_file *tensor_file_open(const char *path, struct error *err)
{
    struct tensor_file *f = NEW(struct tensor_file);
    f->path = mem_string(path);
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    int status = f->fd < 0 ? error_set(err, "%s: cannot open: %s", path, strerror(errno)) : 0;
    if (!status) status = read_block(f, err);
    if (!status) status = read_metadata(f, err);
    if (!status) return f;
    tensor_file_close(f);
    return NULL;
}

void tensor_file_close(struct tensor_file *f)
{
    if (!f) return;
    for (int i = 0; i < f->named; i++) mem_free((char *)f->entries[i].name);
    for (int i = 0; i < f->attribute_count; i++) {
        mem_free(f->attribute_names[i]);
        mem_free(f->attribute_texts[i]);
    }
    mem_free(f->attribute_names);
    mem_free(f->attribute_texts);
    mem_free(f->entries);
    mem_free(f->block);
    if (f->fd >= 0) close(f->fd);
    mem_free(f->path);
    mem_free(f);
}

/* ---- use ---- */

int tensor_file_count(const struct tensor_file *f)
{
    return f->named;
}

void tensor_file_entry(const struct tensor_file *f, int i, struct tensor_entry *entry)
{
    ASSERT(i >= 0 && i < f->named);
    *entry = f->entries[i];
}

const char *tensor_file_attribute(const struct tensor_file *f, const char *name)
{
    for (int i = 0; i < f->attribute_count; i++)
        if (!strcmp(f->attribute_names[i], name)) return f->attribute_texts[i];
    return NULL;
}

void tensor_file_identity(const struct tensor_file *f, uint8_t digest[32])
{
    sha256_of(digest, f->block, f->head->block_bytes);
}

/* Into data, or (NULL) only through the sum. */
static int read_tensor(const struct tensor_file *f, int i, uint8_t *data, struct error *err)
{
    const struct block_tensor *t = &f->tensors[i];
    uint8_t *piece = data ? NULL : mem_alloc(PIECE_BYTES);
    uint32_t crc = 0;
    int status = 0;
    for (uint64_t at = 0; at < t->bytes && !status; at += PIECE_BYTES) {
        size_t bytes = t->bytes - at < PIECE_BYTES ? (size_t)(t->bytes - at) : PIECE_BYTES;
        uint8_t *to = data ? data + at : piece;
        status = file_pread(f->fd, to, bytes, t->offset + at, f->path, err);
        if (!status) crc = crc32c(crc, to, bytes);
    }
    mem_free(piece);
    if (!status && crc != t->crc)
        status = error_set(err, "%s: is damaged: wrong checksum of tensor '%s'", f->path, f->entries[i].name);
    return status;
}

static bool same_shape(const struct tensor_entry *a, const struct tensor_entry *b)
{
    bool same = a->type == b->type && a->ndim == b->ndim;
    for (int d = 0; same && d < a->ndim; d++) same = a->dims[d] == b->dims[d];
    return same;
}

int tensor_file_read(struct tensor_file *f, const struct tensor_entry *entry, struct error *err)
{
    int i = 0;
    while (i < f->named && strcmp(f->entries[i].name, entry->name)) i++;
    if (i == f->named) return error_set(err, "%s: has no tensor '%s'", f->path, entry->name);
    if (same_shape(&f->entries[i], entry)) return read_tensor(f, i, entry->data, err);
    char here[120], wanted[120];
    tensor_describe(here, sizeof here, &f->entries[i]);
    tensor_describe(wanted, sizeof wanted, entry);
    return error_set(err, "%s: tensor '%s' is %s in the file, but %s is wanted", f->path, entry->name, here, wanted);
}

int tensor_file_verify(struct tensor_file *f, struct error *err)
{
    for (int i = 0; i < f->named; i++)
        if (read_tensor(f, i, NULL, err)) return -1;
    return 0;
}
