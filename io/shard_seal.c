/* shard_seal.c - gives a finished shard the identity of its packing, which is known only when all shards are made.
 *
 * DESIGN: HDF5 changes two attributes in a copy of the file in memory; the blocks that differ are then written to the file. A kill
 * between two blocks leaves a file whose checksums are wrong: shard_open refuses it, and pack makes it again. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/hdf5_call.h"
#include "io/shard_format.h"

static int write_blocks(const char *path, const uint8_t *now, const uint8_t *before, size_t bytes, struct error *err)
{
    enum { BLOCK = 4096 };
    int file = open(path, O_WRONLY | O_CLOEXEC), status = 0;
    if (file < 0) return error_set(err, "%s: cannot open for writing: %m", path);
    for (size_t at = 0; at < bytes && !status; at += BLOCK) {
        size_t length = bytes - at < BLOCK ? bytes - at : BLOCK;
        if (memcmp(now + at, before + at, length)) status = file_pwrite(file, now + at, length, at, path, err);
    }
    if (!status && fsync(file)) status = error_set(err, "%s: cannot sync: %m", path);
    if (close(file) && !status) status = error_set(err, "%s: cannot close: %m", path);
    return status;
}

static int change(const char *path, const char *set_id, uint32_t crc, struct error *err)
{
    struct hdf5_memory m;
    uint8_t *before;
    size_t bytes;
    if (file_read(&before, &bytes, path, err)) return -1;
    hdf5_lock();
    int status = hdf5_memory_load(&m, before, bytes) || hdf5_change_text(m.file, "set_id", set_id) ||
                 hdf5_change_int(m.file, "metadata_crc32c", crc) || hdf5_memory_finish(&m);
    if (status) status = hdf5_fail(err, path, "change the set's identity");
    hdf5_unlock();
    if (!status && (m.used < bytes || m.file_bytes != bytes)) status = error_set(err, "%s: its length would change", path);
    if (!status) status = write_blocks(path, m.image, before, bytes, err);
    hdf5_lock();
    hdf5_memory_close(&m);
    hdf5_unlock();
    mem_free(before);
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
