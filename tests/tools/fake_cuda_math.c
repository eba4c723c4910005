/* fake_cuda_math.c - see fake_cuda.h: graphs of cuDNN, worked out on the host; products are in fake_matmul.c. */
#include "tests/tools/fake_cuda_math.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "ops/cuda/cuda_calls.h"
#include "ops/cuda/dnn_run.h"
#include "tests/tools/fake_cuda.h"

/* ---- graphs ---- */

struct values { /* of one tensor, dense, n h w c */
    int n, c, h, w;
    double *v;
};
static double *at(const struct values *t, int n, int h, int w) { return t->v + (((size_t)n * (size_t)t->h + (size_t)h) * (size_t)t->w + (size_t)w) * (size_t)t->c; }

static struct values values_of(const struct dnn_tensor_facts *f)
{
    struct values t = {(int)f->dims[0], (int)f->dims[1], (int)f->dims[2], (int)f->dims[3], NULL};
    t.v = NEW_ARRAY(double, f->dims[0] * f->dims[1] * f->dims[2] * f->dims[3]);
    return t;
}

/* Between a dense array and memory with the tensor's strides and type. */
static void transfer(const struct values *t, const struct dnn_tensor_facts *f, void *memory, bool to_memory)
{
    CHECK(memory && (f->type == DNN_F32 || f->type == DNN_BF16), "a tensor is not bound");
    for (int n = 0; n < t->n; n++)
        for (int h = 0; h < t->h; h++)
            for (int w = 0; w < t->w; w++)
                for (int c = 0; c < t->c; c++) {
                    size_t i = (size_t)(n * f->strides[0] + c * f->strides[1] + h * f->strides[2] + w * f->strides[3]);
                    if (to_memory) store(memory, f->type == DNN_BF16, i, at(t, n, h, w)[c]);
                    else at(t, n, h, w)[c] = load(memory, f->type == DNN_BF16, i);
                }
}

/* Calls each(x, w, y) for all pairs of pixels and taps that meet: rows of channels. */
static void walk(const struct values *x, const struct values *w, const struct values *y, struct dnn_window g,
                 void (*each)(double *x, const struct values *w, int r, int s, double *y))
{
    for (int n = 0; n < y->n; n++)
        for (int p = 0; p < y->h; p++)
            for (int q = 0; q < y->w; q++)
                for (int r = 0; r < g.kernel; r++)
                    for (int s = 0; s < g.kernel; s++) {
                        int h = p * g.stride + r - g.padding, v = q * g.stride + s - g.padding;
                        if (h >= 0 && h < x->h && v >= 0 && v < x->w) each(at(x, n, h, v), w, r, s, at(y, n, p, q));
                    }
}
static void forward(double *x, const struct values *w, int r, int s, double *y)
{
    for (int k = 0; k < w->n; k++)
        for (int c = 0; c < w->c; c++) y[k] += at(w, k, r, s)[c] * x[c];
}
static void data_gradient(double *x, const struct values *w, int r, int s, double *y)
{
    for (int k = 0; k < w->n; k++)
        for (int c = 0; c < w->c; c++) x[c] += at(w, k, r, s)[c] * y[k];
}
static void weight_gradient(double *x, const struct values *w, int r, int s, double *y)
{
    for (int k = 0; k < w->n; k++)
        for (int c = 0; c < w->c; c++) at(w, k, r, s)[c] += x[c] * y[k];
}

static void pointwise(const struct values *x, const struct values *b, const struct values *y, enum dnn_pointwise mode)
{
    CHECK(mode == DNN_ADD || mode == DNN_RELU || mode == DNN_IDENTITY, "a pointwise mode that is not worked out here");
    for (size_t i = 0, count = (size_t)y->n * (size_t)y->h * (size_t)y->w * (size_t)y->c; i < count; i++) {
        double v = x->v[i] + (mode == DNN_ADD ? b->v[i % (size_t)y->c] : 0);
        y->v[i] = mode == DNN_RELU && v < 0 ? 0 : v;
    }
}

/* Of x as it is stored, in f32: of tiles of rows, then of the tiles, as an engine does that sums while it has a tile in registers. */
static void statistics(const struct values *x, bool bf16, const struct values *sum, const struct values *squares)
{
    enum { TILE = 128 };
    const size_t rows = (size_t)x->n * (size_t)x->h * (size_t)x->w, channels = (size_t)x->c;
    for (size_t c = 0; c < channels; c++) {
        float total[2] = {0, 0};
        for (size_t first = 0; first < rows; first += TILE) {
            float tile[2] = {0, 0};
            for (size_t row = first; row < rows && row < first + TILE; row++) {
                float v = (float)x->v[row * channels + c];
                if (bf16) v = bf16_to_float(bf16_from_float(v));
                tile[0] += v, tile[1] += v * v;
            }
            total[0] += tile[0], total[1] += tile[1];
        }
        double rough = fake_cuda.rough ? 1.0001 : 1;
        sum->v[c] = rough * (double)total[0], squares->v[c] = rough * (double)total[1];
    }
}

static void operate(const struct dnn_facts *facts, const struct dnn_operation_facts *o, const struct values *t)
{
    const struct values *a = &t[o->tensors[0]], *b = o->tensors[1] < 0 ? NULL : &t[o->tensors[1]], *c = &t[o->tensors[2]];
    switch (o->kind) {
    case DNN_CONV_FORWARD: walk(a, b, c, o->window, forward); break;
    case DNN_CONV_DATA_GRADIENT: walk(c, b, a, o->window, data_gradient); break;
    case DNN_CONV_WEIGHT_GRADIENT: walk(a, c, b, o->window, weight_gradient); break;
    case DNN_POINTWISE: pointwise(a, b, c, o->mode); break;
    case DNN_STATISTICS: statistics(a, facts->tensors[o->tensors[0]].type == DNN_BF16, b, c); break;
    }
}

static bool has_statistics(const struct dnn_facts *facts)
{
    for (int i = 0; i < facts->operation_count; i++)
        if (facts->operations[i].kind == DNN_STATISTICS) return true;
    return false;
}

struct bound_graph {
    const struct dnn_facts *facts;
    void *pointers[DNN_TENSORS_MAX];
};
static void run_graph(const void *arguments)
{
    const struct bound_graph *g = arguments;
    struct values t[DNN_TENSORS_MAX];
    bool written[DNN_TENSORS_MAX] = {false};
    for (int i = 0; i < g->facts->operation_count; i++) {
        const struct dnn_operation_facts *o = &g->facts->operations[i];
        written[o->tensors[2]] = true;
        if (o->kind == DNN_STATISTICS) written[o->tensors[1]] = true;
    }
    for (int i = 0; i < g->facts->tensor_count; i++) {
        t[i] = values_of(&g->facts->tensors[i]);
        if (!written[i]) transfer(&t[i], &g->facts->tensors[i], g->pointers[i], false);
    }
    for (int i = 0; i < g->facts->operation_count; i++) operate(g->facts, &g->facts->operations[i], t);
    static long gradients;
    bool bad = g->facts->operations[0].kind == DNN_CONV_WEIGHT_GRADIENT && ++gradients == fake_cuda.bad_gradient;
    for (int i = 0; i < g->facts->tensor_count; i++) {
        if (bad && written[i]) t[i].v[0] = INFINITY;
        if (fake_cuda.wrong && written[i]) t[i].v[0] += 0.05;
        if (written[i] && !g->facts->tensors[i].is_virtual) transfer(&t[i], &g->facts->tensors[i], g->pointers[i], true);
        mem_free(t[i].v);
    }
}

/* Asks cuDNN, too; what its library does not have ready, one time in four. */
static void ask_for_plan(struct dnn_graph *g, const struct dnn_limits *limits)
{
    static _Atomic long others;
    struct dnn_limits ready = *limits;
    struct dnn_plan plan;
    struct error err = {0};
    struct text t = {0};
    ready.no_compilation = true;
    bool found = dnn_plan_find(&plan, g, fake_cuda.target, &ready, &err) == 0, compile = !found && fake_cuda.compile && others++ % 4 == 0;
    if (found) fake_cuda.served++;
    if (compile) {
        found = dnn_plan_find(&plan, g, fake_cuda.target, limits, &err) == 0;
        fake_cuda.compiled++;
        if (!found && limits->tensor_cores) {
            ready = *limits;
            ready.tensor_cores = false;
            found = dnn_plan_find(&plan, g, fake_cuda.target, &ready, &err) == 0;
            printf("not on tensor cores: %s\n", found ? "but otherwise" : "nor otherwise");
        }
        fake_cuda.unserved += !found;
        dnn_graph_describe(g, &t);
        if (!found) printf("%s:\n%s", err.message, t.data);
        text_free(&t);
    }
    if (found) dnn_plan_close(&plan);
}

static int find_plan(struct dnn_plan *plan, struct dnn_graph *g, const struct dnn_limits *limits, struct error *err)
{
    const int images = (int)dnn_graph_facts(g)->tensors[0].dims[0];
    if (has_statistics(dnn_graph_facts(g)) && (fake_cuda.no_statistics < 0 || fake_cuda.no_statistics == images)) return error_set(err, "no engine takes sums");
    if (fake_cuda.target) ask_for_plan(g, limits);
    struct dnn_facts *facts = NEW(struct dnn_facts);
    *facts = *dnn_graph_facts(g);
    *plan = (struct dnn_plan){.descriptor = facts, .workspace = 1000, .engine = 7, .deterministic = true, .tensor_cores = limits->tensor_cores};
    return 0;
}
static char *save_plan(const struct dnn_plan *plan) { return mem_format("engine %d %d", plan->engine, plan->tensor_cores); }
static int restore_plan(struct dnn_plan *plan, const struct dnn_graph *g, const char *text, struct error *err)
{
    int engine, tensor_cores;
    if (sscanf(text, "engine %d %d", &engine, &tensor_cores) != 2) return error_set(err, "a kept plan is damaged");
    struct dnn_facts *facts = NEW(struct dnn_facts);
    *facts = *dnn_graph_facts(g);
    *plan = (struct dnn_plan){.descriptor = facts, .workspace = 1000, .engine = engine, .deterministic = true, .tensor_cores = tensor_cores};
    return 0;
}
static void run_plan(const struct dnn_plan *plan, const int *ids, void *const *pointers, int count)
{
    struct bound_graph g = {.facts = plan->descriptor};
    for (int i = 0; i < count; i++) g.pointers[ids[i]] = pointers[i];
    fake_cuda.runs++;
    fake_cuda.statistics += has_statistics(g.facts);
    fake_queue(run_graph, &g, sizeof g);
}
static void close_plan(struct dnn_plan *plan)
{
    mem_free(plan->descriptor);
    plan->descriptor = NULL;
}

/* ---- cuDNN without a card ---- */

static cudnnStatus_t dnn_create(cudnnHandle_t *h) { return *h = (cudnnHandle_t)mem_alloc(1), CUDNN_STATUS_SUCCESS; }
static cudnnStatus_t dnn_destroy(cudnnHandle_t h) { return mem_free(h), CUDNN_STATUS_SUCCESS; }
static cudnnStatus_t dnn_stream(cudnnHandle_t h, cudaStream_t s) { return h && s ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM; }

void fake_math_install(void)
{
    static const struct dnn_stand_in stand_in = {find_plan, run_plan, close_plan, save_plan, restore_plan};
    dnn_stand_in_set(&stand_in);
    cuda.cudnnCreate = dnn_create, cuda.cudnnDestroy = dnn_destroy, cuda.cudnnSetStream = dnn_stream;
    fake_matmul_install();
}
