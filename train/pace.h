/* pace.h - what this process has measured of its own speed, and what follows from it: the time to the end of the run, and progress.json.
 * All functions are for every rank; only rank 0 writes. Not collective. */
#ifndef TRAIN_PACE_H
#define TRAIN_PACE_H
#include "base/error.h"
#include "train/progress.h"

struct pace {
    double step_ended_s;      /* clock_s() of the newest step's end, or of the epoch's start; 0: no step yet */
    int64_t steps;            /* measured: all but the first of this process, which also makes memory and plans */
    double steps_s;           /* their time, checkpoints between them included */
    int64_t ends;             /* of epochs: validation, best weights, checkpoint */
    double ends_s, end_s;     /* all of them, the newest */
    double save_s, step_s;    /* newest checkpoint, newest step without one */
    double stop_s;            /* the longest that a stop was said to take; 0: nothing was said */
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

/* train.lead_s: a stop on a signal must be done before the job ends. A checkpoint is due after the second step, so that it can be measured; the
 * same on all ranks. */
bool pace_wants_save(const struct trainer *t);
/* Says how long a stop takes once it is known; a warning when it is more than half of the lead, also when an epoch's end shows that later. */
void pace_judge_lead(struct trainer *t);

/* Writes progress.json; `reason`: of RUN_STOPPED, else NULL. A failure to write is a warning, once. */
void trainer_tell(struct trainer *t, enum run_state state, const char *reason);
/* The same for RUN_FAILED. When a newer process has taken the folder over, nothing is written and err names it: whatever failed, that is why. */
void trainer_tell_failure(struct trainer *t, struct error *err);
/* The same for RUN_RUNNING, when two seconds have passed since the last time. */
void trainer_tell_sometimes(struct trainer *t);
#endif
