/* threads.c - see threads.h. */
#include "base/threads.h"

#include <sched.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

enum { MOST_PER_CORE = 16 }; /* beyond that it is a mistake, and the machine would be lost to it */

int threads_of_rank(int setting, int local_size)
{
    cpu_set_t mine;
    int allowed = 1, online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    CHECK(setting <= MOST_PER_CORE * online, "%d threads: this machine has %d cores", setting, online);
    if (setting > online) log_warn("%d threads share %d cores: fewer would be faster", setting, online);
    if (setting > 0) return setting;
    if (sched_getaffinity(0, sizeof mine, &mine) == 0) allowed = CPU_COUNT(&mine);
    if (allowed >= online) allowed /= local_size; /* not bound: the ranks of this host share all cores */
    return allowed > 0 ? allowed : 1;
}
