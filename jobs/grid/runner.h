/* runner.h - runs cells in this process' children, several at once, each until it has ended: `ladnn grid run` and, with one cell, an
 * array task of Slurm. */
#ifndef JOBS_GRID_RUNNER_H
#define JOBS_GRID_RUNNER_H
#include <signal.h>

#include "jobs/grid/cell_state.h"

struct runner_options {
    struct settings *s;  /* of `ladnn grid` */
    int jobs;            /* cells at once */
    int lead_s;          /* 0: nobody will end us */
    bool take_over;      /* a copy of the cell on another node may still run */
    bool quiet;          /* no progress bar */
};
struct runner_result {
    int finished, failed, stopped;
    int signal_number;   /* that stopped it, or 0 */
};
/* The cells `which` (count of them) of the list. A cell that crashes is started again, up to grid.crashes times at the same step and
 * grid.attempts times in all. INT, TERM, HUP or slurm.signal: every cell stops with a checkpoint. -1 with err only when nothing can be
 * begun; cells that fail are counted and told in a line each. Leaves the signals blocked, as runner_hold_signals does. */
int runner_run(struct runner_result *result, const struct cell_list *list, const int *which, int count, const struct runner_options *o,
               struct error *err);
/* Blocks these signals, so that one that comes before or after runner_run neither ends the process nor is lost; returns them. */
sigset_t runner_hold_signals(void);
#endif
