/* fake_kernels.c - the own kernels' launch functions on host memory (fake_cuda.h): those that convolution and linear layers call, in plain
 * loops that a recording may keep; those with a twin in ops_cpu through that; the ends of a step not at all. */
#include <string.h>

#include "base/memory.h"
#include "ops/cpu/cpu.h"
#include "ops/cuda/kernels.h"
#include "tests/tools/fake_cuda.h"

enum { SCRATCH = 64 };
static double load(const struct tensor *t, size_t i) { return t->dtype == DTYPE_BF16 ? bf16_to_float(((uint16_t *)t->data)[i]) : ((float *)t->data)[i]; }
static void store(const struct tensor *t, size_t i, double v)
{
    if (t->dtype == DTYPE_BF16) ((uint16_t *)t->data)[i] = bf16_from_float((float)v);
    else ((float *)t->data)[i] = (float)v;
}
static size_t at(const struct tensor *t, int n, int h, int w, int c)
{
    return (((size_t)n * (size_t)t->h + (size_t)h) * (size_t)t->w + (size_t)w) * (size_t)t->c_total + (size_t)(t->c_offset + c);
}

/* ---- moves ---- */

struct moved { struct tensor to, from; };
static void do_copy(const void *a)
{
    const struct moved *m = a;
    ASSERT(m->to.n == m->from.n && m->to.c == m->from.c && m->to.h == m->from.h && m->to.w == m->from.w && m->to.dtype == m->from.dtype);
    for (int n = 0; n < m->to.n; n++)
        for (int h = 0; h < m->to.h; h++)
            for (int w = 0; w < m->to.w; w++)
                for (int c = 0; c < m->to.c; c++) store(&m->to, at(&m->to, n, h, w, c), load(&m->from, at(&m->from, n, h, w, c)));
}
void launch_copy(const struct tensor *to, const struct tensor *from, cuda_stream stream)
{
    ASSERT(stream);
    fake_queue(do_copy, &(struct moved){*to, *from}, sizeof(struct moved));
}

struct rounded { uint16_t *to; const float *from; int64_t count; };
static void do_round(const void *a)
{
    const struct rounded *r = a;
    for (int64_t i = 0; i < r->count; i++) r->to[i] = bf16_from_float(r->from[i]);
}
void launch_round(uint16_t *to, const float *from, int64_t count, cuda_stream stream)
{
    ASSERT(stream && ((uintptr_t)to | (uintptr_t)from) % 16 == 0);
    fake_queue(do_round, &(struct rounded){to, from, count}, sizeof(struct rounded));
}

/* ---- sums ---- */

size_t channel_sums_scratch(const struct tensor *x) { return (void)x, SCRATCH; }
struct summed { float *sum; struct tensor t; };
static void do_channel_sum(const void *a)
{
    const struct summed *s = a;
    for (int c = 0; c < s->t.c; c++) {
        double sum = 0;
        for (int n = 0; n < s->t.n; n++)
            for (int h = 0; h < s->t.h; h++)
                for (int w = 0; w < s->t.w; w++) sum += load(&s->t, at(&s->t, n, h, w, c));
        s->sum[c] = (float)sum;
    }
}
void launch_channel_sum(float *sum, const struct tensor *t, void *scratch, cuda_stream stream)
{
    ASSERT(stream && scratch);
    fake_queue(do_channel_sum, &(struct summed){sum, *t}, sizeof(struct summed));
}

struct tree { float *parts[64]; int shards; size_t count; };
static void do_tree(const void *a)
{
    const struct tree *t = a;
    shard_tree_sum(t->parts, t->shards, t->count);
}
void launch_tree_sum(float *const parts[], int shards, size_t count, cuda_stream stream)
{
    struct tree t = {.shards = shards, .count = count};
    ASSERT(stream && shards <= 64);
    memcpy(t.parts, parts, sizeof *parts * (size_t)shards);
    fake_queue(do_tree, &t, sizeof t);
}

/* ---- depthwise convolution ---- */

enum direction { FORWARD, DATA, WEIGHTS };
struct depthwise {
    struct tensor x, y;
    float *weights;
    const float *bias;
    struct depthwise_spec spec;
    enum direction direction;
};
/* Output (or gradient) values in double, stored at the end. */
static void do_depthwise(const void *a)
{
    const struct depthwise *d = a;
    const struct tensor *result = d->direction == DATA ? &d->x : &d->y;
    int k = d->spec.kernel;
    size_t count = d->direction == WEIGHTS ? (size_t)(k * k * d->y.c) : (size_t)result->n * (size_t)result->h * (size_t)result->w * (size_t)result->c;
    double *sum = NEW_ARRAY(double, count);
    for (int n = 0; n < d->y.n; n++)
        for (int p = 0; p < d->y.h; p++)
            for (int q = 0; q < d->y.w; q++)
                for (int tap = 0; tap < k * k; tap++) {
                    int h = p * d->spec.stride + tap / k - d->spec.padding, w = q * d->spec.stride + tap % k - d->spec.padding;
                    if (h < 0 || h >= d->x.h || w < 0 || w >= d->x.w) continue;
                    for (int c = 0; c < d->y.c; c++) {
                        size_t x = (((size_t)n * (size_t)d->x.h + (size_t)h) * (size_t)d->x.w + (size_t)w) * (size_t)d->x.c + (size_t)c;
                        size_t y = (((size_t)n * (size_t)d->y.h + (size_t)p) * (size_t)d->y.w + (size_t)q) * (size_t)d->y.c + (size_t)c;
                        size_t t = (size_t)(tap * d->y.c + c);
                        if (d->direction == FORWARD) sum[y] += load(&d->x, at(&d->x, n, h, w, c)) * d->weights[t];
                        if (d->direction == DATA) sum[x] += load(&d->y, at(&d->y, n, p, q, c)) * d->weights[t];
                        if (d->direction == WEIGHTS) sum[t] += load(&d->x, at(&d->x, n, h, w, c)) * load(&d->y, at(&d->y, n, p, q, c));
                    }
                }
    for (size_t i = 0; i < count; i++) {
        if (d->direction == WEIGHTS) {
            d->weights[i] = (float)sum[i];
            continue;
        }
        int c = (int)(i % (size_t)result->c), w = (int)(i / (size_t)result->c) % result->w;
        size_t row = i / (size_t)result->c / (size_t)result->w;
        double v = sum[i] + (d->direction == FORWARD && d->bias ? d->bias[c] : 0);
        if (d->direction == FORWARD && d->spec.relu && v < 0) v = 0;
        store(result, at(result, (int)(row / (size_t)result->h), (int)(row % (size_t)result->h), w, c), v);
    }
    mem_free(sum);
}
void launch_depthwise_forward(const struct tensor *y, const struct tensor *x, const float *weights, const float *bias, const struct depthwise_spec *spec,
                              cuda_stream stream)
{
    ASSERT(stream);
    fake_queue(do_depthwise, &(struct depthwise){*x, *y, (float *)weights, bias, *spec, FORWARD}, sizeof(struct depthwise));
}
void launch_depthwise_backward_data(const struct tensor *dx, const struct tensor *dy, const float *weights, const struct depthwise_spec *spec,
                                    cuda_stream stream)
{
    ASSERT(stream);
    fake_queue(do_depthwise, &(struct depthwise){*dx, *dy, (float *)weights, NULL, *spec, DATA}, sizeof(struct depthwise));
}
size_t depthwise_weights_scratch(const struct tensor *dy, const struct depthwise_spec *spec) { return (void)dy, (void)spec, SCRATCH; }
void launch_depthwise_backward_weights(float *dweights, const struct tensor *x, const struct tensor *dy, const struct depthwise_spec *spec, void *scratch,
                                       cuda_stream stream)
{
    ASSERT(stream && scratch);
    fake_queue(do_depthwise, &(struct depthwise){*x, *dy, dweights, NULL, *spec, WEIGHTS}, sizeof(struct depthwise));
}

/* ---- an optimiser that is none: what matters is the bf16 twin ---- */

struct updated { float *parameters; const float *gradients; int64_t count; float step; uint16_t *copy; };
static void do_update(const void *a)
{
    const struct updated *u = a;
    for (int64_t i = 0; i < u->count; i++) {
        u->parameters[i] -= u->step * u->gradients[i];
        if (u->copy) u->copy[i] = bf16_from_float(u->parameters[i]);
    }
}
void launch_update(float *parameters, float *m, float *v, const float *gradients, int64_t count, const struct optim_spec *spec, const struct optim_now *now,
                   const double *norm, uint16_t *copy, cuda_stream stream)
{
    (void)m, (void)v, (void)spec, (void)norm, (void)stream;
    fake_queue(do_update, &(struct updated){parameters, gradients, count, now->step, copy}, sizeof(struct updated));
}

/* ---- through ops_cpu, at once ---- */

void launch_norm_sums(double *sum, double *sum_squares, const struct tensor *x, void *scratch, cuda_stream stream)
{
    ASSERT(stream && scratch);
    ops_cpu()->norm_sums(sum, sum_squares, x);
}
void launch_norm_forward(const struct tensor *y, const struct tensor *x, const struct tensor *residual, const float *scale, const float *shift,
                         const float *row_scale, enum activation act, cuda_stream stream)
{
    ASSERT(stream);
    ops_cpu()->norm_forward(y, x, residual, scale, shift, row_scale, act);
}
void launch_norm_backward_sums(double *sum_g, double *sum_gx, const struct tensor *dy, const struct tensor *dy2, const struct tensor *x,
                               const struct tensor *y, const float *mean, const float *inv_std, const float *scale, const float *shift,
                               const float *row_scale, enum activation act, void *scratch, cuda_stream stream)
{
    ASSERT(stream && scratch);
    ops_cpu()->norm_backward_sums(sum_g, sum_gx, dy, dy2, x, y, mean, inv_std, scale, shift, row_scale, act);
}
void launch_norm_backward(const struct tensor *dx, const struct tensor *g, const struct tensor *x, const float *mean, const float *inv_std,
                          const float *scale, const float *mean_g, const float *mean_gx, const float *row_scale, bool add, cuda_stream stream)
{
    ASSERT(stream);
    ops_cpu()->norm_backward(dx, g, x, mean, inv_std, scale, mean_g, mean_gx, row_scale, add);
}
void launch_maxpool_forward(const struct tensor *y, uint8_t *index, const struct tensor *x, const struct pool_spec *spec, cuda_stream stream)
{
    ASSERT(stream);
    ops_cpu()->maxpool_forward(y, index, x, spec);
}
void launch_maxpool_backward(const struct tensor *dx, const struct tensor *dy, const uint8_t *index, const struct pool_spec *spec, cuda_stream stream)
{
    ASSERT(stream);
    ops_cpu()->maxpool_backward(dx, dy, index, spec);
}
void launch_avgpool_forward(const struct tensor *y, const struct tensor *x, const struct pool_spec *spec, cuda_stream stream)
{
    ASSERT(stream);
    ops_cpu()->avgpool_forward(y, x, spec);
}
void launch_avgpool_backward(const struct tensor *dx, const struct tensor *dy, const struct pool_spec *spec, cuda_stream stream)
{
    ASSERT(stream);
    ops_cpu()->avgpool_backward(dx, dy, spec);
}
size_t se_scratch(const struct tensor *x) { return (void)x, SCRATCH; }
void launch_se_forward(const struct tensor *y, float *save, const struct tensor *x, const float *w1, const float *b1, const float *w2, const float *b2,
                       int squeeze, void *work, cuda_stream stream)
{
    ASSERT(stream && work);
    ops_cpu()->se_forward(y, save, x, w1, b1, w2, b2, squeeze);
}
void launch_se_backward(const struct tensor *dx, float *dw1, float *db1, float *dw2, float *db2, const struct tensor *x, const struct tensor *dy,
                        const float *save, const float *w1, const float *w2, int squeeze, float *scratch, void *work, cuda_stream stream)
{
    ASSERT(stream && work);
    ops_cpu()->se_backward(dx, dw1, db1, dw2, db2, x, dy, save, w1, w2, squeeze, scratch);
}
void launch_relu_backward(const struct tensor *dy, const struct tensor *y, cuda_stream stream)
{
    ASSERT(stream);
    ops_cpu()->relu_backward(dy, y);
}
void launch_dropout(const struct tensor *y, const struct tensor *x, double p, const uint64_t *row_key, uint64_t layer, cuda_stream stream)
{
    ASSERT(stream);
    ops_cpu()->dropout(y, x, p, row_key, layer);
}
void launch_add(const struct tensor *y, const struct tensor *x, cuda_stream stream)
{
    ASSERT(stream);
    ops_cpu()->add(y, x);
}
void launch_input(const struct tensor *x, const float *nchw, cuda_stream stream)
{
    ASSERT(stream);
    ops_cpu()->input(x, nchw);
}

/* ---- not here ---- */

#define NOT_HERE die("%s is not part of the fake card", __func__)
size_t norm_of_scratch(int64_t count) { return (void)count, SCRATCH; }
void launch_norm_of(double *norm, const float *gradients, int64_t count, void *scratch, cuda_stream stream) { (void)norm, (void)gradients, (void)count, (void)scratch, (void)stream, NOT_HERE; }
void launch_norm_statistics(const struct norm_memory *m, const struct norm_spec *spec, const double *sum, const double *sum_squares, double count, cuda_stream stream)
{
    (void)m, (void)spec, (void)sum, (void)sum_squares, (void)count, (void)stream, NOT_HERE;
}
void launch_norm_frozen(const struct norm_memory *m, const struct norm_spec *spec, cuda_stream stream) { (void)m, (void)spec, (void)stream, NOT_HERE; }
void launch_norm_means(float *mean_g, float *mean_gx, const double *sum_g, const double *sum_gx, int c, double count, cuda_stream stream)
{
    (void)mean_g, (void)mean_gx, (void)sum_g, (void)sum_gx, (void)c, (void)count, (void)stream, NOT_HERE;
}
void launch_drop_rows(float *row_scale, const uint64_t *row_key, int images, double p, uint64_t layer, cuda_stream stream)
{
    (void)row_scale, (void)row_key, (void)images, (void)p, (void)layer, (void)stream, NOT_HERE;
}
void launch_loss(double *sums, float *dlogits, const float *logits, const float *targets, int images, int total_images, const struct loss_spec *spec,
                 cuda_stream stream)
{
    (void)sums, (void)dlogits, (void)logits, (void)targets, (void)images, (void)total_images, (void)spec, (void)stream, NOT_HERE;
}
void launch_tree_sum_double(double *const parts[], int shards, size_t count, cuda_stream stream) { (void)parts, (void)shards, (void)count, (void)stream, NOT_HERE; }
void launch_narrow(float *to, const double *from, size_t count, cuda_stream stream) { (void)to, (void)from, (void)count, (void)stream, NOT_HERE; }
