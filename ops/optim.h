/* optim.h - the optimiser's rule, element by element of the parameter arena, so that its bits do not depend on ranks or threads.
 * L2 decay is added to the gradient (torch.optim.Adam / SGD, not decoupled).
 * Adam (Kingma & Ba 2015): m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; w -= lr/(1-b1^t) * m / (sqrt(v/(1-b2^t)) + eps).
 * SGD: m = momentum m + g (m = g on the first step); w -= lr m. */
#ifndef OPS_OPTIM_H
#define OPS_OPTIM_H

enum optim_kind { OPTIM_ADAM, OPTIM_SGD };
struct optim_spec {
    enum optim_kind kind;
    double lr, weight_decay, beta1, beta2, eps, momentum;
    double clip_norm;       /* 0: off; else g *= min(1, clip_norm / (norm + 1e-6)) as torch.nn.utils.clip_grad_norm_ */
    int cosine_period;      /* 0: constant learning rate; else cosine annealing per epoch, T_max (torch CosineAnnealingLR) */
};
struct optim_now { /* what changes from step to step t = 1, 2, ... */
    float step;     /* Adam: lr / (1 - b1^t); SGD: lr */
    float root;     /* Adam: 1 / sqrt(1 - b2^t) */
    float momentum; /* SGD: 0 on the first step */
};
#endif
