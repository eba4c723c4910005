/* weights_source.c - see weights_source.h. */
#include "io/weights/weights_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

int weights_source_open(struct weights_source *s, const char *path, struct error *err)
{
    struct stat info;
    *s = (struct weights_source){.name = mem_string(path), .fd = open(path, O_RDONLY | O_CLOEXEC)};
    if (s->fd < 0) return error_set(err, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(s->fd, &info)) return error_set(err, "%s: cannot look at it: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return error_set(err, "%s: is not a file", path);
    s->bytes = (uint64_t)info.st_size;
    return 0;
}

void weights_source_memory(struct weights_source *s, const char *name, const void *data, size_t bytes)
{
    *s = (struct weights_source){.name = mem_string(name), .bytes = bytes, .data = data, .fd = -1};
}

void weights_source_close(struct weights_source *s)
{
    if (s->fd >= 0 && !s->data && s->name) close(s->fd);
    mem_free(s->name);
    *s = (struct weights_source){.fd = -1};
}

int weights_source_read(const struct weights_source *s, void *to, uint64_t offset, uint64_t bytes, struct error *err)
{
    if (offset > s->bytes || bytes > s->bytes - offset)
        return error_set(err, "%s: is truncated or damaged: bytes %llu to %llu are wanted, it has %llu", s->name, (unsigned long long)offset,
                         (unsigned long long)(offset + bytes), (unsigned long long)s->bytes);
    if (!s->data) return file_pread(s->fd, to, bytes, offset, s->name, err);
    if (bytes) memcpy(to, s->data + offset, bytes);
    return 0;
}

uint8_t *weights_source_piece(const struct weights_source *s, uint64_t offset, uint64_t bytes, uint64_t most, const char *what, struct error *err)
{
    if (bytes > most) {
        error_set(err, "%s: %s has %llu bytes, more than any network needs (%llu)", s->name, what, (unsigned long long)bytes, (unsigned long long)most);
        return NULL;
    }
    bool fits = offset <= s->bytes && bytes <= s->bytes - offset; /* else no memory is taken */
    uint8_t *piece = fits ? mem_alloc(bytes + 1) : NULL;
    if (weights_source_read(s, piece, offset, bytes, err)) {
        mem_free(piece);
        return NULL;
    }
    piece[bytes] = 0;
    return piece;
}
