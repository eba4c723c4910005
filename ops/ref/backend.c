/* backend.c - the table of the reference backend: the definition of every operation. */
#include <omp.h>

#include "ops/host/host.h"
#include "ops/ref/ref.h"

static void ref_open(int threads)
{
    if (threads > 0) omp_set_num_threads(threads);
}
static enum layout ref_layout(enum dtype dtype)
{
    (void)dtype;
    return LAYOUT_NCHW;
}
static bool ref_has(enum dtype dtype) { return dtype == DTYPE_F32; }

const struct ops ops_ref = {
    .name = "ref", .open = ref_open, .layout = ref_layout, .input_layout = ref_layout, .has = ref_has,
    HOST_ENTRIES,
    .conv_create = ref_conv_create, .conv_close = ref_conv_close, .conv_weight_count = ref_conv_weight_count,
    .conv_weight_import = ref_conv_weight_import, .conv_weight_export = ref_conv_weight_export,
    .conv_forward = ref_conv_forward, .conv_backward_data = ref_conv_backward_data,
    .conv_backward_weights = ref_conv_backward_weights, .conv_describe = ref_conv_describe,
    .linear_create = ref_linear_create, .linear_close = ref_linear_close, .linear_weight_count = ref_linear_weight_count,
    .linear_weight_import = ref_linear_weight_import, .linear_weight_export = ref_linear_weight_export,
    .linear_forward = ref_linear_forward, .linear_backward_data = ref_linear_backward_data,
    .linear_backward_weights = ref_linear_backward_weights,
    .norm_sums = ref_norm_sums, .norm_forward = ref_norm_forward, .norm_backward_sums = ref_norm_backward_sums,
    .norm_backward = ref_norm_backward,
    .maxpool_forward = ref_maxpool_forward, .maxpool_backward = ref_maxpool_backward, .avgpool_forward = ref_avgpool_forward,
    .avgpool_backward = ref_avgpool_backward,
    .se_forward = ref_se_forward, .se_backward = ref_se_backward,
    .relu_backward = ref_relu_backward, .dropout = ref_dropout, .add = ref_add, .input = ref_input};
