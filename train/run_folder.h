/* run_folder.h - what a run leaves behind: config.cfg, record.jsonl, best.h5, checkpoints/, predictions.csv, metrics.json, and
 * progress.json (train/pace.h). metrics.json is written last: it stands for "finished". Rank 0 only.
 *
 * One process at a time writes there: it holds RUN/lock and has the highest number in RUN/fence (train/fence.h), which is looked at before
 * each write. Where a newer process has raised the number, each writing function returns -1 with an error that names it. */
#ifndef TRAIN_RUN_FOLDER_H
#define TRAIN_RUN_FOLDER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/text.h"
#include "io/shard/shard.h"
#include "train/fence.h"

struct run_folder;
struct run_opening {
    bool overwrite;     /* another run's folder is emptied; else it is an error */
    bool take_over;     /* a locked folder is no error: its holder is told to end by the fence, and waited for */
    double take_over_s; /* for so long at most; then we go on without it */
    void (*waiting)(void *context); /* called some times a second meanwhile; may be NULL */
    void *context;
};
/* Creates the folder and locks it until it is closed. A folder with files that is no run folder is refused. A finished run is told in
 * *finished. `identity` is compared with the one kept in the folder. */
struct run_folder *run_folder_open(const char *path, const char *identity, const struct run_opening *how, bool *finished, struct error *err);
void run_folder_close(struct run_folder *r); /* NULL is fine */
char *run_folder_file(const struct run_folder *r, const char *name); /* mem_free */
struct fence *run_folder_fence(const struct run_folder *r);

/* Appends one JSON line; returns the record's length so far, or -1. Looks at the fence at most once a second: it is called at each step. */
int64_t run_record_add(struct run_folder *r, const char *line, struct error *err);
/* Cuts the record back to a checkpoint's length. */
int run_record_rewind(struct run_folder *r, int64_t bytes, struct error *err);
/* Replaces a file: whole or absent. */
int run_folder_write(struct run_folder *r, const char *name, const struct text *content, struct error *err);
/* The same in two parts, for who writes the file itself: a name to write to (mem_free), and its renaming. */
char *run_folder_draft(const struct run_folder *r, const char *name);
int run_folder_publish(struct run_folder *r, const char *name, struct error *err);
/* probability (n, 6) of the split's items in order; NaN is written empty. */
int run_write_predictions(struct run_folder *r, const struct dataset *d, enum split split, const double *probability,
                          struct error *err);
#endif
