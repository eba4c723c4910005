/* fence.h - RUN/fence: which process may write in a run folder.
 *
 * DESIGN. After a node failure a second copy of a run may start while the first still lives, out of reach. A lock does not end the first:
 * it may be stopped and wake up later, or its lock may be lost with its node. So each process that opens a run folder raises a number
 * there, remembers what it has written, and reads the file before each of its writes: where anything else stands, a newer one is at work,
 * and this one writes nothing any more. The second line tells who wrote it, so that two processes that raise the number at the same moment
 * do not both take it for theirs. A check opens the file: network file systems look at the server then, but not for a stat. */
#ifndef TRAIN_FENCE_H
#define TRAIN_FENCE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

struct fence;
/* Raises the number of a run folder, which exists. */
struct fence *fence_raise(const char *run, struct error *err);
void fence_close(struct fence *f); /* NULL is fine */
int64_t fence_attempt(const struct fence *f); /* our number, from 1 on */

/* 0: it is still ours. -1 with err: a newer attempt is named. Some microseconds on a local disk. NULL is fine. */
int fence_check(struct fence *f, struct error *err);
/* The same, but looks at most once a second: for what happens at every step. */
int fence_check_sometimes(struct fence *f, struct error *err);
bool fence_lost(const struct fence *f); /* a check has failed */
#endif
