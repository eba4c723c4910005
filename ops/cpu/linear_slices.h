/* linear_slices.h - a linear layer in deterministic mode. oneDNN divides sums by the number of threads (dnnl_alone.h); here the layer is
 * cut into slices of its outputs by its shape alone, each with primitives of one thread and weights of its own, which are stored one
 * slice after the other. dx is the sum over the slices.
 */
#ifndef OPS_CPU_LINEAR_SLICES_H
#define OPS_CPU_LINEAR_SLICES_H
#include "ops/cpu/dnnl_alone.h"

struct linear_steps { /* for one image count */
    int n;
    struct step forward, backward_data, backward_weights;
    struct linear_steps *next;
};
struct linear {
    struct linear_spec spec;
    int columns; /* K */
    bool training, deterministic;
    int slices, slice_c; /* out_c = slices * slice_c; one slice when not deterministic */
    dnnl_memory_desc_t stored; /* of a slice */
    size_t slice_count, weight_count; /* floats of a slice, of all */
    struct linear_steps *steps;
};

/* Into how many slices: for l's spec and columns. */
int linear_slices_worth(const struct linear *l);
/* The three directions of n images, all f32; `step` is of one slice. */
void slices_forward(const struct linear *l, const struct step *step, float *y, const float *x, const float *weights, const float *bias, int n);
void slices_backward_data(const struct linear *l, const struct step *step, float *dx, const float *dy, const float *weights, int n);
void slices_backward_weights(const struct linear *l, const struct step *step, float *dweights, float *dbias, const float *x, const float *dy,
                             int n);
#endif
