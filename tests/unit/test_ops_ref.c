/* test_ops_ref.c - convolution and linear layers of the reference backend: forward against the plainest sum there is,
 * backward against the slope of forward. Data are small whole numbers, biases odd halves (so that no ReLU has a kink within
 * reach of a step): everything is exact and equality is asked for. */
#include <stdio.h>

#include "tests/tools/ops_gradient.h"

/* ---- convolution ---- */

struct conv_case {
    int n;
    struct conv_spec s;
    int y_before, y_after; /* channels beside y's slice */
};
static const struct conv_case conv_cases[] = {
    {1, {.in_c = 1, .out_c = 1, .in_h = 1, .in_w = 1, .kernel = 1, .stride = 1, .groups = 1}, 0, 0},
    {3, {.in_c = 3, .out_c = 4, .in_h = 5, .in_w = 7, .kernel = 1, .stride = 2, .groups = 1, .bias = true}, 0, 0},
    {3, {.in_c = 3, .out_c = 17, .in_h = 5, .in_w = 7, .kernel = 3, .stride = 1, .padding = 1, .groups = 1, .bias = true}, 0, 0},
    {1, {.in_c = 17, .out_c = 3, .in_h = 6, .in_w = 4, .kernel = 3, .stride = 2, .padding = 1, .groups = 1, .relu = true, .bias = true}, 2, 5},
    {3, {.in_c = 2, .out_c = 3, .in_h = 4, .in_w = 9, .kernel = 3, .stride = 2, .padding = 0, .groups = 1}, 3, 0},
    {1, {.in_c = 3, .out_c = 2, .in_h = 8, .in_w = 6, .kernel = 5, .stride = 1, .padding = 3, .groups = 1, .bias = true}, 0, 1},
    {1, {.in_c = 3, .out_c = 5, .in_h = 9, .in_w = 12, .kernel = 7, .stride = 2, .padding = 3, .groups = 1}, 0, 0},
    {1, {.in_c = 1, .out_c = 2, .in_h = 12, .in_w = 9, .kernel = 11, .stride = 2, .padding = 2, .groups = 1, .bias = true}, 0, 0},
    {1, {.in_c = 2, .out_c = 2, .in_h = 1, .in_w = 2, .kernel = 3, .stride = 1, .padding = 1, .groups = 1}, 0, 0},
    {1, {.in_c = 1, .out_c = 1, .in_h = 2, .in_w = 1, .kernel = 5, .stride = 1, .padding = 3, .groups = 1}, 0, 0},
    {3, {.in_c = 3, .out_c = 3, .in_h = 7, .in_w = 5, .kernel = 3, .stride = 1, .padding = 1, .groups = 3, .bias = true}, 0, 0},
    {1, {.in_c = 17, .out_c = 17, .in_h = 6, .in_w = 5, .kernel = 3, .stride = 2, .padding = 1, .groups = 17}, 0, 0},
    {1, {.in_c = 40, .out_c = 40, .in_h = 5, .in_w = 6, .kernel = 5, .stride = 2, .padding = 2, .groups = 40, .relu = true, .bias = true}, 0, 0},
    {1, {.in_c = 40, .out_c = 17, .in_h = 3, .in_w = 3, .kernel = 3, .stride = 1, .padding = 0, .groups = 1}, 0, 0},
    {0, {.in_c = 3, .out_c = 4, .in_h = 5, .in_w = 5, .kernel = 3, .stride = 1, .padding = 1, .groups = 1, .bias = true}, 0, 0},
};

/* One output value, tap by tap. */
static double conv_by_definition(const struct conv_spec *s, const float *image, const float *weights, int o, int oh, int ow)
{
    int in_group = s->in_c / s->groups, first = o / (s->out_c / s->groups) * in_group;
    double sum = 0;
    for (int i = 0; i < in_group; i++)
        for (int kh = 0; kh < s->kernel; kh++)
            for (int kw = 0; kw < s->kernel; kw++) {
                int h = oh * s->stride - s->padding + kh, w = ow * s->stride - s->padding + kw;
                if (h < 0 || h >= s->in_h || w < 0 || w >= s->in_w) continue;
                sum += (double)image[((first + i) * s->in_h + h) * s->in_w + w] *
                       weights[((o * in_group + i) * s->kernel + kh) * s->kernel + kw];
            }
    return sum;
}

/* What a loss needs to run a layer forward again. `x_values` are copied into x first. */
struct layer {
    struct conv *conv;
    struct linear *linear;
    struct tensor x, y;
    float *x_values, *weights, *bias, *r; /* loss = sum(r * y) */
    size_t x_count, weight_count, bias_count, y_count;
};

static double layer_loss(void *context)
{
    struct layer *l = context;
    tensor_from_nchw(&l->x, l->x_values);
    if (l->conv) ops_ref.conv_forward(l->conv, &l->y, &l->x, l->weights, l->bias, 1);
    else ops_ref.linear_forward(l->linear, &l->y, &l->x, l->weights, l->bias, 1);
    float *y = tensor_values(&l->y);
    double sum = weighted_sum(y, l->r, l->y_count);
    mem_free(y);
    return sum;
}

static void layer_delete(struct layer *l)
{
    tensor_delete(&l->x), tensor_delete(&l->y);
    mem_free(l->x_values), mem_free(l->weights), mem_free(l->bias), mem_free(l->r);
}

static void check_conv_forward(const char *name, const struct conv_spec *s, struct layer *l)
{
    float *y = tensor_values(&l->y);
    size_t at = 0, bad = 0, image = (size_t)(s->in_c * s->in_h * s->in_w);
    for (int n = 0; n < l->y.n; n++)
        for (int o = 0; o < s->out_c; o++)
            for (int oh = 0; oh < l->y.h; oh++)
                for (int ow = 0; ow < l->y.w; ow++) {
                    double want = conv_by_definition(s, l->x_values + (size_t)n * image, l->weights, o, oh, ow);
                    if (l->bias) want += l->bias[o];
                    if (s->relu && want < 0) want = 0;
                    bad += y[at++] != want;
                }
    EXPECT(bad == 0, "%s: %zu of %zu outputs differ from the definition", name, bad, l->y_count);
    EXPECT(neighbours_are_kept(&l->y), "%s: wrote beside the slice", name);
    mem_free(y);
}

static void check_conv_backward(const char *name, const struct conv_spec *s, struct layer *l)
{
    struct tensor dy = tensor_filled(l->r, shape_of(&l->y), DTYPE_F32, LAYOUT_NCHW, l->y.c_offset, l->y.c_total - l->y.c - l->y.c_offset);
    struct tensor dx = tensor_new(shape_of(&l->x), DTYPE_F32, LAYOUT_NCHW, 0, 0);
    float *dw = values_range(l->weight_count, 5, 6), *db = s->bias ? values_range(l->bias_count, 5, 6) : NULL; /* overwritten */
    if (s->relu) ops_ref.relu_backward(&dy, &l->y);
    ops_ref.conv_backward_data(l->conv, &dx, &dy, l->weights, 1);
    ops_ref.conv_backward_weights(l->conv, dw, db, &l->x, &dy, 1);
    const struct loss loss = {layer_loss, l, 1.0 / 16, 0};
    float *dx_values = tensor_values(&dx);
    char what[200];
    snprintf(what, sizeof what, "dx of %s", name);
    check_gradient(what, &loss, l->x_values, dx_values, l->x_count);
    snprintf(what, sizeof what, "dweights of %s", name);
    check_gradient(what, &loss, l->weights, dw, l->weight_count);
    snprintf(what, sizeof what, "dbias of %s", name);
    if (s->bias) check_gradient(what, &loss, l->bias, db, l->bias_count);
    tensor_delete(&dy), tensor_delete(&dx);
    mem_free(dw), mem_free(db), mem_free(dx_values);
}

static void check_conv(const struct conv_case *c)
{
    const struct conv_spec *s = &c->s;
    struct error err;
    char name[160];
    snprintf(name, sizeof name, "conv n%d %d->%d %dx%d k%d s%d p%d g%d%s%s", c->n, s->in_c, s->out_c, s->in_h, s->in_w, s->kernel,
             s->stride, s->padding, s->groups, s->bias ? " bias" : "", s->relu ? " relu" : "");
    struct layer l = {.conv = ops_ref.conv_create(s, c->n, true, NULL, &err)};
    EXPECT(l.conv != NULL, "%s", name);
    struct shape x = {c->n, s->in_c, s->in_h, s->in_w};
    struct shape y = {c->n, s->out_c, conv_out_size(s->in_h, s->kernel, s->stride, s->padding),
                      conv_out_size(s->in_w, s->kernel, s->stride, s->padding)};
    l.x_count = shape_count(x), l.y_count = shape_count(y), l.bias_count = (size_t)s->out_c;
    l.weight_count = ops_ref.conv_weight_count(l.conv);
    EXPECT(l.weight_count == (size_t)(s->out_c * s->in_c / s->groups * s->kernel * s->kernel), "%s", name);
    l.x = tensor_new(x, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    l.y = tensor_new(y, DTYPE_F32, LAYOUT_NCHW, c->y_before, c->y_after);
    l.x_values = values_whole(l.x_count, 3, 0), l.r = values_whole(l.y_count, 3, 0);
    float *oihw = values_whole(l.weight_count, 3, 0);
    l.weights = NEW_ARRAY(float, l.weight_count);
    ops_ref.conv_weight_import(l.conv, l.weights, oihw);
    l.bias = s->bias ? values_whole(l.bias_count, 3, 0.5F) : NULL;
    layer_loss(&l);
    check_conv_forward(name, s, &l);
    check_conv_backward(name, s, &l);
    ops_ref.conv_close(l.conv);
    mem_free(oihw);
    layer_delete(&l);
}

/* ---- linear ---- */

struct linear_case {
    int n;
    struct linear_spec s;
};
static const struct linear_case linear_cases[] = {
    {1, {.in_c = 1, .in_h = 1, .in_w = 1, .out_c = 1, .x_layout = LAYOUT_NCHW}},
    {3, {.in_c = 17, .in_h = 2, .in_w = 3, .out_c = 7, .x_layout = LAYOUT_NCHW}},
    {3, {.in_c = 40, .in_h = 1, .in_w = 1, .out_c = 17, .relu = true, .x_layout = LAYOUT_NHWC}},
    {0, {.in_c = 3, .in_h = 2, .in_w = 2, .out_c = 4, .x_layout = LAYOUT_NCHW}},
};

static void check_linear(const struct linear_case *c, bool with_bias)
{
    const struct linear_spec *s = &c->s;
    struct error err;
    char name[160], what[200];
    snprintf(name, sizeof name, "linear n%d %dx%dx%d->%d%s%s", c->n, s->in_c, s->in_h, s->in_w, s->out_c, with_bias ? " bias" : "",
             s->relu ? " relu" : "");
    struct layer l = {.linear = ops_ref.linear_create(s, c->n, true, NULL, &err)};
    EXPECT(l.linear != NULL, "%s", name);
    struct shape x = {c->n, s->in_c, s->in_h, s->in_w}, y = {c->n, s->out_c, 1, 1};
    size_t in = (size_t)(s->in_c * s->in_h * s->in_w), bad = 0;
    l.x_count = shape_count(x), l.y_count = shape_count(y), l.bias_count = (size_t)s->out_c;
    l.weight_count = ops_ref.linear_weight_count(l.linear);
    l.x = tensor_new(x, DTYPE_F32, s->x_layout, 0, 0), l.y = tensor_new(y, DTYPE_F32, LAYOUT_NHWC, 0, 0);
    l.x_values = values_whole(l.x_count, 3, 0), l.r = values_whole(l.y_count, 3, 0);
    l.weights = values_whole(l.weight_count, 3, 0);
    l.bias = values_whole(l.bias_count, 3, 0.5F);
    float *bias = l.bias;
    if (!with_bias && !s->relu) l.bias = NULL;
    layer_loss(&l);
    float *got = tensor_values(&l.y);
    for (size_t i = 0; i < l.y_count; i++) {
        size_t n = i / (size_t)s->out_c, o = i % (size_t)s->out_c;
        double want = weighted_sum(l.x_values + n * in, l.weights + o * in, in) + (l.bias ? l.bias[o] : 0);
        bad += got[i] != (s->relu && want < 0 ? 0 : want);
    }
    EXPECT(bad == 0, "%s: %zu outputs differ from the definition", name, bad);

    struct tensor dy = tensor_filled(l.r, y, DTYPE_F32, LAYOUT_NHWC, 0, 0), dx = tensor_new(x, DTYPE_F32, s->x_layout, 0, 0);
    float *dw = values_range(l.weight_count, 5, 6), *db = values_range(l.bias_count, 5, 6);
    if (s->relu) ops_ref.relu_backward(&dy, &l.y);
    ops_ref.linear_backward_data(l.linear, &dx, &dy, l.weights, 1);
    ops_ref.linear_backward_weights(l.linear, dw, l.bias ? db : NULL, &l.x, &dy, 1);
    float *dx_values = tensor_values(&dx);
    const struct loss loss = {layer_loss, &l, 1.0 / 16, 0};
    snprintf(what, sizeof what, "dx of %s", name);
    check_gradient(what, &loss, l.x_values, dx_values, l.x_count);
    snprintf(what, sizeof what, "dweights of %s", name);
    check_gradient(what, &loss, l.weights, dw, l.weight_count);
    snprintf(what, sizeof what, "dbias of %s", name);
    if (l.bias) check_gradient(what, &loss, l.bias, db, l.bias_count);
    ops_ref.linear_close(l.linear);
    tensor_delete(&dy), tensor_delete(&dx);
    l.bias = bias;
    mem_free(dw), mem_free(db), mem_free(dx_values), mem_free(got);
    layer_delete(&l);
}

/* ---- the helpers see what they are there for ---- */

static double cube(void *value) { return pow(*(float *)value, 3); }

static void check_the_check(void)
{
    float value = 2, right = 12, wrong = 12.01F;
    const struct loss loss = {cube, &value, 1.0 / 16, 1e-6};
    int failed = check_failed;
    EXPECT(check_gradient("a cube", &loss, &value, &right, 1) < 1e-9, "the slope of a cube");
    printf("the next line shows a failure on purpose\n");
    check_gradient("a wrong gradient", &loss, &value, &wrong, 1);
    bool seen = check_failed == failed + 1;
    check_failed = failed;
    EXPECT(seen, "a gradient that is off by a thousandth passed");
}

int main(void)
{
    values_seed(1);
    check_the_check();
    ops_ref.open(1); /* thousands of tiny calls: waking threads would take longer than the sums */
    for (size_t i = 0; i < sizeof conv_cases / sizeof *conv_cases; i++) check_conv(&conv_cases[i]);
    for (size_t i = 0; i < sizeof linear_cases / sizeof *linear_cases; i++) {
        check_linear(&linear_cases[i], true);
        check_linear(&linear_cases[i], false);
    }
    return check_verdict();
}
