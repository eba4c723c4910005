/* file_map.c - see file_map.h for why copies are guarded. */
#include "base/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc_copy.h"

struct guard {
    sigjmp_buf back;
    const void *fault; /* the address that had no page */
};
static _Thread_local struct guard *volatile guard; /* of the copy that this thread is in */
static struct sigaction before;
static pthread_once_t installed = PTHREAD_ONCE_INIT;

/* Outside a copy the signal is what it was before. */
static void on_bus(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    struct guard *g = guard;
    if (!g) {
        sigaction(signal_number, &before, NULL); /* the faulting instruction runs again */
        return;
    }
    g->fault = info->si_addr;
    siglongjmp(g->back, 1);
}

static void install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_bus;
    action.sa_flags = SA_SIGINFO | SA_NODEFER; /* sigsetjmp need not save the mask, which is a system call */
    sigaction(SIGBUS, &action, &before);
}

static int map(struct file_map *m, int fd, const char *path, struct error *err)
{
    struct stat info;
    if (fstat(fd, &info)) return error_set(err, "%s: cannot look at it: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return error_set(err, "%s: is not a file", path);
    if (!info.st_size) return 0;
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) return error_set(err, "%s: cannot map it: %s", path, strerror(errno));
    *m = (struct file_map){data, (size_t)info.st_size};
    return 0;
}

int file_map_open(struct file_map *m, const char *path, struct error *err)
{
    *m = (struct file_map){NULL, 0};
    pthread_once(&installed, install);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe of that name must not hold us */
    if (fd < 0) return error_set(err, "%s: cannot open: %s", path, strerror(errno));
    int status = map(m, fd, path, err);
    close(fd);
    return status;
}

void file_map_close(struct file_map *m)
{
    if (m->data) munmap((void *)m->data, m->bytes);
    *m = (struct file_map){NULL, 0};
}

int file_map_copy(void *to, uint32_t *crc, const struct file_map *m, uint64_t offset, size_t bytes, struct error *err)
{
    struct guard mine;
    ASSERT(offset <= m->bytes && bytes <= m->bytes - offset);
    guard = &mine;
    bool failed = sigsetjmp(mine.back, 0);
    if (!failed) *crc = crc32c_copy(to, m->data + offset, bytes);
    guard = NULL;
    if (!failed) return 0;
    const uint8_t *fault = mine.fault, *target = to;
    if (fault >= target && fault < target + bytes) return error_set(err, "no memory left to copy %zu bytes to", bytes);
    error_set(err, "cannot read %zu bytes at %llu: the file was cut, or its disk fails", bytes, (unsigned long long)offset);
    return error_hint(err, "copy the file again, or make it again");
}

void file_map_expect(const struct file_map *m, uint64_t offset, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), begin = (size_t)offset / page * page;
    ASSERT(offset <= m->bytes && bytes <= m->bytes - offset);
    if (bytes) madvise((void *)(m->data + begin), (size_t)offset + bytes - begin, MADV_WILLNEED); /* advice: it may fail */
}
