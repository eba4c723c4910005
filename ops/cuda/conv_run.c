/* conv_run.c - convolution on the GPU: shards, and operands as cuDNN takes them (conv_graph.h). Depthwise ones have kernels of our own.
 *
 * cuDNN meets dense channels-last tensors of whole lanes (16 bytes) only, because that is what its engines on tensor cores read: a slice of a wider
 * buffer, or channels that are no whole lanes, pass through a dense twin in a shared buffer. Engines that take slices on tensor cores do the same
 * inside. Of the networks this meets DenseNet's 32 channels, and the input where it is not already stored with rounded channels (input_channels,
 * kernels.h).
 *
 * A convolution that a batch normalisation follows sums its output while it has it in registers, in bf16, where cuDNN has a deterministic engine on
 * tensor cores for that: the pass that would read the output falls away, and DenseNet's slices are written in place. Such sums are f32; the shards'
 * are added in double as ever. A relative error e of the sums makes one of e * (1 + mean^2 / variance) in the variance E y^2 - mean^2. Sums of tiles
 * of 128 rows, and of 3136 tiles, all in f32, have e = 1e-6 (measured on normal numbers). Storing y in bf16 does more: its rounding adds noise of
 * 2^-18 / 3 to 2^-16 / 3 of E y^2, 1.3e-6 to 5e-6, to the same difference. So a channel whose mean is large against its deviation loses less by
 * these sums than by being stored; what is stored in f32 would lose, and is summed by the own kernel in any case. tests/tools/ops_cases_sums.h holds
 * this, on means up to a hundred times the deviation, for the emulated card and for real ones.
 */
#include "base/memory.h"
#include "ops/cuda/conv_private.h"
#include "ops/cuda/dnn_run.h"

/* ---- operands as cuDNN takes them ---- */

/* Operands are those of the forward pass or their gradients; bias may be NULL. */
static void run(struct conv *c, int n, enum conv_step step, const void *x, const void *w, const void *y, const void *bias)
{
    const struct dnn_plan *plan = conv_plan(c, n, step);
    const struct conv_ids ids = conv_graph_ids(conv_fusion_of(c, step));
    const int bound[] = {ids.x, ids.w, ids.y, ids.bias};
    void *const pointers[] = {(void *)x, (void *)w, (void *)y, (void *)bias};
    dnn_plan_room(plan);
    dnn_plan_run(plan, bound, pointers, ids.bias < 0 ? 3 : 4);
}

static bool is_plain(const struct tensor *t, int lanes) { return t->c == lanes && t->c_total == lanes; }

/* A dense tensor of t's shape with its channels rounded up, in memory that is 0 where t has nothing. */
static struct tensor twin_of(const struct tensor *t, int lanes, enum scratch where)
{
    struct tensor twin = tensor_make(NULL, t->n, lanes, t->h, t->w, t->dtype, t->layout);
    twin.data = device_scratch(where, tensor_buffer_bytes(&twin));
    if (lanes != t->c) device_zero(twin.data, tensor_buffer_bytes(&twin));
    twin.c = t->c;
    return twin;
}

/* What is read: itself, or its copy. */
static const void *seen(const struct tensor *t, int lanes, enum scratch where)
{
    if (is_plain(t, lanes)) return t->data;
    struct tensor twin = twin_of(t, lanes, where);
    launch_copy(&twin, t, device_stream());
    return twin.data;
}

/* The network's input: its copy keeps lanes of zeros, so only pixels are copied. */
static const void *seen_x(const struct conv *c, const struct tensor *x)
{
    if (!c->s.first) return seen(x, c->in_lanes, SCRATCH_X);
    if (x->c_total == c->in_lanes && x->c_offset == 0) return x->data; /* zeros beside the pixels already */
    struct tensor twin = tensor_make(NULL, x->n, c->in_lanes, x->h, x->w, x->dtype, x->layout);
    twin.data = device_stem(tensor_buffer_bytes(&twin), x->c, c->in_lanes, x->dtype);
    twin.c = x->c;
    launch_copy(&twin, x, device_stream());
    return twin.data;
}

/* The bias with zeros for rounded-up channels; of zeros alone when there is none. */
static const void *seen_bias(const struct conv *c, const float *bias)
{
    if (bias && c->out_lanes == c->s.out_c) return parameters_as(bias, (size_t)c->s.out_c, c->s.dtype, SCRATCH_BIAS);
    size_t bytes = (size_t)c->out_lanes * dtype_bytes(c->s.dtype);
    void *copy = device_scratch(SCRATCH_BIAS, bytes);
    device_zero(copy, bytes);
    if (bias && c->s.dtype == DTYPE_F32) device_copy(copy, bias, sizeof(float) * (size_t)c->s.out_c);
    else if (bias) launch_round(copy, bias, c->s.out_c, device_stream());
    return copy;
}

static const void *seen_weights(const struct conv *c, const float *weights)
{
    return parameters_as(weights, cuda_conv_weight_count(c), c->s.dtype, SCRATCH_WEIGHTS);
}

static void check_tensors(const struct conv *c, const struct tensor *x, const struct tensor *y)
{
    ASSERT(x->c == c->s.in_c && x->h == c->s.in_h && x->w == c->s.in_w && x->layout == LAYOUT_NHWC && x->dtype == c->s.dtype);
    ASSERT(y->c == c->s.out_c && y->h == c->out_h && y->w == c->out_w && y->layout == LAYOUT_NHWC && y->dtype == c->s.dtype && y->n == x->n);
}

static struct depthwise_spec depthwise_of(const struct conv *c)
{
    return (struct depthwise_spec){c->s.kernel, c->s.stride, c->s.padding, c->s.relu};
}

/* ---- the three directions ---- */

static void forward_shard(struct conv *c, const struct tensor *y, const struct tensor *x, const void *weights, const void *bias)
{
    if (is_plain(y, c->out_lanes)) {
        run(c, x->n, STEP_FORWARD, seen_x(c, x), weights, y->data, bias);
        return;
    }
    struct tensor twin = twin_of(y, c->out_lanes, SCRATCH_Y);
    run(c, x->n, STEP_FORWARD, seen_x(c, x), weights, twin.data, bias);
    launch_copy(y, &twin, device_stream());
}

void cuda_conv_forward(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights, const float *bias, int shards)
{
    ASSERT(c->s.bias == (bias != NULL));
    const struct depthwise_spec spec = depthwise_of(c);
    const void *w = conv_is_depthwise(c) ? weights : seen_weights(c, weights);
    const void *b = conv_is_depthwise(c) || !(c->s.bias || c->s.relu) ? NULL : seen_bias(c, bias);
    for (int s = 0; s < shards; s++) {
        if (x[s].n == 0) continue;
        check_tensors(c, &x[s], &y[s]);
        if (conv_is_depthwise(c)) launch_depthwise_forward(&y[s], &x[s], weights, bias, &spec, device_stream());
        else forward_shard(c, &y[s], &x[s], w, b);
    }
}

/* Forward, and taken: the sums of y's channels and of their squares, (2, out_c) in f32, in memory that the next such call uses again. NULL: no plan
 * takes them, y alone is there. */
static const float *forward_taking(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights)
{
    const struct dnn_plan *plan = y->c_offset % conv_lanes(c->s.dtype) == 0 ? conv_plan_of_sums(c, x->n) : NULL;
    if (!plan) {
        cuda_conv_forward(c, y, x, weights, NULL, 1);
        return NULL;
    }
    check_tensors(c, x, y);
    ASSERT(y->c_total == c->s.sums_c_total);
    float *taken = device_scratch(SCRATCH_SUMS, sizeof(float) * 2 * (size_t)c->s.out_c);
    const struct conv_ids ids = conv_graph_ids(CONV_STATISTICS);
    const int bound[] = {ids.x, ids.w, ids.y, ids.sum, ids.squares};
    uint16_t *out = (uint16_t *)y->data + y->c_offset; /* bf16 */
    void *const pointers[] = {(void *)seen_x(c, x), (void *)seen_weights(c, weights), out, taken, taken + c->s.out_c};
    dnn_plan_room(plan);
    dnn_plan_run(plan, bound, pointers, 5);
    return taken;
}

void cuda_conv_forward_sums(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights, double *const sums[], int shards)
{
    for (int s = 0; s < shards; s++) {
        double *sum = sums[s], *squares = sum + c->s.out_c;
        const float *taken = x[s].n ? forward_taking(c, &y[s], &x[s], weights) : NULL;
        if (taken) launch_norm_sums_taken(sum, squares, taken, c->s.out_c, device_stream());
        else launch_norm_sums(sum, squares, &y[s], device_scratch(SCRATCH_KERNEL, channel_sums_scratch(&y[s])), device_stream());
    }
}

void cuda_conv_forward_batch(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights, const struct norm_memory *m,
                             const struct norm_spec *spec, double *sum, double *sum_squares, double count)
{
    const float *taken = x->n ? forward_taking(c, y, x, weights) : NULL;
    if (taken) launch_norm_batch_taken(m, spec, sum, sum_squares, taken, c->s.out_c, count, device_stream());
    else launch_norm_batch(m, spec, sum, sum_squares, y, count, device_scratch(SCRATCH_KERNEL, channel_sums_scratch(y)), device_stream());
}

/* dout: dy as cuDNN takes it. */
static void data_shard(struct conv *c, const struct tensor *dx, const void *dout, const void *weights)
{
    if (is_plain(dx, c->in_lanes)) {
        run(c, dx->n, STEP_DATA, dx->data, weights, dout, NULL);
        return;
    }
    struct tensor twin = twin_of(dx, c->in_lanes, SCRATCH_X);
    run(c, dx->n, STEP_DATA, twin.data, weights, dout, NULL);
    launch_copy(dx, &twin, device_stream());
}

static void depthwise_weights(struct conv *c, float *dweights, const struct tensor *x, const struct tensor *dy)
{
    const struct depthwise_spec spec = depthwise_of(c);
    launch_depthwise_backward_weights(dweights, x, dy, &spec, device_scratch(SCRATCH_KERNEL, depthwise_weights_scratch(dy, &spec)), device_stream());
}

/* A slice for dy (DenseNet's) is copied once for both. dx NULL: not asked for. */
static void backward_shard(struct conv *c, const struct tensor *dx, float *dweights, const struct tensor *x, const struct tensor *dy, const void *weights)
{
    const struct depthwise_spec spec = depthwise_of(c);
    const void *dout = conv_is_depthwise(c) ? NULL : seen(dy, c->out_lanes, SCRATCH_Y);
    check_tensors(c, x ? x : dx, dy);
    if (dweights && conv_is_depthwise(c)) depthwise_weights(c, dweights, x, dy);
    else if (dweights) run(c, x->n, STEP_WEIGHTS, seen_x(c, x), dweights, dout, NULL);
    if (dx && conv_is_depthwise(c)) launch_depthwise_backward_data(dx, dy, weights, &spec, device_stream());
    else if (dx) data_shard(c, dx, dout, weights);
}

void cuda_conv_backward(struct conv *c, const struct tensor *dx, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy,
                        const float *weights, int shards)
{
    struct parts p;
    const void *w = conv_is_depthwise(c) || !dx ? weights : seen_weights(c, weights);
    ASSERT(c->training && (c->s.bias || !dbias) && !(dx && c->s.first));
    parts_start(&p, dweights, cuda_conv_weight_count(c), dbias, (size_t)c->s.out_c, shards);
    for (int s = 0; s < shards; s++) {
        if (x[s].n == 0) {
            parts_zero(&p, s);
            continue;
        }
        backward_shard(c, dx ? &dx[s] : NULL, p.weights[s], &x[s], &dy[s], w);
        if (dbias) bias_gradient(p.bias[s], &dy[s]);
    }
    parts_sum(&p);
}

void cuda_conv_backward_weights(struct conv *c, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy, int shards)
{
    cuda_conv_backward(c, NULL, dweights, dbias, x, dy, NULL, shards);
}

void cuda_conv_backward_data(struct conv *c, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards)
{
    const void *w = conv_is_depthwise(c) ? weights : seen_weights(c, weights);
    ASSERT(c->training && !c->s.first);
    for (int s = 0; s < shards; s++)
        if (dx[s].n) backward_shard(c, &dx[s], NULL, NULL, &dy[s], w);
}
