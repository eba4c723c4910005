/* conv_graph.h - what a convolution of a network becomes on the GPU: one fused operation graph for each thing the training step asks. */
#ifndef OPS_CUDA_CONV_GRAPH_H
#define OPS_CUDA_CONV_GRAPH_H
#include "ops/cuda/dnn_graph.h"
#include "ops/ops.h"

enum conv_fusion {
    CONV_PLAIN,                /* y = conv(x) */
    CONV_BIAS,                 /* y = conv(x) + bias; the bias has x's type */
    CONV_BIAS_RELU,            /* y = max(0, conv(x) + bias); without a bias: one of zeros, which engines in the library serve */
    CONV_STATISTICS,           /* y = conv(x), and sum and sum of squares of y's channels: what the next normalisation needs */
    CONV_NORM_STATISTICS,      /* the same of x' = max(0, x * scale + shift): normalisation without a pass of its own */
    CONV_DATA_GRADIENT,        /* dx from dy */
    CONV_DATA_GRADIENT_RELU,   /* dx = x > 0 ? dx from dy : 0 */
    CONV_WEIGHT_GRADIENT,      /* dW in f32 from x and dy */
    CONV_FUSIONS
};
extern const char *const conv_fusion_names[CONV_FUSIONS];

struct conv_place { /* a convolution where it stands */
    struct conv_spec spec; /* groups = 1; channels are rounded up to whole lanes */
    int n;
    int x_buffer_c, y_buffer_c; /* channels of the buffers that x and y are slices of; 0: none. dy is never a slice */
};
/* Channels that are read and written 16 bytes at once, as tensor cores do: 8 of bf16, 4 of f32. */
static inline int conv_lanes(enum dtype dtype) { return dtype == DTYPE_BF16 ? 8 : 4; }
static inline int conv_lanes_round(int channels, enum dtype dtype)
{
    return (channels + conv_lanes(dtype) - 1) / conv_lanes(dtype) * conv_lanes(dtype);
}
/* Which tensors a graph binds, by id; -1: not in it. */
struct conv_ids {
    int x, w, y, bias; /* gradients: x, w, y stand for dx, dw, dy where they are the result or dy */
    int sum, squares;
};
/* The caller closes it. What cuDNN refuses is told by dnn_plan_find. */
struct dnn_graph *conv_graph(const struct conv_place *place, enum conv_fusion fusion);
/* The ids of the graphs without normalisation and masks: they depend on the fusion alone. */
struct conv_ids conv_graph_ids(enum conv_fusion fusion);
#endif
