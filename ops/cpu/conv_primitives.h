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

/* The weight gradient of n images in deterministic mode: `chunks` runs of images, each in `slices` runs of output channels. */
struct weight_parts {
    int chunks, slices;
    struct step step[2];             /* of one slice; for n / chunks images and for one more */
};
struct conv_steps { /* for one image count */
    int n;
    struct step forward, backward_data, backward_weights; /* backward ones absent as conv_shape says */
    struct weight_parts parts;       /* in place of backward_weights */
    bool forward_by_image, backward_by_image; /* deterministic mode: not by these primitives, see conv_images.c */
    struct conv_steps *next;
};
struct conv_shape {
    struct conv_spec spec;
    enum layout x_layout, y_layout;
    int in_c, out_c, out_h, out_w;   /* channels as oneDNN sees them */
    bool training;
    bool deterministic;              /* as dnnl_alone.h says, when the handle was created */
    bool own_backward_weights;       /* by kernels->depthwise_backward_weights: oneDNN's is slow here, or depends on the threads */
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
/* The weight gradient of n images in general, or as above. */
int conv_gradient_open(struct primitive *p, const struct conv_shape *s, int n, struct error *err);
/* Opens the primitives for n images; NULL with err. `alone`: for one thread, without the weight gradient. */
struct conv_steps *conv_steps_open(const struct conv_shape *s, int n, bool alone, struct error *err);
void conv_steps_close(struct conv_steps *c);

/* ---- deterministic mode ---- */
/* conv_parts.c. dw (stored order) and db (rounded channels, or NULL) of one shard; x is thinned where that is done, dy may be a slice. */
int weight_parts_open(struct weight_parts *p, const struct conv_shape *s, int n, struct error *err);
void weight_parts_close(struct weight_parts *p);
void weight_parts_run(const struct weight_parts *p, const struct conv_shape *s, const struct kernels *kernels, float *dw, float *db,
                      const struct tensor *x, const struct tensor *dy);
/* conv_images.c. One direction of n dense images, each by the primitive of one image and one thread. */
void images_run(const struct step *one, int n, void *out, const void *in, const void *weights, const float *bias);
/* Decides by trial which directions of `c` must go by image to have the same bits as with `one`. */
void images_judge(struct conv_steps *c, const struct conv_steps *one, const struct conv_shape *s);
#endif
