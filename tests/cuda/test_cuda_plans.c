/* test_cuda_plans.c - needs no GPU: for every dense convolution of the seven networks, asks cuDNN for an H200 (tests/gpu's description of
 * one) and batch 32 and 256: is each fused graph of the training step served by a deterministic engine on tensor cores, within a
 * bounded workspace? Arguments: the tests folder, then "library" for the graphs that need no runtime compilation (seconds), "compiled" for
 * the fused ones (each distinct shape of one network takes a second), or nothing for both; "compiled" takes a share K/N of the shapes. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "models/graph.h"
#include "ops/cuda/conv_graph.h"
#include "tests/unit/check.h"

enum { PLACES_MAX = 1024, WORKSPACE_MAX = 64 << 20 };
static struct conv_place places[PLACES_MAX];
static int place_count;

static bool same(const struct conv_place *a, const struct conv_place *b)
{
    return a->spec.in_c == b->spec.in_c && a->spec.out_c == b->spec.out_c && a->spec.in_h == b->spec.in_h && a->spec.kernel == b->spec.kernel &&
           a->spec.stride == b->spec.stride && a->spec.bias == b->spec.bias && a->x_buffer_c == b->x_buffer_c && a->y_buffer_c == b->y_buffer_c;
}

static int buffer_channels(const struct graph *g, const struct value *v)
{
    return v->buffer < 0 ? 0 : g->values[v->buffer].c;
}

static void add_network(const char *backbone)
{
    struct error err = {0};
    struct graph *g = graph_build(backbone, 224, 6, true, &err);
    EXPECT(g != NULL, "%s", err.message);
    for (int i = 0; g && i < g->node_count; i++) {
        const struct node *n = &g->nodes[i];
        if (n->kind != NODE_CONV || n->groups != 1) continue;
        const struct value *x = &g->values[n->x], *y = &g->values[n->y];
        struct conv_place p = {.spec = {.in_c = x->c, .out_c = y->c, .in_h = x->h, .in_w = x->w, .kernel = n->kernel, .stride = n->stride,
                                        .padding = n->padding, .groups = 1, .bias = n->param[1] >= 0, .relu = n->act == ACT_RELU,
                                        .first = n->x == g->input, .dtype = DTYPE_BF16},
                               .x_buffer_c = buffer_channels(g, x), .y_buffer_c = buffer_channels(g, y)};
        bool known = false;
        for (int k = 0; k < place_count && !known; k++) known = same(&places[k], &p);
        if (!known && place_count < PLACES_MAX) places[place_count++] = p;
    }
    graph_close(g);
}

struct tally {
    int asked, found, compiled, slow;
    int64_t workspace;
};

static void ask(struct tally *t, const struct conv_place *place, enum conv_fusion fusion, const struct dnn_target *target, const struct dnn_limits *limits)
{
    struct error err = {0};
    struct dnn_plan plan;
    struct dnn_graph *g = conv_graph(place, fusion);
    const struct conv_spec *s = &place->spec;
    int status = dnn_plan_find(&plan, g, target, limits, &err);
    t->asked++;
    t->found += status == 0;
    EXPECT(status == 0, "%s of %d -> %d channels, %d pixels, %dx%d / %d, slices of %d, %d, batch %d: %s", conv_fusion_names[fusion], s->in_c, s->out_c,
           s->in_h, s->kernel, s->kernel, s->stride, place->x_buffer_c, place->y_buffer_c, place->n, err.message);
    if (!status) {
        EXPECT(plan.deterministic && plan.workspace <= limits->workspace && (plan.tensor_cores || !limits->tensor_cores) &&
                   (!limits->exact || !(plan.tensor_cores || plan.inexact)), "engine %d", plan.engine);
        t->compiled += plan.compiled;
        t->workspace = plan.workspace > t->workspace ? plan.workspace : t->workspace;
        dnn_plan_close(&plan);
    }
    dnn_graph_close(g);
}

/* Is this graph asked for where this convolution stands? */
static bool is_wanted(const struct conv_spec *s, enum conv_fusion fusion)
{
    switch (fusion) {
    case CONV_PLAIN: return !s->bias;
    case CONV_BIAS: return s->bias && !s->relu;
    case CONV_BIAS_RELU: return s->bias && s->relu;
    case CONV_STATISTICS: return !s->bias;
    case CONV_NORM_STATISTICS: return !s->bias && !s->first;
    case CONV_DATA_GRADIENT: return !s->first;
    case CONV_DATA_GRADIENT_RELU: return s->bias && !s->first; /* x of others is no ReLU's result */
    default: return true;
    }
}

static void ask_all(enum conv_fusion fusion, const struct conv_place *like, const struct dnn_target *target, const struct dnn_limits *limits, int part, int parts)
{
    struct tally t = {0};
    double start = clock_s();
    for (int i = 0; i < place_count; i++) {
        struct conv_place p = places[i];
        p.n = like->n;
        p.spec.dtype = like->spec.dtype;
        if (is_wanted(&p.spec, fusion) && i % parts == part) ask(&t, &p, fusion, target, limits);
    }
    printf("%-22s %s batch %3d: %d of %d shapes, %d compiled, workspace up to %.2f MB, %.1f s\n", conv_fusion_names[fusion],
           like->spec.dtype == DTYPE_BF16 ? "bf16" : limits->exact ? "f32 " : "tf32", like->n, t.found, t.asked, t.compiled, (double)t.workspace / 1e6, clock_s() - start);
    fflush(stdout);
}

/* What ops/cuda/conv.c asks for: dense operands; in bf16 the weight gradient is the compiler's, all else is in the library. */
static void ask_as_layers(int batch, const struct dnn_target *target)
{
    enum { WORKSPACE_F32 = 512 << 20 };
    static struct conv_place kept[PLACES_MAX];
    memcpy(kept, places, sizeof kept);
    for (int i = 0; i < place_count; i++) places[i].x_buffer_c = places[i].y_buffer_c = 0;
    const struct dnn_limits bf16 = {.workspace = WORKSPACE_MAX, .deterministic = true, .tensor_cores = true, .no_compilation = true};
    const struct dnn_limits tf32 = {.workspace = WORKSPACE_F32, .deterministic = true, .tensor_cores = true, .no_compilation = true};
    const struct dnn_limits f32 = {.workspace = WORKSPACE_F32, .deterministic = true, .exact = true, .no_compilation = true};
    static const enum conv_fusion asked[] = {CONV_PLAIN, CONV_BIAS, CONV_BIAS_RELU, CONV_DATA_GRADIENT, CONV_WEIGHT_GRADIENT};
    for (int f = 0; f < 5; f++) {
        if (asked[f] != CONV_WEIGHT_GRADIENT) ask_all(asked[f], &(struct conv_place){.n = batch, .spec.dtype = DTYPE_BF16}, target, &bf16, 0, 1);
        if (batch == 32) ask_all(asked[f], &(struct conv_place){.n = batch, .spec.dtype = DTYPE_F32}, target, &tf32, 0, 1); /* else one has a wide engine only */
        ask_all(asked[f], &(struct conv_place){.n = batch, .spec.dtype = DTYPE_F32}, target, &f32, 0, 1);
    }
    memcpy(places, kept, sizeof kept);
}

/* A plan kept as text is the same plan again; an altered text is none. */
static void test_keeping(const struct dnn_target *target)
{
    const struct dnn_limits limits = {.workspace = WORKSPACE_MAX, .deterministic = true, .tensor_cores = true, .no_compilation = true};
    struct conv_place p = places[place_count / 2];
    struct error err = {0};
    struct dnn_plan plan, again;
    p.n = 32;
    struct dnn_graph *g = conv_graph(&p, CONV_PLAIN);
    EXPECT(dnn_plan_find(&plan, g, target, &limits, &err) == 0, "%s", err.message);
    char *text = dnn_plan_save(&plan, &err);
    EXPECT(text != NULL, "%s", err.message);
    double start = clock_s();
    EXPECT(text && dnn_plan_restore(&again, text, target, &err) == 0, "%s", err.message);
    printf("a plan of %zu bytes, read back in %.2f ms\n", text ? strlen(text) : 0, 1e3 * (clock_s() - start));
    EXPECT(again.engine == plan.engine && again.workspace == plan.workspace && again.tensor_cores && again.deterministic && !again.compiled, "another plan");
    char *text_again = dnn_plan_save(&again, &err);
    EXPECT(text && text_again && !strcmp(text, text_again), "another text");
    dnn_plan_close(&again);
    for (size_t i = 0; text && i < strlen(text); i++) {
        char kept = text[i];
        text[i] = kept == '1' ? '2' : '1';
        EXPECT(dnn_plan_restore(&again, text, target, &err) == -1, "byte %zu altered", i);
        text[i] = kept;
    }
    mem_free(text);
    mem_free(text_again);
    dnn_plan_close(&plan);
    dnn_graph_close(g);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    uint8_t *json = NULL;
    size_t bytes;
    int part = 0, parts = 1;
    bool library = argc < 3 || !strcmp(argv[2], "library"), compiled = argc < 3 || !strcmp(argv[2], "compiled");
    if (argc > 3 && sscanf(argv[3], "%d/%d", &part, &parts) != 2) parts = 1;
    char *name = path_join(argc > 1 ? argv[1] : "tests", "gpu/h200-deviceprop.json");
    EXPECT(file_read(&json, &bytes, name, &err) == 0, "%s", err.message);
    struct dnn_target *target = json ? dnn_target_from_json((char *)json, &err) : NULL;
    EXPECT(target != NULL, "%s", err.message);
    EXPECT(!dnn_target_from_json("{\"maxGridSize\": 3}", &err) && *err.message, "half a description was taken");
    for (int i = 0; backbone_names[i]; i++) add_network(backbone_names[i]);
    printf("%d distinct dense convolutions\n", place_count);
    EXPECT(place_count > 150 && place_count < PLACES_MAX, "%d shapes", place_count);
    if (target && library) test_keeping(target);
    static const int batches[] = {32, 256};
    for (int b = 0; b < 2 && target; b++) {
        const struct conv_place like = {.n = batches[b], .spec.dtype = DTYPE_BF16};
        const struct dnn_limits ready = {.workspace = WORKSPACE_MAX, .deterministic = true, .tensor_cores = true, .no_compilation = true};
        struct dnn_limits any = ready;
        any.no_compilation = false;
        if (library) ask_all(CONV_PLAIN, &like, target, &ready, 0, 1), ask_all(CONV_DATA_GRADIENT, &like, target, &ready, 0, 1);
        if (library) ask_as_layers(batches[b], target);
        static const enum conv_fusion fused[] = {CONV_BIAS_RELU, CONV_STATISTICS, CONV_NORM_STATISTICS, CONV_DATA_GRADIENT_RELU, CONV_WEIGHT_GRADIENT};
        for (int f = 0; compiled && f < 5; f++) ask_all(fused[f], &like, target, &any, part, parts);
    }
    dnn_target_close(target);
    mem_free(json);
    mem_free(name);
    return check_verdict();
}
