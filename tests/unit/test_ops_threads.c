/* ctest: label=ops timeout=900 */
/* test_ops_threads.c - tuned as deterministic, the CPU backend gives the same bits on 1, 2, 3 and 8 threads: every distinct layer
 * of the seven networks, in all directions, in f32 and bf16, small and large shards. Without that tuning oneDNN's weight gradients
 * do not, which shows that the comparison can fail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "models/graph.h"
#include "ops/cpu/conv_primitives.h"
#include "ops/cpu/dnnl_alone.h"
#include "tests/tools/ops_values.h"
#include "tests/unit/check.h"

/* ---- the layers of all networks ---- */

struct layer {
    enum node_kind kind;
    int in_c, in_h, in_w, out_c, out_h, out_w, kernel, stride, padding, groups, squeeze;
    enum activation act;
    bool bias, first, residual, logits, adaptive;
};
static struct layer layers[2000];
static int layer_count;

static void layer_add(const struct layer *l)
{
    for (int i = 0; i < layer_count; i++)
        if (memcmp(&layers[i], l, sizeof *l) == 0) return;
    ASSERT(layer_count < (int)(sizeof layers / sizeof *layers));
    layers[layer_count++] = *l;
}

static void layers_of(const char *backbone, int size)
{
    struct error err;
    struct graph *g = graph_build(backbone, size, 6, true, &err);
    if (!g) die_error(&err);
    for (int i = 0; i < g->node_count; i++) {
        const struct node *n = &g->nodes[i];
        const struct value *x = &g->values[n->x], *y = &g->values[n->y];
        struct layer l;
        memset(&l, 0, sizeof l); /* they are compared as bytes */
        l.kind = n->kind, l.in_c = x->c, l.in_h = x->h, l.in_w = x->w, l.out_c = y->c, l.out_h = y->h, l.out_w = y->w;
        l.kernel = n->kernel, l.stride = n->stride, l.padding = n->padding, l.groups = n->groups, l.squeeze = n->squeeze;
        l.act = n->act, l.residual = n->residual >= 0, l.adaptive = n->adaptive;
        l.bias = n->kind == NODE_CONV && n->param[1] >= 0, l.first = n->x == g->input, l.logits = n->y == g->logits;
        layer_add(&l);
    }
    graph_close(g);
}

/* ---- one layer: a hash of each result ---- */

enum { RESULTS = 6 };
static const char *const names[RESULTS] = {"y", "dx", "dweights", "dbias", "second weights", "saved"};
struct outcome {
    uint32_t hash[RESULTS];
    char how[200];
};
struct operands {
    const struct layer *l;
    struct tensor x, y, dx, dy;
    struct outcome *o;
};

static uint32_t hash_of(const void *data, size_t bytes) { return crc32c(0, data, bytes); }
static void keep(struct outcome *o, int which, const void *data, size_t bytes) { o->hash[which] = hash_of(data, bytes); }
static void keep_tensor(struct outcome *o, int which, const struct tensor *t)
{
    float *v = tensor_values(t);
    keep(o, which, v, sizeof(float) * shape_count(shape_of(t)));
    mem_free(v);
}

static void run_conv(struct operands *p)
{
    const struct ops *ops = ops_cpu();
    const struct layer *l = p->l;
    struct conv_spec s = {.in_c = l->in_c, .out_c = l->out_c, .in_h = l->in_h, .in_w = l->in_w, .kernel = l->kernel, .stride = l->stride,
                          .padding = l->padding, .groups = l->groups, .bias = l->bias, .relu = l->act == ACT_RELU, .first = l->first,
                          .dtype = p->x.dtype};
    struct error err;
    struct conv *c = ops->conv_create(&s, p->x.n, true, NULL, &err);
    if (!c) die_error(&err);
    size_t count = (size_t)s.out_c * (size_t)(s.in_c / s.groups * s.kernel * s.kernel), stored_count = ops->conv_weight_count(c);
    float *outside = values_normal(count, 0, 0.1, s.dtype), *bias = values_normal((size_t)s.out_c, 0, 1, DTYPE_F32);
    float *stored = NEW_ARRAY(float, stored_count), *dw = NEW_ARRAY(float, stored_count), *db = NEW_ARRAY(float, s.out_c);
    ops->conv_describe(c, p->o->how, sizeof p->o->how);
    ops->conv_weight_import(c, stored, outside);
    ops->conv_forward(c, &p->y, &p->x, stored, s.bias ? bias : NULL, 1);
    keep_tensor(p->o, 0, &p->y);
    if (!s.first) ops->conv_backward_data(c, &p->dx, &p->dy, stored, 1), keep_tensor(p->o, 1, &p->dx);
    ops->conv_backward_weights(c, dw, s.bias ? db : NULL, &p->x, &p->dy, 1);
    ops->conv_weight_export(c, outside, dw);
    keep(p->o, 2, outside, sizeof(float) * count);
    keep(p->o, 3, db, sizeof(float) * (size_t)s.out_c);
    mem_free(outside), mem_free(bias), mem_free(stored), mem_free(dw), mem_free(db);
    ops->conv_close(c);
}

static void run_linear(struct operands *p)
{
    const struct ops *ops = ops_cpu();
    struct linear_spec s = {.in_c = p->x.c, .in_h = p->x.h, .in_w = p->x.w, .out_c = p->y.c, .relu = p->l->act == ACT_RELU, .x_dtype = p->x.dtype,
                            .y_dtype = p->y.dtype, .x_layout = p->x.layout};
    struct error err;
    struct linear *l = ops->linear_create(&s, p->x.n, true, NULL, &err);
    if (!l) die_error(&err);
    size_t count = (size_t)s.out_c * (size_t)(s.in_c * s.in_h * s.in_w), stored_count = ops->linear_weight_count(l);
    float *outside = values_normal(count, 0, 0.1, DTYPE_F32), *bias = values_normal((size_t)s.out_c, 0, 1, DTYPE_F32);
    float *stored = NEW_ARRAY(float, stored_count), *dw = NEW_ARRAY(float, stored_count), *db = NEW_ARRAY(float, s.out_c);
    ops->linear_weight_import(l, stored, outside);
    ops->linear_forward(l, &p->y, &p->x, stored, bias, 1);
    ops->linear_backward_data(l, &p->dx, &p->dy, stored, 1);
    ops->linear_backward_weights(l, dw, db, &p->x, &p->dy, 1);
    ops->linear_weight_export(l, outside, dw);
    keep_tensor(p->o, 0, &p->y), keep_tensor(p->o, 1, &p->dx);
    keep(p->o, 2, outside, sizeof(float) * count);
    keep(p->o, 3, db, sizeof(float) * (size_t)s.out_c);
    mem_free(outside), mem_free(bias), mem_free(stored), mem_free(dw), mem_free(db);
    ops->linear_close(l);
}

static void run_norm(struct operands *p)
{
    const struct ops *ops = ops_cpu();
    size_t c = (size_t)p->x.c;
    double *sums = NEW_ARRAY(double, 2 * c);
    float *memory = NEW_ARRAY(float, 10 * c), *gamma = memory + 6 * c, *beta = memory + 7 * c, *mean_g = memory + 8 * c;
    struct norm_memory m = {memory, memory + c, memory + 2 * c, memory + 3 * c, memory + 4 * c, memory + 5 * c, gamma, beta};
    for (size_t i = 0; i < c; i++) gamma[i] = 1 + 0.1F * (float)value_normal(), beta[i] = 0.1F * (float)value_normal();
    ops->norm_sums(sums, sums + c, &p->x);
    keep(p->o, 4, sums, sizeof(double) * 2 * c);
    ops->norm_statistics(&m, &(struct norm_spec){p->x.c, 1e-5, 0.1}, sums, sums + c, (double)p->x.n * p->x.h * p->x.w);
    const struct tensor *residual = p->l->residual ? &p->dy : NULL, *masked = residual && p->l->act == ACT_RELU ? &p->y : NULL;
    ops->norm_forward(&p->y, &p->x, residual, m.scale, m.shift, NULL, p->l->act);
    keep_tensor(p->o, 0, &p->y);
    ops->norm_backward_sums(sums, sums + c, &p->dy, NULL, &p->x, masked, m.mean, m.inv_std, m.scale, m.shift, NULL, p->l->act);
    keep(p->o, 2, sums, sizeof(double) * 2 * c);
    ops->norm_means(mean_g, mean_g + c, sums, sums + c, p->x.c, (double)p->x.n * p->x.h * p->x.w);
    ops->norm_backward(&p->dx, &p->dy, &p->x, m.mean, m.inv_std, m.scale, mean_g, mean_g + c, NULL, false);
    keep_tensor(p->o, 1, &p->dx);
    mem_free(sums), mem_free(memory);
}

static void run_se(struct operands *p)
{
    const struct ops *ops = ops_cpu();
    size_t c = (size_t)p->x.c, s = (size_t)p->l->squeeze, n = (size_t)p->x.n;
    float *w = values_normal(2 * c * s + c + s, 0, 0.1, DTYPE_F32), *dw = NEW_ARRAY(float, 2 * c * s + c + s);
    float *save = NEW_ARRAY(float, n * 2 * (c + s)), *scratch_memory = NEW_ARRAY(float, n * (c + s));
    ops->se_forward(&p->y, save, &p->x, w, w + c * s, w + c * s + s, w + 2 * c * s + s, p->l->squeeze);
    ops->se_backward(&p->dx, dw, dw + c * s, dw + c * s + s, dw + 2 * c * s + s, &p->x, &p->dy, save, w, w + c * s + s, p->l->squeeze,
                     scratch_memory);
    keep_tensor(p->o, 0, &p->y), keep_tensor(p->o, 1, &p->dx);
    keep(p->o, 2, dw, sizeof(float) * (2 * c * s + c + s));
    keep(p->o, 5, save, sizeof(float) * n * 2 * (c + s));
    mem_free(w), mem_free(dw), mem_free(save), mem_free(scratch_memory);
}

static void run_pool(struct operands *p)
{
    const struct ops *ops = ops_cpu();
    struct pool_spec spec = {p->l->adaptive ? 0 : p->l->kernel, p->l->stride, p->l->padding};
    uint8_t *index = NEW_ARRAY(uint8_t, tensor_buffer_bytes(&p->y));
    if (p->l->kind == NODE_MAXPOOL) ops->maxpool_forward(&p->y, index, &p->x, &spec), ops->maxpool_backward(&p->dx, &p->dy, index, &spec);
    else ops->avgpool_forward(&p->y, &p->x, &spec), ops->avgpool_backward(&p->dx, &p->dy, &spec);
    keep_tensor(p->o, 0, &p->y), keep_tensor(p->o, 1, &p->dx);
    mem_free(index);
}

static struct outcome layer_run(const struct layer *l, int n, enum dtype dtype, int threads)
{
    const struct ops *ops = ops_cpu();
    struct outcome o = {0};
    struct shape in = {n, l->in_c, l->in_h, l->in_w}, out = {n, l->out_c, l->out_h, l->out_w};
    enum layout layout = ops->layout(dtype), x_layout = l->first ? ops->input_layout(dtype) : layout, y_layout = layout;
    enum dtype y_dtype = l->logits ? DTYPE_F32 : dtype;
    if (l->kind == NODE_LINEAR) y_layout = LAYOUT_NHWC, x_layout = l->in_h * l->in_w == 1 ? LAYOUT_NHWC : layout;
    ops->open(threads);
    values_seed(1);
    float *xv = values_normal(shape_count(in), 0, 1, dtype), *dyv = values_normal(shape_count(out), 0, 1, dtype);
    struct operands p = {l, tensor_filled(xv, in, dtype, x_layout, 0, 0), tensor_new(out, y_dtype, y_layout, 0, 0),
                         tensor_new(in, dtype, x_layout, 0, 0), tensor_filled(dyv, out, y_dtype, y_layout, 0, 0), &o};
    switch (l->kind) {
    case NODE_CONV: run_conv(&p); break;
    case NODE_LINEAR: run_linear(&p); break;
    case NODE_NORM: run_norm(&p); break;
    case NODE_SE: run_se(&p); break;
    case NODE_MAXPOOL:
    case NODE_AVGPOOL: run_pool(&p); break;
    case NODE_DROPOUT: break; /* element by element: tests/unit/test_ops_cpu.c */
    }
    tensor_delete(&p.x), tensor_delete(&p.y), tensor_delete(&p.dx), tensor_delete(&p.dy);
    mem_free(xv), mem_free(dyv);
    return o;
}

/* ---- numbers of threads against each other ---- */

static long compared, different;

static void compare(const struct layer *l, int n, enum dtype dtype, const struct outcome *one, const struct outcome *more, int threads, bool tell)
{
    for (int i = 0; i < RESULTS; i++) {
        compared++;
        if (one->hash[i] == more->hash[i]) continue;
        different++;
        if (tell)
            printf("%s of %s %dx%dx%d -> %d, k%d s%d g%d, %d images, %s: other bits with %d threads (%s; %s)\n", names[i], node_kind_names[l->kind],
                   l->in_c, l->in_h, l->in_w, l->out_c, l->kernel, l->stride, l->groups, n, dtype == DTYPE_F32 ? "f32" : "bf16", threads, one->how,
                   more->how);
    }
}

/* All layers of one size of pictures. `threads` ends with 0. */
static void compare_layers(int size, int n, enum dtype dtype, const int *threads, bool tell)
{
    layer_count = 0;
    for (int i = 0; backbone_names[i]; i++) layers_of(backbone_names[i], size);
    for (int i = 0; i < layer_count; i++) {
        struct outcome one = layer_run(&layers[i], n, dtype, 1);
        for (const int *t = threads; *t; t++) {
            struct outcome more = layer_run(&layers[i], n, dtype, *t);
            compare(&layers[i], n, dtype, &one, &more, *t, tell);
        }
    }
    printf("%d px, %d images, %s: %d layers\n", size, n, dtype == DTYPE_F32 ? "f32" : "bf16", layer_count);
}

static void deterministic_is(bool on) { ops_cpu()->tune(&(struct ops_tuning){.candidates = 1, .deterministic = on}); }

/* The optimiser and the norm over an arena. */
static void check_ends(void)
{
    enum { COUNT = 300007 };
    struct optim_spec spec = {.kind = OPTIM_ADAM, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-4, .clip_norm = 1};
    struct optim_now now = {.step = 1e-3F, .root = 1};
    uint32_t hash[2][2];
    for (int k = 0; k < 2; k++) {
        ops_cpu()->open(1 + 4 * k);
        values_seed(3);
        float *w = values_normal(COUNT, 0, 1, DTYPE_F32), *g = values_normal(COUNT, 0, 1, DTYPE_F32), *m = NEW_ARRAY(float, COUNT), *v = NEW_ARRAY(float, COUNT);
        double norm;
        ops_cpu()->norm_of(&norm, g, COUNT);
        ops_cpu()->update(w, m, v, g, COUNT, &spec, &now, &norm);
        hash[k][0] = hash_of(&norm, sizeof norm), hash[k][1] = hash_of(w, sizeof(float) * COUNT);
        mem_free(w), mem_free(g), mem_free(m), mem_free(v);
    }
    EXPECT(hash[0][0] == hash[1][0] && hash[0][1] == hash[1][1], "norm or update depend on the threads");
}

/* Image by image: oneDNN gives no reason to on most machines, so a trial is made to fail by comparing with primitives of another
 * operation; afterwards the layer goes image by image, with the same bits. */
static void check_by_image(enum dtype dtype)
{
    struct layer l = {.kind = NODE_CONV, .in_c = 32, .in_h = 9, .in_w = 7, .out_c = 48, .out_h = 9, .out_w = 7, .kernel = 3, .stride = 1, .padding = 1,
                      .groups = 1};
    const struct ops *ops = ops_cpu();
    struct conv_shape s = {.spec = {.in_c = 32, .out_c = 48, .in_h = 9, .in_w = 7, .kernel = 3, .stride = 1, .padding = 1, .groups = 1, .dtype = dtype},
                           .x_layout = ops->layout(dtype), .y_layout = ops->layout(dtype), .in_c = 32, .out_c = 48, .out_h = 9, .out_w = 7,
                           .training = true, .deterministic = true, .own_backward_weights = true};
    struct error err;
    struct outcome before = layer_run(&l, 5, dtype, 2), after;
    ops->open(3);
    EXPECT(conv_stored_choose(&s, 5, &err) == 0, "%s", err.message);
    struct conv_steps *whole = conv_steps_open(&s, 5, false, &err), *other;
    s.spec.relu = true; /* only the wrong twin: `whole` is compiled */
    other = conv_steps_open(&s, 1, true, &err);
    s.spec.relu = false;
    EXPECT(whole && other, "%s", err.message);
    images_judge(whole, other, &s);
    EXPECT(whole->forward_by_image && !whole->backward_by_image, "the trial does not tell a ReLU from none");
    conv_steps_close(whole), conv_steps_close(other);
    after = layer_run(&l, 5, dtype, 3);
    EXPECT(strstr(after.how, "by image"), "%s", after.how);
    for (int i = 0; i < RESULTS; i++) EXPECT(before.hash[i] == after.hash[i], "%s has other bits image by image", names[i]);
}

/* Threads that wait must sleep (tests/unit/test_ops_cpu.c). */
static void wait_asleep(char **argv)
{
    if (getenv("OMP_WAIT_POLICY")) return;
    setenv("OMP_WAIT_POLICY", "passive", 1);
    execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    static const int two[] = {2, 0}, three[] = {3, 0}, some[] = {2, 8, 0};
    (void)argc;
    wait_asleep(argv);
    bool bf16 = ops_cpu()->has(DTYPE_BF16);
    deterministic_is(false);
    compare_layers(32, 4, DTYPE_F32, two, false);
    EXPECT(different > 0, "nothing depends on the threads when nothing is done about it: the comparison sees nothing");
    compared = different = 0;
    deterministic_is(true);
    compare_layers(32, 4, DTYPE_F32, some, true);
    compare_layers(64, 1, DTYPE_F32, three, true);
    compare_layers(64, 16, DTYPE_F32, three, true);
    compare_layers(112, 2, DTYPE_F32, two, true);
    if (bf16) compare_layers(32, 4, DTYPE_BF16, some, true);
    if (bf16) compare_layers(64, 2, DTYPE_BF16, three, true);
    check_ends();
    check_by_image(DTYPE_F32);
    EXPECT(compared > 5000 && different == 0, "%ld of %ld results differ", different, compared);
    return check_verdict();
}
