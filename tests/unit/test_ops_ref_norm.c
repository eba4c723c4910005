/* test_ops_ref_norm.c - batch normalisation and squeeze-and-excitation of the reference backend against the slopes of the
 * whole function: x -> sums -> mean and deviation -> y. Not exact: y is f32 (noise about 1e-7 / step) and the five-point
 * stencil leaves step^4; the tolerance is four times the largest error seen (7e-5 of rms). */
#include <stdio.h>

#include "tests/tools/ops_gradient.h"

static const double step = 1.0 / 16, tolerance = 3e-4;
static const double epsilon = 1e-5;

/* ---- batch normalisation ---- */

struct norm_case {
    struct shape s;
    enum activation act;
    bool residual, rows, second, add; /* row_scale, dy2, dx accumulates */
    int before, after;                /* of the slices x and dx */
};
static const struct norm_case norm_cases[] = {
    {{1, 1, 5, 3}, ACT_NONE, 0, 0, 0, 0, 0, 0},    {{3, 3, 4, 3}, ACT_RELU, 0, 0, 0, 0, 0, 0},
    {{3, 17, 3, 5}, ACT_SILU, 0, 0, 0, 0, 0, 0},   {{2, 40, 5, 2}, ACT_RELU, 1, 0, 0, 0, 0, 0},
    {{3, 3, 2, 3}, ACT_NONE, 1, 0, 1, 0, 0, 0},    {{4, 3, 3, 2}, ACT_NONE, 1, 1, 0, 0, 0, 0},
    {{5, 4, 2, 2}, ACT_RELU, 1, 1, 1, 0, 0, 0},    {{3, 5, 3, 3}, ACT_RELU, 0, 0, 1, 1, 3, 4},
    {{3, 17, 2, 4}, ACT_NONE, 0, 0, 0, 1, 32, 0},  {{2, 3, 3, 4}, ACT_SILU, 0, 0, 1, 0, 0, 2},
    {{4, 3, 1, 5}, ACT_SILU, 0, 1, 0, 1, 16, 0},   {{6, 3, 3, 3}, ACT_RELU, 0, 1, 0, 0, 0, 0},
};

struct norm {
    const struct norm_case *c;
    size_t count;
    float *x, *residual, *gamma, *beta, *rows, *r; /* loss = sum(r * y) */
    float *mean, *inv_std, *scale, *shift;
};

/* What the executor does between norm_sums and norm_forward. */
static void norm_statistics(struct norm *m, const struct tensor *x)
{
    int c = x->c;
    double *sum = NEW_ARRAY(double, c), *squares = NEW_ARRAY(double, c), count = (double)x->n * x->h * x->w;
    ops_ref.norm_sums(sum, squares, x);
    for (int i = 0; i < c; i++) {
        double mean = sum[i] / count, inv_std = 1 / sqrt(squares[i] / count - mean * mean + epsilon);
        m->mean[i] = (float)mean, m->inv_std[i] = (float)inv_std;
        m->scale[i] = (float)(m->gamma[i] * inv_std), m->shift[i] = (float)(m->beta[i] - mean * m->gamma[i] * inv_std);
    }
    mem_free(sum), mem_free(squares);
}

static struct tensor norm_run(struct norm *m, struct tensor *x, struct tensor *residual)
{
    const struct norm_case *c = m->c;
    *x = tensor_filled(m->x, c->s, DTYPE_F32, LAYOUT_NCHW, c->before, c->after);
    if (c->residual) *residual = tensor_filled(m->residual, c->s, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    struct tensor y = tensor_new(c->s, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    norm_statistics(m, x);
    ops_ref.norm_forward(&y, x, c->residual ? residual : NULL, m->scale, m->shift, m->rows, c->act);
    return y;
}

static double norm_loss(void *context)
{
    struct norm *m = context;
    struct tensor x, residual = {0}, y = norm_run(m, &x, &residual);
    double sum = weighted_sum(y.data, m->r, m->count);
    tensor_delete(&x), tensor_delete(&residual), tensor_delete(&y);
    return sum;
}

/* ReLU's kink spoils slopes: arguments stay 0.4 or more from 0. Without residual x has two clusters, with one the residual
 * is what is missing to a good argument. */
static float away_from_zero(void)
{
    double sign = random_below(&values_stream, 2) ? 1 : -1;
    return (float)(sign * random_range(&values_stream, 0.6, 1.5));
}

static struct norm norm_make(const struct norm_case *c)
{
    struct norm m = {.c = c, .count = shape_count(c->s)};
    int channels = c->s.c;
    size_t image = m.count / (size_t)c->s.n, pixels = (size_t)(c->s.h * c->s.w);
    m.x = values_normal(m.count, 0.3, 1, DTYPE_F32), m.r = values_normal(m.count, 0, 1, DTYPE_F32);
    m.gamma = values_range((size_t)channels, 0.7, 1.3), m.beta = values_range((size_t)channels, -0.1, 0.1);
    m.mean = NEW_ARRAY(float, channels), m.inv_std = NEW_ARRAY(float, channels);
    m.scale = NEW_ARRAY(float, channels), m.shift = NEW_ARRAY(float, channels);
    m.residual = values_normal(m.count, 0, 1, DTYPE_F32);
    m.rows = c->rows ? values_range((size_t)c->s.n, 1, 1.5) : NULL;
    if (c->rows && (c->residual || c->act == ACT_SILU)) m.rows[1] = 0; /* the path of image 1 is dropped */
    if (c->act != ACT_RELU) return m;
    if (!c->residual)
        for (size_t i = 0; i < m.count; i++) m.x[i] = away_from_zero();
    struct tensor x = tensor_filled(m.x, c->s, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    norm_statistics(&m, &x);
    for (size_t i = 0; i < m.count && c->residual; i++) {
        size_t k = i / pixels % (size_t)channels;
        float z = (m.x[i] * m.scale[k] + m.shift[k]) * (m.rows ? m.rows[i / image] : 1);
        m.residual[i] = away_from_zero() - z;
    }
    tensor_delete(&x);
    return m;
}

/* gamma's and beta's gradients are the sums themselves; their means go into dx. */
static void check_norm_backward(const char *name, struct norm *m, double *worst)
{
    const struct norm_case *c = m->c;
    int channels = c->s.c;
    double *sums = NEW_ARRAY(double, 2 * channels), pixels = (double)c->s.n * c->s.h * c->s.w;
    float *mean_g = NEW_ARRAY(float, channels), *mean_gx = NEW_ARRAY(float, channels);
    float *dgamma = NEW_ARRAY(float, channels), *dbeta = NEW_ARRAY(float, channels);
    float *part = values_normal(m->count, 0, 1, DTYPE_F32), *rest = values_normal(m->count, 0, 1, DTYPE_F32);
    float *old = values_normal(m->count, 0, 1, DTYPE_F32);
    struct tensor x, residual = {0}, y = norm_run(m, &x, &residual);
    for (size_t i = 0; i < m->count; i++) rest[i] = m->r[i] - part[i];
    struct tensor dy = tensor_filled(c->second ? part : m->r, c->s, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    struct tensor dy2 = tensor_filled(rest, c->s, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    struct tensor dx = tensor_filled(old, c->s, DTYPE_F32, LAYOUT_NCHW, c->before, c->after);

    ops_ref.norm_backward_sums(sums, sums + channels, &dy, c->second ? &dy2 : NULL, &x, c->residual && c->act == ACT_RELU ? &y : NULL,
                               m->mean, m->inv_std, m->scale, m->shift, m->rows, c->act);
    for (int i = 0; i < channels; i++) {
        dbeta[i] = (float)sums[i], dgamma[i] = (float)sums[channels + i];
        mean_g[i] = (float)(sums[i] / pixels), mean_gx[i] = (float)(sums[channels + i] / pixels);
    }
    ops_ref.norm_backward(&dx, &dy, &x, m->mean, m->inv_std, m->scale, mean_g, mean_gx, m->rows, c->add);
    EXPECT(neighbours_are_kept(&dx), "%s: wrote beside dx", name);
    float *dx_values = tensor_values(&dx), *g = tensor_values(&dy);
    for (size_t i = 0; i < m->count && c->add; i++) dx_values[i] -= old[i];
    if (!c->before && !c->after && !c->add) { /* in place of g */
        ops_ref.norm_backward(&dy, &dy, &x, m->mean, m->inv_std, m->scale, mean_g, mean_gx, m->rows, false);
        EXPECT(memcmp(dy.data, dx.data, tensor_buffer_bytes(&dx)) == 0, "%s: dx in place of g differs", name);
    }
    const struct loss loss = {norm_loss, m, step, tolerance};
    const struct {
        const char *name;
        float *values, *gradient;
        size_t count;
    } all[] = {{"dx", m->x, dx_values, m->count}, {"dresidual", m->residual, g, c->residual ? m->count : 0},
               {"dgamma", m->gamma, dgamma, (size_t)channels}, {"dbeta", m->beta, dbeta, (size_t)channels}};
    for (int i = 0; i < 4; i++) {
        char what[200];
        snprintf(what, sizeof what, "%s of %s", all[i].name, name);
        *worst = fmax(*worst, check_gradient(what, &loss, all[i].values, all[i].gradient, all[i].count));
    }
    tensor_delete(&x), tensor_delete(&residual), tensor_delete(&y), tensor_delete(&dy), tensor_delete(&dy2), tensor_delete(&dx);
    mem_free(sums), mem_free(mean_g), mem_free(mean_gx), mem_free(dgamma), mem_free(dbeta);
    mem_free(part), mem_free(rest), mem_free(old), mem_free(dx_values), mem_free(g);
}

/* Without residual and activation y has mean beta and deviation gamma: the definition of the normalisation itself. */
static void check_normalised(const char *name, struct norm *m)
{
    const struct norm_case *c = m->c;
    struct tensor x, residual = {0}, y = norm_run(m, &x, &residual);
    double *sum = NEW_ARRAY(double, 2 * c->s.c), pixels = (double)c->s.n * c->s.h * c->s.w;
    ops_ref.norm_forward(&y, &x, NULL, m->scale, m->shift, NULL, ACT_NONE);
    ops_ref.norm_sums(sum, sum + c->s.c, &y);
    for (int i = 0; i < c->s.c; i++) {
        double mean = sum[i] / pixels, deviation = sqrt(sum[c->s.c + i] / pixels - mean * mean);
        EXPECT(fabs(mean - m->beta[i]) < 1e-5 && fabs(deviation - m->gamma[i]) < 1e-3, "%s: channel %d has mean %g, deviation %g", name,
               i, mean, deviation);
    }
    tensor_delete(&x), tensor_delete(&residual), tensor_delete(&y);
    mem_free(sum);
}

static double check_norm(const struct norm_case *c)
{
    static const char *const acts[] = {"none", "relu", "silu"};
    double worst = 0;
    char name[120];
    snprintf(name, sizeof name, "norm n%d c%d %dx%d %s%s%s%s%s at %d", c->s.n, c->s.c, c->s.h, c->s.w, acts[c->act],
             c->residual ? " residual" : "", c->rows ? " row_scale" : "", c->second ? " dy2" : "", c->add ? " add" : "", c->before);
    struct norm m = norm_make(c);
    check_normalised(name, &m);
    check_norm_backward(name, &m, &worst);
    mem_free(m.x), mem_free(m.residual), mem_free(m.gamma), mem_free(m.beta), mem_free(m.rows), mem_free(m.r);
    mem_free(m.mean), mem_free(m.inv_std), mem_free(m.scale), mem_free(m.shift);
    return worst;
}

static void check_norm_of_nothing(void)
{
    double sum[3] = {1, 1, 1}, squares[3] = {1, 1, 1};
    struct tensor x = tensor_new((struct shape){0, 3, 4, 4}, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    const float v[3] = {1, 1, 1};
    ops_ref.norm_sums(sum, squares, &x);
    EXPECT(!sum[0] && !sum[2] && !squares[0] && !squares[2], "sums over no images are 0");
    sum[0] = squares[2] = 1;
    ops_ref.norm_backward_sums(sum, squares, &x, NULL, &x, NULL, v, v, v, v, NULL, ACT_RELU);
    EXPECT(!sum[0] && !squares[2], "sums over no images are 0");
    tensor_delete(&x);
}

/* ---- squeeze and excitation ---- */

struct se {
    struct shape s;
    int squeeze;
    size_t count;
    float *x, *w1, *b1, *w2, *b2, *r, *save;
};

static double se_loss(void *context)
{
    struct se *e = context;
    struct tensor x = tensor_filled(e->x, e->s, DTYPE_F32, LAYOUT_NCHW, 0, 0), y = tensor_new(e->s, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    ops_ref.se_forward(&y, e->save, &x, e->w1, e->b1, e->w2, e->b2, e->squeeze);
    double sum = weighted_sum(y.data, e->r, e->count);
    tensor_delete(&x), tensor_delete(&y);
    return sum;
}

static double check_se(struct shape s, int squeeze)
{
    size_t c = (size_t)s.c, q = (size_t)squeeze, n = (size_t)s.n, weights = c * q;
    struct se e = {.s = s, .squeeze = squeeze, .count = shape_count(s)};
    e.x = values_normal(e.count, 0.5, 1, DTYPE_F32), e.r = values_normal(e.count, 0, 1, DTYPE_F32);
    e.w1 = values_normal(weights, 0, 1 / sqrt((double)c), DTYPE_F32), e.b1 = values_normal(q, 0, 0.5, DTYPE_F32);
    e.w2 = values_normal(weights, 0, 1 / sqrt((double)q), DTYPE_F32), e.b2 = values_normal(c, 0, 0.5, DTYPE_F32);
    e.save = NEW_ARRAY(float, n * 2 * (c + q));
    float *dw1 = values_range(weights, 5, 6), *db1 = values_range(q, 5, 6), *dw2 = values_range(weights, 5, 6), *db2 = values_range(c, 5, 6);
    float *scratch = NEW_ARRAY(float, n * (c + q)), *save = NEW_ARRAY(float, n * 2 * (c + q));
    struct tensor x = tensor_filled(e.x, s, DTYPE_F32, LAYOUT_NCHW, 0, 0), dy = tensor_filled(e.r, s, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    struct tensor dx = tensor_new(s, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    se_loss(&e);
    memcpy(save, e.save, sizeof(float) * n * 2 * (c + q));
    ops_ref.se_backward(&dx, dw1, db1, dw2, db2, &x, &dy, save, e.w1, e.w2, squeeze, scratch);
    const struct loss loss = {se_loss, &e, step, tolerance};
    const struct {
        const char *name;
        float *values, *gradient;
        size_t count;
    } all[] = {{"dx", e.x, dx.data, e.count}, {"dw1", e.w1, dw1, weights}, {"db1", e.b1, db1, q}, {"dw2", e.w2, dw2, weights}, {"db2", e.b2, db2, c}};
    double worst = 0;
    for (int i = 0; i < 5; i++) {
        char what[120];
        snprintf(what, sizeof what, "%s of squeeze and excitation n%d c%d %dx%d s%d", all[i].name, s.n, s.c, s.h, s.w, squeeze);
        if (s.n) worst = fmax(worst, check_gradient(what, &loss, all[i].values, all[i].gradient, all[i].count));
        for (size_t k = 0; i && !s.n && k < all[i].count; k++) EXPECT(all[i].gradient[k] == 0, "%s", what);
    }
    tensor_delete(&x), tensor_delete(&dy), tensor_delete(&dx);
    mem_free(e.x), mem_free(e.r), mem_free(e.w1), mem_free(e.b1), mem_free(e.w2), mem_free(e.b2), mem_free(e.save), mem_free(save);
    mem_free(dw1), mem_free(db1), mem_free(dw2), mem_free(db2), mem_free(scratch);
    return worst;
}

int main(void)
{
    double worst = 0;
    values_seed(3);
    ops_ref.open(1); /* thousands of tiny calls: waking threads would take longer than the sums */
    for (size_t i = 0; i < sizeof norm_cases / sizeof *norm_cases; i++) worst = fmax(worst, check_norm(&norm_cases[i]));
    printf("normalisation: largest error of a slope %.2g of rms\n", worst);
    check_norm_of_nothing();
    worst = check_se((struct shape){3, 5, 3, 2}, 2);
    worst = fmax(worst, check_se((struct shape){1, 17, 4, 5}, 4));
    worst = fmax(worst, check_se((struct shape){2, 40, 1, 3}, 10));
    worst = fmax(worst, check_se((struct shape){3, 1, 2, 2}, 1));
    check_se((struct shape){0, 3, 2, 2}, 1);
    printf("squeeze and excitation: largest error of a slope %.2g of rms\n", worst);
    return check_verdict();
}
