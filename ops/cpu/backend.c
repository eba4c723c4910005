/* backend.c - the table of ops_cpu(): oneDNN for convolution and linear layers, own kernels for the rest. */
#include <omp.h>
#include "ops/cpu/cpu.h"
#include "ops/cpu/dnnl_alone.h"
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

static void backend_open(int threads)
{
    if (threads > 0) omp_set_num_threads(threads);
    onednn_engine();
}

static void tune(const struct ops_tuning *tuning) { deterministic_set(tuning->deterministic); }

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

static void put_together(struct ops *t)
{
    *t = kernels_pick()->ops;
    t->name = "cpu";
    t->open = backend_open;
    t->tune = tune;
    t->layout = layout;
    t->input_layout = input_layout;
    t->has = has;
    t->conv_create = cpu_conv_create;
    t->conv_close = cpu_conv_close;
    t->conv_weight_count = cpu_conv_weight_count;
    t->conv_weight_import = cpu_conv_weight_import;
    t->conv_weight_export = cpu_conv_weight_export;
    t->conv_forward = cpu_conv_forward;
    t->conv_backward_data = cpu_conv_backward_data;
    t->conv_backward_weights = cpu_conv_backward_weights;
    t->conv_describe = cpu_conv_describe;
    t->linear_create = cpu_linear_create;
    t->linear_close = cpu_linear_close;
    t->linear_weight_count = cpu_linear_weight_count;
    t->linear_weight_import = cpu_linear_weight_import;
    t->linear_weight_export = cpu_linear_weight_export;
    t->linear_forward = cpu_linear_forward;
    t->linear_backward_data = cpu_linear_backward_data;
    t->linear_backward_weights = cpu_linear_backward_weights;
}

const struct ops *ops_cpu(void)
{
    static struct ops table;
    if (table.name == NULL) put_together(&table);
    return &table;
}
