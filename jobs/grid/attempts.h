/* attempts.h - FOLDER/attempts.jsonl: what was tried at a cell. A line when an attempt begins and one when it ends; an attempt without
 * an end was killed with all that watched it (a node that failed, kill -9). */
#ifndef JOBS_GRID_ATTEMPTS_H
#define JOBS_GRID_ATTEMPTS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

enum outcome { OUTCOME_NONE, OUTCOME_FINISHED, OUTCOME_STOPPED, OUTCOME_CRASHED, OUTCOME_FAILED };
extern const char *const outcome_names[]; /* "none" "finished" "stopped" "crashed" "failed" */

struct attempts {
    int count;            /* begun, ever */
    int counted;          /* begun since the last retry that a person asked for */
    int crashes;          /* ended by a crash or not at all, in a row at the same step */
    bool open;            /* the last one has no end */
    char job[64];         /* Slurm job of the last one, or "" */
    char host[256];       /* where it was begun, by which process and when */
    int64_t pid;
    double begun_unix;
    char identity[65];    /* of the cell (jobs/grid/cells.h) when it was begun */
    enum outcome outcome; /* of the last one that ended */
    char why[400];        /* first error line of that one, or "" */
    double seconds;       /* of all that ended */
};
/* No file: all zero. */
int attempts_read(struct attempts *a, const char *folder, struct error *err);
/* `job` may be "". `step`: where the cell's last whole state is. */
int attempts_begin(const char *folder, int number, const char *identity, const char *job, int64_t step, struct error *err);
int attempts_end(const char *folder, int number, enum outcome outcome, int status, double seconds, const char *why, struct error *err);
/* A person asked for another try: what was counted so far does not count against it. */
int attempts_forgive(const char *folder, struct error *err);
#endif
