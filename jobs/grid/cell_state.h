/* cell_state.h - how a cell stands, read from its run folder alone: whoever ran it, here, in a Slurm job or by hand. */
#ifndef JOBS_GRID_CELL_STATE_H
#define JOBS_GRID_CELL_STATE_H
#include "jobs/grid/attempts.h"
#include "jobs/grid/cells.h"
#include "train/progress.h"

enum cell_state {
    CELL_PENDING,   /* nothing was done yet */
    CELL_QUEUED,    /* waits in Slurm's queue (jobs/grid/queue.h says it; never judged from the folder) */
    CELL_RUNNING,
    CELL_STOPPED,   /* with a checkpoint: continues when it is started again */
    CELL_CRASHED,   /* killed with all that watched it: continues likewise */
    CELL_FAILED,    /* by an error, or given up after too many crashes */
    CELL_STALE,     /* its folder holds another run: settings or data have changed since */
    CELL_NO_DATA,   /* its shards cannot be read */
    CELL_DONE
};
enum { CELL_STATES = CELL_DONE + 1 };
extern const char *const cell_state_names[];

struct cell_status {
    enum cell_state state;
    struct attempts attempts;
    bool has_progress;
    struct progress_state progress;
    char why[400]; /* failed, stale, no data: the first line of it */
};
/* Not collective. -1 with err: a file of the folder cannot be read. */
int cell_judge(struct cell_status *status, const struct cell *cell, struct error *err);
/* Step of the newest checkpoint in a run folder; 0: none. */
int64_t cell_saved_step(const char *folder);
#endif
