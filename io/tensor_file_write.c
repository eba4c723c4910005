/* tensor_file_write.c - a tensor file in three parts: HDF5 plans it in memory, metadata and tensors go to the disk, the first
 * block with the sums comes last.
 *
 * DESIGN. The plan's tensors are allocated but never written, and the metadata lie before them in one reserved stretch, so
 * HDF5's file in memory (core driver) stays as short as the metadata. Its image is taken over when the file is closed: that
 * is when HDF5 hands the buffer to the "free" callback. Asking for the image in any other way would fill in the tensors. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "io/shard/hdf5_call.h"
#include "io/tensor_file_block.h"

struct writer {
    const char *path; /* the final name, for messages */
    const struct tensor_entry *entries;
    int count;
    const struct tensor_attribute *attributes;
    int attribute_count;
    uint8_t *block;                /* head and tensors point into it */
    struct block_head *head;
    struct block_tensor *tensors;
    uint8_t *image;                /* from HDF5: the file's first image_bytes */
    size_t image_bytes;
    int file;                      /* descriptor */
};

static int check_entries(const struct writer *w, struct error *err)
{
    for (int i = 0; i < w->count; i++) {
        const struct tensor_entry *e = &w->entries[i];
        if (!e->name || !*e->name || strchr(e->name, '/') || !strcmp(e->name, "."))
            return error_set(err, "%s: '%s' cannot be the name of a tensor", w->path, e->name ? e->name : "");
        ASSERT(e->ndim >= 0 && e->ndim <= 4);
        for (int d = 0; d < e->ndim; d++) ASSERT(e->dims[d] >= 0);
    }
    return 0;
}

/* ---- the buffer of HDF5's file in memory: ours at last ---- */

static void *image_alloc(size_t bytes, H5FD_file_image_op_t op, void *writer)
{
    (void)op;
    ((struct writer *)writer)->image_bytes = bytes;
    return mem_alloc(bytes);
}

static void *image_grow(void *image, size_t bytes, H5FD_file_image_op_t op, void *writer)
{
    (void)op;
    struct writer *w = writer;
    size_t old = image ? w->image_bytes : 0;
    w->image_bytes = bytes;
    return mem_grow(image, old, bytes);
}

static herr_t image_take(void *image, H5FD_file_image_op_t op, void *writer)
{
    if (op == H5FD_FILE_IMAGE_OP_FILE_CLOSE)
        ((struct writer *)writer)->image = image;
    else
        mem_free(image);
    return 0;
}

static void *writer_same(void *writer)
{
    return writer;
}

static herr_t writer_keep(void *writer)
{
    (void)writer;
    return 0;
}

/* ---- the plan ---- */

static hid_t stored_type(enum tensor_type type)
{
    switch (type) {
    case TENSOR_F32: return H5T_IEEE_F32LE;
    case TENSOR_F64: return H5T_IEEE_F64LE;
    case TENSOR_I64: return H5T_STD_I64LE;
    default: return H5T_STD_U8LE;
    }
}

static int plan_tensor(hid_t file, const struct tensor_entry *e, struct block_tensor *t)
{
    hsize_t dims[4] = {0};
    for (int d = 0; d < e->ndim; d++) dims[d] = (hsize_t)e->dims[d];
    hid_t space = e->ndim ? H5Screate_simple(e->ndim, dims, NULL) : H5Screate(H5S_SCALAR), create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_alloc_time(create, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(create, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(create, 0); /* the same tensors make the same bytes */
    hid_t set = H5Dcreate2(file, e->name, stored_type(e->type), space, H5P_DEFAULT, create, H5P_DEFAULT);
    t->bytes = tensor_bytes(e);
    haddr_t offset = set >= 0 && t->bytes ? H5Dget_offset(set) : 0;
    t->offset = offset;
    if (set >= 0) H5Dclose(set);
    H5Pclose(create);
    H5Sclose(space);
    return set < 0 || offset == HADDR_UNDEF ? -1 : 0;
}

/* A string of variable length, which h5py reads as str. */
static int plan_attribute(hid_t file, const struct tensor_attribute *a)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    hid_t attribute = H5Acreate2(file, a->name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    int status = attribute < 0 || H5Awrite(attribute, type, &a->text) < 0 ? -1 : 0;
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    return status;
}

/* Room for all metadata, generously: what does not fit lands behind the tensors, and HDF5 would fill in all before it. */
static size_t metadata_room(const struct writer *w)
{
    enum { ROOM_LEAST = 1 << 16, ROOM_EACH = 1 << 10 };
    size_t room = ROOM_LEAST + (size_t)(w->count + w->attribute_count) * ROOM_EACH;
    for (int i = 0; i < w->count; i++) room += 2 * strlen(w->entries[i].name);
    for (int i = 0; i < w->attribute_count; i++) room += 2 * (strlen(w->attributes[i].name) + strlen(w->attributes[i].text));
    return room;
}

static hid_t plan_create(struct writer *w, struct error *err)
{
    enum { ALIGN_FROM = 1 << 16, GROW_BYTES = 1 << 16 };
    H5FD_file_image_callbacks_t buffer = {.image_malloc = image_alloc, .image_realloc = image_grow, .image_free = image_take,
                                          .udata_copy = writer_same, .udata_free = writer_keep, .udata = w};
    hid_t create = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_obj_track_times(create, 0); /* of the root group: the same tensors make the same bytes */
    H5Pset_userblock(create, w->head->block_bytes);
    H5Pset_link_creation_order(create, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V110);
    H5Pset_alignment(access, ALIGN_FROM, BLOCK_LEAST_BYTES);
    H5Pset_meta_block_size(access, metadata_room(w));
    H5Pset_fapl_core(access, GROW_BYTES, 0);
    H5Pset_file_image_callbacks(access, &buffer);
    hid_t file = H5Fcreate("a tensor file in memory", H5F_ACC_TRUNC, create, access); /* HDF5 would read a file of that name */
    if (file < 0) hdf5_fail(err, w->path, "plan the file in memory"); /* before other calls forget the reason */
    H5Pclose(access);
    H5Pclose(create);
    return file;
}

static int plan_contents(hid_t file, struct writer *w, struct error *err)
{
    for (int i = 0; i < w->count; i++)
        if (plan_tensor(file, &w->entries[i], &w->tensors[i])) {
            hdf5_fail(err, w->path, "add a tensor");
            return error_prefix(err, "tensor '%s'", w->entries[i].name);
        }
    for (int i = 0; i < w->attribute_count; i++)
        if (plan_attribute(file, &w->attributes[i])) {
            hdf5_fail(err, w->path, "add an attribute");
            return error_prefix(err, "attribute '%s'", w->attributes[i].name);
        }
    return 0;
}

static int make_plan(struct writer *w, struct error *err)
{
    hsize_t bytes = 0;
    hdf5_lock();
    hid_t file = plan_create(w, err);
    int status = file < 0 ? -1 : plan_contents(file, w, err);
    if (!status && H5Fget_filesize(file, &bytes) < 0) status = hdf5_fail(err, w->path, "plan the file in memory");
    if (file >= 0 && H5Fclose(file) < 0 && !status) status = hdf5_fail(err, w->path, "plan the file in memory");
    hdf5_unlock();
    w->head->file_bytes = bytes;
    ASSERT(status || (w->image && bytes >= w->head->block_bytes));
    return status;
}

/* ---- to the disk ---- */

static int write_bytes(struct writer *w, struct block_tensor *t, const uint8_t *data, struct error *err)
{
    for (uint64_t at = 0; at < t->bytes; at += PIECE_BYTES) {
        size_t bytes = t->bytes - at < PIECE_BYTES ? (size_t)(t->bytes - at) : PIECE_BYTES;
        t->crc = crc32c(t->crc, data + at, bytes);
        if (file_pwrite(w->file, data + at, bytes, t->offset + at, w->path, err)) return -1;
    }
    return 0;
}

static int write_tensor(struct writer *w, int i, struct error *err)
{
    const struct tensor_entry *e = &w->entries[i];
    struct block_tensor *t = &w->tensors[i];
    if (e->data || !e->make) return write_bytes(w, t, e->data, err);
    void *made = mem_alloc(t->bytes);
    e->make(made, e->source, e->index);
    int status = write_bytes(w, t, made, err);
    mem_free(made);
    return status;
}

/* The image may be longer than the file: its buffer grows in steps. */
static int write_metadata(struct writer *w, struct error *err)
{
    uint64_t from = w->head->block_bytes, to = w->image_bytes < w->head->file_bytes ? w->image_bytes : w->head->file_bytes;
    return from < to ? file_pwrite(w->file, w->image + from, (size_t)(to - from), from, w->path, err) : 0;
}

static int write_all(struct writer *w, struct error *err)
{
    if (ftruncate(w->file, (off_t)w->head->file_bytes))
        return error_set(err, "%s: cannot make a file of %.1f MB: %s", w->path, (double)w->head->file_bytes / 1e6, strerror(errno));
    if (write_metadata(w, err)) return -1; /* before the tensors: it may reach into them */
    for (int i = 0; i < w->count; i++) {
        fault_point("tensor");
        if (write_tensor(w, i, err)) return -1;
    }
    if (block_metadata_crc(&w->head->metadata_crc, w->file, w->head, w->tensors, w->path, err)) return -1;
    w->head->crc = block_crc(w->block);
    if (file_pwrite(w->file, w->block, w->head->block_bytes, 0, w->path, err)) return -1;
    return fsync(w->file) ? error_set(err, "%s: cannot sync: %s", w->path, strerror(errno)) : 0;
}

static int write_temporary(struct writer *w, const char *temporary, struct error *err)
{
    w->file = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->file < 0) return error_set(err, "%s: cannot create: %s", w->path, strerror(errno));
    int status = write_all(w, err);
    if (close(w->file) && !status) status = error_set(err, "%s: cannot close: %s", w->path, strerror(errno));
    return status;
}

static void open_block(struct writer *w)
{
    size_t need = sizeof *w->head + (size_t)w->count * sizeof *w->tensors, bytes = BLOCK_LEAST_BYTES;
    while (bytes < need) bytes *= 2;
    w->block = mem_zero(bytes);
    w->head = (struct block_head *)w->block;
    w->tensors = (struct block_tensor *)(w->block + sizeof *w->head);
    memcpy(w->head->magic, BLOCK_MAGIC, sizeof BLOCK_MAGIC);
    w->head->block_bytes = bytes;
    w->head->count = (uint32_t)w->count;
}

int tensor_file_write(const char *path, const struct tensor_entry *entries, int count,
                      const struct tensor_attribute *attributes, int attribute_count, struct error *err)
{
    struct writer w = {.path = path, .entries = entries, .count = count, .attributes = attributes, .attribute_count = attribute_count,
                       .file = -1};
    if (check_entries(&w, err)) return -1;
    char *temporary = mem_format("%s.tmp-%ld", path, (long)getpid());
    open_block(&w);
    int status = make_plan(&w, err);
    if (!status) status = write_temporary(&w, temporary, err);
    if (!status) status = file_rename(temporary, path, err);
    if (status) unlink(temporary);
    mem_free(w.image);
    mem_free(w.block);
    mem_free(temporary);
    return status;
}
