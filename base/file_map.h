/* file_map.h - a whole file mapped for reading.
 *
 * DESIGN: reading from a mapping costs one copy, pread the same and the kernel's part; and a mapping needs no file descriptor, so a
 * data set may have more files than a process may open. But what pread returns as an error (a file cut by somebody else, a disk that
 * fails) comes from a mapping as SIGBUS. Copies therefore go through file_map_copy, which takes the signal and returns an error. A thread that
 * copies must not block SIGBUS. */
#ifndef BASE_FILE_MAP_H
#define BASE_FILE_MAP_H
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

struct file_map { /* all 0: nothing is mapped */
    const uint8_t *data;
    size_t bytes;
};
/* An empty file is mapped as nothing. */
int file_map_open(struct file_map *m, const char *path, struct error *err);
void file_map_close(struct file_map *m);
/* Copies bytes out, which must lie within m, and gives their CRC-32C. Thread safe. -1 with err when a page of the
 * file cannot be read, or no memory is left for `to` (shared memory of a full host). */
int file_map_copy(void *to, uint32_t *crc, const struct file_map *m, uint64_t offset, size_t bytes, struct error *err);
/* These bytes will be wanted soon: the system reads them in the background. */
void file_map_expect(const struct file_map *m, uint64_t offset, size_t bytes);
#endif
