/* finished_run.h - a run folder opened to be used: its settings, its network with the best weights, its data. The run's own settings decide
 * every number; the user's say how fast, where, and on what. */
#ifndef TRAIN_FINISHED_RUN_H
#define TRAIN_FINISHED_RUN_H
#include "io/shard/shard.h"
#include "models/network.h"
#include "train/config.h"

struct finished_run {
    const char *path;          /* borrowed */
    struct settings *settings; /* from its config.cfg; c borrows from them */
    struct train_config c;
    struct graph *graph;
    struct network *net;
};
/* Reads config.cfg. `backend`: "run" leaves it as the run has it. `own`: settings whose test.*, where they were given, replace the run's; or
 * NULL. Close also after a failure. */
int finished_run_settings(struct finished_run *r, const char *path, const char *backend, int64_t batch, const struct settings *own,
                          struct error *err);
/* Opens the network for evaluation, up to c.eval_batch images, with the weights of best.h5. The backend is open. `explain` as in
 * network_options. */
int finished_run_load(struct finished_run *r, bool explain, struct error *err);
void finished_run_close(struct finished_run *r);
/* The data set at `path`, or the one that the run was trained on when that is "". */
struct dataset *finished_run_data(const struct finished_run *r, const char *path, struct error *err);
/* Whether the run was trained on these data, which its identity.txt knows; warns when not, and when the run's own result is another one. */
bool finished_run_compare(const struct finished_run *r, const struct dataset *d);
#endif
