/* conv_primitives.h - one convolution as oneDNN sees it: shapes, arrangements, and its three primitives for one image
 * count. conv.c drives them.
 *
 * In LAYOUT_NCHW16C oneDNN is told the channel counts rounded up to 16. Lanes past the true count are zero in every
 * tensor, in the stored weights and in the bias, so sums are unchanged, the results' extra lanes come out zero, and no
 * kernel meets a padded tail.
 */
#ifndef OPS_CPU_CONV_PRIMITIVES_H
#define OPS_CPU_CONV_PRIMITIVES_H
#include "ops/cpu/dnnl_shared.h"

struct conv_steps { /* for one image count */
    int n;
    struct step forward, backward_data, backward_weights; /* backward ones absent as conv_shape says */
    struct conv_steps *next;
};
struct conv_shape {
    struct conv_spec spec;
    enum layout x_layout, y_layout;
    int in_c, out_c, out_h, out_w;   /* channels as oneDNN sees them */
    bool training;
    bool own_backward_weights;       /* by kernels->depthwise_backward_weights: oneDNN's is slow here */
    bool pointwise;                  /* weight gradient as a matrix product, see conv_pointwise.c */
    bool thinned;                    /* pointwise with a stride: backward sees only the pixels of x that count */
    dnnl_memory_desc_t stored;       /* the order of stored weights, f32 */
};
/* Weights of the given type in no particular order (for oneDNN to choose) or in PyTorch's. */
dnnl_memory_desc_t conv_weight_md(const struct conv_shape *s, dnnl_data_type_t type, bool any);
/* The order in which weight gradients of n images are written best; the forward order for inference. */
int conv_stored_choose(struct conv_shape *s, int n, struct error *err);
/* The weight gradient of a pointwise convolution without bias. */
int pointwise_gradient_open(struct primitive *p, const struct conv_shape *s, int n, struct error *err);
/* Between a whole NHWC tensor and the dense tensor of every stride-th pixel of every stride-th row; `spread` writes zeros
 * in between. */
void pixels_thin(const struct tensor *thin, const struct tensor *whole, int stride);
void pixels_spread(const struct tensor *whole, const struct tensor *thin, int stride);
/* Opens the primitives for n images; NULL with err. */
struct conv_steps *conv_steps_open(const struct conv_shape *s, int n, struct error *err);
void conv_steps_close(struct conv_steps *c);
#endif
