/* stop.h - a warning signal or a time limit becomes a flag that the ranks agree on (comm_any) between two steps. */
#ifndef DIST_STOP_H
#define DIST_STOP_H
#include <stdbool.h>
/* name: "none" "term" "usr1" "usr2". Unless it is none, TERM asks for a stop as well: it comes from scancel and preemptions. INT (Ctrl-C)
 * always does; a second INT ends at once. Installs handlers, and unblocks these signals. */
void stop_install(const char *name);
/* A signal came on this rank. */
bool stop_asked(void);
const char *stop_reason(void); /* "SIGTERM", or "" */
void stop_clear(void);
#endif
