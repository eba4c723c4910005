/* ops_cases_layers.h - cases of ops_compare.h for convolution and linear layers, over shards of unequal size. */
#ifndef TESTS_OPS_CASES_LAYERS_H
#define TESTS_OPS_CASES_LAYERS_H
#include "tests/tools/ops_compare.h"

/* Shard sizes; -1 ends. */
struct shards {
    int n[MAX_SHARDS];
};
static const struct shards one_shard = {{2, -1}}, one_image = {{1, -1}}, four_shards = {{1, 3, 0, 2, -1}}, no_images = {{0, 0, -1}},
                           five_shards = {{3, 3, 3, 3, 1, -1}};
static inline int shard_count(const struct shards *s)
{
    int count = 0;
    while (count < MAX_SHARDS && s->n[count] >= 0) count++;
    return count;
}
static inline int image_count(const struct shards *s)
{
    int images = 0;
    for (int i = 0; i < shard_count(s); i++) images += s->n[i];
    return images;
}

/* ---- operands of all shards ---- */

static inline void shards_new(struct tensor *t, const struct shards *s, struct shape shape, enum dtype dtype, enum layout layout,
                              int before, int after)
{
    for (int i = 0; i < shard_count(s); i++) {
        shape.n = s->n[i];
        t[i] = tensor_new(shape, dtype, layout, before, after);
    }
}
static inline void shards_random(struct tensor *t, const struct shards *s, enum dtype rounding)
{
    for (int i = 0; i < shard_count(s); i++) {
        float *v = values_normal(shape_count(shape_of(&t[i])), 0, 1, rounding);
        tensor_from_nchw(&t[i], v);
        mem_free(v);
    }
}
static inline void shards_result(struct run *r, const char *name, struct tensor *t, const struct shards *s, enum dtype stored, double length)
{
    for (int i = 0; i < shard_count(s); i++) result_tensor(r, name, &t[i], stored, length);
}
static inline void shards_delete(struct tensor *t, const struct shards *s)
{
    for (int i = 0; i < shard_count(s); i++) tensor_delete(&t[i]);
}

/* ---- a layer of either kind, so that shards and weights are handled once ---- */

struct layer {
    const struct ops *ops;
    struct conv *conv;
    struct linear *linear;
    size_t stored_count, count, out_c; /* floats of stored weights, of PyTorch's, of the bias */
};

static inline void layer_import(const struct layer *l, float *stored, const float *outside)
{
    if (l->conv) l->ops->conv_weight_import(l->conv, stored, outside);
    else l->ops->linear_weight_import(l->linear, stored, outside);
}
static inline float *layer_export(const struct layer *l, const float *stored)
{
    float *outside = NEW_ARRAY(float, l->count);
    if (l->conv) l->ops->conv_weight_export(l->conv, outside, stored);
    else l->ops->linear_weight_export(l->linear, outside, stored);
    return outside;
}
static inline void layer_forward(const struct layer *l, struct tensor *y, struct tensor *x, const float *weights, const float *bias, int shards)
{
    if (l->conv) l->ops->conv_forward(l->conv, y, x, weights, bias, shards);
    else l->ops->linear_forward(l->linear, y, x, weights, bias, shards);
}
static inline void layer_backward_data(const struct layer *l, struct tensor *dx, struct tensor *dy, const float *weights, int shards)
{
    if (l->conv) l->ops->conv_backward_data(l->conv, dx, dy, weights, shards);
    else l->ops->linear_backward_data(l->linear, dx, dy, weights, shards);
}
static inline void layer_backward_weights(const struct layer *l, float *dw, float *db, struct tensor *x, struct tensor *dy, int shards)
{
    if (l->conv) l->ops->conv_backward_weights(l->conv, dw, db, x, dy, shards);
    else l->ops->linear_backward_weights(l->linear, dw, db, x, dy, shards);
}

/* The gradients as they must come out of one call: each shard alone, then the tree. */
static inline void layer_backward_weights_alone(const struct layer *l, float *dw, float *db, struct tensor *x, struct tensor *dy, int shards)
{
    float *dw_part[MAX_SHARDS], *db_part[MAX_SHARDS];
    for (int i = 0; i < shards; i++) {
        dw_part[i] = NEW_ARRAY(float, l->stored_count), db_part[i] = NEW_ARRAY(float, l->out_c);
        layer_backward_weights(l, dw_part[i], db ? db_part[i] : NULL, &x[i], &dy[i], 1);
    }
    shard_tree_sum(dw_part, shards, l->stored_count);
    shard_tree_sum(db_part, shards, l->out_c);
    memcpy(dw, dw_part[0], sizeof(float) * l->stored_count);
    if (db) memcpy(db, db_part[0], sizeof(float) * l->out_c);
    for (int i = 0; i < shards; i++) mem_free(dw_part[i]), mem_free(db_part[i]);
}

/* Weights go in and out exactly; weights that exist in memory only (rounded-up channels) are 0, also as gradients, so that
 * an optimiser leaves them 0. */
static inline void weights_check(struct run *r, const struct layer *l, const char *what, const float *stored)
{
    float *outside = layer_export(l, stored), *again = NEW_ARRAY(float, l->stored_count);
    layer_import(l, again, outside);
    size_t differ = 0;
    for (size_t i = 0; i < l->stored_count; i++) differ += again[i] != stored[i];
    if (differ) {
        r->strays++;
        if (!tally.quiet) printf("%s: %zu of %zu stored values are not PyTorch's weights nor 0: %s\n", what, differ, l->stored_count, r->text);
    }
    mem_free(outside), mem_free(again);
}

struct layer_operands {
    struct tensor x[MAX_SHARDS], y[MAX_SHARDS], dx[MAX_SHARDS], dy[MAX_SHARDS];
    const struct shards *shards;
    bool bias, first;
    enum dtype y_stored;
    double y_length, dx_length, dw_length;
};
static const char *const conv_names[] = {"conv weights", "conv y", "conv dx", "conv dweights", "conv dbias"};
static const char *const linear_names[] = {"linear weights", "linear y", "linear dx", "linear dweights", "linear dbias"};

/* All directions. `later`: a handle like the first, for inference. */
static inline void layer_run(struct run *r, const struct layer *l, const struct layer *later, struct layer_operands *o)
{
    const char *const *names = l->conv ? conv_names : linear_names;
    int shards = shard_count(o->shards), calls = r->alone ? shards : 1, each = r->alone ? 1 : shards;
    float *outside = values_normal(l->count, 0, 1 / sqrt(o->y_length), r->values), *bias = o->bias ? values_normal(l->out_c, 0, 0.5, DTYPE_F32) : NULL;
    float *weights = values_normal(l->stored_count, 9, 1, DTYPE_F32), *dw = values_normal(l->stored_count, 9, 1, DTYPE_F32);
    float *db = o->bias ? values_normal(l->out_c, 9, 1, DTYPE_F32) : NULL;
    values_seed(r->values * 1000 + l->count); /* stored_count is the backend's own */
    shards_random(o->x, o->shards, r->values), shards_random(o->dy, o->shards, r->values);
    layer_import(l, weights, outside);
    float *exported = layer_export(l, weights);
    result_add(r, names[0], exported, l->count, DTYPE_F32, 1);
    weights_check(r, l, names[0], weights);

    for (int i = 0; i < calls; i++) layer_forward(l, o->y + i, o->x + i, weights, bias, each);
    shards_result(r, names[1], o->y, o->shards, o->y_stored, o->y_length);
    for (int i = 0; i < calls; i++) layer_forward(later, o->y + i, o->x + i, weights, bias, each);
    shards_result(r, names[1], o->y, o->shards, o->y_stored, o->y_length);
    for (int i = 0; i < calls && !o->first; i++) layer_backward_data(l, o->dx + i, o->dy + i, weights, each);
    if (!o->first) shards_result(r, names[2], o->dx, o->shards, r->values, o->dx_length);
    if (r->alone) layer_backward_weights_alone(l, dw, db, o->x, o->dy, shards);
    else layer_backward_weights(l, dw, db, o->x, o->dy, shards);
    float *dw_outside = layer_export(l, dw);
    result_add(r, names[3], dw_outside, l->count, DTYPE_F32, o->dw_length);
    if (db) result_add(r, names[4], db, l->out_c, DTYPE_F32, o->dw_length);
    weights_check(r, l, names[3], dw);
    mem_free(outside), mem_free(exported), mem_free(bias), mem_free(weights), mem_free(dw), mem_free(db), mem_free(dw_outside);
}

static inline void operands_delete(struct layer_operands *o)
{
    shards_delete(o->x, o->shards), shards_delete(o->y, o->shards), shards_delete(o->dx, o->shards), shards_delete(o->dy, o->shards);
}

/* ---- convolution ---- */

struct conv_case {
    struct conv_spec s;
    const struct shards *shards;
    int before, after; /* channels beside the slices y and dy */
};

static inline void conv_case_run(struct run *r, const void *spec)
{
    const struct conv_case *c = spec;
    struct conv_spec s = c->s;
    struct error err;
    s.dtype = r->dtype;
    run_text(r, "conv %d->%d %dx%d k%d s%d p%d g%d%s%s%s, %d images in %d shards, y at %d", s.in_c, s.out_c, s.in_h, s.in_w, s.kernel,
             s.stride, s.padding, s.groups, s.bias ? " bias" : "", s.relu ? " relu" : "", s.first ? " first" : "", image_count(c->shards),
             shard_count(c->shards), c->before);
    struct layer l = {.ops = r->ops, .out_c = (size_t)s.out_c}, later = l;
    int usual = c->shards->n[0] > 0 ? c->shards->n[0] : 2;
    if (!(l.conv = r->ops->conv_create(&s, usual, true, NULL, &err))) die_error(&err);
    if (!(later.conv = r->ops->conv_create(&s, usual + 1, false, l.conv, &err))) die_error(&err);
    l.stored_count = r->ops->conv_weight_count(l.conv);
    l.count = (size_t)s.out_c * (size_t)(s.in_c / s.groups) * (size_t)(s.kernel * s.kernel);
    ASSERT(r->ops->conv_weight_count(later.conv) == l.stored_count && l.stored_count >= l.count);
    struct shape x = {0, s.in_c, s.in_h, s.in_w};
    struct shape y = {0, s.out_c, conv_out_size(s.in_h, s.kernel, s.stride, s.padding), conv_out_size(s.in_w, s.kernel, s.stride, s.padding)};
    struct layer_operands o = {.shards = c->shards, .bias = s.bias, .first = s.first, .y_stored = r->values};
    o.y_length = (double)s.in_c / s.groups * s.kernel * s.kernel, o.dx_length = (double)s.out_c / s.groups * s.kernel * s.kernel;
    o.dw_length = (double)image_count(c->shards) * y.h * y.w;
    enum layout x_layout = s.first ? r->first_layout : r->layout;
    shards_new(o.x, c->shards, x, r->dtype, x_layout, 0, 0), shards_new(o.dx, c->shards, x, r->dtype, x_layout, 0, 0);
    shards_new(o.y, c->shards, y, r->dtype, r->layout, c->before, c->after), shards_new(o.dy, c->shards, y, r->dtype, r->layout, c->before, c->after);
    layer_run(r, &l, &later, &o);
    operands_delete(&o);
    r->ops->conv_close(l.conv), r->ops->conv_close(later.conv);
}

#define CONV(i, o, h, w, k, by, p) .s = {.in_c = i, .out_c = o, .in_h = h, .in_w = w, .kernel = k, .stride = by, .padding = p, .groups = 1}
#define DEPTHWISE(c, h, w, k, by, p) .s = {.in_c = c, .out_c = c, .in_h = h, .in_w = w, .kernel = k, .stride = by, .padding = p, .groups = c}
static const struct conv_case conv_cases[] = {
    {CONV(3, 17, 9, 7, 3, 1, 1), &four_shards, 0, 0},
    {CONV(17, 40, 5, 6, 1, 1, 0), &four_shards, 0, 0},
    {CONV(40, 17, 7, 9, 1, 2, 0), &five_shards, 0, 0},
    {CONV(64, 32, 8, 6, 3, 1, 1), &four_shards, 32, 0},
    {CONV(64, 32, 8, 6, 3, 1, 1), &one_shard, 64, 32},
    {CONV(128, 32, 3, 5, 3, 1, 1), &four_shards, 16, 16},
    {CONV(40, 24, 6, 5, 1, 1, 0), &four_shards, 32, 0},
    {CONV(16, 64, 10, 7, 3, 2, 1), &four_shards, 0, 0},
    {CONV(32, 64, 11, 8, 1, 2, 0), &four_shards, 0, 0},
    {CONV(17, 3, 6, 4, 5, 1, 2), &one_shard, 0, 0},
    {CONV(1, 1, 4, 4, 3, 1, 0), &one_image, 0, 0},
    {CONV(40, 1, 1, 1, 1, 1, 0), &five_shards, 0, 0},
    {CONV(16, 16, 2, 2, 3, 1, 1), &one_image, 0, 0},
    {CONV(24, 16, 5, 5, 3, 1, 3), &one_shard, 0, 0},
    {CONV(64, 128, 64, 64, 1, 1, 0), &one_image, 0, 0},
    {CONV(16, 48, 64, 64, 3, 1, 1), &one_image, 0, 0},
    {CONV(256, 272, 2, 2, 3, 1, 1), &one_shard, 0, 0},
    {CONV(3, 4, 5, 5, 3, 1, 1), &no_images, 0, 0},
    {DEPTHWISE(3, 7, 5, 3, 1, 1), &four_shards, 0, 0},
    {DEPTHWISE(17, 9, 6, 3, 2, 1), &four_shards, 0, 0},
    {DEPTHWISE(40, 6, 7, 5, 1, 2), &four_shards, 0, 0},
    {DEPTHWISE(96, 11, 8, 5, 2, 2), &four_shards, 0, 0},
    {DEPTHWISE(32, 64, 64, 3, 1, 1), &one_image, 0, 0},
    {DEPTHWISE(144, 3, 3, 5, 1, 2), &five_shards, 0, 0},
    {DEPTHWISE(1152, 2, 1, 3, 1, 1), &four_shards, 0, 0},
    {DEPTHWISE(17, 1, 1, 5, 1, 2), &one_image, 0, 0},
    {DEPTHWISE(17, 7, 8, 7, 1, 3), &one_shard, 0, 0},
    {DEPTHWISE(16, 5, 5, 3, 1, 1), &no_images, 0, 0},
};
/* With bias and ReLU, and the network's first layers. */
static inline void conv_cases_run(const struct backend *b)
{
    for (size_t i = 0; i < sizeof conv_cases / sizeof *conv_cases; i++) {
        struct conv_case c = conv_cases[i];
        compare_case(b, conv_case_run, &c);
        if (c.s.groups > 1 && i % 2) continue; /* depthwise with bias: every other one */
        c.s.bias = true, c.s.relu = i % 3 == 0 && !c.before;
        compare_case(b, conv_case_run, &c);
    }
    const struct conv_case first[] = {
        {CONV(3, 64, 21, 30, 7, 2, 3), &four_shards, 0, 0}, {CONV(3, 64, 9, 12, 3, 1, 1), &four_shards, 0, 0},
        {CONV(3, 32, 13, 8, 3, 2, 1), &one_image, 0, 0},    {CONV(3, 17, 30, 27, 11, 4, 2), &one_shard, 0, 0},
    };
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        struct conv_case c = first[i];
        c.s.first = true;
        compare_case(b, conv_case_run, &c);
        c.s.bias = c.s.relu = true;
        compare_case(b, conv_case_run, &c);
    }
}

/* ---- linear ---- */

struct linear_case {
    int in_c, in_h, in_w, out_c;
    bool relu, logits; /* logits: y is f32 */
    const struct shards *shards;
};

static inline void linear_case_run(struct run *r, const void *spec)
{
    const struct linear_case *c = spec;
    struct error err;
    bool matrix = c->in_h * c->in_w == 1;
    struct linear_spec s = {.in_c = c->in_c, .in_h = c->in_h, .in_w = c->in_w, .out_c = c->out_c, .relu = c->relu, .x_dtype = r->dtype,
                            .y_dtype = c->logits ? DTYPE_F32 : r->dtype, .x_layout = matrix ? LAYOUT_NHWC : r->layout};
    run_text(r, "linear %dx%dx%d->%d%s%s, %d images in %d shards", s.in_c, s.in_h, s.in_w, s.out_c, s.relu ? " relu" : "",
             c->logits ? " logits" : "", image_count(c->shards), shard_count(c->shards));
    struct layer l = {.ops = r->ops, .out_c = (size_t)s.out_c}, later = l;
    int usual = c->shards->n[0] > 0 ? c->shards->n[0] : 2;
    if (!(l.linear = r->ops->linear_create(&s, usual, true, NULL, &err))) die_error(&err);
    if (!(later.linear = r->ops->linear_create(&s, usual + 1, false, l.linear, &err))) die_error(&err);
    l.stored_count = r->ops->linear_weight_count(l.linear);
    l.count = (size_t)s.out_c * (size_t)(s.in_c * s.in_h * s.in_w);
    ASSERT(r->ops->linear_weight_count(later.linear) == l.stored_count && l.stored_count >= l.count);
    struct layer_operands o = {.shards = c->shards, .bias = true, .y_stored = c->logits ? DTYPE_F32 : r->values, .y_length = (double)(s.in_c * s.in_h * s.in_w), .dx_length = s.out_c,
                               .dw_length = image_count(c->shards)};
    struct shape x = {0, s.in_c, s.in_h, s.in_w}, y = {0, s.out_c, 1, 1};
    shards_new(o.x, c->shards, x, r->dtype, s.x_layout, 0, 0), shards_new(o.dx, c->shards, x, r->dtype, s.x_layout, 0, 0);
    shards_new(o.y, c->shards, y, s.y_dtype, LAYOUT_NHWC, 0, 0), shards_new(o.dy, c->shards, y, s.y_dtype, LAYOUT_NHWC, 0, 0);
    layer_run(r, &l, &later, &o);
    operands_delete(&o);
    r->ops->linear_close(l.linear), r->ops->linear_close(later.linear);
}

static inline void linear_cases_run(const struct backend *b)
{
    static const struct linear_case cases[] = {
        {1, 1, 1, 1, false, true, &one_image},      {17, 1, 1, 3, false, true, &four_shards},  {512, 1, 1, 6, false, true, &four_shards},
        {40, 1, 1, 33, true, false, &five_shards},  {17, 2, 3, 10, true, false, &four_shards}, {3, 5, 4, 7, false, false, &four_shards},
        {64, 7, 7, 96, true, false, &four_shards},  {1280, 1, 1, 2, false, true, &one_shard},  {40, 2, 2, 5, false, false, &no_images},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) compare_case(b, linear_case_run, &cases[i]);
}
#endif
