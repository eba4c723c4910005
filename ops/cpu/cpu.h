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

    struct ops ops;  /* the operations that are own code; the other entries NULL */

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
