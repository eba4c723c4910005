/* cpu.h - the seam inside ops/cpu. oneDNN does convolution and linear layers (conv*.c, linear.c, dnnl*.c); everything
 * else, and what oneDNN does slowly, is own vector code in kernels.c. That one file is compiled once per instruction set
 * (-DKERNEL_ISA=baseline|avx2|avx512); each compilation defines one table, and kernels_pick takes the best one that this
 * CPU can run. All functions use the OpenMP threads; none allocates.
 */
#ifndef OPS_CPU_CPU_H
#define OPS_CPU_CPU_H
#include "ops/ops.h"

struct kernels {
    const char *isa; /* "avx512" */

    /* ---- entries of struct ops, same names, same contract (ops/ops.h) ---- */
    void (*norm_sums)(double *sum, double *sum_squares, const struct tensor *x);
    void (*norm_forward)(const struct tensor *y, const struct tensor *x, const struct tensor *residual, const float *scale,
                         const float *shift, const float *row_scale, enum activation act);
    void (*norm_backward_sums)(double *sum_g, double *sum_gx, const struct tensor *dy, const struct tensor *dy2,
                               const struct tensor *x, const struct tensor *y, const float *mean, const float *inv_std,
                               const float *scale, const float *shift, const float *row_scale, enum activation act);
    void (*norm_backward)(const struct tensor *dx, const struct tensor *g, const struct tensor *x, const float *mean,
                          const float *inv_std, const float *scale, const float *mean_g, const float *mean_gx,
                          const float *row_scale, bool add);
    void (*maxpool_forward)(const struct tensor *y, uint8_t *index, const struct tensor *x, const struct pool_spec *spec);
    void (*maxpool_backward)(const struct tensor *dx, const struct tensor *dy, const uint8_t *index, const struct pool_spec *spec);
    void (*avgpool_forward)(const struct tensor *y, const struct tensor *x, const struct pool_spec *spec);
    void (*avgpool_backward)(const struct tensor *dx, const struct tensor *dy, const struct pool_spec *spec);
    void (*se_forward)(const struct tensor *y, float *save, const struct tensor *x, const float *w1, const float *b1,
                       const float *w2, const float *b2, int squeeze);
    void (*se_backward)(const struct tensor *dx, float *dw1, float *db1, float *dw2, float *db2, const struct tensor *x,
                        const struct tensor *dy, const float *save, const float *w1, const float *w2, int squeeze, float *scratch);
    void (*relu_backward)(const struct tensor *dy, const struct tensor *y);
    void (*dropout)(const struct tensor *y, const struct tensor *x, double p, const uint64_t *row_key, uint64_t layer);
    void (*add)(const struct tensor *y, const struct tensor *x);
    void (*input)(const struct tensor *x, const float *nchw);

    /* ---- for conv.c ---- */
    /* Weight gradient of a depthwise convolution over ONE shard (n >= 1), f32 or bf16 x and dy of equal dtype and layout,
     * LAYOUT_NHWC or LAYOUT_NCHW16C, both whole tensors. dw is overwritten; its order is oneDNN's Goihw16g,
     * [ceil(c/16)][kernel*kernel][16], lanes past c zero. kernel is 3 or 5, stride 1 or 2 at full speed, others correct. */
    void (*depthwise_backward_weights)(float *dw, const struct tensor *x, const struct tensor *dy, int kernel, int stride, int padding);
    /* dst = src; equal shape (n, c, h, w), dtype and layout (NHWC or NCHW16C); either may be a channel slice. Of a whole
     * dst in NCHW16C the lanes past c become zero. */
    void (*copy)(const struct tensor *dst, const struct tensor *src);
};

extern const struct kernels kernels_baseline, kernels_avx2, kernels_avx512;
/* The best of the three for this CPU; the same answer every time. */
const struct kernels *kernels_pick(void);
#endif
