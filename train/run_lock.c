/* run_lock.c - see run_lock.h. */
#include "train/run_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

static int open_file(const char *path, struct error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    return fd < 0 ? error_set(err, "%s: cannot be created: %s", path, strerror(errno)) : fd;
}

/* The file may have been replaced between our opening and our locking it: a lock on it would bind nobody. */
static bool still_there(int fd, const char *path)
{
    struct stat ours, now;
    return !fstat(fd, &ours) && !stat(path, &now) && ours.st_dev == now.st_dev && ours.st_ino == now.st_ino;
}

int run_lock_try(enum run_lock *state, int *fd, const char *run, struct error *err)
{
    char *path = path_join(run, "lock");
    for (bool again = true; again;) {
        *fd = open_file(path, err);
        bool failed = *fd >= 0 && flock(*fd, LOCK_EX | LOCK_NB);
        *state = !failed ? RUN_LOCK_HELD : errno == EWOULDBLOCK ? RUN_LOCK_BUSY : RUN_LOCK_UNKNOWN;
        again = *fd >= 0 && !failed && !still_there(*fd, path);
        if (failed || again) close(*fd);
    }
    int rc = *fd < 0 ? -1 : 0;
    if (*state != RUN_LOCK_HELD) *fd = -1;
    mem_free(path);
    return rc;
}

int run_lock_replace(int *fd, const char *run, struct error *err)
{
    char *path = path_join(run, "lock"), *fresh = mem_format("%s.tmp-%ld", path, (long)getpid());
    *fd = open_file(fresh, err);
    int rc = *fd < 0 ? -1 : 0;
    if (!rc && flock(*fd, LOCK_EX | LOCK_NB)) rc = error_set(err, "%s: cannot be locked: %s", fresh, strerror(errno));
    if (!rc) rc = file_rename(fresh, path, err);
    if (rc && *fd >= 0) {
        close(*fd);
        *fd = -1;
        unlink(fresh);
    }
    mem_free(path);
    mem_free(fresh);
    return rc;
}

int run_lock_sign(int fd, int64_t attempt, const char *run, struct error *err)
{
    char line[32];
    int length = snprintf(line, sizeof line, "%lld\n", (long long)attempt);
    if (!ftruncate(fd, 0) && pwrite(fd, line, (size_t)length, 0) == length) return 0;
    return error_set(err, "%s/lock: cannot be written: %s", run, strerror(errno));
}

bool run_lock_is_signed(const char *run)
{
    char *path = path_join(run, "lock");
    struct stat now;
    bool any = !stat(path, &now) && now.st_size > 0;
    mem_free(path);
    return any;
}
