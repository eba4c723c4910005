/* fault_points.c - LADNN_FAULT=NAME:N ends the process as kill -9 does when it comes to the point NAME for the Nth time; what was written
 * through stdio until then is in the file. LADNN_FAULT=list prints the points that are passed. For ladnn_faulty (tests/fault/run.sh). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"

void fault_point(const char *name)
{
    static int passed;
    const char *wanted = getenv("LADNN_FAULT"), *colon = wanted ? strchr(wanted, ':') : NULL;
    if (wanted && !strcmp(wanted, "list")) fprintf(stderr, "fault point %s\n", name);
    if (!colon || strncmp(wanted, name, (size_t)(colon - wanted)) || name[colon - wanted]) return;
    if (++passed < atoi(colon + 1)) return;
    fflush(NULL);
    fprintf(stderr, "fault: %s\n", wanted);
    kill(getpid(), SIGKILL);
    for (;;) pause();
}
