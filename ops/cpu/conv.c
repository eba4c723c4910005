/* conv.c - convolution on the CPU: handles, shards, slices, weights. The work is done by oneDNN's primitives
 * (conv_primitives.c), except the depthwise weight gradient where oneDNN has no fast kernel (kernels.c): it has one for
 * 3x3 in blocked f32 only, 5x5 falls to its reference loops.
 *
 * Weights are stored in the order in which oneDNN writes the weight gradient, so the optimiser works on both in place.
 * In f32 forward takes them as they are; backward data (and bf16) wants another order, made once per call at about
 * 0.6 ns per weight and core: a few per cent of a bf16 step, less in f32.
 * Channel slices (DenseNet) go through a dense copy: oneDNN falls to its reference loops on strided channels, and the
 * copy of a slice is about 1 % of the convolution that writes it.
 */
#include <stdio.h>
#include <string.h>
#include "base/memory.h"
#include "ops/cpu/conv_primitives.h"
#include "ops/cpu/dnnl_alone.h"
#include "ops/cpu/dnnl_amx.h"
#include "ops/cpu/dnnl_layers.h"

struct conv {
    struct conv_shape shape;
    const struct kernels *kernels;
    struct conv_steps *steps; /* one for each image count seen, the usual one first */
    struct conv_steps *one;   /* deterministic mode: of one image, for one thread */
    size_t weight_count;
};

static int channels_seen(int c, enum layout layout) { return layout == LAYOUT_NCHW16C ? (c + 15) / 16 * 16 : c; }

static void shape_fill(struct conv_shape *s, const struct conv_spec *spec, bool training)
{
    s->spec = *spec;
    s->training = training;
    s->y_layout = ops_cpu()->layout(spec->dtype);
    s->x_layout = spec->first ? ops_cpu()->input_layout(spec->dtype) : s->y_layout;
    s->in_c = channels_seen(spec->in_c, s->x_layout);
    s->out_c = channels_seen(spec->out_c, s->y_layout);
    s->out_h = conv_out_size(spec->in_h, spec->kernel, spec->stride, spec->padding);
    s->out_w = conv_out_size(spec->in_w, spec->kernel, spec->stride, spec->padding);
    bool onednn_fast = spec->dtype == DTYPE_F32 && spec->kernel == 3 && s->x_layout == LAYOUT_NCHW16C;
    s->deterministic = deterministic();
    s->own_backward_weights = spec->groups > 1 && (!onednn_fast || s->deterministic);
    s->pointwise = spec->kernel == 1 && spec->padding == 0 && spec->groups == 1 && !spec->bias && spec->dtype == DTYPE_BF16 &&
                   s->x_layout == LAYOUT_NHWC && s->y_layout == LAYOUT_NHWC && amx_usable();
    s->thinned = s->pointwise && spec->stride > 1;
}

/* The primitives for n images. */
static struct conv_steps *steps_make(struct conv *c, int n, struct error *err)
{
    struct conv_steps *steps = conv_steps_open(&c->shape, n, false, err);
    if (steps != NULL && c->shape.deterministic) images_judge(steps, c->one, &c->shape);
    return steps;
}

/* In deterministic mode nothing that is chosen here may depend on the number of threads, as oneDNN's answers do. */
static int stored_choose(struct conv *c, int n, struct error *err)
{
    int threads = c->shape.deterministic ? alone_begin() : 0;
    int status = conv_stored_choose(&c->shape, n, err);
    if (!c->shape.deterministic) return status;
    alone_end(threads);
    return status;
}

struct conv *cpu_conv_create(const struct conv_spec *spec, int n, bool training, const struct conv *like, struct error *err)
{
    if (spec->groups != 1 && (spec->groups != spec->in_c || spec->out_c != spec->in_c || spec->first))
        return error_set(err, "convolution with %d groups of %d -> %d channels: only 1 or depthwise", spec->groups, spec->in_c,
                         spec->out_c), NULL;
    struct conv *c = NEW(struct conv);
    onednn_engine();
    c->kernels = kernels_pick();
    shape_fill(&c->shape, spec, training);
    int status = 0;
    if (like != NULL) c->shape.stored = like->shape.stored;
    else status = stored_choose(c, n, err);
    if (status == 0 && c->shape.deterministic && (c->one = conv_steps_open(&c->shape, 1, true, err)) == NULL) status = -1;
    if (status == 0) c->steps = steps_make(c, n, err);
    c->weight_count = status == 0 ? dnnl_memory_desc_get_size(&c->shape.stored) / sizeof(float) : 0;
    if (c->steps != NULL) return c;
    cpu_conv_close(c);
    return NULL;
}

void cpu_conv_close(struct conv *c)
{
    if (c == NULL) return;
    while (c->steps != NULL) {
        struct conv_steps *next = c->steps->next;
        conv_steps_close(c->steps);
        c->steps = next;
    }
    conv_steps_close(c->one);
    mem_free(c);
}

static const struct conv_steps *steps_for(struct conv *c, int n)
{
    struct conv_steps **end = &c->steps;
    while (*end != NULL && (*end)->n != n) end = &(*end)->next;
    struct error err;
    if (*end == NULL && (*end = steps_make(c, n, &err)) == NULL) die_error(&err);
    return *end;
}

/* ---- weights outside: PyTorch's (out_c, in_c/groups, k, k), without rounded-up channels ---- */

size_t cpu_conv_weight_count(const struct conv *c) { return c->weight_count; }

/* Row sizes of the order outside and of the same order with rounded channels: (out_c, in_c per group, k*k). */
static void row_sizes(const struct conv *c, size_t *area, size_t *row, size_t *row_seen)
{
    const struct conv_spec *p = &c->shape.spec;
    *area = (size_t)p->kernel * p->kernel;
    *row = *area * (p->in_c / p->groups);
    *row_seen = *area * (p->groups > 1 ? 1 : c->shape.in_c);
}

void cpu_conv_weight_import(const struct conv *c, float *stored, const float *oihw)
{
    size_t area, row, row_seen;
    row_sizes(c, &area, &row, &row_seen);
    float *seen = NEW_ARRAY(float, row_seen * c->shape.out_c);
    for (int o = 0; o < c->shape.spec.out_c; o++) memcpy(seen + o * row_seen, oihw + o * row, row * sizeof(float));
    dnnl_memory_desc_t plain = conv_weight_md(&c->shape, dnnl_f32, false);
    reorder_once(stored, &c->shape.stored, seen, &plain);
    mem_free(seen);
}

void cpu_conv_weight_export(const struct conv *c, float *oihw, const float *stored)
{
    size_t area, row, row_seen;
    row_sizes(c, &area, &row, &row_seen);
    float *seen = mem_alloc(row_seen * c->shape.out_c * sizeof(float));
    dnnl_memory_desc_t plain = conv_weight_md(&c->shape, dnnl_f32, false);
    reorder_once(seen, &plain, stored, &c->shape.stored);
    for (int o = 0; o < c->shape.spec.out_c; o++) memcpy(oihw + o * row, seen + o * row_seen, row * sizeof(float));
    mem_free(seen);
}

/* ---- operands as the primitives want them ---- */

static bool is_slice(const struct tensor *t) { return t->c != t->c_total; }

/* A dense tensor of t's shape in a scratch buffer. */
static struct tensor dense_twin(const struct tensor *t, enum scratch where)
{
    struct tensor twin = tensor_make(NULL, t->n, t->c, t->h, t->w, t->dtype, t->layout);
    twin.data = scratch(where, tensor_buffer_bytes(&twin));
    return twin;
}

/* t itself, or its dense copy when it is a slice. */
static struct tensor dense_of(const struct conv *c, const struct tensor *t, enum scratch where)
{
    if (!is_slice(t)) return *t;
    struct tensor twin = dense_twin(t, where);
    c->kernels->copy(&twin, t);
    return twin;
}

/* Room for the pixels of x that a strided 1x1 convolution sees. */
static struct tensor thin_twin(const struct conv *c, const struct tensor *x)
{
    struct tensor thin = tensor_make(NULL, x->n, x->c, c->shape.out_h, c->shape.out_w, x->dtype, x->layout);
    thin.data = scratch(SCRATCH_X, tensor_buffer_bytes(&thin));
    return thin;
}

static void check_tensors(const struct conv *c, const struct tensor *x, const struct tensor *y)
{
    const struct conv_shape *s = &c->shape;
    ASSERT(x == NULL || (x->c == s->spec.in_c && x->h == s->spec.in_h && x->w == s->spec.in_w));
    ASSERT(x == NULL || (x->layout == s->x_layout && x->dtype == s->spec.dtype && !is_slice(x)));
    ASSERT(y->c == s->spec.out_c && y->h == s->out_h && y->w == s->out_w);
    ASSERT(y->layout == s->y_layout && y->dtype == s->spec.dtype);
}

/* The bias with zeros for rounded-up channels. */
static const float *bias_seen(const struct conv *c, const float *bias)
{
    const struct conv_shape *s = &c->shape;
    ASSERT(s->spec.bias == (bias != NULL));
    if (bias == NULL || s->out_c == s->spec.out_c) return bias;
    float *seen = scratch(SCRATCH_BIAS, (size_t)s->out_c * sizeof(float));
    memset(seen, 0, (size_t)s->out_c * sizeof(float));
    memcpy(seen, bias, (size_t)s->spec.out_c * sizeof(float));
    return seen;
}

/* ---- the three directions ---- */

void cpu_conv_forward(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights, const float *bias,
                      int shards)
{
    const struct step *held = NULL;
    bias = bias_seen(c, bias);
    for (int s = 0; s < shards; s++) {
        if (x[s].n == 0) continue;
        check_tensors(c, &x[s], &y[s]);
        const struct conv_steps *steps = steps_for(c, x[s].n);
        const struct step *step = steps->forward_by_image ? &c->one->forward : &steps->forward;
        const void *w = step_weights(step, &held, weights);
        struct tensor out = is_slice(&y[s]) ? dense_twin(&y[s], SCRATCH_Y) : y[s];
        if (steps->forward_by_image) images_run(step, x[s].n, out.data, x[s].data, w, bias);
        else primitive_run(&step->run, (const void *[]){out.data, x[s].data, w, bias});
        if (is_slice(&y[s])) c->kernels->copy(&y[s], &out);
    }
}

void cpu_conv_backward_data(struct conv *c, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards)
{
    const struct step *held = NULL;
    for (int s = 0; s < shards; s++) {
        if (dx[s].n == 0) continue;
        check_tensors(c, &dx[s], &dy[s]);
        const struct conv_steps *steps = steps_for(c, dx[s].n);
        const struct step *step = steps->backward_by_image ? &c->one->backward_data : &steps->backward_data;
        ASSERT(step->run.handle != NULL);
        const void *w = step_weights(step, &held, weights);
        struct tensor dout = dense_of(c, &dy[s], SCRATCH_Y);
        struct tensor out = c->shape.thinned ? thin_twin(c, &dx[s]) : dx[s];
        if (steps->backward_by_image) images_run(step, dx[s].n, out.data, dout.data, w, NULL);
        else primitive_run(&step->run, (const void *[]){out.data, dout.data, w});
        if (c->shape.thinned) pixels_spread(&dx[s], &out, c->shape.spec.stride);
    }
}

static void depthwise_shard(struct conv *c, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy)
{
    const struct conv_spec *p = &c->shape.spec;
    c->kernels->depthwise_backward_weights(dweights, x, dy, p->kernel, p->stride, p->padding);
    if (dbias == NULL) return;
    double *sum = scratch(SCRATCH_GRADIENT, 2 * (size_t)dy->c * sizeof(double));
    c->kernels->ops.norm_sums(sum, sum + dy->c, dy);
    for (int i = 0; i < dy->c; i++) dbias[i] = (float)sum[i];
}

/* Gradients of one shard; dbias (rounded channels) is NULL when the layer has no bias. */
static void weights_shard(struct conv *c, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy)
{
    check_tensors(c, x, dy);
    if (c->shape.own_backward_weights) {
        struct tensor dense = dense_of(c, dy, SCRATCH_Y);
        depthwise_shard(c, dweights, dbias, x, &dense);
        return;
    }
    struct tensor seen = c->shape.thinned ? thin_twin(c, x) : *x;
    if (c->shape.thinned) pixels_thin(&seen, x, c->shape.spec.stride);
    const struct conv_steps *steps = steps_for(c, x->n);
    if (c->shape.deterministic) {
        weight_parts_run(&steps->parts, &c->shape, c->kernels, dweights, dbias, &seen, dy);
        return;
    }
    struct tensor dout = dense_of(c, dy, SCRATCH_Y);
    const struct step *step = &steps->backward_weights;
    bool convert = step->reorder.handle != NULL;
    void *written = convert ? scratch(SCRATCH_GRADIENT, step->weight_bytes) : dweights;
    primitive_run(&step->run, (const void *[]){written, seen.data, dout.data, dbias});
    if (convert) primitive_run(&step->reorder, (const void *[]){dweights, written});
}

void cpu_conv_backward_weights(struct conv *c, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy,
                               int shards)
{
    const struct conv_shape *p = &c->shape;
    ASSERT(p->training && (p->spec.bias || dbias == NULL));
    size_t bias_count = p->spec.bias ? (size_t)p->out_c : 0;
    struct shard_sum w = shard_sum_start(dweights, c->weight_count, 0);
    struct shard_sum b = shard_sum_start(NULL, bias_count, 1);
    for (int s = 0; s < shards; s++) {
        float *dw = shard_sum_next(&w), *db = shard_sum_next(&b);
        if (x[s].n > 0) {
            weights_shard(c, dw, bias_count ? db : NULL, &x[s], &dy[s]);
        } else {
            memset(dw, 0, w.count * sizeof(float));
            if (bias_count) memset(db, 0, bias_count * sizeof(float));
        }
        shard_sum_add(&w);
        shard_sum_add(&b);
    }
    shard_sum_end(&w);
    shard_sum_end(&b);
    if (dbias != NULL) memcpy(dbias, b.level[0], (size_t)p->spec.out_c * sizeof(float));
}

void cpu_conv_describe(const struct conv *c, char *text, size_t bytes)
{
    const struct conv_steps *s = c->steps;
    const struct step *steps[] = {&s->forward, &s->backward_data, c->shape.deterministic ? &s->parts.step[0] : &s->backward_weights};
    const bool by_image[] = {s->forward_by_image, s->backward_by_image, false};
    int used = 0;
    for (int i = 0; i < 3 && used >= 0 && (size_t)used < bytes; i++) {
        const char *name = steps[i]->run.handle ? primitive_implementation(&steps[i]->run) : "-";
        if (i == 2 && c->shape.training && c->shape.own_backward_weights) name = "own";
        used += snprintf(text + used, bytes - (size_t)used, "%s%s%s", i ? " / " : "", name, by_image[i] ? " by image" : "");
    }
    if (c->shape.deterministic && s->parts.chunks && used >= 0 && (size_t)used < bytes)
        snprintf(text + used, bytes - (size_t)used, " in %d x %d parts", s->parts.chunks, s->parts.slices);
}
