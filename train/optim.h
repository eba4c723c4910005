/* optim.h - the optimiser: the rule of ops/optim.h over the parameter arena (models/network.h), and its state. */
#ifndef TRAIN_OPTIM_H
#define TRAIN_OPTIM_H
#include <stdint.h>
#include "ops/optim.h"

struct optim {
    struct optim_spec spec;
    int64_t count, steps;   /* arena length; steps taken */
    float *m, *v;           /* v: Adam only */
};
void optim_open(struct optim *o, const struct optim_spec *spec, int64_t count);
void optim_close(struct optim *o);
/* Learning rate of an epoch (from 0). */
double optim_lr(const struct optim_spec *spec, int epoch);
/* One update. Returns the gradient's L2 norm (before clipping); not finite: nothing was changed. */
double optim_step(struct optim *o, float *parameters, float *gradients, double lr);
#endif
