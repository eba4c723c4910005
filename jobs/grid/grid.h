/* grid.h - an experiment grid as data: every combination of data set, backbone, method and seed is a cell, one training run.
 *
 * A grid file is a libconfig file. Its group `grid` has the lists; all other groups are settings: `slurm` (and keys of `grid` such as
 * `out`) of `ladnn grid` itself, the rest of every cell's `ladnn train`:
 *
 *     grid = {
 *         name = "paper";
 *         config = ["ladnn.cfg"];                                // settings files, relative to this one
 *         datasets = ( { name = "d0"; data = "shards/d0"; } );   // relative to grid.shards, or to where ladnn is started
 *         backbones = ["resnet18", "vgg16"];
 *         methods = ["baseline", "ladnn"];
 *         seeds = [1, 2, 3];
 *         override = ( { backbone = "vgg16"; train = { batch = 16; }; } );   // of the cells that match all that is named
 *     };
 *     train = { epochs = 15; };
 *
 * Cells are numbered data set by data set, within it backbone by backbone, method by method, seed by seed, in the lists' order. A cell is
 * called DATASET-BACKBONE-METHOD-sSEED; that is its run folder in the grid's folder, too. */
#ifndef JOBS_GRID_GRID_H
#define JOBS_GRID_GRID_H
#include <stdint.h>
#include "base/config_tree.h"
#include "base/settings.h"

struct grid_dataset {
    char *name, *data; /* data: the shards' folder as it is to be opened */
};
struct grid_cell {
    int index;
    char *name;
    const struct grid_dataset *dataset;
    const char *backbone, *method; /* borrowed from the grid */
    int64_t seed;
};
struct grid {
    char *name, *path;
    struct grid_dataset *datasets;
    char **backbones, **methods;
    int64_t *seeds;
    int dataset_count, backbone_count, method_count, seed_count;
    struct grid_cell *cells;
    int cell_count;
    /* private to grid_file.c */
    struct config_node file;
    struct settings *common; /* of every cell */
};

/* Reads grid.file of `s` and expands it; settings of `ladnn grid` in the file are put into `s` where nothing else has set them. An unknown
 * key, an empty list, a value twice in a list are errors with file:line. */
int grid_read(struct grid *g, struct settings *s, struct error *err);
void grid_free(struct grid *g);
/* The settings of a cell's `ladnn train`, but for its run folder. NULL with err. settings_close. */
struct settings *grid_cell_settings(const struct grid *g, const struct grid_cell *cell, struct error *err);
#endif
