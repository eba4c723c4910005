/* conv_graph.h - what a convolution of a network becomes on the GPU: one fused operation graph for each thing the training step asks. */
#ifndef OPS_CUDA_CONV_GRAPH_H
#define OPS_CUDA_CONV_GRAPH_H
#include "ops/cuda/dnn_graph.h"
#include "ops/ops.h"

enum conv_fusion {
    CONV_PLAIN,                /* y = conv(x) */
    CONV_BIAS_RELU,            /* y = max(0, conv(x) + bias), bias bf16 */
    CONV_STATISTICS,           /* y = conv(x), and sum and sum of squares of y's channels: what the next normalisation needs */
    CONV_NORM_STATISTICS,      /* the same of x' = max(0, x * scale + shift): normalisation without a pass of its own */
    CONV_DATA_GRADIENT,        /* dx from dy */
    CONV_DATA_GRADIENT_RELU,   /* dx = x > 0 ? dx from dy : 0 */
    CONV_WEIGHT_GRADIENT,      /* dW in f32 from x and dy */
    CONV_FUSIONS
};
extern const char *const conv_fusion_names[CONV_FUSIONS];

struct conv_place { /* a convolution where it stands */
    struct conv_spec spec; /* groups = 1; a first convolution's three channels are stored as eight */
    int n;
    int x_buffer_c, y_buffer_c; /* channels of the buffers that x and y are slices of; 0: none. dy is never a slice */
};
/* The caller closes it. What cuDNN refuses is told by dnn_plan_find. */
struct dnn_graph *conv_graph(const struct conv_place *place, enum conv_fusion fusion);
#endif
