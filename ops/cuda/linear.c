/* linear.c - fully connected layers through cuBLASLt (matmul.h).
 *
 * x is row-major (n, k), k = in_h * in_w * in_c in the order in which NHWC has an image; the stored weights (out_c, k) are in that order too,
 * f32, with their bf16 twin (cuda_device.h). To cuBLASLt the same arrays are X (k, n), W (k, out), Y (out, n):
 *   Y = W' X + b,  dX = W dY,  dW = X dY'  (f32).
 * When x is bf16 and y f32 (logits), dy is rounded to bf16 first: both factors must have one type. */
#include <string.h>

#include "base/memory.h"
#include "ops/cuda/cuda_layers.h"
#include "ops/cuda/matmul.h"

enum product { PRODUCT_FORWARD, PRODUCT_FORWARD_BIAS, PRODUCT_DATA, PRODUCT_WEIGHTS, PRODUCTS };
struct linear_products { /* for one image count */
    int n;
    struct matmul *of[PRODUCTS];
    struct linear_products *next;
};
struct linear {
    struct linear_spec s;
    int columns; /* k */
    bool training, tf32;
    struct linear_products *products;
};

/* ---- products ---- */

static struct matmul_spec spec_of(const struct linear *l, int n, enum product which)
{
    int k = l->columns, out = l->s.out_c;
    struct matmul_spec m = {.in = l->s.x_dtype, .out = l->s.x_dtype, .tf32 = l->tf32};
    if (which == PRODUCT_DATA) {
        m.rows = k, m.columns = n, m.inner = out;
    } else if (which == PRODUCT_WEIGHTS) {
        m.rows = k, m.columns = out, m.inner = n;
        m.b_transposed = true;
        m.out = DTYPE_F32;
    } else {
        m.rows = out, m.columns = n, m.inner = k;
        m.a_transposed = true;
        m.out = l->s.y_dtype;
        m.bias = which == PRODUCT_FORWARD_BIAS;
        m.relu = l->s.relu;
    }
    return m;
}

static void products_close(struct linear_products *p)
{
    for (int i = 0; i < PRODUCTS; i++) matmul_close(p->of[i]);
    mem_free(p);
}

static struct linear_products *products_for(struct linear *l, int n)
{
    struct linear_products **end = &l->products;
    while (*end && (*end)->n != n) end = &(*end)->next;
    if (!*end) *end = NEW(struct linear_products);
    (*end)->n = n;
    return *end;
}

/* Those that are not open yet. */
static int products_open(struct linear *l, int n, bool training, struct error *err)
{
    struct linear_products *p = products_for(l, n);
    for (int i = 0; i < (training ? PRODUCTS : PRODUCT_DATA); i++) {
        struct matmul_spec spec = spec_of(l, n, (enum product)i);
        if (!p->of[i] && !(p->of[i] = matmul_open(&spec, err))) return -1;
    }
    return 0;
}

static struct matmul *product_for(struct linear *l, int n, enum product which)
{
    struct linear_products *p = products_for(l, n);
    struct error err;
    if (!p->of[which] && products_open(l, n, which >= PRODUCT_DATA, &err)) die_error(&err);
    return p->of[which];
}

/* ---- handles ---- */

struct linear *cuda_linear_create(const struct linear_spec *spec, int n, bool training, const struct linear *like, struct error *err)
{
    bool matrix = spec->in_h * spec->in_w == 1;
    if (spec->x_dtype == DTYPE_F32 && spec->y_dtype != DTYPE_F32) return error_set(err, "linear layer from f32 to bf16"), NULL;
    if (spec->x_layout != LAYOUT_NHWC && !matrix) return error_set(err, "linear layer: x must be channels-last"), NULL;
    if (!cuda_is_open()) return error_set(err, "the GPU is not open"), NULL;
    struct linear *l = NEW(struct linear);
    l->s = *spec;
    l->columns = spec->in_c * spec->in_h * spec->in_w;
    l->training = training;
    l->tf32 = device_tf32();
    ASSERT(!like || cuda_linear_weight_count(like) == cuda_linear_weight_count(l)); /* the stored order depends on the spec alone */
    if (n < 1 || !products_open(l, n, training, err)) return l;
    cuda_linear_close(l);
    return NULL;
}

/* A product that cuBLASLt refuses is told of when it is to run. */
void cuda_linear_expect(struct linear *l, int n, bool training)
{
    struct error ignored;
    if (n > 0) products_open(l, n, training && l->training, &ignored);
}

void cuda_linear_close(struct linear *l)
{
    if (!l) return;
    while (l->products) {
        struct linear_products *next = l->products->next;
        products_close(l->products);
        l->products = next;
    }
    mem_free(l);
}

/* ---- weights ---- */

size_t cuda_linear_weight_count(const struct linear *l) { return (size_t)l->s.out_c * (size_t)l->columns; }

/* Where the next weight in PyTorch's order, of output o, channel c and pixel p, is stored. */
static size_t place_of(const struct linear *l, int o, int c, int p)
{
    return (size_t)o * (size_t)l->columns + (size_t)p * (size_t)l->s.in_c + (size_t)c;
}

void cuda_linear_weight_import(const struct linear *l, float *stored, const float *torch_order)
{
    int pixels = l->s.in_h * l->s.in_w;
    for (int o = 0; o < l->s.out_c; o++)
        for (int c = 0; c < l->s.in_c; c++)
            for (int p = 0; p < pixels; p++) stored[place_of(l, o, c, p)] = *torch_order++;
}

void cuda_linear_weight_export(const struct linear *l, float *torch_order, const float *stored)
{
    int pixels = l->s.in_h * l->s.in_w;
    for (int o = 0; o < l->s.out_c; o++)
        for (int c = 0; c < l->s.in_c; c++)
            for (int p = 0; p < pixels; p++) *torch_order++ = stored[place_of(l, o, c, p)];
}

/* ---- the three directions ---- */

static void check_tensors(const struct linear *l, const struct tensor *x, const struct tensor *y)
{
    ASSERT(x->c == l->s.in_c && x->h == l->s.in_h && x->w == l->s.in_w && x->c == x->c_total && x->dtype == l->s.x_dtype);
    ASSERT(y->c == l->s.out_c && y->h * y->w == 1 && y->c == y->c_total && y->dtype == l->s.y_dtype && y->n == x->n);
}

static const void *seen_weights(const struct linear *l, const float *weights)
{
    return parameters_as(weights, cuda_linear_weight_count(l), l->s.x_dtype, SCRATCH_WEIGHTS);
}

/* dy in x's type. */
static const void *seen_dy(const struct linear *l, const struct tensor *dy)
{
    if (dy->dtype == l->s.x_dtype) return dy->data;
    int64_t count = (int64_t)dy->n * dy->c;
    uint16_t *rounded = device_scratch(SCRATCH_Y, sizeof *rounded * (size_t)count);
    launch_round(rounded, dy->data, count, device_stream());
    return rounded;
}

void cuda_linear_forward(struct linear *l, const struct tensor *y, const struct tensor *x, const float *weights, const float *bias, int shards)
{
    const void *w = seen_weights(l, weights), *b = parameters_as(bias, (size_t)l->s.out_c, l->s.y_dtype, SCRATCH_BIAS);
    for (int s = 0; s < shards; s++) {
        if (x[s].n == 0) continue;
        check_tensors(l, &x[s], &y[s]);
        matmul_run(product_for(l, x[s].n, b ? PRODUCT_FORWARD_BIAS : PRODUCT_FORWARD), y[s].data, w, x[s].data, b);
    }
}

void cuda_linear_backward_data(struct linear *l, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards)
{
    ASSERT(l->training);
    const void *w = seen_weights(l, weights);
    for (int s = 0; s < shards; s++) {
        if (dx[s].n == 0) continue;
        check_tensors(l, &dx[s], &dy[s]);
        matmul_run(product_for(l, dx[s].n, PRODUCT_DATA), dx[s].data, w, seen_dy(l, &dy[s]), NULL);
    }
}

void cuda_linear_backward_weights(struct linear *l, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy, int shards)
{
    struct parts p;
    ASSERT(l->training);
    parts_start(&p, dweights, cuda_linear_weight_count(l), dbias, (size_t)l->s.out_c, shards);
    for (int s = 0; s < shards; s++) {
        if (x[s].n == 0) {
            parts_zero(&p, s);
            continue;
        }
        check_tensors(l, &x[s], &dy[s]);
        matmul_run(product_for(l, x[s].n, PRODUCT_WEIGHTS), p.weights[s], x[s].data, seen_dy(l, &dy[s]), NULL);
        if (dbias) bias_gradient(p.bias[s], &dy[s]);
    }
    parts_sum(&p);
}
