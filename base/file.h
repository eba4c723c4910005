/* file.h - whole or absent: files are written to a temporary name, synced and renamed. */
#ifndef BASE_FILE_H
#define BASE_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "base/error.h"

/* Reads a whole file; *data ends with an extra NUL byte; the caller frees it with mem_free. Returns -1 with err. */
int file_read(uint8_t **data, size_t *bytes, const char *path, struct error *err);
/* Writes path.tmp-PID, fsyncs it, renames it to path, fsyncs the folder. On failure nothing of `path` has changed. */
int file_write_atomic(const char *path, const void *data, size_t bytes, struct error *err);
/* The same without syncing: readers see the old content or the new one, but after a crash of the machine it may be neither. For what is
 * written often, or can be made again. */
int file_write_unsynced(const char *path, const void *data, size_t bytes, struct error *err);
/* Writes and fsyncs `path` itself: for who renames it later. On failure a part of it may stand there. */
int file_write_synced(const char *path, const void *data, size_t bytes, struct error *err);
/* All `bytes` at `offset`, past interruptions; -1 with err, which names `path` and the cause. */
int file_pread(int fd, void *data, size_t bytes, uint64_t offset, const char *path, struct error *err);
int file_pwrite(int fd, const void *data, size_t bytes, uint64_t offset, const char *path, struct error *err);
/* fsync of a file or folder by name. */
int file_sync(const char *path, struct error *err);
/* Renames and syncs the containing folder. */
int file_rename(const char *from, const char *to, struct error *err);
/* mkdir -p. */
int folder_create(const char *path, struct error *err);
/* rm -r of a folder that we made. Missing is fine. */
int folder_remove(const char *path, struct error *err);
/* Names in a folder (without . and ..), sorted bytewise, depth 1. Caller frees with folder_list_free. */
int folder_list(char ***names, int *count, const char *path, struct error *err);
void folder_list_free(char **names, int count);
bool path_exists(const char *path);
bool path_is_folder(const char *path);
/* "dir/name" into a new string (mem_free). */
char *path_join(const char *folder, const char *name);
const char *path_base(const char *path); /* part after the last slash */
#endif
