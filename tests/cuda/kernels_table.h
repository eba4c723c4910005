/* kernels_table.h - the launch functions of ops/cuda/kernels.h as a table of operations in host memory, for the cases that all backends
 * meet. Scratch memory is full of NaN before each call, and of the very size that the kernels ask for. */
#ifndef TESTS_CUDA_KERNELS_TABLE_H
#define TESTS_CUDA_KERNELS_TABLE_H
#include <string.h>

#include "base/memory.h"
#include "ops/cuda/kernels.h"
#include "tests/cuda/emulator.h"

static inline void *scratch_new(size_t bytes) { return memset(mem_alloc(bytes), 0xff, bytes); }

/* Each run of a case asks `open` first: every other one meets blocks and threads in the other order, and must find the same bits. */
static inline void table_open(int threads)
{
    static bool reverse;
    (void)threads;
    emulator_reverse(reverse = !reverse);
}
static inline enum layout table_layout(enum dtype dtype) { return (void)dtype, LAYOUT_NHWC; }
static inline bool table_has(enum dtype dtype) { return (void)dtype, true; }

static inline void table_norm_sums(double *sum, double *sum_squares, const struct tensor *x)
{
    void *scratch = scratch_new(channel_sums_scratch(x));
    launch_norm_sums(sum, sum_squares, x, scratch, NULL);
    mem_free(scratch);
}
static inline void table_norm_forward(const struct tensor *y, const struct tensor *x, const struct tensor *residual, const float *scale,
                                      const float *shift, const float *row_scale, enum activation act)
{
    launch_norm_forward(y, x, residual, scale, shift, row_scale, act, NULL);
}
static inline void table_norm_backward_sums(double *sum_g, double *sum_gx, const struct tensor *dy, const struct tensor *dy2, const struct tensor *x,
                                            const struct tensor *y, const float *mean, const float *inv_std, const float *scale,
                                            const float *shift, const float *row_scale, enum activation act)
{
    void *scratch = scratch_new(channel_sums_scratch(x));
    launch_norm_backward_sums(sum_g, sum_gx, dy, dy2, x, y, mean, inv_std, scale, shift, row_scale, act, scratch, NULL);
    mem_free(scratch);
}
static inline void table_norm_backward(const struct tensor *dx, const struct tensor *g, const struct tensor *x, const float *mean, const float *inv_std,
                                       const float *scale, const float *mean_g, const float *mean_gx, const float *row_scale, bool add)
{
    launch_norm_backward(dx, g, x, mean, inv_std, scale, mean_g, mean_gx, row_scale, add, NULL);
}
static inline void table_maxpool_forward(const struct tensor *y, uint8_t *index, const struct tensor *x, const struct pool_spec *spec)
{
    launch_maxpool_forward(y, index, x, spec, NULL);
}
static inline void table_maxpool_backward(const struct tensor *dx, const struct tensor *dy, const uint8_t *index, const struct pool_spec *spec)
{
    launch_maxpool_backward(dx, dy, index, spec, NULL);
}
static inline void table_avgpool_forward(const struct tensor *y, const struct tensor *x, const struct pool_spec *spec)
{
    launch_avgpool_forward(y, x, spec, NULL);
}
static inline void table_avgpool_backward(const struct tensor *dx, const struct tensor *dy, const struct pool_spec *spec)
{
    launch_avgpool_backward(dx, dy, spec, NULL);
}
static inline void table_se_forward(const struct tensor *y, float *save, const struct tensor *x, const float *w1, const float *b1, const float *w2,
                                    const float *b2, int squeeze)
{
    void *work = scratch_new(se_scratch(x));
    launch_se_forward(y, save, x, w1, b1, w2, b2, squeeze, work, NULL);
    mem_free(work);
}
static inline void table_se_backward(const struct tensor *dx, float *dw1, float *db1, float *dw2, float *db2, const struct tensor *x,
                                     const struct tensor *dy, const float *save, const float *w1, const float *w2, int squeeze, float *scratch)
{
    void *work = scratch_new(se_scratch(x));
    launch_se_backward(dx, dw1, db1, dw2, db2, x, dy, save, w1, w2, squeeze, scratch, work, NULL);
    mem_free(work);
}
static inline void table_relu_backward(const struct tensor *dy, const struct tensor *y) { launch_relu_backward(dy, y, NULL); }
static inline void table_dropout(const struct tensor *y, const struct tensor *x, double p, const uint64_t *row_key, uint64_t layer)
{
    launch_dropout(y, x, p, row_key, layer, NULL);
}
static inline void table_add(const struct tensor *y, const struct tensor *x) { launch_add(y, x, NULL); }
static inline void table_input(const struct tensor *x, const float *nchw) { launch_input(x, nchw, NULL); }

static const struct ops table_ops = {
    .name = "cuda kernels", .open = table_open, .layout = table_layout, .input_layout = table_layout, .has = table_has,
    .norm_sums = table_norm_sums, .norm_forward = table_norm_forward, .norm_backward_sums = table_norm_backward_sums,
    .norm_backward = table_norm_backward, .maxpool_forward = table_maxpool_forward, .maxpool_backward = table_maxpool_backward,
    .avgpool_forward = table_avgpool_forward, .avgpool_backward = table_avgpool_backward, .se_forward = table_se_forward,
    .se_backward = table_se_backward, .relu_backward = table_relu_backward, .dropout = table_dropout, .add = table_add, .input = table_input};
#endif
