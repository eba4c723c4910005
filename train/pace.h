/* pace.h - what this process has measured of its own speed, and what follows from it: the time to the end of the run, and progress.json.
 * All functions are for every rank; only rank 0 writes. Not collective. */
#ifndef TRAIN_PACE_H
#define TRAIN_PACE_H
#include "base/error.h"
#include "train/progress.h"

struct pace {
    double step_ended_s;      /* clock_s() of the newest step's end; 0: none in this epoch */
    int64_t steps;            /* measured: all but the first of an epoch in this process */
    double steps_s;           /* their time, checkpoints between them included */
    int64_t ends;             /* of epochs: validation, best weights, checkpoint */
    double ends_s;
    double told_s;            /* clock_s() of the newest progress.json; 0: none */
    double told_loss;         /* mean of the epoch, or of the one before while it has no step */
    bool warned;              /* that it cannot be written */
};
struct trainer;
void pace_start(struct pace *p);
void pace_start_epoch(struct pace *p);
void pace_step(struct pace *p);
void pace_end_epoch(struct pace *p, double seconds, double train_loss);
/* Seconds to the end of the run. NaN before anything was measured. Until a validation has been timed, an image of it counts as one of training. */
double pace_left_s(const struct trainer *t);

/* Writes progress.json; `reason`: of RUN_STOPPED, else NULL. A failure to write is a warning, once. */
void trainer_tell(struct trainer *t, enum run_state state, const char *reason);
/* The same for RUN_FAILED. When a newer process has taken the folder over, nothing is written and err names it: whatever failed, that is why. */
void trainer_tell_failure(struct trainer *t, struct error *err);
/* The same for RUN_RUNNING, when two seconds have passed since the last time. */
void trainer_tell_sometimes(struct trainer *t);
#endif
