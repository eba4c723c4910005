/* watch.h - `ladnn grid status --watch`: the table again and again, fitted to the terminal. */
#ifndef JOBS_GRID_WATCH_H
#define JOBS_GRID_WATCH_H
#include "jobs/grid/cells.h"

/* Until all cells have ended. A look that fails (squeue did not answer) is told and tried again; -1 with err when the first one does. */
int grid_watch(const struct cell_list *list, struct error *err);
#endif
