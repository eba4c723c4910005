/* backend.c - the table of ops_cuda(): cuDNN for dense convolutions, cuBLASLt for linear layers, own kernels (kernels.h) for the rest. What a
 * kernel wants beside the arguments of ops.h, a stream and working memory, is the device's. */
#include "ops/cuda/backend.h"

#include <stdio.h>

#include "base/memory.h"
#include "ops/cuda/choices.h"
#include "ops/cuda/cuda_calls.h"
#include "ops/cuda/cuda_layers.h"
#include "ops/cuda/matmul_choices.h"
#include "ops/cuda/plan_cache.h"

#define STREAM device_stream()

static void *work(size_t bytes) { return device_scratch(SCRATCH_KERNEL, bytes); }

/* ---- what this backend is ---- */

static int device(void) { return device_facts()->index; }
static struct ops_tuning tuning = {.candidates = 1};
static void tune(const struct ops_tuning *wanted) { tuning = *wanted; }
static void backend_open(int threads) /* they compile cuDNN's plans */
{
    plan_cache_open(&(struct plan_cache_options){.threads = threads, .candidates = tuning.candidates});
    matmul_choices_clear();
    device_set_tf32(tuning.tf32);
    cuda_conv_set_sums(!tuning.sums_apart);
    device_set_limit(tuning.limit_s);
}
static void describe(char *text, size_t bytes)
{
    const struct device_facts *f = device_facts();
    size_t dnn = cuda.cudnnGetVersion();
    snprintf(text, bytes, "%s, compute capability %d.%d, %.0f GB, driver for CUDA %d.%d, cuDNN %zu.%zu.%zu", f->name, f->major, f->minor,
             (double)f->memory / 1e9, f->driver / 1000, f->driver % 1000 / 10, dnn / 10000, dnn / 100 % 100, dnn % 100);
}
/* Slurm may show each rank its own card only: then it is number 0 for all. Ranks that share a card are the communicator's to judge. */
static int attach(int device, struct error *err)
{
    int seen = cuda_device_count(err);
    return seen < 1 ? -1 : cuda_open(device % seen, err);
}
static enum layout layout(enum dtype dtype) { return (void)dtype, LAYOUT_NHWC; }
static bool has(enum dtype dtype) { return (void)dtype, true; }

/* ---- sums ---- */

static void tree_sum(float *const parts[], int shards, size_t count) { launch_tree_sum(parts, shards, count, STREAM); }
static void tree_sum_double(double *const parts[], int shards, size_t count) { launch_tree_sum_double(parts, shards, count, STREAM); }
static void narrow(float *to, const double *from, size_t count) { launch_narrow(to, from, count, STREAM); }
static void round_bf16(uint16_t *to, const float *from, size_t count) { launch_round(to, from, (int64_t)count, STREAM); }
static void widen_bf16(float *to, const uint16_t *from, size_t count) { launch_widen(to, from, (int64_t)count, STREAM); }

/* ---- normalisation ---- */

static void norm_sums(double *sum, double *squares, const struct tensor *x)
{
    launch_norm_sums(sum, squares, x, work(channel_sums_scratch(x)), STREAM);
}
static void norm_statistics(const struct norm_memory *m, const struct norm_spec *spec, const double *sum, const double *squares, double count)
{
    launch_norm_statistics(m, spec, sum, squares, count, STREAM);
}
static void norm_frozen(const struct norm_memory *m, const struct norm_spec *spec) { launch_norm_frozen(m, spec, STREAM); }
static void norm_forward(const struct tensor *y, const struct tensor *x, const struct tensor *residual, const float *scale, const float *shift,
                         const float *row_scale, enum activation act)
{
    launch_norm_forward(y, x, residual, scale, shift, row_scale, act, STREAM);
}
static void norm_backward_sums(double *sum_g, double *sum_gx, const struct tensor *dy, const struct tensor *dy2, const struct tensor *x,
                               const struct tensor *y, const float *mean, const float *inv_std, const float *scale, const float *shift,
                               const float *row_scale, enum activation act)
{
    launch_norm_backward_sums(sum_g, sum_gx, dy, dy2, x, y, mean, inv_std, scale, shift, row_scale, act, work(channel_sums_scratch(x)), STREAM);
}
static void norm_batch(const struct norm_memory *m, const struct norm_spec *spec, double *sum, double *squares, const struct tensor *fresh, double count)
{
    launch_norm_batch(m, spec, sum, squares, fresh, count, work(fresh->c ? channel_sums_scratch(fresh) : 0), STREAM);
}
static void norm_backward_batch(float *dgamma, float *dbeta, float *mean_g, float *mean_gx, const struct tensor *dy, const struct tensor *dy2,
                                const struct tensor *x, const struct tensor *y, const struct norm_memory *m, const float *row_scale,
                                enum activation act, double count)
{
    launch_norm_backward_batch(dgamma, dbeta, mean_g, mean_gx, dy, dy2, x, y, m, row_scale, act, count, work(channel_sums_scratch(x)), STREAM);
}
static void norm_means(float *mean_g, float *mean_gx, const double *sum_g, const double *sum_gx, int c, double count)
{
    launch_norm_means(mean_g, mean_gx, sum_g, sum_gx, c, count, STREAM);
}
static void norm_backward(const struct tensor *dx, const struct tensor *g, const struct tensor *x, const float *mean, const float *inv_std,
                          const float *scale, const float *mean_g, const float *mean_gx, const float *row_scale, bool add)
{
    launch_norm_backward(dx, g, x, mean, inv_std, scale, mean_g, mean_gx, row_scale, add, STREAM);
}

/* ---- pooling ---- */

static void maxpool_forward(const struct tensor *y, uint8_t *index, const struct tensor *x, const struct pool_spec *spec)
{
    launch_maxpool_forward(y, index, x, spec, STREAM);
}
static void maxpool_backward(const struct tensor *dx, const struct tensor *dy, const uint8_t *index, const struct pool_spec *spec)
{
    launch_maxpool_backward(dx, dy, index, spec, STREAM);
}
static void avgpool_forward(const struct tensor *y, const struct tensor *x, const struct pool_spec *spec)
{
    launch_avgpool_forward(y, x, spec, STREAM);
}
static void avgpool_backward(const struct tensor *dx, const struct tensor *dy, const struct pool_spec *spec)
{
    launch_avgpool_backward(dx, dy, spec, STREAM);
}

/* ---- squeeze and excitation ---- */

static void se_forward(const struct tensor *y, float *save, const struct tensor *x, const float *w1, const float *b1, const float *w2, const float *b2,
                       int squeeze)
{
    launch_se_forward(y, save, x, w1, b1, w2, b2, squeeze, work(se_scratch(x)), STREAM);
}
static void se_backward(const struct tensor *dx, float *dw1, float *db1, float *dw2, float *db2, const struct tensor *x, const struct tensor *dy,
                        const float *save, const float *w1, const float *w2, int squeeze, float *scratch)
{
    launch_se_backward(dx, dw1, db1, dw2, db2, x, dy, save, w1, w2, squeeze, scratch, work(se_scratch(x)), STREAM);
}

/* ---- element by element ---- */

static void relu_backward(const struct tensor *dy, const struct tensor *y) { launch_relu_backward(dy, y, STREAM); }
static void dropout(const struct tensor *y, const struct tensor *x, double p, const uint64_t *row_key, uint64_t layer)
{
    launch_dropout(y, x, p, row_key, layer, STREAM);
}
static void drop_rows(float *row_scale, const uint64_t *row_key, int images, double p, uint64_t layer)
{
    launch_drop_rows(row_scale, row_key, images, p, layer, STREAM);
}
static void add(const struct tensor *y, const struct tensor *x) { launch_add(y, x, STREAM); }

static void input(const struct tensor *x, const float *host_nchw)
{
    size_t bytes = sizeof(float) * (size_t)x->n * (size_t)x->c * (size_t)x->h * (size_t)x->w;
    float *pictures = device_scratch(SCRATCH_INPUT, bytes);
    device_upload(pictures, host_nchw, bytes);
    launch_input(x, pictures, STREAM);
}

static void pictures(const struct tensor *x, const struct picture_pool *pool, const struct picture *pictures)
{
    launch_augment(x, pool->bytes, pictures, pool->mean, pool->deviation, STREAM);
}

/* ---- the ends of a step ---- */

static void loss(double *sums, float *dlogits, const float *logits, const float *targets, int images, int total_images, const struct loss_spec *spec)
{
    launch_loss(sums, dlogits, logits, targets, images, total_images, spec, STREAM);
}
static void norm_of(double *norm, const float *gradients, int64_t count)
{
    launch_norm_of(norm, gradients, count, work(norm_of_scratch(count)), STREAM);
}
/* The kernel writes the parameters' bf16 twin as well. */
static void update(float *parameters, float *m, float *v, const float *gradients, int64_t count, const struct optim_spec *spec,
                   const struct optim_now *now, const double *norm)
{
    launch_update(parameters, m, v, gradients, count, spec, now, norm, (uint16_t *)device_bf16_of(parameters), STREAM);
}

static const struct ops table = {
    .name = "cuda",
    .open = backend_open, .layout = layout, .input_layout = layout, .has = has,
    .attach = attach, .device = device, .stream = device_stream, .tune = tune, .describe = describe, .input_channels = input_channels, .zero = device_zero, .pictures = pictures,
    .alloc = device_alloc, .free = device_free, .room = device_room, .upload = device_upload, .download = device_download, .copy = device_copy,
    .parameters_set = device_parameters_set, .replay = device_replay, .recording_free = device_recording_free, .choices_get = choices_give, .choices_set = choices_take,
    .tree_sum = tree_sum, .tree_sum_double = tree_sum_double, .narrow = narrow, .round = round_bf16, .widen = widen_bf16,
    .conv_create = cuda_conv_create, .conv_expect = cuda_conv_expect, .conv_close = cuda_conv_close, .conv_weight_count = cuda_conv_weight_count,
    .conv_weight_import = cuda_conv_weight_import, .conv_weight_export = cuda_conv_weight_export,
    .conv_forward = cuda_conv_forward, .conv_forward_sums = cuda_conv_forward_sums, .conv_forward_batch = cuda_conv_forward_batch,
    .conv_backward_data = cuda_conv_backward_data, .conv_backward_weights = cuda_conv_backward_weights,
    .conv_backward = cuda_conv_backward, .conv_describe = cuda_conv_describe,
    .linear_create = cuda_linear_create, .linear_expect = cuda_linear_expect, .linear_close = cuda_linear_close, .linear_weight_count = cuda_linear_weight_count,
    .linear_weight_import = cuda_linear_weight_import, .linear_weight_export = cuda_linear_weight_export,
    .linear_forward = cuda_linear_forward, .linear_backward_data = cuda_linear_backward_data, .linear_backward_weights = cuda_linear_backward_weights,
    .norm_sums = norm_sums, .norm_statistics = norm_statistics, .norm_frozen = norm_frozen, .norm_forward = norm_forward,
    .norm_backward_sums = norm_backward_sums, .norm_means = norm_means, .norm_batch = norm_batch, .norm_backward_batch = norm_backward_batch, .norm_backward = norm_backward,
    .maxpool_forward = maxpool_forward, .maxpool_backward = maxpool_backward, .avgpool_forward = avgpool_forward, .avgpool_backward = avgpool_backward,
    .se_forward = se_forward, .se_backward = se_backward,
    .relu_backward = relu_backward, .dropout = dropout, .drop_rows = drop_rows, .add = add, .input = input,
    .loss = loss, .norm_of = norm_of, .update = update,
};

const struct ops *ops_cuda(void) { return &table; }
