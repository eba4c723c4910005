/* jumping_clock.c - preloaded, makes the wall clock jump by up to a year at each look; the monotonic clock stays.
 *   cc -shared -fPIC -o shim.so jumping_clock.c; LD_PRELOAD=./shim.so ladnn ... */
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t jump(void)
{
    static unsigned long looks;
    return (time_t)(looks++ * 2654435761u % 63072000) - 31536000;
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    int rc = (int)syscall(SYS_clock_gettime, id, now);
    if (id == CLOCK_REALTIME) now->tv_sec += jump();
    return rc;
}

time_t time(time_t *to)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict to, void *restrict zone)
{
    (void)zone;
    to->tv_sec = time(NULL);
    to->tv_usec = 0;
    return 0;
}
