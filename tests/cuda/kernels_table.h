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

/* ---- depthwise convolution behind the table's handles: other convolutions are not made ---- */

struct conv {
    struct conv_spec s;
    struct depthwise_spec d;
};
static inline struct conv *table_conv_create(const struct conv_spec *spec, int n, bool training, const struct conv *like, struct error *err)
{
    (void)n, (void)training, (void)like, (void)err;
    struct conv *c = NEW(struct conv);
    *c = (struct conv){*spec, {spec->kernel, spec->stride, spec->padding, spec->relu}};
    return c;
}
static inline void table_conv_close(struct conv *c) { mem_free(c); }
static inline size_t table_conv_weight_count(const struct conv *c) { return (size_t)(c->s.out_c * c->s.kernel * c->s.kernel); }
static inline void table_conv_weight_import(const struct conv *c, float *stored, const float *oihw)
{
    launch_transpose(stored, oihw, c->s.out_c, c->s.kernel * c->s.kernel, NULL);
}
static inline void table_conv_weight_export(const struct conv *c, float *oihw, const float *stored)
{
    launch_transpose(oihw, stored, c->s.kernel * c->s.kernel, c->s.out_c, NULL);
}
static inline void table_conv_forward(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights, const float *bias, int shards)
{
    for (int s = 0; s < shards; s++) launch_depthwise_forward(&y[s], &x[s], weights, bias, &c->d, NULL);
}
static inline void table_conv_backward_data(struct conv *c, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards)
{
    for (int s = 0; s < shards; s++) launch_depthwise_backward_data(&dx[s], &dy[s], weights, &c->d, NULL);
}
static inline void table_conv_backward_weights(struct conv *c, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy, int shards)
{
    size_t count = table_conv_weight_count(c), channels = (size_t)c->s.out_c;
    float *dw[16] = {0}, *db[16] = {0};
    ASSERT(shards <= 16);
    for (int s = 0; s < shards; s++) {
        void *scratch = scratch_new(depthwise_weights_scratch(&dy[s], &c->d)), *sums = scratch_new(channel_sums_scratch(&dy[s]));
        dw[s] = scratch_new(sizeof(float) * count), db[s] = scratch_new(sizeof(float) * channels);
        launch_depthwise_backward_weights(dw[s], &x[s], &dy[s], &c->d, scratch, NULL);
        launch_channel_sum(db[s], &dy[s], sums, NULL);
        mem_free(scratch), mem_free(sums);
    }
    launch_tree_sum(dw, shards, count, NULL), launch_tree_sum(db, shards, channels, NULL);
    memcpy(dweights, dw[0], sizeof(float) * count);
    if (dbias) memcpy(dbias, db[0], sizeof(float) * channels);
    for (int s = 0; s < shards; s++) mem_free(dw[s]), mem_free(db[s]);
}

static const struct ops table_ops = {
    .name = "cuda kernels", .open = table_open, .layout = table_layout, .input_layout = table_layout, .has = table_has,
    .conv_create = table_conv_create, .conv_close = table_conv_close, .conv_weight_count = table_conv_weight_count,
    .conv_weight_import = table_conv_weight_import, .conv_weight_export = table_conv_weight_export, .conv_forward = table_conv_forward,
    .conv_backward_data = table_conv_backward_data, .conv_backward_weights = table_conv_backward_weights,
    .norm_sums = table_norm_sums, .norm_forward = table_norm_forward, .norm_backward_sums = table_norm_backward_sums,
    .norm_backward = table_norm_backward, .maxpool_forward = table_maxpool_forward, .maxpool_backward = table_maxpool_backward,
    .avgpool_forward = table_avgpool_forward, .avgpool_backward = table_avgpool_backward, .se_forward = table_se_forward,
    .se_backward = table_se_backward, .relu_backward = table_relu_backward, .dropout = table_dropout, .add = table_add, .input = table_input};
#endif
