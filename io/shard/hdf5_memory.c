/* hdf5_memory.c - HDF5 files in memory: the library allocates through the functions here, and what it frees when the file
 * is closed stays ours. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/shard/hdf5_call.h"

static void *image_grow(void *image, size_t bytes, H5FD_file_image_op_t op, void *memory)
{
    (void)op;
    struct hdf5_memory *m = memory;
    if (m->source) return bytes <= m->room ? image : NULL; /* changes of a loaded file fit in their places */
    size_t had = image ? m->used : 0;
    if (bytes > m->room) {
        m->room = bytes > 2 * m->room ? bytes : 2 * m->room;
        image = mem_grow(image, had, m->room);
        memset((uint8_t *)image + had, 0, m->room - had); /* HDF5 leaves gaps: no stale memory goes to the disk */
    }
    m->used = bytes;
    return image;
}

/* A loaded image is worked on where it lies: no list and no file gets a copy. */
static void *image_alloc(size_t bytes, H5FD_file_image_op_t op, void *memory)
{
    struct hdf5_memory *m = memory;
    if (!m->source) return image_grow(NULL, bytes, op, memory);
    m->used = bytes;
    return m->source;
}

static void *image_copy(void *to, const void *from, size_t bytes, H5FD_file_image_op_t op, void *memory)
{
    (void)op, (void)memory;
    return to == from ? to : memcpy(to, from, bytes);
}

static herr_t image_take(void *image, H5FD_file_image_op_t op, void *memory)
{
    struct hdf5_memory *m = memory;
    if (op == H5FD_FILE_IMAGE_OP_FILE_CLOSE)
        m->image = image;
    else if (image != m->source)
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

/* Access to a file in memory, through the functions above; -1 when HDF5 has no room for that. */
static hid_t memory_access(struct hdf5_memory *m)
{
    enum { GROW_BYTES = 1 << 12, METADATA_BYTES = 1 << 15, RAW_BYTES = 1 << 12 };
    H5FD_file_image_callbacks_t buffer = {.image_malloc = image_alloc, .image_memcpy = image_copy, .image_realloc = image_grow,
                                          .image_free = image_take, .udata_copy = same, .udata_free = keep, .udata = m};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    *m = (struct hdf5_memory){.file = -1};
    if (access >= 0 && H5Pset_fapl_core(access, GROW_BYTES, 0) >= 0 && H5Pset_meta_block_size(access, METADATA_BYTES) >= 0 &&
        H5Pset_small_data_block_size(access, RAW_BYTES) >= 0 &&
        H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0 && H5Pset_file_image_callbacks(access, &buffer) >= 0)
        return access;
    if (access >= 0) H5Pclose(access);
    return -1;
}

static const char NO_FILE[] = "a shard in memory"; /* HDF5 would read a file of that name */

int hdf5_memory_open(struct hdf5_memory *m)
{
    hid_t access = memory_access(m), create = H5Pcreate(H5P_FILE_CREATE);
    if (access < 0) return -1;
    H5Pset_obj_track_times(create, 0); /* of the root group: the same input makes the same bytes */
    m->file = H5Fcreate(NO_FILE, H5F_ACC_TRUNC, create, access);
    H5Pclose(create);
    H5Pclose(access);
    return m->file < 0 ? -1 : 0;
}

int hdf5_memory_load(struct hdf5_memory *m, void *image, size_t bytes)
{
    hid_t access = memory_access(m);
    if (access < 0) return -1;
    m->source = image;
    m->room = bytes;
    if (H5Pset_file_image(access, image, bytes) >= 0) m->file = H5Fopen(NO_FILE, H5F_ACC_RDWR, access);
    H5Pclose(access);
    return m->file < 0 ? -1 : 0;
}

/* Where the file ends by its own first block (HDF5 File Format Specification 3.0, superblock version 3): behind what HDF5 has
 * only reserved, and before what the buffer has too much; cut there, any truncation later is an error of H5Fopen. */
static uint64_t end_of_file(const struct hdf5_memory *m)
{
    enum { VERSION = 8, END = 28 };
    uint64_t end = 0;
    ASSERT(m->image && m->used >= END + 8 && m->image[VERSION] == 3);
    for (int i = 7; i >= 0; i--) end = end << 8 | m->image[END + i];
    return end;
}

int hdf5_memory_finish(struct hdf5_memory *m)
{
    if (H5Fclose(m->file) < 0) return -1;
    m->file = -1;
    m->file_bytes = end_of_file(m);
    return 0;
}

void hdf5_memory_close(struct hdf5_memory *m)
{
    if (m->file >= 0) H5Fclose(m->file);
    if (m->image != m->source) mem_free(m->image);
    *m = (struct hdf5_memory){.file = -1};
}
