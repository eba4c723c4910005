/* table.h - the cells of a grid as a table or JSON: `ladnn grid plan` and `ladnn grid status`. */
#ifndef JOBS_GRID_TABLE_H
#define JOBS_GRID_TABLE_H
#include "base/text.h"
#include "jobs/grid/cell_state.h"
#include "jobs/grid/queue.h"

struct grid_status {
    struct cell_status *cell; /* of list->count cells */
    int count[CELL_STATES];
    double left_s; /* estimated time of all cells that are not done, one after the other; NaN: nothing is known */
};
/* Judges every cell, with Slurm's queue where there is one. */
int grid_status_read(struct grid_status *status, const struct cell_list *list, struct error *err);
void grid_status_free(struct grid_status *status);

/* index, cell, state, estimated time, run folder, settings */
void table_plan(struct text *out, const struct cell_list *list, const struct grid_status *status);
/* cell, state, epoch, time to go, attempts, what happened. shown (list->count): the cells that get a line; NULL: all. */
void table_status(struct text *out, const struct cell_list *list, const struct grid_status *status, const bool *shown);
void table_json(struct text *out, const struct cell_list *list, const struct grid_status *status);
#endif
