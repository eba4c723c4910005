/* submit.h - hands cells to Slurm: an array of them (several when they are more than slurm.max_array) and a job that collects. */
#ifndef JOBS_GRID_SUBMIT_H
#define JOBS_GRID_SUBMIT_H
#include "jobs/grid/cells.h"

/* The cells `which` (count of them). With grid.dry_run the two scripts are printed and nothing is written or submitted. What sbatch says
 * against it is the error; then no array of it stays in the queue. */
int submit_cells(const struct cell_list *list, const int *which, int count, const struct settings *s, struct error *err);
/* In an array task whose cell has stopped: Slurm shall start this task again. The exit status of the task: 0 when Slurm knows, else 99, which
 * slurm.conf's RequeueExit can be set to. */
int submit_requeue(void);
/* In a job: whether it was cancelled, and does not only stop because of its time limit. */
bool submit_is_cancelled(void);
#endif
