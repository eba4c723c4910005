/* launch.h - the command line of one attempt at a cell. */
#ifndef JOBS_GRID_LAUNCH_H
#define JOBS_GRID_LAUNCH_H
#include "jobs/grid/cells.h"
#include "jobs/grid/words.h"

/* grid.launcher with `auto` decided: "none", "mpirun" or "srun". -1 with err when what is asked for is not there. */
int launch_find(const char **launcher, const struct settings *s, struct error *err);

struct launch {
    const char *launcher;
    const struct cell *cell;
    const char *config;  /* the cell's settings */
    bool overwrite;      /* the folder holds a run that is not wanted any more */
    bool take_over;      /* an earlier copy may still hold the folder */
    int threads;         /* of a rank; 0: as the cell's settings say */
    int lead_s;          /* from the warning to the end of the job; 0: no such end */
};
void launch_words(struct words *w, const struct launch *l, const struct settings *s);
/* This program's file. */
const char *launch_program(void);
#endif
