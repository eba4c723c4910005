/* hdf5_call.h - the few HDF5 calls that shards need, with our errors; private to io/.
 *
 * DESIGN: (1) one lock around every use of the library, taken by the public functions of io/; the helpers below expect
 * it held. (2) HDF5 never writes to a disk. When a write fails (disk full) the library keeps the broken file in its
 * tables and crashes when the program ends (seen with 1.10.8), so files are built in memory (core driver) and stored by
 * our own writes. Their bytes are taken over when HDF5 frees them: H5Fget_file_image would copy them, with a wrong
 * checksum in the first block. (3) Files use the 1.10 format, whose metadata carry checksums: a flipped byte of a header is an
 * error of H5Fopen or H5Dopen and never reaches the parser. (4) Strings have a fixed length; variable ones lie in a heap
 * without a checksum. */
#ifndef IO_SHARD_HDF5_CALL_H
#define IO_SHARD_HDF5_CALL_H
#include <hdf5.h>
#include <stdint.h>

#include "base/error.h"

void hdf5_lock(void); /* also starts the library on first use: no file locking, no messages of its own */
void hdf5_unlock(void);

/* Fills "PATH: cannot WHAT: <HDF5's innermost reason>". Returns -1. */
int hdf5_fail(struct error *err, const char *path, const char *what);

/* A new file in memory. The struct must not move while the file is open. */
struct hdf5_memory {
    hid_t file;
    void *source;        /* of a loaded one; borrowed */
    uint8_t *image;      /* ours, or source, once the file is closed: its first `used` bytes */
    size_t used, room;
    uint64_t file_bytes; /* length of the file, with what was reserved at its end and never written */
};
/* All return the HDF5 status. */
int hdf5_memory_open(struct hdf5_memory *m);                                       /* a new file */
int hdf5_memory_load(struct hdf5_memory *m, void *image, size_t bytes); /* a file, changed where it lies */
int hdf5_memory_finish(struct hdf5_memory *m); /* closes the file; all other handles on it must be closed */
void hdf5_memory_close(struct hdf5_memory *m); /* also after finish */
hid_t hdf5_open(const char *path, struct error *err); /* read only; -1 with err */

/* A dataset of its own, contiguous. Returns the HDF5 status. */
int hdf5_write_array(hid_t file, const char *name, hid_t stored, hid_t memory, int rank, const hsize_t *dims,
                     const void *data);
/* Root attributes. */
int hdf5_write_int(hid_t file, const char *name, int64_t value);
int hdf5_write_text(hid_t file, const char *name, const char *value);
/* Other values of the same size for attributes that are there. */
int hdf5_change_int(hid_t file, const char *name, int64_t value);
int hdf5_change_text(hid_t file, const char *name, const char *value);
/* `count` strings in one array. */
int hdf5_write_names(hid_t file, const char *name, const char *const *values, int count);

/* Type and shape must be exactly these; returns -1 with err naming `path`. */
int hdf5_read_array(hid_t file, const char *path, const char *name, hid_t stored, hid_t memory, int rank,
                    const hsize_t *dims, void *data, struct error *err);
int hdf5_read_int(hid_t file, const char *path, const char *name, int64_t *value, struct error *err);
/* A new string (mem_free). */
int hdf5_read_text(hid_t file, const char *path, const char *name, char **value, struct error *err);

/* A column of `count` strings. Written padded with zeros to the longest; read into a pool (mem_free) where string i
 * begins at i * *stride and ends with a NUL. */
int hdf5_write_strings(hid_t file, const char *name, const char *const *values, int64_t count);
int hdf5_read_strings(hid_t file, const char *path, const char *name, int64_t count, char **pool, size_t *stride,
                      struct error *err);
#endif
