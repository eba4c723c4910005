/* hdf5_call.c - the lock, errors, arrays, attributes and strings; files in memory are in hdf5_memory.c. */
#include "io/shard/hdf5_call.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { TEXT_MAX = 60000, STRING_MAX = 4096 }; /* attributes live in a header of at most 64 KiB */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t started = PTHREAD_ONCE_INIT;

static void start(void)
{
    /* Network file systems of clusters often have no locks; shards are never opened for writing. */
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
    H5open();
}

void hdf5_lock(void)
{
    pthread_once(&started, start);
    pthread_mutex_lock(&lock);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* per thread in a thread-safe HDF5 */
}

void hdf5_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

static herr_t keep_first(unsigned n, const H5E_error2_t *e, void *text)
{
    if (n == 0) snprintf(text, 200, "%s", e->desc);
    return 0;
}

int hdf5_fail(struct error *err, const char *path, const char *what)
{
    char reason[200] = "HDF5 gives no reason";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, reason); /* upward: from where it went wrong */
    return error_set(err, "%s: cannot %s: %s", path, what, reason);
}

hid_t hdf5_open(const char *path, struct error *err)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_cache(access, 0, 0, 0, 0); /* a chunk is one image, read once: HDF5's chunk cache would only cost memory */
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (file < 0) {
        hdf5_fail(err, path, "open");
        error_hint(err, "the file is truncated, damaged or no HDF5 file; make it again with ladnn pack");
    }
    H5Pclose(access);
    return file;
}

int hdf5_write_array(hid_t file, const char *name, hid_t stored, hid_t memory, int rank, const hsize_t *dims,
                     const void *data)
{
    hid_t space = H5Screate_simple(rank, dims, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(create, 0); /* the same input makes the same bytes */
    hid_t set = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, create, H5P_DEFAULT);
    int status = set < 0 || H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0 ? -1 : 0;
    if (set >= 0) H5Dclose(set);
    H5Pclose(create);
    H5Sclose(space);
    return status;
}

static int write_attribute(hid_t file, const char *name, hid_t stored, hid_t memory, hid_t space, const void *value)
{
    hid_t attribute = H5Acreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0) return -1;
    int status = H5Awrite(attribute, memory, value) < 0 ? -1 : 0;
    H5Aclose(attribute);
    return status;
}

int hdf5_write_int(hid_t file, const char *name, int64_t value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    int status = write_attribute(file, name, H5T_STD_I64LE, H5T_NATIVE_INT64, space, &value);
    H5Sclose(space);
    return status;
}

static int change_attribute(hid_t file, const char *name, hid_t memory, const void *value)
{
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    int status = attribute < 0 || H5Awrite(attribute, memory, value) < 0 ? -1 : 0;
    if (attribute >= 0) H5Aclose(attribute);
    return status;
}

int hdf5_change_int(hid_t file, const char *name, int64_t value)
{
    return change_attribute(file, name, H5T_NATIVE_INT64, &value);
}

static hid_t string_type(size_t width)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, width);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

/* Strings side by side, each padded with zeros to the longest (at least one byte). */
static char *pad_strings(const char *const *values, int64_t count, size_t *width)
{
    *width = 1;
    for (int64_t i = 0; i < count; i++)
        if (strlen(values[i]) > *width) *width = strlen(values[i]);
    char *pool = mem_zero((size_t)count * *width);
    for (int64_t i = 0; i < count; i++) memcpy(pool + (size_t)i * *width, values[i], strlen(values[i]));
    return pool;
}

static int write_string_attribute(hid_t file, const char *name, hid_t space, const char *const *values, int count)
{
    size_t width;
    char *pool = pad_strings(values, count, &width);
    hid_t type = string_type(width);
    int status = width > TEXT_MAX ? -1 : write_attribute(file, name, type, type, space, pool);
    H5Tclose(type);
    H5Sclose(space);
    mem_free(pool);
    return status;
}

int hdf5_write_text(hid_t file, const char *name, const char *value)
{
    return write_string_attribute(file, name, H5Screate(H5S_SCALAR), &value, 1);
}

int hdf5_change_text(hid_t file, const char *name, const char *value)
{
    hid_t type = string_type(strlen(value));
    int status = change_attribute(file, name, type, value);
    H5Tclose(type);
    return status;
}

int hdf5_write_names(hid_t file, const char *name, const char *const *values, int count)
{
    hsize_t dims = (hsize_t)count;
    return write_string_attribute(file, name, H5Screate_simple(1, &dims, NULL), values, count);
}

int hdf5_write_strings(hid_t file, const char *name, const char *const *values, int64_t count)
{
    size_t width;
    char *pool = pad_strings(values, count, &width);
    hid_t type = string_type(width);
    hsize_t dims = (hsize_t)count;
    int status = width > STRING_MAX ? -1 : hdf5_write_array(file, name, type, type, 1, &dims, pool);
    H5Tclose(type);
    mem_free(pool);
    return status;
}

static bool space_is(hid_t space, int rank, const hsize_t *dims)
{
    hsize_t found[H5S_MAX_RANK];
    if (H5Sget_simple_extent_ndims(space) != rank) return false;
    if (H5Sget_simple_extent_dims(space, found, NULL) != rank) return false;
    return rank == 0 || !memcmp(found, dims, (size_t)rank * sizeof *dims);
}

int hdf5_read_array(hid_t file, const char *path, const char *name, hid_t stored, hid_t memory, int rank,
                    const hsize_t *dims, void *data, struct error *err)
{
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    if (set < 0) return hdf5_fail(err, path, name);
    hid_t space = H5Dget_space(set), type = H5Dget_type(set);
    int status = 0;
    if (!space_is(space, rank, dims) || H5Tequal(type, stored) <= 0)
        status = error_set(err, "%s: %s has another type or shape than the format says", path, name);
    else if (H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        status = hdf5_fail(err, path, "read a column");
    H5Tclose(type);
    H5Sclose(space);
    H5Dclose(set);
    return status;
}

static hid_t open_scalar(hid_t file, const char *path, const char *name, hid_t *type, struct error *err)
{
    if (H5Aexists(file, name) <= 0) {
        error_set(err, "%s: no attribute '%s': not a shard of ladnn, or damaged", path, name);
        return -1;
    }
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    if (attribute < 0) return hdf5_fail(err, path, name);
    hid_t space = H5Aget_space(attribute);
    bool scalar = space_is(space, 0, NULL);
    H5Sclose(space);
    *type = H5Aget_type(attribute);
    if (scalar) return attribute;
    H5Tclose(*type);
    H5Aclose(attribute);
    return error_set(err, "%s: attribute '%s' is not one value", path, name);
}

int hdf5_read_int(hid_t file, const char *path, const char *name, int64_t *value, struct error *err)
{
    hid_t type, attribute = open_scalar(file, path, name, &type, err);
    if (attribute < 0) return -1;
    int status = 0;
    if (H5Tequal(type, H5T_STD_I64LE) <= 0)
        status = error_set(err, "%s: attribute '%s' is not a 64-bit integer", path, name);
    else if (H5Aread(attribute, H5T_NATIVE_INT64, value) < 0)
        status = hdf5_fail(err, path, name);
    H5Tclose(type);
    H5Aclose(attribute);
    return status;
}

static bool is_fixed_string(hid_t type, size_t width_max)
{
    return H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 && H5Tget_size(type) <= width_max;
}

int hdf5_read_text(hid_t file, const char *path, const char *name, char **value, struct error *err)
{
    hid_t type, attribute = open_scalar(file, path, name, &type, err);
    if (attribute < 0) return -1;
    int status = 0;
    if (!is_fixed_string(type, TEXT_MAX)) {
        status = error_set(err, "%s: attribute '%s' is not a string of fixed length", path, name);
    } else {
        *value = mem_zero(H5Tget_size(type) + 1);
        if (H5Aread(attribute, type, *value) < 0) status = hdf5_fail(err, path, name);
    }
    H5Tclose(type);
    H5Aclose(attribute);
    return status;
}

/* Zeros after the first zero: nothing hides behind a string's end. */
static bool padding_is_zero(const char *string, size_t width)
{
    for (size_t i = strnlen(string, width); i < width; i++)
        if (string[i]) return false;
    return true;
}

/* Spreads the packed strings so that each ends with a NUL. */
static int spread_strings(char *pool, const char *packed, int64_t count, size_t width)
{
    for (int64_t i = 0; i < count; i++) {
        const char *from = packed + (size_t)i * width;
        if (!padding_is_zero(from, width)) return -1;
        memcpy(pool + (size_t)i * (width + 1), from, width);
    }
    return 0;
}

int hdf5_read_strings(hid_t file, const char *path, const char *name, int64_t count, char **pool, size_t *stride,
                      struct error *err)
{
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    if (set < 0) return hdf5_fail(err, path, name);
    hid_t type = H5Dget_type(set);
    size_t width = H5Tget_size(type);
    bool fixed = is_fixed_string(type, STRING_MAX);
    H5Dclose(set);
    int status = fixed ? 0 : error_set(err, "%s: %s does not hold strings of fixed length", path, name);
    if (fixed) {
        hsize_t dims = (hsize_t)count;
        char *packed = mem_zero((size_t)count * width);
        *stride = width + 1;
        *pool = mem_zero((size_t)count * *stride);
        status = hdf5_read_array(file, path, name, type, type, 1, &dims, packed, err);
        if (!status && spread_strings(*pool, packed, count, width))
            status = error_set(err, "%s: damaged: %s has text behind the end of a string", path, name);
        mem_free(packed);
    }
    H5Tclose(type);
    return status;
}
