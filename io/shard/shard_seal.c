/* shard_seal.c - gives a finished shard the identity of its packing, which is known only when all shards are made.
 *
 * DESIGN: HDF5 changes two attributes in a private mapping of the file; the blocks that differ are then written to the file. A kill
 * between two blocks leaves a file whose checksums are wrong: shard_open refuses it, and pack makes it again. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/shard/hdf5_call.h"
#include "io/shard/shard_format.h"

enum { BLOCK = 4096 };
struct span { /* bytes of the file */
    uint64_t from, to;
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* HDF5 has nothing of its own among the pixels, when they lie in one piece. */
static struct span pixels_of(const struct shard *s)
{
    int64_t last = s->info.images - 1;
    if (s->info.gzip) return (struct span){0, 0};
    return (struct span){s->address[0], s->address[last] + s->stored_bytes[last]};
}

static int write_blocks(int file, const char *path, const uint8_t *now, const uint8_t *before, struct span part, struct error *err)
{
    for (uint64_t at = part.from; at < part.to; at += BLOCK) {
        size_t length = (size_t)smaller(part.to - at, BLOCK);
        if (memcmp(now + at, before + at, length) && file_pwrite(file, now + at, length, at, path, err)) return -1;
    }
    return 0;
}

/* `now`: a private mapping of the file, so that only what HDF5 touches is copied. */
static int change_image(int file, const struct shard *s, uint8_t *now, const uint8_t *before, uint32_t crc, struct error *err)
{
    struct hdf5_memory m;
    struct span pixels = pixels_of(s);
    const size_t bytes = s->map.bytes;
    hdf5_lock();
    int status = hdf5_memory_load(&m, now, bytes) || hdf5_change_text(m.file, "set_id", s->info.set_id) ||
                 hdf5_change_int(m.file, "metadata_crc32c", crc) || hdf5_memory_finish(&m);
    if (status) status = hdf5_fail(err, s->path, "change the set's identity");
    if (!status && m.file_bytes != bytes) status = error_set(err, "%s: its length would change", s->path);
    hdf5_memory_close(&m);
    hdf5_unlock();
    if (!status) status = write_blocks(file, s->path, now, before, (struct span){0, pixels.from}, err);
    if (!status) status = write_blocks(file, s->path, now, before, (struct span){pixels.to, bytes}, err);
    return !status && fsync(file) ? error_set(err, "%s: cannot sync: %m", s->path) : status;
}

/* `s` is open and has the new identity already. */
static int change(const struct shard *s, uint32_t crc, struct error *err)
{
    int file = open(s->path, O_RDWR | O_CLOEXEC);
    if (file < 0) return error_set(err, "%s: cannot open for writing: %m", s->path);
    void *now = mmap(NULL, s->map.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    int status = now == MAP_FAILED ? error_set(err, "%s: cannot map: %m", s->path) : change_image(file, s, now, s->map.data, crc, err);
    if (now != MAP_FAILED) munmap(now, s->map.bytes);
    if (close(file) && !status) status = error_set(err, "%s: cannot close: %m", s->path);
    return status;
}

int shard_seal(const char *path, const char *set_id, struct error *err)
{
    struct shard s;
    if (shard_open(&s, path, err)) return -1;
    ASSERT(strlen(set_id) == SHARD_SET_ID_LENGTH);
    bool sealed = !strcmp(s.info.set_id, set_id);
    mem_free((char *)s.info.set_id);
    s.info.set_id = mem_string(set_id);
    int status = sealed ? 0 : change(&s, shard_metadata_crc(&s.info, s.items), err);
    shard_close(&s);
    if (sealed || status) return status;
    if (shard_open(&s, path, err)) return -1; /* read back */
    status = strcmp(s.info.set_id, set_id) ? error_set(err, "%s: what was read back is not what was written", path) : 0;
    shard_close(&s);
    return status;
}
