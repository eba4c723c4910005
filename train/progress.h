/* progress.h - RUN/progress.json: how far a run is, for who looks at many runs from outside.
 *
 * It is replaced whole, at most every two seconds and at each change of state, without a sync: after a crash of the machine it may be older
 * than the run. A process that dies leaves "running" behind; who finds it compares `updated_unix`, host and pid. */
#ifndef TRAIN_PROGRESS_H
#define TRAIN_PROGRESS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

enum run_state {
    RUN_RUNNING,
    RUN_STOPPED,  /* by agreement, with a checkpoint: the same command continues */
    RUN_FINISHED, /* metrics.json is there */
    RUN_FAILED    /* with the error in `error`; the same command is likely to fail again */
};
extern const char *const run_state_names[]; /* "running" "stopped" "finished" "failed" */

struct progress_state {
    enum run_state state;
    int64_t attempt;      /* number in RUN/fence: how often the folder was opened for writing */
    int64_t pid;          /* of rank 0 */
    char host[256];
    char updated[32];     /* "2026-11-23T09:17:39Z" */
    double updated_unix;  /* the same as seconds since 1970 */
    int epoch, epochs;    /* the one in work, from 1 on */
    int batch, batches;   /* done of this epoch */
    int64_t step;         /* done since the run's first start */
    double train_loss;    /* mean of this epoch so far, at its start of the one before; NaN: none */
    double seconds;       /* since this process started */
    double eta_s;         /* seconds to the end of the run, validation and test included; NaN: not known yet */
    char error[1600];     /* RUN_FAILED, else empty */
    char signal[32];      /* RUN_STOPPED: "SIGTERM", "train.time_limit_s", "train.max_steps",
                             "signal to another rank"; else empty */
};
/* -1 with err: cannot be read, or is no progress.json. */
int progress_read(const char *path, struct progress_state *p, struct error *err);

struct fence;
/* Fills in the attempt, time, host and pid, and replaces `path`, while the fence is ours. */
int progress_write(const char *path, struct progress_state *p, struct fence *fence, struct error *err);
#endif
