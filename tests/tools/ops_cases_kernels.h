/* ops_cases_kernels.h - cases of ops_compare.h for all operations but convolution and linear layers. Each call's input is
 * made afresh and not taken from another result, so errors do not add up. */
#ifndef TESTS_OPS_CASES_KERNELS_H
#define TESTS_OPS_CASES_KERNELS_H
#include "tests/tools/ops_compare.h"

static inline struct tensor run_tensor(const struct run *r, struct shape s, int before, int after)
{
    return tensor_new(s, r->dtype, r->layout, before, after);
}
static inline struct tensor run_filled(const struct run *r, const float *nchw, struct shape s, int before, int after)
{
    return tensor_filled(nchw, s, r->dtype, r->layout, before, after);
}
/* Normal values in a new tensor. */
static inline struct tensor run_random(const struct run *r, struct shape s, double mean, double deviation, int before, int after)
{
    float *v = values_normal(shape_count(s), mean, deviation, r->values);
    struct tensor t = run_filled(r, v, s, before, after);
    mem_free(v);
    return t;
}

/* ---- batch normalisation ---- */

struct norm_case {
    struct shape s;
    enum activation act;
    bool residual, rows, second, add; /* row_scale, dy2, dx accumulates */
    int before, after;                /* of the slices x and dx */
};

struct norm_operands {
    struct tensor x, residual, masked, dy, dy2; /* masked: a result with its ReLU's zeros */
    float *mean, *inv_std, *scale, *shift, *mean_g, *mean_gx, *rows;
    double *absolute; /* sum of |x| of each channel */
};

/* Statistics as of values with mean 0.7 and deviation 2, not of these values: of a single one the deviation would be 0. */
static inline void norm_statistics(struct norm_operands *o, const float *x, struct shape s)
{
    size_t pixels = (size_t)(s.h * s.w);
    for (int c = 0; c < s.c; c++) {
        double mean = random_range(&values_stream, 0.5, 0.9), inv_std = random_range(&values_stream, 0.4, 0.6);
        double gamma = random_range(&values_stream, 0.5, 1.5), beta = random_range(&values_stream, -0.5, 0.5);
        o->mean[c] = (float)mean, o->inv_std[c] = (float)inv_std;
        o->scale[c] = (float)(gamma * inv_std), o->shift[c] = (float)(beta - mean * gamma * inv_std);
        o->absolute[c] = 0;
        for (int n = 0; n < s.n; n++)
            for (size_t p = 0; p < pixels; p++) o->absolute[c] += fabs(x[((size_t)n * (size_t)s.c + (size_t)c) * pixels + p]);
    }
}

static inline struct norm_operands norm_operands_new(struct run *r, const struct norm_case *c)
{
    struct shape s = c->s;
    size_t count = shape_count(s), channels = (size_t)s.c;
    struct norm_operands o = {.mean = NEW_ARRAY(float, channels), .inv_std = NEW_ARRAY(float, channels), .scale = NEW_ARRAY(float, channels),
                              .shift = NEW_ARRAY(float, channels), .absolute = NEW_ARRAY(double, channels)};
    o.mean_g = values_normal(channels, 0, 0.1, DTYPE_F32), o.mean_gx = values_normal(channels, 0, 0.1, DTYPE_F32);
    o.rows = c->rows ? values_range((size_t)s.n, 1, 1.5) : NULL;
    if (c->rows && s.n > 1) o.rows[1] = 0;
    float *x = values_normal(count, 0.7, 2, r->values), *masked = values_normal(count, 0, 1, r->values);
    for (size_t i = 0; i < count; i++) masked[i] = fmaxf(masked[i], 0);
    norm_statistics(&o, x, s);
    o.x = run_filled(r, x, s, c->before, c->after), o.masked = run_filled(r, masked, s, 0, 0);
    o.residual = run_random(r, s, 0, 1, 0, 0), o.dy = run_random(r, s, 0, 1, 0, 0), o.dy2 = run_random(r, s, 0, 1, 0, 0);
    mem_free(x), mem_free(masked);
    return o;
}

static inline void norm_operands_delete(struct norm_operands *o)
{
    tensor_delete(&o->x), tensor_delete(&o->residual), tensor_delete(&o->masked), tensor_delete(&o->dy), tensor_delete(&o->dy2);
    mem_free(o->mean), mem_free(o->inv_std), mem_free(o->scale), mem_free(o->shift), mem_free(o->absolute);
    mem_free(o->mean_g), mem_free(o->mean_gx), mem_free(o->rows);
}

/* ops.h: a relative error near 1e-6, of the sum of absolute values. */
static inline void norm_sums_result(struct run *r, const double *values, const double *scale, int channels)
{
    struct result *result = result_new(r, "norm sums", (size_t)channels);
    for (int i = 0; i < channels; i++) result->values[i] = values[i], result->unit[i] = 1e-6 * scale[i];
}

/* Sums of g * row_scale (* xhat), over so few channels that their own rms says little: the limit takes the rms that sums of
 * such terms have, sqrt(sum of squared terms). */
static inline void norm_terms_result(struct run *r, const char *name, const double *values, const struct norm_operands *o, bool with_xhat)
{
    const struct shape s = shape_of(&o->x);
    struct result *result = result_new(r, name, (size_t)s.c);
    float *g = tensor_values(&o->dy), *x = tensor_values(&o->x);
    size_t pixels = (size_t)(s.h * s.w);
    for (int c = 0; c < s.c; c++) {
        double squares = 0;
        for (int n = 0; n < s.n; n++)
            for (size_t p = 0; p < pixels; p++) {
                size_t i = ((size_t)n * (size_t)s.c + (size_t)c) * pixels + p;
                double xhat = ((double)x[i] - o->mean[c]) * o->inv_std[c], term = g[i] * (o->rows ? o->rows[n] : 1) * (with_xhat ? xhat : 1);
                squares += term * term;
            }
        result->values[c] = values[c], result->unit[c] = FLT_EPSILON * (1 + sqrt((double)s.n * (double)pixels)) * sqrt(squares);
    }
    mem_free(g), mem_free(x);
}

static inline void norm_backward_run(struct run *r, const struct norm_case *c, struct norm_operands *o)
{
    const struct ops *ops = r->ops;
    struct tensor g = run_random(r, c->s, 0, 1, 0, 0), dx = run_random(r, c->s, 0, 1, c->before, c->after);
    ops->norm_backward(&dx, &g, &o->x, o->mean, o->inv_std, o->scale, o->mean_g, o->mean_gx, o->rows, c->add);
    result_tensor(r, "norm dx", &dx, r->values, 1);
    if (!c->add) {
        ops->norm_backward(&g, &g, &o->x, o->mean, o->inv_std, o->scale, o->mean_g, o->mean_gx, o->rows, false);
        result_tensor(r, "norm dx", &g, r->values, 1);
    }
    tensor_delete(&g), tensor_delete(&dx);
}

static inline void norm_case_run(struct run *r, const void *spec)
{
    static const char *const acts[] = {"none", "relu", "silu"};
    const struct norm_case *c = spec;
    const struct ops *ops = r->ops;
    size_t channels = (size_t)c->s.c;
    run_text(r, "norm n%d c%d %dx%d %s%s%s%s%s, x at %d of %d", c->s.n, c->s.c, c->s.h, c->s.w, acts[c->act], c->residual ? " residual" : "",
             c->rows ? " row_scale" : "", c->second ? " dy2" : "", c->add ? " add" : "", c->before, c->before + c->s.c + c->after);
    struct norm_operands o = norm_operands_new(r, c);
    struct tensor y = run_tensor(r, c->s, 0, 0);
    double *sum = NEW_ARRAY(double, channels), *squares = NEW_ARRAY(double, channels);
    for (size_t i = 0; i < channels; i++) sum[i] = squares[i] = 1e9; /* overwritten */
    ops->norm_sums(sum, squares, &o.x);
    norm_sums_result(r, sum, o.absolute, c->s.c), norm_sums_result(r, squares, squares, c->s.c);
    ops->norm_forward(&y, &o.x, c->residual ? &o.residual : NULL, o.scale, o.shift, o.rows, c->act);
    bool silu = c->act == ACT_SILU;
    result_tensor(r, silu ? "silu y" : "norm y", &y, r->values, 1);

    bool needs_y = c->residual && c->act == ACT_RELU;
    ops->norm_backward_sums(sum, squares, &o.dy, c->second ? &o.dy2 : NULL, &o.x, needs_y ? &o.masked : NULL, o.mean, o.inv_std, o.scale,
                            o.shift, o.rows, c->act);
    result_tensor(r, silu ? "silu g" : "norm g", &o.dy, r->values, 1);
    norm_terms_result(r, "norm sum_g", sum, &o, false), norm_terms_result(r, "norm sum_gx", squares, &o, true);
    norm_backward_run(r, c, &o);
    norm_operands_delete(&o);
    tensor_delete(&y);
    mem_free(sum), mem_free(squares);
}

static inline void norm_cases_run(const struct backend *b)
{
    static const struct shape shapes[] = {{9, 1, 1, 1},   {3, 3, 5, 7},   {1, 17, 4, 3},  {3, 40, 1, 1},  {2, 16, 25, 21},
                                          {2, 40, 17, 13}, {5, 64, 9, 8}, {2, 144, 8, 8}, {1, 1152, 3, 3}, {2, 17, 30, 20}};
    static const struct norm_case styles[] = {{.act = ACT_NONE}, {.act = ACT_RELU}, {.act = ACT_SILU}, {.act = ACT_RELU, .residual = true},
                                              {.act = ACT_RELU, .residual = true, .second = true, .rows = true},
                                              {.act = ACT_NONE, .residual = true, .rows = true}, {.act = ACT_SILU, .rows = true, .second = true},
                                              {.act = ACT_RELU, .add = true}, {.act = ACT_SILU, .add = true, .second = true}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t k = 0; k < sizeof styles / sizeof *styles; k++) {
            struct norm_case c = styles[k];
            c.s = shapes[i];
            compare_case(b, norm_case_run, &c);
        }
    const struct norm_case slices[] = {
        {{3, 32, 5, 7}, ACT_RELU, 0, 0, 0, 1, 64, 32},  {{2, 64, 17, 16}, ACT_RELU, 0, 0, 0, 1, 0, 96},  {{2, 24, 6, 5}, ACT_RELU, 0, 0, 1, 0, 32, 0},
        {{2, 48, 23, 20}, ACT_RELU, 0, 0, 0, 0, 16, 16}, {{1, 17, 3, 3}, ACT_SILU, 0, 1, 0, 1, 16, 0},    {{0, 17, 3, 3}, ACT_RELU, 0, 0, 1, 0, 0, 0},
        {{4, 32, 56, 28}, ACT_RELU, 0, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) compare_case(b, norm_case_run, &slices[i]);
    if (b->layout != LAYOUT_NHWC) return;
    const struct norm_case odd = {{3, 7, 6, 5}, ACT_RELU, 0, 0, 1, 1, 3, 5}; /* rows of channels may be cut anywhere */
    compare_case(b, norm_case_run, &odd);
}

/* ---- pooling ---- */

struct pool_case {
    struct shape s;
    struct pool_spec p;
    int out_h, out_w;  /* of adaptive pooling */
    int before, after; /* of the slices y and dy */
    bool max, rows;    /* rows: y is LAYOUT_NHWC whatever x is */
};

static inline void pool_case_run(struct run *r, const void *spec)
{
    const struct pool_case *c = spec;
    const struct ops *ops = r->ops;
    struct shape out = {c->s.n, c->s.c, c->out_h, c->out_w};
    if (c->p.kernel) {
        out.h = conv_out_size(c->s.h, c->p.kernel, c->p.stride, c->p.padding);
        out.w = conv_out_size(c->s.w, c->p.kernel, c->p.stride, c->p.padding);
    }
    run_text(r, "%s pool n%d c%d %dx%d -> %dx%d k%d s%d p%d, y at %d of %d%s", c->max ? "max" : "average", c->s.n, c->s.c, c->s.h, c->s.w,
             out.h, out.w, c->p.kernel, c->p.stride, c->p.padding, c->before, c->before + c->s.c + c->after, c->rows ? " in rows" : "");
    /* For maxima: five values below 0 (ties everywhere; padding must not win). */
    float *values = c->max ? values_whole(shape_count(c->s), 2, -3) : values_normal(shape_count(c->s), 0.5, 1, r->values);
    float *sensitivity = values_normal(shape_count(out), 0, 1, r->values);
    enum layout y_layout = c->rows ? LAYOUT_NHWC : r->layout;
    struct tensor x = run_filled(r, values, c->s, 0, 0), dx = run_tensor(r, c->s, 0, 0);
    struct tensor y = tensor_new(out, r->dtype, y_layout, c->before, c->after);
    struct tensor dy = tensor_filled(sensitivity, out, r->dtype, y_layout, c->before, c->after);
    struct tensor dense = tensor_make(NULL, out.n, out.c, out.h, out.w, DTYPE_F32, y_layout);
    uint8_t *index = mem_alloc(tensor_buffer_bytes(&dense) / sizeof(float));
    if (c->max) ops->maxpool_forward(&y, index, &x, &c->p), ops->maxpool_backward(&dx, &dy, index, &c->p);
    else ops->avgpool_forward(&y, &x, &c->p), ops->avgpool_backward(&dx, &dy, &c->p);
    double area = c->p.kernel ? c->p.kernel * c->p.kernel : fmax(1, (double)(c->s.h * c->s.w) / (out.h * out.w));
    result_tensor(r, c->max ? "maxpool y" : "avgpool y", &y, r->values, area);
    result_tensor(r, c->max ? "maxpool dx" : "avgpool dx", &dx, r->values, area);
    tensor_delete(&x), tensor_delete(&y), tensor_delete(&dx), tensor_delete(&dy);
    mem_free(values), mem_free(sensitivity), mem_free(index);
}

static inline void pool_cases_run(const struct backend *b)
{
    static const struct pool_case cases[] = {
        {.s = {3, 3, 6, 8}, .p = {2, 2, 0}, .max = true},     {.s = {1, 17, 7, 5}, .p = {3, 2, 1}, .max = true},
        {.s = {2, 40, 33, 35}, .p = {3, 2, 1}, .max = true},  {.s = {1, 1, 4, 9}, .p = {3, 1, 1}, .max = true},
        {.s = {3, 32, 9, 6}, .p = {3, 2, 1}, .max = true, .before = 16, .after = 48},
        {.s = {2, 24, 9, 6}, .p = {3, 2, 1}, .max = true, .before = 32}, {.s = {2, 17, 1, 1}, .p = {3, 2, 1}, .max = true},
        {.s = {1, 3, 11, 12}, .p = {11, 1, 5}, .max = true},  {.s = {0, 3, 6, 6}, .p = {2, 2, 0}, .max = true},
        {.s = {2, 64, 32, 30}, .p = {2, 2, 0}, .max = true},  {.s = {3, 3, 6, 8}, .p = {2, 2, 0}},
        {.s = {2, 64, 32, 30}, .p = {2, 2, 0}},               {.s = {1, 17, 5, 7}, .p = {2, 2, 0}},
        {.s = {2, 32, 6, 7}, .p = {2, 2, 0}, .before = 64, .after = 32}, {.s = {2, 3, 7, 9}, .p = {4, 1, 0}},
        {.s = {3, 17, 2, 2}, .out_h = 7, .out_w = 7},         {.s = {2, 40, 9, 5}, .out_h = 7, .out_w = 7},
        {.s = {2, 64, 7, 7}, .out_h = 7, .out_w = 7},         {.s = {1, 3, 14, 14}, .out_h = 7, .out_w = 7},
        {.s = {3, 40, 4, 3}, .out_h = 1, .out_w = 1},         {.s = {3, 40, 4, 3}, .out_h = 1, .out_w = 1, .rows = true},
        {.s = {5, 17, 1, 1}, .out_h = 1, .out_w = 1, .rows = true}, {.s = {4, 1, 8, 8}, .out_h = 1, .out_w = 1, .rows = true},
        {.s = {2, 512, 7, 7}, .out_h = 1, .out_w = 1, .rows = true}, {.s = {0, 17, 2, 2}, .out_h = 1, .out_w = 1, .rows = true},
        {.s = {2, 33, 24, 24}, .out_h = 1, .out_w = 1, .rows = true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) compare_case(b, pool_case_run, &cases[i]);
}

/* ---- squeeze and excitation ---- */

struct se_case {
    struct shape s;
    int squeeze;
};

static inline void se_backward_run(struct run *r, const struct se_case *c, const struct tensor *x, float *const w[4])
{
    size_t channels = (size_t)c->s.c, q = (size_t)c->squeeze, images = (size_t)c->s.n, weights = channels * q;
    double pixels = c->s.h * c->s.w, sums = fmax(1, c->s.n) * pixels + c->s.c + c->squeeze; /* over images, pixels, both layers */
    struct tensor dx = run_tensor(r, c->s, 0, 0), dy = run_random(r, c->s, 1, 1, 0, 0);
    float *save = NEW_ARRAY(float, images * 2 * (channels + q)), *scratch = NEW_ARRAY(float, images * (channels + q));
    float *dw1 = values_range(weights, 5, 6), *db1 = values_range(q, 5, 6), *dw2 = values_range(weights, 5, 6), *db2 = values_range(channels, 5, 6);
    float *plain = tensor_values(x); /* what forward saves comes from the definition in every run */
    struct tensor plain_x = tensor_filled(plain, c->s, DTYPE_F32, LAYOUT_NCHW, 0, 0), plain_y = tensor_new(c->s, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    ops_ref.se_forward(&plain_y, save, &plain_x, w[0], w[1], w[2], w[3], c->squeeze);
    r->ops->se_backward(&dx, dw1, db1, dw2, db2, x, &dy, save, w[0], w[2], c->squeeze, scratch);
    result_tensor(r, "se dx", &dx, r->values, sums);
    result_add(r, "se dw1", dw1, weights, DTYPE_F32, sums), result_add(r, "se db1", db1, q, DTYPE_F32, sums);
    result_add(r, "se dw2", dw2, weights, DTYPE_F32, sums), result_add(r, "se db2", db2, channels, DTYPE_F32, sums);
    tensor_delete(&dx), tensor_delete(&dy), tensor_delete(&plain_x), tensor_delete(&plain_y);
    mem_free(save), mem_free(scratch), mem_free(plain), mem_free(dw1), mem_free(db1), mem_free(dw2), mem_free(db2);
}

static inline void se_case_run(struct run *r, const void *spec)
{
    const struct se_case *c = spec;
    size_t channels = (size_t)c->s.c, q = (size_t)c->squeeze, images = (size_t)c->s.n;
    run_text(r, "squeeze and excitation n%d c%d %dx%d s%d", c->s.n, c->s.c, c->s.h, c->s.w, c->squeeze);
    float *w[4] = {values_normal(channels * q, 0, 1 / sqrt((double)channels), DTYPE_F32), values_normal(q, 1, 0.5, DTYPE_F32),
                   values_normal(channels * q, 0, 1 / sqrt((double)q), DTYPE_F32), values_normal(channels, 0, 0.5, DTYPE_F32)};
    float *save = NEW_ARRAY(float, images * 2 * (channels + q));
    struct tensor x = run_random(r, c->s, 1, 1, 0, 0), y = run_tensor(r, c->s, 0, 0);
    r->ops->se_forward(&y, save, &x, w[0], w[1], w[2], w[3], c->squeeze);
    result_tensor(r, "se y", &y, r->values, c->s.h * c->s.w);
    result_add(r, "se save", save, images * 2 * (channels + q), DTYPE_F32, c->s.h * c->s.w + (double)channels);
    se_backward_run(r, c, &x, w);
    tensor_delete(&x), tensor_delete(&y);
    for (int i = 0; i < 4; i++) mem_free(w[i]);
    mem_free(save);
}

static inline void se_cases_run(const struct backend *b)
{
    static const struct se_case cases[] = {
        {{3, 3, 5, 7}, 1},  {{1, 17, 4, 3}, 4},  {{2, 40, 9, 8}, 10},  {{5, 96, 14, 14}, 4},  {{2, 144, 7, 5}, 6},
        {{1, 32, 40, 40}, 8}, {{3, 1152, 3, 3}, 48}, {{2, 1, 2, 2}, 3}, {{4, 240, 1, 1}, 10}, {{0, 17, 2, 2}, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) compare_case(b, se_case_run, &cases[i]);
}

/* ---- element by element ---- */

struct element_case {
    struct shape s;
    int before, after; /* of relu_backward's slices */
    bool matrix;       /* LAYOUT_NHWC */
    double p;
};

static inline void element_case_run(struct run *r, const void *spec)
{
    const struct element_case *c = spec;
    const struct ops *ops = r->ops;
    enum layout layout = c->matrix ? LAYOUT_NHWC : r->layout;
    run_text(r, "element by element n%d c%d %dx%d%s p%g, at %d", c->s.n, c->s.c, c->s.h, c->s.w, c->matrix ? " rows" : "", c->p, c->before);
    size_t count = shape_count(c->s);
    float *a = values_normal(count, 0, 1, r->values), *mask = values_normal(count, 0, 1, r->values);
    for (size_t i = 0; i < count; i++) mask[i] = fmaxf(mask[i], 0);
    uint64_t *keys = NEW_ARRAY(uint64_t, c->s.n);
    for (int n = 0; n < c->s.n; n++) keys[n] = random_u64(&values_stream);
    struct tensor dy = tensor_filled(a, c->s, r->dtype, layout, c->before, c->after), y = tensor_filled(mask, c->s, r->dtype, layout, c->before, c->after);
    ops->relu_backward(&dy, &y);
    result_tensor(r, "relu dy", &dy, r->values, 1);
    struct tensor x = tensor_filled(a, c->s, r->dtype, layout, 0, 0), other = tensor_filled(mask, c->s, r->dtype, layout, 0, 0);
    struct tensor dropped = tensor_new(c->s, r->dtype, layout, 0, 0);
    ops->dropout(&dropped, &x, c->p, keys, 3);
    result_tensor(r, "dropout y", &dropped, r->values, 1);
    ops->dropout(&other, &other, c->p, keys, 4);
    result_tensor(r, "dropout y", &other, r->values, 1);
    tensor_from_nchw(&other, mask);
    ops->add(&x, &other);
    result_tensor(r, "add y", &x, r->values, 1);
    tensor_delete(&dy), tensor_delete(&y), tensor_delete(&x), tensor_delete(&other), tensor_delete(&dropped);
    mem_free(a), mem_free(mask), mem_free(keys);
}

/* Pictures: values of f32 that bf16 must round. */
static inline void input_case_run(struct run *r, const void *spec)
{
    const struct shape *s = spec;
    run_text(r, "input n%d c%d %dx%d", s->n, s->c, s->h, s->w);
    float *pictures = values_normal(shape_count(*s), 0, 1, DTYPE_F32);
    struct tensor x = tensor_new(*s, r->dtype, r->first_layout, 0, 0);
    r->ops->input(&x, pictures);
    float *v = tensor_values(&x);
    for (size_t i = 0; i < shape_count(*s); i++) v[i] = value_round(v[i], r->values);
    result_add(r, "input x", v, shape_count(*s), r->values, 1);
    stray_check(r, "input x", &x);
    tensor_delete(&x);
    mem_free(pictures), mem_free(v);
}

static inline void element_cases_run(const struct backend *b)
{
    static const struct element_case cases[] = {
        {{3, 3, 5, 7}, 0, 0, false, 0.2},    {{1, 17, 4, 3}, 16, 0, false, 0.5}, {{2, 40, 33, 29}, 0, 0, false, 0.5}, {{3, 32, 9, 9}, 16, 32, false, 0},
        {{4, 1280, 1, 1}, 0, 0, true, 0.2},  {{3, 6, 1, 1}, 0, 0, true, 0.5},    {{17, 4096, 1, 1}, 0, 0, true, 0.5},  {{0, 17, 2, 2}, 0, 0, false, 0.5},
    };
    static const struct shape pictures[] = {{3, 3, 5, 7}, {2, 3, 64, 96}, {1, 1, 1, 1}, {0, 3, 4, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) compare_case(b, element_case_run, &cases[i]);
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++) compare_case(b, input_case_run, &pictures[i]);
}

/* ---- what ops/cpu has beside the table: depthwise weight gradients, copies to and from slices ---- */

struct depthwise_case {
    struct shape s;
    int kernel, stride, padding;
};

/* Channels of [ceil(c/16)][k*k][16] into (c, k*k). */
static inline void depthwise_unpack(float *dw, const float *packed, int channels, int area)
{
    for (int c = 0; c < channels; c++)
        for (int k = 0; k < area; k++) dw[c * area + k] = packed[(c / 16 * area + k) * 16 + c % 16];
}

static inline void depthwise_case_run(struct run *r, const void *spec)
{
    const struct depthwise_case *c = spec;
    int area = c->kernel * c->kernel, blocks = (c->s.c + 15) / 16;
    struct shape out = {c->s.n, c->s.c, conv_out_size(c->s.h, c->kernel, c->stride, c->padding), conv_out_size(c->s.w, c->kernel, c->stride, c->padding)};
    run_text(r, "depthwise dw n%d c%d %dx%d k%d s%d p%d", c->s.n, c->s.c, c->s.h, c->s.w, c->kernel, c->stride, c->padding);
    float *dw = NEW_ARRAY(float, c->s.c * area), *packed = values_range((size_t)(blocks * area * 16), 5, 6);
    values_seed((uint64_t)c->s.c * 1000 + (uint64_t)area);
    struct tensor x = run_random(r, c->s, 0, 1, 0, 0), dy = run_random(r, out, 0, 1, 0, 0);
    if (r->kernels) {
        r->kernels->depthwise_backward_weights(packed, &x, &dy, c->kernel, c->stride, c->padding);
        depthwise_unpack(dw, packed, c->s.c, area);
        for (int i = (blocks - 1) * area * 16; i < blocks * area * 16; i++) r->strays += packed[i] != 0 && i % 16 >= c->s.c - (blocks - 1) * 16;
    } else {
        struct conv_spec conv = {.in_c = c->s.c, .out_c = c->s.c, .in_h = c->s.h, .in_w = c->s.w, .kernel = c->kernel, .stride = c->stride,
                                 .padding = c->padding, .groups = c->s.c};
        struct conv *handle = r->ops->conv_create(&conv, c->s.n, true, NULL, NULL);
        r->ops->conv_backward_weights(handle, dw, NULL, &x, &dy, 1);
        r->ops->conv_close(handle);
    }
    result_add(r, "depthwise dw", dw, (size_t)(c->s.c * area), DTYPE_F32, (double)c->s.n * out.h * out.w);
    tensor_delete(&x), tensor_delete(&dy);
    mem_free(dw), mem_free(packed);
}

static inline void copy_case_run(struct run *r, const void *spec)
{
    const struct element_case *c = spec;
    run_text(r, "copy n%d c%d %dx%d, slice at %d", c->s.n, c->s.c, c->s.h, c->s.w, c->before);
    float *v = values_normal(shape_count(c->s), 0, 1, r->values);
    struct tensor from = run_filled(r, v, c->s, 0, 0), slice = run_tensor(r, c->s, c->before, c->after), to = run_tensor(r, c->s, 0, 0);
    if (r->kernels) r->kernels->copy(&slice, &from), r->kernels->copy(&to, &slice);
    else tensor_from_nchw(&slice, v), tensor_from_nchw(&to, v);
    result_tensor(r, "copy", &slice, r->values, 1), result_tensor(r, "copy", &to, r->values, 1);
    tensor_delete(&from), tensor_delete(&slice), tensor_delete(&to);
    mem_free(v);
}

static inline void seam_cases_run(const struct backend *b)
{
    static const struct depthwise_case depthwise[] = {
        {{1, 3, 5, 7}, 3, 1, 1},   {{3, 17, 9, 6}, 3, 2, 1},  {{2, 40, 6, 7}, 5, 1, 2},   {{2, 96, 11, 8}, 5, 2, 2}, {{1, 32, 64, 64}, 3, 1, 1},
        {{3, 64, 33, 20}, 5, 1, 2}, {{2, 144, 1, 1}, 5, 1, 2}, {{1, 17, 12, 5}, 7, 2, 3}, {{2, 16, 7, 7}, 3, 1, 0},  {{2, 1152, 4, 3}, 3, 1, 1},
    };
    static const struct element_case copies[] = {
        {{3, 32, 5, 7}, 64, 32, false, 0}, {{2, 24, 3, 3}, 32, 0, false, 0}, {{2, 64, 33, 20}, 0, 16, false, 0}, {{3, 17, 5, 4}, 0, 0, false, 0}, {{0, 16, 2, 2}, 16, 0, false, 0},
    };
    for (size_t i = 0; i < sizeof depthwise / sizeof *depthwise; i++) compare_case(b, depthwise_case_run, &depthwise[i]);
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) compare_case(b, copy_case_run, &copies[i]);
}

static inline void kernel_cases_run(const struct backend *b)
{
    norm_cases_run(b);
    pool_cases_run(b);
    se_cases_run(b);
    element_cases_run(b);
    if (b->kernels) seam_cases_run(b);
}
#endif
