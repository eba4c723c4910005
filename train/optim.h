/* optim.h - the optimiser: one pass over the parameter arena (models/network.h), element by element, so that its bits do not
 * depend on ranks or threads. L2 decay is added to the gradient (torch.optim.Adam / SGD, not decoupled).
 * Adam (Kingma & Ba 2015): m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; w -= lr/(1-b1^t) * m / (sqrt(v/(1-b2^t)) + eps).
 * SGD: m = momentum m + g (m = g on the first step); w -= lr m. */
#ifndef TRAIN_OPTIM_H
#define TRAIN_OPTIM_H
#include <stdint.h>

enum optim_kind { OPTIM_ADAM, OPTIM_SGD };
struct optim_spec {
    enum optim_kind kind;
    double lr, weight_decay, beta1, beta2, eps, momentum;
    double clip_norm;       /* 0: off; as torch.nn.utils.clip_grad_norm_ */
    int cosine_period;      /* 0: constant learning rate; else cosine annealing per epoch, T_max (torch CosineAnnealingLR) */
};
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
