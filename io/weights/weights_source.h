/* weights_source.h - the bytes of a file that others wrote: on a disk or, for tests, in memory. Nothing is read past its end. */
#ifndef IO_WEIGHTS_SOURCE_H
#define IO_WEIGHTS_SOURCE_H
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

struct weights_source {
    char *name;          /* for messages */
    uint64_t bytes;
    const uint8_t *data; /* NULL: in the file */
    int fd;
};
int weights_source_open(struct weights_source *s, const char *path, struct error *err);
/* Borrows data. */
void weights_source_memory(struct weights_source *s, const char *name, const void *data, size_t bytes);
void weights_source_close(struct weights_source *s);
/* -1 with err when they do not all lie within the file. */
int weights_source_read(const struct weights_source *s, void *to, uint64_t offset, uint64_t bytes, struct error *err);
/* The same into memory of its own (mem_free), with a NUL behind; NULL with err. `most`: longer ones are refused, naming `what`. */
uint8_t *weights_source_piece(const struct weights_source *s, uint64_t offset, uint64_t bytes, uint64_t most, const char *what, struct error *err);
#endif
