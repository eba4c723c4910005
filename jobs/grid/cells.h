/* cells.h - the cells of a grid's folder OUT, as everything after planning sees them. OUT/grid/ holds
 *     cells.csv            index,name,folder,dataset,backbone,method,seed,identity,epochs: also what `ladnn report` reads
 *     cells/NAME.cfg       every setting of the cell: ladnn train --config OUT/grid/cells/NAME.cfg runs it by hand
 *     submit-0001/         what was handed to Slurm: the two scripts, tasks.txt (a cell's name a line), jobs.txt
 *     logs/                what Slurm keeps of the jobs' output
 * and OUT/NAME is the cell's run folder, with attempts.jsonl and train.log beside what `ladnn train` writes. */
#ifndef JOBS_GRID_CELLS_H
#define JOBS_GRID_CELLS_H
#include <stdbool.h>
#include <stdint.h>
#include "jobs/grid/grid.h"

struct cell {
    char *name, *dataset, *backbone, *method, *folder;
    int64_t seed;
    int epochs;
    char identity[65]; /* SHA-256 of what RUN/identity.txt must hold; "" when the data cannot be read */
    char *no_data;     /* why they cannot, or NULL */
    char *summary;     /* its main settings in a line; only when planned from a file */
};
struct cell_list {
    char *out, *grid_name;
    struct cell *cells;
    int count;
};

/* From grid.file, or when that is not set from OUT/grid/cells.csv. A data folder that cannot be read is told in the cells' no_data. */
int cells_open(struct cell_list *list, struct settings *s, struct error *err);
void cells_close(struct cell_list *list);
/* Writes OUT/grid for a list that came from grid.file. */
int cells_write(const struct cell_list *list, struct settings *s, struct error *err);
/* Leaves only those that grid.only names. */
int cells_select(struct cell_list *list, const char *patterns, struct error *err);
const struct cell *cells_find(const struct cell_list *list, const char *name); /* or NULL */
char *cells_path(const struct cell_list *list, const char *name); /* OUT/grid/NAME, mem_free */
char *cells_config(const struct cell_list *list, const struct cell *cell); /* OUT/grid/cells/NAME.cfg, mem_free */
#endif
