/* backend.c - the table ops_cpu: oneDNN for convolution and linear layers, own kernels for the rest. */
#include <omp.h>
#include "ops/cpu/cpu.h"
#include "ops/cpu/dnnl_layers.h"
#include "ops/cpu/dnnl_shared.h"

const struct kernels *kernels_pick(void)
{
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return &kernels_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &kernels_avx2;
#endif
    return &kernels_baseline;
}

/* ---- own kernels ---- */

static const struct kernels *own(void)
{
    static const struct kernels *picked;
    if (picked == NULL) picked = kernels_pick();
    return picked;
}

static void norm_sums(double *sum, double *sum_squares, const struct tensor *x) { own()->norm_sums(sum, sum_squares, x); }

static void norm_forward(const struct tensor *y, const struct tensor *x, const struct tensor *residual, const float *scale,
                         const float *shift, const float *row_scale, enum activation act)
{
    own()->norm_forward(y, x, residual, scale, shift, row_scale, act);
}

static void norm_backward_sums(double *sum_g, double *sum_gx, const struct tensor *dy, const struct tensor *dy2,
                               const struct tensor *x, const struct tensor *y, const float *mean, const float *inv_std,
                               const float *scale, const float *shift, const float *row_scale, enum activation act)
{
    own()->norm_backward_sums(sum_g, sum_gx, dy, dy2, x, y, mean, inv_std, scale, shift, row_scale, act);
}

static void norm_backward(const struct tensor *dx, const struct tensor *g, const struct tensor *x, const float *mean,
                          const float *inv_std, const float *scale, const float *mean_g, const float *mean_gx,
                          const float *row_scale, bool add)
{
    own()->norm_backward(dx, g, x, mean, inv_std, scale, mean_g, mean_gx, row_scale, add);
}

static void maxpool_forward(const struct tensor *y, uint8_t *index, const struct tensor *x, const struct pool_spec *spec)
{
    own()->maxpool_forward(y, index, x, spec);
}

static void maxpool_backward(const struct tensor *dx, const struct tensor *dy, const uint8_t *index, const struct pool_spec *spec)
{
    own()->maxpool_backward(dx, dy, index, spec);
}

static void avgpool_forward(const struct tensor *y, const struct tensor *x, const struct pool_spec *spec)
{
    own()->avgpool_forward(y, x, spec);
}

static void avgpool_backward(const struct tensor *dx, const struct tensor *dy, const struct pool_spec *spec)
{
    own()->avgpool_backward(dx, dy, spec);
}

static void se_forward(const struct tensor *y, float *save, const struct tensor *x, const float *w1, const float *b1,
                       const float *w2, const float *b2, int squeeze)
{
    own()->se_forward(y, save, x, w1, b1, w2, b2, squeeze);
}

static void se_backward(const struct tensor *dx, float *dw1, float *db1, float *dw2, float *db2, const struct tensor *x,
                        const struct tensor *dy, const float *save, const float *w1, const float *w2, int squeeze,
                        float *scratch_floats)
{
    own()->se_backward(dx, dw1, db1, dw2, db2, x, dy, save, w1, w2, squeeze, scratch_floats);
}

static void relu_backward(const struct tensor *dy, const struct tensor *y) { own()->relu_backward(dy, y); }

static void dropout(const struct tensor *y, const struct tensor *x, double p, const uint64_t *row_key, uint64_t layer)
{
    own()->dropout(y, x, p, row_key, layer);
}

static void add(const struct tensor *y, const struct tensor *x) { own()->add(y, x); }
static void input(const struct tensor *x, const float *nchw) { own()->input(x, nchw); }

/* ---- the table ---- */

static void backend_open(int threads)
{
    if (threads > 0) omp_set_num_threads(threads);
    onednn_engine();
}

static bool isa_has(dnnl_cpu_isa_t isa)
{
    onednn_engine();
    return (dnnl_get_effective_cpu_isa() & isa) == isa;
}

/* With AVX-512 blocked f32 is faster than channels-last, whole networks measured (tests/tools/bench_conv.c): from equal
 * (ResNet-18) to 1.35 times (DenseNet-121). Older CPUs have no kernels for blocks of 16. AMX kernels are channels-last. */
static enum layout layout(enum dtype dtype)
{
    return dtype == DTYPE_F32 && isa_has(dnnl_cpu_isa_avx512_core) ? LAYOUT_NCHW16C : LAYOUT_NHWC;
}

/* Three channels would be padded to sixteen; oneDNN's first convolution takes them plain. */
static enum layout input_layout(enum dtype dtype)
{
    return layout(dtype) == LAYOUT_NCHW16C ? LAYOUT_NCHW : LAYOUT_NHWC;
}

/* AMX is several times as fast as f32; of the avx512_bf16 instruction AMD's is twice as fast, Intel's half as fast. */
static bool has(enum dtype dtype)
{
    if (dtype == DTYPE_F32 || isa_has(dnnl_cpu_isa_avx512_core_amx)) return true;
#ifdef __x86_64__
    __builtin_cpu_init();
    return isa_has(dnnl_cpu_isa_avx512_core_bf16) && __builtin_cpu_is("amd");
#else
    return false;
#endif
}

const struct ops ops_cpu = {
    .name = "cpu",
    .open = backend_open,
    .layout = layout,
    .input_layout = input_layout,
    .has = has,
    .conv_create = cpu_conv_create,
    .conv_close = cpu_conv_close,
    .conv_weight_count = cpu_conv_weight_count,
    .conv_weight_import = cpu_conv_weight_import,
    .conv_weight_export = cpu_conv_weight_export,
    .conv_forward = cpu_conv_forward,
    .conv_backward_data = cpu_conv_backward_data,
    .conv_backward_weights = cpu_conv_backward_weights,
    .conv_describe = cpu_conv_describe,
    .linear_create = cpu_linear_create,
    .linear_close = cpu_linear_close,
    .linear_weight_count = cpu_linear_weight_count,
    .linear_weight_import = cpu_linear_weight_import,
    .linear_weight_export = cpu_linear_weight_export,
    .linear_forward = cpu_linear_forward,
    .linear_backward_data = cpu_linear_backward_data,
    .linear_backward_weights = cpu_linear_backward_weights,
    .norm_sums = norm_sums,
    .norm_forward = norm_forward,
    .norm_backward_sums = norm_backward_sums,
    .norm_backward = norm_backward,
    .maxpool_forward = maxpool_forward,
    .maxpool_backward = maxpool_backward,
    .avgpool_forward = avgpool_forward,
    .avgpool_backward = avgpool_backward,
    .se_forward = se_forward,
    .se_backward = se_backward,
    .relu_backward = relu_backward,
    .dropout = dropout,
    .add = add,
    .input = input,
};
