/* linear.c - fully connected layers on the CPU: oneDNN's inner product on matrices.
 *
 * x is read as the matrix (N, K) of its buffer in whatever order its layout has, with K = all its elements per image,
 * padding lanes included (they are zero); the weights' columns follow that order, and import and export permute from and
 * to torch's (C, H, W). So no layout is ever converted.
 *
 * Computation is f32 even when x or y is bf16: at the batches of training the layer is a read of its weights (VGG-16's
 * first: 411 MB), and a bf16 copy made for each step would cost more than it saves. Only x and y, which are small, are
 * converted. Weights are stored in the order the gradient is written; oneDNN's three directions agree on it.
 * In deterministic mode a layer consists of slices, see linear_slices.h.
 */
#include <string.h>
#include "base/memory.h"
#include "ops/cpu/dnnl_layers.h"
#include "ops/cpu/linear_slices.h"

/* ---- primitives ---- */

static dnnl_memory_desc_t matrix_md(int rows, int columns, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t md;
    DNNL_CHECK(dnnl_memory_desc_init_by_tag(&md, 2, (dnnl_dims_t){rows, columns}, dnnl_f32, tag));
    return md;
}

static int forward_open(struct primitive *p, const struct linear *l, int n, struct error *err)
{
    static const int ids[] = {DNNL_ARG_DST, DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS};
    dnnl_memory_desc_t x = matrix_md(n, l->columns, dnnl_ab), y = matrix_md(n, l->slice_c, dnnl_ab), bias;
    dnnl_memory_desc_t weights = matrix_md(l->slice_c, l->columns, dnnl_format_tag_any);
    dnnl_inner_product_desc_t d;
    DNNL_CHECK(dnnl_memory_desc_init_by_tag(&bias, 1, (dnnl_dims_t){l->slice_c}, dnnl_f32, dnnl_a));
    DNNL_CHECK(dnnl_inner_product_forward_desc_init(&d, l->training ? dnnl_forward_training : dnnl_forward_inference, &x,
                                                    &weights, &bias, &y));
    dnnl_primitive_attr_t attributes = primitive_attributes(l->spec.relu);
    int status = primitive_open(p, &d, attributes, NULL, ids, 4, err);
    DNNL_CHECK(dnnl_primitive_attr_destroy(attributes));
    return status;
}

static int backward_open(struct primitive *p, const struct linear *l, int n, bool data, const struct primitive *forward,
                         struct error *err)
{
    static const int data_ids[] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS};
    static const int weights_ids[] = {DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_BIAS};
    dnnl_memory_desc_t x = matrix_md(n, l->columns, dnnl_ab), y = matrix_md(n, l->slice_c, dnnl_ab), bias;
    dnnl_memory_desc_t weights = matrix_md(l->slice_c, l->columns, dnnl_format_tag_any);
    dnnl_inner_product_desc_t d;
    DNNL_CHECK(dnnl_memory_desc_init_by_tag(&bias, 1, (dnnl_dims_t){l->slice_c}, dnnl_f32, dnnl_a));
    if (data) DNNL_CHECK(dnnl_inner_product_backward_data_desc_init(&d, &x, &weights, &y));
    else DNNL_CHECK(dnnl_inner_product_backward_weights_desc_init(&d, &x, &weights, &bias, &y));
    dnnl_primitive_attr_t attributes = primitive_attributes(false);
    int status = primitive_open(p, &d, attributes, forward, data ? data_ids : weights_ids, data ? 3 : 4, err);
    DNNL_CHECK(dnnl_primitive_attr_destroy(attributes));
    return status;
}

/* `choose`: no stored order is known yet; it becomes that of the gradient, or forward's for inference. */
static int steps_fill(struct linear_steps *s, struct linear *l, bool choose, struct error *err)
{
    if (forward_open(&s->forward.run, l, s->n, err) < 0) return -1;
    if (l->training) {
        if (backward_open(&s->backward_data.run, l, s->n, true, &s->forward.run, err) < 0) return -1;
        if (backward_open(&s->backward_weights.run, l, s->n, false, &s->forward.run, err) < 0) return -1;
    }
    if (choose)
        l->stored = l->training ? *primitive_md(&s->backward_weights.run, DNNL_ARG_DIFF_WEIGHTS)
                                : *primitive_md(&s->forward.run, DNNL_ARG_WEIGHTS);
    if (step_finish(&s->forward, DNNL_ARG_WEIGHTS, &l->stored, err) < 0) return -1;
    if (!l->training) return 0;
    if (step_finish(&s->backward_data, DNNL_ARG_WEIGHTS, &l->stored, err) < 0) return -1;
    return step_finish(&s->backward_weights, DNNL_ARG_DIFF_WEIGHTS, &l->stored, err);
}

static void steps_close(struct linear_steps *s)
{
    step_close(&s->forward);
    step_close(&s->backward_data);
    step_close(&s->backward_weights);
    mem_free(s);
}

static struct linear_steps *steps_open(struct linear *l, int n, bool choose, struct error *err)
{
    struct linear_steps *s = NEW(struct linear_steps);
    int threads = l->deterministic ? alone_begin() : 0;
    s->n = n;
    int status = steps_fill(s, l, choose, err);
    if (l->deterministic) alone_end(threads);
    if (status == 0) return s;
    steps_close(s);
    return NULL;
}

static const struct linear_steps *steps_for(struct linear *l, int n)
{
    struct linear_steps **end = &l->steps;
    while (*end != NULL && (*end)->n != n) end = &(*end)->next;
    struct error err;
    if (*end == NULL && (*end = steps_open(l, n, false, &err)) == NULL) die_error(&err);
    return *end;
}

/* ---- handles ---- */

static int channels_seen(const struct linear_spec *p)
{
    return p->x_layout == LAYOUT_NCHW16C ? (p->in_c + 15) / 16 * 16 : p->in_c;
}

struct linear *cpu_linear_create(const struct linear_spec *spec, int n, bool training, const struct linear *like, struct error *err)
{
    struct linear *l = NEW(struct linear);
    l->spec = *spec;
    l->training = training;
    l->columns = channels_seen(spec) * spec->in_h * spec->in_w;
    l->deterministic = deterministic();
    l->slices = l->deterministic ? linear_slices_worth(l) : 1;
    l->slice_c = spec->out_c / l->slices;
    if (like != NULL) l->stored = like->stored;
    l->steps = steps_open(l, n, like == NULL, err);
    if (l->steps == NULL) {
        mem_free(l);
        return NULL;
    }
    l->slice_count = dnnl_memory_desc_get_size(&l->stored) / sizeof(float);
    l->weight_count = l->slice_count * (size_t)l->slices;
    return l;
}

void cpu_linear_close(struct linear *l)
{
    if (l == NULL) return;
    while (l->steps != NULL) {
        struct linear_steps *next = l->steps->next;
        steps_close(l->steps);
        l->steps = next;
    }
    mem_free(l);
}

size_t cpu_linear_weight_count(const struct linear *l) { return l->weight_count; }

/* Where channel c at point p (= h * in_w + w) of an image stands in x's buffer. */
static size_t column_of(const struct linear_spec *s, int c, int p)
{
    int area = s->in_h * s->in_w;
    if (s->x_layout == LAYOUT_NHWC) return (size_t)p * s->in_c + c;
    if (s->x_layout == LAYOUT_NCHW) return (size_t)c * area + p;
    return ((size_t)(c / 16) * area + p) * 16 + c % 16;
}

void cpu_linear_weight_import(const struct linear *l, float *stored, const float *torch_order)
{
    int area = l->spec.in_h * l->spec.in_w, out_c = l->spec.out_c;
    float *rows = mem_zero((size_t)out_c * l->columns * sizeof(float)); /* padding lanes stay 0 */
#pragma omp parallel for
    for (int o = 0; o < out_c; o++)
        for (int c = 0; c < l->spec.in_c; c++)
            for (int p = 0; p < area; p++)
                rows[(size_t)o * l->columns + column_of(&l->spec, c, p)] = torch_order[((size_t)o * l->spec.in_c + c) * area + p];
    dnnl_memory_desc_t plain = matrix_md(l->slice_c, l->columns, dnnl_ab);
    for (int j = 0; j < l->slices; j++)
        reorder_once(stored + (size_t)j * l->slice_count, &l->stored, rows + (size_t)j * l->slice_c * l->columns, &plain);
    mem_free(rows);
}

void cpu_linear_weight_export(const struct linear *l, float *torch_order, const float *stored)
{
    int area = l->spec.in_h * l->spec.in_w, out_c = l->spec.out_c;
    float *rows = mem_alloc((size_t)out_c * l->columns * sizeof(float));
    dnnl_memory_desc_t plain = matrix_md(l->slice_c, l->columns, dnnl_ab);
    for (int j = 0; j < l->slices; j++)
        reorder_once(rows + (size_t)j * l->slice_c * l->columns, &plain, stored + (size_t)j * l->slice_count, &l->stored);
#pragma omp parallel for
    for (int o = 0; o < out_c; o++)
        for (int c = 0; c < l->spec.in_c; c++)
            for (int p = 0; p < area; p++)
                torch_order[((size_t)o * l->spec.in_c + c) * area + p] = rows[(size_t)o * l->columns + column_of(&l->spec, c, p)];
    mem_free(rows);
}

/* ---- operands ---- */

/* t's buffer as f32: itself, or a copy in scratch. */
static const float *as_f32(const struct tensor *t, enum scratch where)
{
    if (t->dtype == DTYPE_F32) return t->data;
    int64_t count = (int64_t)(tensor_buffer_bytes(t) / sizeof(uint16_t));
    const uint16_t *from = t->data;
    float *to = scratch(where, (size_t)count * sizeof(float));
#pragma omp parallel for
    for (int64_t i = 0; i < count; i++) to[i] = bf16_to_float(from[i]);
    return to;
}

/* Where to write t's values as f32; store_f32 then brings them to t. */
static float *target_f32(const struct tensor *t, enum scratch where)
{
    return t->dtype == DTYPE_F32 ? t->data : scratch(where, 2 * tensor_buffer_bytes(t));
}

static void store_f32(const struct tensor *t, const float *from)
{
    if (t->dtype == DTYPE_F32) return;
    int64_t count = (int64_t)(tensor_buffer_bytes(t) / sizeof(uint16_t));
    uint16_t *to = t->data;
#pragma omp parallel for
    for (int64_t i = 0; i < count; i++) to[i] = bf16_from_float(from[i]);
}

static void check_tensors(const struct linear *l, const struct tensor *x, const struct tensor *y)
{
    const struct linear_spec *s = &l->spec;
    ASSERT(x->c == s->in_c && x->h == s->in_h && x->w == s->in_w && x->c == x->c_total);
    ASSERT(x->layout == s->x_layout && x->dtype == s->x_dtype);
    ASSERT(y->c == s->out_c && y->h == 1 && y->w == 1 && y->c == y->c_total);
    ASSERT(y->layout == LAYOUT_NHWC && y->dtype == s->y_dtype && y->n == x->n);
}

/* ---- the three directions ---- */

void cpu_linear_forward(struct linear *l, const struct tensor *y, const struct tensor *x, const float *weights,
                        const float *bias, int shards)
{
    const struct step *held = NULL;
    for (int s = 0; s < shards; s++) {
        if (x[s].n == 0) continue;
        check_tensors(l, &x[s], &y[s]);
        const struct step *step = &steps_for(l, x[s].n)->forward;
        float *out = target_f32(&y[s], SCRATCH_Y);
        const float *in = as_f32(&x[s], SCRATCH_X);
        if (l->deterministic) slices_forward(l, step, out, in, weights, bias, x[s].n);
        else primitive_run(&step->run, (const void *[]){out, in, step_weights(step, &held, weights), bias});
        store_f32(&y[s], out);
    }
}

void cpu_linear_backward_data(struct linear *l, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards)
{
    const struct step *held = NULL;
    ASSERT(l->training);
    for (int s = 0; s < shards; s++) {
        if (dx[s].n == 0) continue;
        check_tensors(l, &dx[s], &dy[s]);
        const struct step *step = &steps_for(l, dx[s].n)->backward_data;
        float *out = target_f32(&dx[s], SCRATCH_X);
        const float *in = as_f32(&dy[s], SCRATCH_Y);
        if (l->deterministic) slices_backward_data(l, step, out, in, weights, dx[s].n);
        else primitive_run(&step->run, (const void *[]){out, in, step_weights(step, &held, weights)});
        store_f32(&dx[s], out);
    }
}

static void weights_shard(struct linear *l, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy)
{
    check_tensors(l, x, dy);
    const struct step *step = &steps_for(l, x->n)->backward_weights;
    const float *in = as_f32(x, SCRATCH_X), *dout = as_f32(dy, SCRATCH_Y);
    if (l->deterministic) {
        slices_backward_weights(l, step, dweights, dbias, in, dout, x->n);
        return;
    }
    bool convert = step->reorder.handle != NULL;
    void *written = convert ? scratch(SCRATCH_GRADIENT, step->weight_bytes) : dweights;
    primitive_run(&step->run, (const void *[]){written, in, dout, dbias});
    if (convert) primitive_run(&step->reorder, (const void *[]){dweights, written});
}

void cpu_linear_backward_weights(struct linear *l, float *dweights, float *dbias, const struct tensor *x,
                                 const struct tensor *dy, int shards)
{
    ASSERT(l->training);
    struct shard_sum w = shard_sum_start(dweights, l->weight_count, 0);
    struct shard_sum b = shard_sum_start(dbias, (size_t)l->spec.out_c, 1);
    for (int s = 0; s < shards; s++) {
        float *dw = shard_sum_next(&w), *db = shard_sum_next(&b);
        if (x[s].n > 0) {
            weights_shard(l, dw, db, &x[s], &dy[s]);
        } else {
            memset(dw, 0, w.count * sizeof(float));
            memset(db, 0, b.count * sizeof(float));
        }
        shard_sum_add(&w);
        shard_sum_add(&b);
    }
    shard_sum_end(&w);
    shard_sum_end(&b);
}
