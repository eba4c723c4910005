/* shard_seal.c - gives a finished shard the identity of its packing, which is known only when all shards are made.
 *
 * DESIGN: HDF5 changes two attributes in a private mapping of the file; the blocks that differ are then written to the file. A kill
 * between two blocks leaves a file whose checksums are wrong: shard_open refuses it, and pack makes it again. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/shard/hdf5_call.h"
#include "io/shard/shard_format.h"

static int write_blocks(int file, const char *path, const uint8_t *now, const uint8_t *before, size_t bytes, struct error *err)
{
    enum { BLOCK = 4096 };
    int status = 0;
    for (size_t at = 0; at < bytes && !status; at += BLOCK) {
        size_t length = bytes - at < BLOCK ? bytes - at : BLOCK;
        if (memcmp(now + at, before + at, length)) status = file_pwrite(file, now + at, length, at, path, err);
    }
    return !status && fsync(file) ? error_set(err, "%s: cannot sync: %m", path) : status;
}

/* `now`: a private mapping of the file, so that only what HDF5 touches is copied. */
static int change_image(int file, const char *path, uint8_t *now, const uint8_t *before, size_t bytes, const char *set_id, uint32_t crc,
                        struct error *err)
{
    struct hdf5_memory m;
    hdf5_lock();
    int status = hdf5_memory_load(&m, now, bytes) || hdf5_change_text(m.file, "set_id", set_id) ||
                 hdf5_change_int(m.file, "metadata_crc32c", crc) || hdf5_memory_finish(&m);
    if (status) status = hdf5_fail(err, path, "change the set's identity");
    if (!status && m.file_bytes != bytes) status = error_set(err, "%s: its length would change", path);
    hdf5_memory_close(&m);
    hdf5_unlock();
    return status ? status : write_blocks(file, path, now, before, bytes, err);
}

static int change(const char *path, const char *set_id, uint32_t crc, struct error *err)
{
    struct stat info;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 || fstat(file, &info)) {
        if (file >= 0) close(file);
        return error_set(err, "%s: cannot open for writing: %m", path);
    }
    size_t bytes = (size_t)info.st_size;
    void *before = mmap(NULL, bytes, PROT_READ, MAP_SHARED, file, 0);
    void *now = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    int status = before == MAP_FAILED || now == MAP_FAILED ? error_set(err, "%s: cannot map: %m", path)
                                                            : change_image(file, path, now, before, bytes, set_id, crc, err);
    if (before != MAP_FAILED) munmap(before, bytes);
    if (now != MAP_FAILED) munmap(now, bytes);
    if (close(file) && !status) status = error_set(err, "%s: cannot close: %m", path);
    return status;
}

int shard_seal(const char *path, const char *set_id, struct error *err)
{
    struct shard s;
    if (shard_open(&s, path, err)) return -1;
    ASSERT(strlen(set_id) == SHARD_SET_ID_LENGTH);
    bool sealed = !strcmp(s.info.set_id, set_id);
    char *old = (char *)s.info.set_id;
    s.info.set_id = mem_string(set_id);
    mem_free(old);
    uint32_t crc = shard_metadata_crc(&s.info, s.items);
    shard_close(&s);
    if (sealed) return 0;
    if (change(path, set_id, crc, err)) return -1;
    if (shard_open(&s, path, err)) return -1; /* read back */
    int status = strcmp(s.info.set_id, set_id) ? error_set(err, "%s: what was read back is not what was written", path) : 0;
    shard_close(&s);
    return status;
}
