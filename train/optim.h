/* optim.h - the optimiser: the rule of ops/optim.h over the parameter arena (models/network.h), and its state. */
#ifndef TRAIN_OPTIM_H
#define TRAIN_OPTIM_H
#include <stdint.h>
#include "ops/ops.h"

/* Up to arena position `end` the learning rate is that of the schedule times `factor`. */
struct optim_range { int64_t end; double factor; };
enum { OPTIM_RANGES_MOST = 16 };
struct optim {
    const struct ops *ops;
    struct optim_spec spec;
    int64_t count, steps;   /* how much of the arena is trained, from its beginning; steps taken */
    /* The rest is in the backend's memory. */
    float *m, *v;           /* v: Adam only */
    struct optim_range range[OPTIM_RANGES_MOST];
    int ranges;
    struct optim_now *now;  /* one a range */
    double *norm;
};
int optim_open(struct optim *o, const struct ops *ops, const struct optim_spec *spec, int64_t count, struct error *err);
/* Instead of one rate for all: up to OPTIM_RANGES_MOST ranges from 0 on, ends rising; what lies behind the last one is never touched, nor
 * part of the norm. Neighbours of one factor become one. Before the first step. */
void optim_set_ranges(struct optim *o, const struct optim_range *ranges, int count);
void optim_close(struct optim *o); /* one that was never opened (all zero) is fine */
/* Learning rate of an epoch (from 0). */
double optim_lr(const struct optim_spec *spec, int epoch);
/* One update in three parts, of which the middle one is the same calls each step (ops->replay): counts the step and hands over what
 * changes with it; queues the update; waits and returns the gradient's L2 norm before clipping. Not finite: nothing was changed and no
 * step was taken. */
void optim_prepare(struct optim *o, double lr);
void optim_queue(struct optim *o, float *parameters, const float *gradients);
double optim_norm(struct optim *o);
/* All three. */
double optim_step(struct optim *o, float *parameters, const float *gradients, double lr);
#endif
