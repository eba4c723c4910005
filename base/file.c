/* file.c - whole files, and folders.
 *
 * DESIGN: after file_write_atomic returns 0 the new content survives a crash: the data are synced before the rename
 * and the folder after it. Before that a crash leaves the old file and at most a stray `NAME.tmp-PID`.
 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

static int fail_code(struct error *err, const char *path, const char *what, int code)
{
    error_set(err, "%s: cannot %s: %s", path, what, strerror(code));
    if (code == ENOSPC) error_hint(err, "the disk is full; free some space or choose another folder");
    if (code == EDQUOT) error_hint(err, "the disk quota is used up; free some space or choose another folder");
    return -1;
}

static int fail(struct error *err, const char *path, const char *what)
{
    return fail_code(err, path, what, errno);
}

static int read_rest(uint8_t **data, size_t *bytes, int fd, size_t room)
{
    *data = mem_alloc(room);
    *bytes = 0;
    for (;;) {
        if (*bytes + 1 == room) { /* keep one byte for the NUL; pipes and /proc tell no size beforehand */
            *data = mem_grow(*data, *bytes, 2 * room);
            room *= 2;
        }
        ssize_t got = read(fd, *data + *bytes, room - 1 - *bytes);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        *bytes += (size_t)got;
    }
    (*data)[*bytes] = 0;
    return 0;
}

int file_read(uint8_t **data, size_t *bytes, const char *path, struct error *err)
{
    *data = NULL;
    *bytes = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(err, path, "open");
    struct stat info;
    size_t size = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) ? (size_t)info.st_size : 0;
    int status = read_rest(data, bytes, fd, size + 4096);
    if (status) {
        fail(err, path, "read");
        mem_free(*data);
        *data = NULL;
        *bytes = 0;
    }
    close(fd);
    return status;
}

static int write_all(int fd, const uint8_t *data, size_t bytes)
{
    while (bytes) {
        ssize_t done = write(fd, data, bytes);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return -1;
        data += done;
        bytes -= (size_t)done;
    }
    return 0;
}

static int write_new(const char *path, const void *data, size_t bytes, bool sync, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return fail(err, path, "create");
    int status = 0;
    if (write_all(fd, data, bytes))
        status = fail(err, path, "write");
    else if (sync && fsync(fd))
        status = fail(err, path, "sync");
    if (close(fd) && !status) status = fail(err, path, "close");
    return status;
}

int file_write_synced(const char *path, const void *data, size_t bytes, struct error *err)
{
    return write_new(path, data, bytes, true, err);
}

static int rename_over(const char *from, const char *to, struct error *err)
{
    return rename(from, to) ? error_set(err, "%s: cannot rename to %s: %s", from, to, strerror(errno)) : 0;
}

static int replace(const char *path, const void *data, size_t bytes, bool sync, struct error *err)
{
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return error_set(err, "%s: is not a regular file; it is not replaced", path);
    char *temporary = mem_format("%s.tmp-%ld", path, (long)getpid());
    int status = write_new(temporary, data, bytes, sync, err);
    if (!status) status = sync ? file_rename(temporary, path, err) : rename_over(temporary, path, err);
    if (status) unlink(temporary);
    mem_free(temporary);
    return status;
}

int file_write_atomic(const char *path, const void *data, size_t bytes, struct error *err)
{
    return replace(path, data, bytes, true, err);
}

int file_write_unsynced(const char *path, const void *data, size_t bytes, struct error *err)
{
    return replace(path, data, bytes, false, err);
}

int file_sync(const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(err, path, "open");
    int status = 0;
    if (fsync(fd) && errno != EINVAL) status = fail(err, path, "sync"); /* EINVAL: a file system without it */
    close(fd);
    return status;
}

int file_rename(const char *from, const char *to, struct error *err)
{
    if (rename_over(from, to, err)) return -1;
    const char *base = path_base(to);
    char *folder = base == to ? mem_string(".") : mem_format("%.*s", (int)(base - to), to);
    int status = file_sync(folder, err);
    mem_free(folder);
    return status;
}

int folder_create(const char *path, struct error *err)
{
    if (!*path) return error_set(err, "the folder's name is empty");
    char *part = mem_string(path);
    int status = 0;
    for (char *p = part + 1; !status; p++) {
        if (*p != '/' && *p) continue;
        char kept = *p;
        *p = 0;
        int code = mkdir(part, 0777) ? errno : 0; /* another rank may make it at the same moment */
        if (code && !path_is_folder(part)) status = fail_code(err, part, "create the folder", code);
        *p = kept;
        if (!kept) break;
    }
    mem_free(part);
    return status;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

int folder_remove(const char *path, struct error *err)
{
    struct stat info;
    if (lstat(path, &info)) return errno == ENOENT ? 0 : fail(err, path, "remove");
    if (!S_ISDIR(info.st_mode)) return error_set(err, "%s: is not a folder", path);
    enum { OPEN_FOLDERS = 16 };
    return nftw(path, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) ? fail(err, path, "remove") : 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int folder_list(char ***names, int *count, const char *path, struct error *err)
{
    *names = NULL;
    *count = 0;
    DIR *folder = opendir(path);
    if (!folder) return fail(err, path, "open the folder");
    int room = 0;
    struct dirent *entry;
    while (errno = 0, (entry = readdir(folder))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (*count == room) {
            room = room ? 2 * room : 64;
            *names = mem_grow(*names, (size_t)*count * sizeof **names, (size_t)room * sizeof **names);
        }
        (*names)[(*count)++] = mem_string(entry->d_name);
    }
    int status = errno ? fail(err, path, "list the folder") : 0;
    closedir(folder);
    if (status) {
        folder_list_free(*names, *count);
        *names = NULL;
        *count = 0;
    } else if (*count) {
        qsort(*names, (size_t)*count, sizeof **names, by_bytes);
    }
    return status;
}

void folder_list_free(char **names, int count)
{
    for (int i = 0; i < count; i++) mem_free(names[i]);
    mem_free(names);
}

bool path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool path_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

char *path_join(const char *folder, const char *name)
{
    size_t length = strlen(folder);
    return mem_format("%s%s%s", folder, length && folder[length - 1] != '/' ? "/" : "", name);
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int file_pread(int fd, void *data, size_t bytes, uint64_t offset, const char *path, struct error *err)
{
    while (bytes) {
        ssize_t got = pread(fd, data, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_set(err, "%s: cannot read: %s", path, strerror(errno));
        if (got == 0) return error_set(err, "%s: is truncated", path);
        data = (char *)data + got;
        bytes -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

int file_pwrite(int fd, const void *data, size_t bytes, uint64_t offset, const char *path, struct error *err)
{
    while (bytes) {
        ssize_t done = pwrite(fd, data, bytes, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) {
            int cause = errno;
            error_set(err, "%s: cannot write: %s", path, strerror(cause));
            return cause == ENOSPC || cause == EDQUOT ? error_hint(err, "free some space or choose another folder") : -1;
        }
        data = (const char *)data + done;
        bytes -= (size_t)done;
        offset += (uint64_t)done;
    }
    return 0;
}
