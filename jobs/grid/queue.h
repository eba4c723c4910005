/* queue.h - which cells of a grid's folder wait or run in Slurm, by the submissions that OUT/grid/submit-NNNN remembers. */
#ifndef JOBS_GRID_QUEUE_H
#define JOBS_GRID_QUEUE_H
#include "jobs/grid/cells.h"

enum queue_state { QUEUE_NONE, QUEUE_WAITING, QUEUE_RUNNING };
struct queue_entry {
    enum queue_state state;
    char reason[80]; /* why it waits, in Slurm's words; or "" */
};
/* entry (list->count). *asked is false when there is no Slurm here or nothing was submitted: then all are QUEUE_NONE. -1 with err when
 * squeue fails although something was submitted. */
int queue_read(struct queue_entry *entry, bool *asked, const struct cell_list *list, struct error *err);
#endif
