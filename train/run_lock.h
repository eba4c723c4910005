/* run_lock.h - RUN/lock: one process at a time works in a run folder, where the file system knows flock. */
#ifndef TRAIN_RUN_LOCK_H
#define TRAIN_RUN_LOCK_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

enum run_lock { RUN_LOCK_HELD, RUN_LOCK_BUSY, RUN_LOCK_UNKNOWN /* the file system has no locks */ };
/* Tries to lock, without waiting. *fd is closed to give the lock back; -1 unless it is held. -1 with err: the file cannot be made. */
int run_lock_try(enum run_lock *state, int *fd, const char *run, struct error *err);
/* Puts a new file, locked by us, in the place of one that another process holds: who comes next meets our lock. */
int run_lock_replace(int *fd, const char *run, struct error *err);
/* Writes the holder's attempt into its lock: a sign that it obeys the fence. */
int run_lock_sign(int fd, int64_t attempt, const char *run, struct error *err);
bool run_lock_is_signed(const char *run);
#endif
