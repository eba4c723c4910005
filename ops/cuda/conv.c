/* conv.c - convolution on the GPU: handles, cuDNN's plans for them, stored weights. What runs is in conv_run.c.
 *
 * Weights are stored (K, R, S, C) in f32, channels rounded up to whole lanes (16 bytes); the extra ones are 0 and stay 0, because the extra lanes of
 * x and dy are 0. In bf16 the arena's bf16 twin is read in the same place (cuda_device.h). Depthwise weights are stored [k*k][c], f32 in any case. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "ops/cuda/conv_private.h"

/* ---- plans ---- */

enum conv_fusion conv_fusion_of(const struct conv *c, enum conv_step step)
{
    if (step == STEP_DATA) return CONV_DATA_GRADIENT;
    if (step == STEP_WEIGHTS) return CONV_WEIGHT_GRADIENT;
    if (step == STEP_SUMS) return CONV_STATISTICS;
    return c->s.relu ? CONV_BIAS_RELU : c->s.bias ? CONV_BIAS : CONV_PLAIN;
}

static bool sums_apart;
void cuda_conv_set_sums(bool on) { sums_apart = !on; }

/* In f32 the sums are left to norm_sums: cuDNN's are f32, too, and would be the least exact of the step's numbers. */
static bool may_sum(const struct conv *c)
{
    int lanes = conv_lanes(c->s.dtype);
    return c->training && c->s.sums_c_total && c->sums && c->s.dtype == DTYPE_BF16 && !conv_is_depthwise(c) && !c->s.bias && !c->s.relu &&
           c->out_lanes == c->s.out_c && c->s.sums_c_total % lanes == 0;
}

static bool step_wanted(const struct conv *c, enum conv_step step)
{
    if (step == STEP_SUMS) return may_sum(c);
    return step == STEP_FORWARD || (c->training && !(step == STEP_DATA && c->s.first));
}

/* -1 with err where cuDNN refuses the graph. */
static int step_ask(const struct conv *c, struct conv_plans *p, enum conv_step step, struct error *err)
{
    const struct conv_place place = {.spec = c->s, .n = p->n, .y_buffer_c = step == STEP_SUMS ? c->s.sums_c_total : 0};
    if (p->of[step]) return 0;
    struct dnn_graph *g = conv_graph(&place, conv_fusion_of(c, step));
    p->of[step] = step == STEP_SUMS ? plan_wish(g, &c->limits, err) : plan_ask(g, &c->limits, err);
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

const struct dnn_plan *conv_plan(struct conv *c, int n, enum conv_step step)
{
    struct conv_plans *p = plans_for(c, n);
    struct error err = {0};
    const struct dnn_plan *plan = step_ask(c, p, step, &err) ? NULL : plan_wait(p->of[step], &err);
    if (plan) return plan;
    error_prefix(&err, "convolution %d -> %d channels, %dx%d pixels, kernel %d, stride %d, %d images, %s", c->s.in_c, c->s.out_c, c->s.in_h, c->s.in_w,
                 c->s.kernel, c->s.stride, n, conv_fusion_names[conv_fusion_of(c, step)]);
    die_error(&err);
}

const struct dnn_plan *conv_plan_of_sums(struct conv *c, int n)
{
    struct conv_plans *p = plans_for(c, n);
    struct error why;
    const struct dnn_plan *plan = may_sum(c) && step_ask(c, p, STEP_SUMS, &why) == 0 ? plan_wait(p->of[STEP_SUMS], &why) : NULL;
    return plan && plan->descriptor ? plan : NULL;
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
    c->sums = !sums_apart;
    c->in_lanes = conv_lanes_round(spec->in_c, spec->dtype), c->out_lanes = conv_lanes_round(spec->out_c, spec->dtype);
    c->out_h = conv_out_size(spec->in_h, spec->kernel, spec->stride, spec->padding);
    c->out_w = conv_out_size(spec->in_w, spec->kernel, spec->stride, spec->padding);
    c->limits = limits_of(spec->dtype);
    ASSERT(!like || cuda_conv_weight_count(like) == cuda_conv_weight_count(c)); /* the stored order depends on the spec alone */
    for (enum conv_step step = 0; step < STEPS && !conv_is_depthwise(c) && n > 0; step++) {
        if (!step_wanted(c, step) || step_ask(c, plans_for(c, n), step, err) == 0 || step == STEP_SUMS) continue; /* the sums: a wish */
        cuda_conv_close(c);
        return NULL;
    }
    return c;
}

/* A graph that cuDNN refuses is told of when it is to run. */
void cuda_conv_expect(struct conv *c, int n, bool training)
{
    struct error ignored;
    for (enum conv_step step = 0; step < STEPS && !conv_is_depthwise(c) && n > 0; step++)
        if (step == STEP_FORWARD || (training && step_wanted(c, step))) step_ask(c, plans_for(c, n), step, &ignored);
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
    static const char *const names[] = {" ", " / sums ", " / dx ", " / dw "};
    struct error err;
    size_t used = (size_t)snprintf(text, bytes, conv_is_depthwise(c) ? "own kernels" : "cuDNN");
    for (int step = 0; c->plans && step < STEPS && used < bytes; step++) {
        if (!c->plans->of[step]) continue;
        const struct dnn_plan *p = plan_wait(c->plans->of[step], &err);
        const char *compiled = p && p->compiled ? "c" : "", *cores = p && p->tensor_cores ? "t" : "";
        if (p) used += (size_t)snprintf(text + used, bytes - used, "%s%d%s%s", names[step], p->engine, compiled, cores);
        else if (step == STEP_SUMS) used += (size_t)snprintf(text + used, bytes - used, "%sby an own kernel", names[step]);
    }
}

/* ---- weights ---- */

size_t cuda_conv_weight_count(const struct conv *c)
{
    size_t taps = (size_t)c->s.kernel * (size_t)c->s.kernel;
    return conv_is_depthwise(c) ? taps * (size_t)c->s.out_c : (size_t)c->out_lanes * taps * (size_t)c->in_lanes;
}

/* Where PyTorch's weight (o, i, tap) is stored; tap = r * k + s. */
static size_t place_of(const struct conv *c, int o, int i, int tap)
{
    if (conv_is_depthwise(c)) return (size_t)tap * (size_t)c->s.out_c + (size_t)o;
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
