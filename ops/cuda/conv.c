/* conv.c - convolution on the GPU: handles, shards, and operands as cuDNN takes them (conv_graph.h). Depthwise ones have kernels of our own.
 *
 * cuDNN meets dense channels-last tensors of whole lanes (16 bytes) only, because that is what its engines on tensor cores read:
 *   - weights are stored (K, R, S, C) in f32, channels rounded up to whole lanes; the extra ones are 0 and stay 0, because the extra lanes of
 *     x and dy are 0. In bf16 the arena's bf16 twin is read in the same place (cuda_device.h).
 *   - a slice of a wider buffer, or channels that are no whole lanes, pass through a dense twin in a shared buffer. Engines that take slices
 *     on tensor cores do the same inside. Of the networks this meets DenseNet's 32 channels, and the input where it is not already stored with
 *     rounded channels (input_channels, kernels.h).
 *
 * Depthwise weights are stored [k*k][c], f32 in any case. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "ops/cuda/conv_graph.h"
#include "ops/cuda/cuda_layers.h"
#include "ops/cuda/dnn_run.h"
#include "ops/cuda/plan_cache.h"

enum step { STEP_FORWARD, STEP_DATA, STEP_WEIGHTS, STEPS };
struct conv_plans { /* for one image count */
    int n;
    struct kept_plan *of[STEPS];
    struct conv_plans *next;
};
struct conv {
    struct conv_spec s;
    bool training;
    int in_lanes, out_lanes, out_h, out_w; /* channels, rounded up */
    struct dnn_limits limits;
    struct conv_plans *plans;
};

static bool is_depthwise(const struct conv *c) { return c->s.groups > 1; }

/* ---- plans ---- */

static enum conv_fusion fusion_of(const struct conv *c, enum step step)
{
    if (step == STEP_DATA) return CONV_DATA_GRADIENT;
    if (step == STEP_WEIGHTS) return CONV_WEIGHT_GRADIENT;
    return c->s.relu ? CONV_BIAS_RELU : c->s.bias ? CONV_BIAS : CONV_PLAIN;
}

static bool step_wanted(const struct conv *c, enum step step)
{
    return step == STEP_FORWARD || (c->training && !(step == STEP_DATA && c->s.first));
}

static int step_ask(const struct conv *c, struct conv_plans *p, enum step step, struct error *err)
{
    const struct conv_place place = {.spec = c->s, .n = p->n};
    if (!p->of[step]) p->of[step] = plan_ask(conv_graph(&place, fusion_of(c, step)), &c->limits, err);
    return p->of[step] ? 0 : -1;
}

/* An image count, with no plans yet. */
static struct conv_plans *plans_for(struct conv *c, int n)
{
    struct conv_plans **end = &c->plans;
    while (*end && (*end)->n != n) end = &(*end)->next;
    if (!*end) {
        *end = NEW(struct conv_plans);
        (*end)->n = n;
    }
    return *end;
}

static const struct dnn_plan *plan_for(struct conv *c, int n, enum step step)
{
    struct conv_plans *p = plans_for(c, n);
    struct error err = {0};
    const struct dnn_plan *plan = step_ask(c, p, step, &err) ? NULL : plan_wait(p->of[step], &err);
    if (plan) return plan;
    error_prefix(&err, "convolution %d -> %d channels, %dx%d pixels, kernel %d, stride %d, %d images, %s", c->s.in_c, c->s.out_c, c->s.in_h, c->s.in_w,
                 c->s.kernel, c->s.stride, n, conv_fusion_names[fusion_of(c, step)]);
    die_error(&err);
}

/* Operands are those of the forward pass or their gradients; bias may be NULL. */
static void run(struct conv *c, int n, enum step step, const void *x, const void *w, const void *y, const void *bias)
{
    const struct dnn_plan *plan = plan_for(c, n, step);
    const struct conv_ids ids = conv_graph_ids(fusion_of(c, step));
    const int bound[] = {ids.x, ids.w, ids.y, ids.bias};
    void *const pointers[] = {(void *)x, (void *)w, (void *)y, (void *)bias};
    dnn_plan_room(plan);
    dnn_plan_run(plan, bound, pointers, ids.bias < 0 ? 3 : 4);
}

/* ---- handles ---- */

static struct dnn_limits limits_of(enum dtype dtype)
{
    enum { WORKSPACE_BF16 = 256 << 20, WORKSPACE_F32 = 512 << 20 };
    if (dtype == DTYPE_BF16) return (struct dnn_limits){.workspace = WORKSPACE_BF16, .deterministic = true, .tensor_cores = true};
    return (struct dnn_limits){.workspace = WORKSPACE_F32, .deterministic = true, .tensor_cores = device_tf32(), .exact = !device_tf32()};
}

struct conv *cuda_conv_create(const struct conv_spec *spec, int n, bool training, const struct conv *like, struct error *err)
{
    if (spec->groups != 1 && (spec->groups != spec->in_c || spec->out_c != spec->in_c || spec->first))
        return error_set(err, "convolution with %d groups of %d -> %d channels: only 1 or depthwise", spec->groups, spec->in_c, spec->out_c), NULL;
    if (!cuda_is_open()) return error_set(err, "the GPU is not open"), NULL;
    struct conv *c = NEW(struct conv);
    c->s = *spec;
    c->training = training;
    c->in_lanes = conv_lanes_round(spec->in_c, spec->dtype), c->out_lanes = conv_lanes_round(spec->out_c, spec->dtype);
    c->out_h = conv_out_size(spec->in_h, spec->kernel, spec->stride, spec->padding);
    c->out_w = conv_out_size(spec->in_w, spec->kernel, spec->stride, spec->padding);
    c->limits = limits_of(spec->dtype);
    ASSERT(!like || cuda_conv_weight_count(like) == cuda_conv_weight_count(c)); /* the stored order depends on the spec alone */
    for (int step = 0; step < STEPS && !is_depthwise(c) && n > 0; step++) {
        if (!step_wanted(c, (enum step)step) || step_ask(c, plans_for(c, n), (enum step)step, err) == 0) continue;
        cuda_conv_close(c);
        return NULL;
    }
    return c;
}

/* A graph that cuDNN refuses is told of when it is to run. */
void cuda_conv_expect(struct conv *c, int n, bool training)
{
    struct error ignored;
    for (int step = 0; step < STEPS && !is_depthwise(c) && n > 0; step++)
        if (step == STEP_FORWARD || (training && step_wanted(c, (enum step)step))) step_ask(c, plans_for(c, n), (enum step)step, &ignored);
}

void cuda_conv_close(struct conv *c)
{
    if (!c) return;
    while (c->plans) { /* the plans themselves are the cache's */
        struct conv_plans *next = c->plans->next;
        mem_free(c->plans);
        c->plans = next;
    }
    mem_free(c);
}

void cuda_conv_describe(const struct conv *c, char *text, size_t bytes)
{
    static const char *const names[] = {" ", " / dx ", " / dw "};
    struct error err;
    size_t used = (size_t)snprintf(text, bytes, is_depthwise(c) ? "own kernels" : "cuDNN");
    for (int step = 0; c->plans && step < STEPS && used < bytes; step++) {
        const struct dnn_plan *p = c->plans->of[step] ? plan_wait(c->plans->of[step], &err) : NULL;
        if (p) used += (size_t)snprintf(text + used, bytes - used, "%s%d%s%s", names[step], p->engine, p->compiled ? "c" : "", p->tensor_cores ? "t" : "");
    }
}

/* ---- weights ---- */

size_t cuda_conv_weight_count(const struct conv *c)
{
    size_t taps = (size_t)c->s.kernel * (size_t)c->s.kernel;
    return is_depthwise(c) ? taps * (size_t)c->s.out_c : (size_t)c->out_lanes * taps * (size_t)c->in_lanes;
}

/* Where PyTorch's weight (o, i, tap) is stored; tap = r * k + s. */
static size_t place_of(const struct conv *c, int o, int i, int tap)
{
    if (is_depthwise(c)) return (size_t)tap * (size_t)c->s.out_c + (size_t)o;
    return ((size_t)o * (size_t)(c->s.kernel * c->s.kernel) + (size_t)tap) * (size_t)c->in_lanes + (size_t)i;
}

void cuda_conv_weight_import(const struct conv *c, float *stored, const float *oihw)
{
    int inputs = c->s.in_c / c->s.groups, taps = c->s.kernel * c->s.kernel;
    memset(stored, 0, sizeof(float) * cuda_conv_weight_count(c));
    for (int o = 0; o < c->s.out_c; o++)
        for (int i = 0; i < inputs; i++)
            for (int tap = 0; tap < taps; tap++) stored[place_of(c, o, i, tap)] = *oihw++;
}

void cuda_conv_weight_export(const struct conv *c, float *oihw, const float *stored)
{
    int inputs = c->s.in_c / c->s.groups, taps = c->s.kernel * c->s.kernel;
    for (int o = 0; o < c->s.out_c; o++)
        for (int i = 0; i < inputs; i++)
            for (int tap = 0; tap < taps; tap++) *oihw++ = stored[place_of(c, o, i, tap)];
}

/* ---- operands as cuDNN takes them ---- */

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
    const void *w = is_depthwise(c) ? weights : seen_weights(c, weights), *b = is_depthwise(c) || !(c->s.bias || c->s.relu) ? NULL : seen_bias(c, bias);
    for (int s = 0; s < shards; s++) {
        if (x[s].n == 0) continue;
        check_tensors(c, &x[s], &y[s]);
        if (is_depthwise(c)) launch_depthwise_forward(&y[s], &x[s], weights, bias, &spec, device_stream());
        else forward_shard(c, &y[s], &x[s], w, b);
    }
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
    const void *dout = is_depthwise(c) ? NULL : seen(dy, c->out_lanes, SCRATCH_Y);
    check_tensors(c, x ? x : dx, dy);
    if (dweights && is_depthwise(c)) depthwise_weights(c, dweights, x, dy);
    else if (dweights) run(c, x->n, STEP_WEIGHTS, seen_x(c, x), dweights, dout, NULL);
    if (dx && is_depthwise(c)) launch_depthwise_backward_data(dx, dy, weights, &spec, device_stream());
    else if (dx) data_shard(c, dx, dout, weights);
}

void cuda_conv_backward(struct conv *c, const struct tensor *dx, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy,
                        const float *weights, int shards)
{
    struct parts p;
    const void *w = is_depthwise(c) || !dx ? weights : seen_weights(c, weights);
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
    const void *w = is_depthwise(c) ? weights : seen_weights(c, weights);
    ASSERT(c->training && !c->s.first);
    for (int s = 0; s < shards; s++)
        if (dx[s].n) backward_shard(c, &dx[s], NULL, NULL, &dy[s], w);
}
