/* hdf5_memory.c - HDF5 files in memory: the library allocates through the functions here, and what it frees when the file
 * is closed stays ours. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/hdf5_call.h"

static void *image_alloc(size_t bytes, H5FD_file_image_op_t op, void *memory)
{
    (void)op;
    struct hdf5_memory *m = memory;
    m->used = bytes;
    m->room = bytes > m->expected ? bytes : m->expected;
    return mem_zero(m->room); /* HDF5 leaves gaps: no stale memory goes to the disk, and equal input makes equal bytes */
}

/* HDF5 asks for small steps, so that the file ends where its contents end; they are taken from the room. */
static void *image_grow(void *image, size_t bytes, H5FD_file_image_op_t op, void *memory)
{
    struct hdf5_memory *m = memory;
    if (!image) return image_alloc(bytes, op, memory);
    size_t room = bytes > m->room ? bytes + bytes / 2 : m->room;
    if (room > m->room) {
        uint8_t *longer = mem_grow(image, m->used, room);
        memset(longer + m->used, 0, room - m->used);
        image = longer;
    }
    m->room = room;
    m->used = bytes;
    return image;
}

static herr_t image_take(void *image, H5FD_file_image_op_t op, void *memory)
{
    if (op == H5FD_FILE_IMAGE_OP_FILE_CLOSE)
        ((struct hdf5_memory *)memory)->image = image;
    else
        mem_free(image);
    return 0;
}

static void *same(void *memory)
{
    return memory;
}

static herr_t keep(void *memory)
{
    (void)memory;
    return 0;
}

int hdf5_memory_open(struct hdf5_memory *m, size_t expected_bytes)
{
    enum { GROW_BYTES = 1 << 12, METADATA_BYTES = 1 << 20 };
    *m = (struct hdf5_memory){.file = -1, .expected = expected_bytes + METADATA_BYTES};
    H5FD_file_image_callbacks_t buffer = {.image_malloc = image_alloc, .image_realloc = image_grow, .image_free = image_take,
                                          .udata_copy = same, .udata_free = keep, .udata = m};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access >= 0 && H5Pset_fapl_core(access, GROW_BYTES, 0) >= 0 &&
        H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0 && H5Pset_file_image_callbacks(access, &buffer) >= 0)
        m->file = H5Fcreate("a shard in memory", H5F_ACC_TRUNC, H5P_DEFAULT, access); /* a file of that name would be read */
    if (access >= 0) H5Pclose(access);
    return m->file < 0 ? -1 : 0;
}

/* Where the file ends by its own first block (HDF5 File Format Specification 3.0, superblock version 3). The buffer is
 * longer by what HDF5 had reserved; cut there, any truncation later is an error of H5Fopen. */
static size_t end_of_file(const struct hdf5_memory *m)
{
    enum { VERSION = 8, END = 28 };
    size_t end = 0;
    ASSERT(m->image && m->used >= END + 8 && m->image[VERSION] == 3);
    for (int i = 7; i >= 0; i--) end = end << 8 | m->image[END + i];
    ASSERT(end <= m->used);
    return end;
}

int hdf5_memory_store(struct hdf5_memory *m, const char *path, struct error *err)
{
    if (H5Fclose(m->file) < 0) return hdf5_fail(err, path, "finish the file");
    m->file = -1;
    return file_write_atomic(path, m->image, end_of_file(m), err);
}

void hdf5_memory_close(struct hdf5_memory *m)
{
    if (m->file >= 0) H5Fclose(m->file);
    mem_free(m->image);
    *m = (struct hdf5_memory){.file = -1};
}
