/* dnn_graph.c - see dnn_graph.h. */
#include "ops/cuda/dnn_graph.h"

#include <cudnn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

typedef cudnnBackendDescriptor_t descriptor;

/* ---- descriptors ---- */

static bool good(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_SUCCESS;
}

static bool put(descriptor d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count, const void *value)
{
    return good(cudnnBackendSetAttribute(d, name, type, count, value));
}

static descriptor make(cudnnBackendDescriptorType_t type)
{
    descriptor d = NULL;
    return good(cudnnBackendCreateDescriptor(type, &d)) ? d : NULL;
}

static void drop(descriptor *d)
{
    if (*d) cudnnBackendDestroyDescriptor(*d);
    *d = NULL;
}

/* Why cuDNN refused the last call of this thread. */
static int cudnn_error(struct error *err, const char *what)
{
    char why[600] = "";
    cudnnGetLastErrorString(why, sizeof why);
    return error_set(err, "cuDNN: %s: %s", what, *why ? why : "no reason given");
}

/* ---- target ---- */

struct dnn_target {
    descriptor device;
};

struct dnn_target *dnn_target_from_json(const char *json, struct error *err)
{
    struct dnn_target *t = NEW(struct dnn_target);
    t->device = make(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    if (t->device && put(t->device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json) + 1, json) &&
        good(cudnnBackendFinalize(t->device)))
        return t;
    cudnn_error(err, "the description of the card is not taken");
    dnn_target_close(t);
    return NULL;
}

void dnn_target_close(struct dnn_target *t)
{
    if (!t) return;
    drop(&t->device);
    mem_free(t);
}

/* ---- graph ---- */

enum { TENSORS_MAX = 16, OPERATIONS_MAX = 8, PARTS_MAX = 8, ALIGNMENT = 16 };
struct tensor_facts {
    descriptor d;
    enum dnn_type type;
};
struct dnn_graph {
    struct tensor_facts tensors[TENSORS_MAX];
    descriptor operations[OPERATIONS_MAX], parts[PARTS_MAX]; /* parts: convolution and pointwise descriptors */
    int tensor_count, operation_count, part_count;
    descriptor whole;
    struct error err; /* of the first call that failed */
};

struct dnn_graph *dnn_graph_open(void)
{
    return NEW(struct dnn_graph);
}

void dnn_graph_close(struct dnn_graph *g)
{
    if (!g) return;
    drop(&g->whole);
    for (int i = 0; i < g->operation_count; i++) drop(&g->operations[i]);
    for (int i = 0; i < g->part_count; i++) drop(&g->parts[i]);
    for (int i = 0; i < g->tensor_count; i++) drop(&g->tensors[i].d);
    mem_free(g);
}

static bool failed(const struct dnn_graph *g)
{
    return *g->err.message != 0;
}

static void check(struct dnn_graph *g, bool fine, const char *what)
{
    if (!fine && !failed(g)) cudnn_error(&g->err, what);
}

static cudnnDataType_t data_type(enum dnn_type type)
{
    static const cudnnDataType_t of[] = {CUDNN_DATA_FLOAT, CUDNN_DATA_BFLOAT16, CUDNN_DATA_HALF, CUDNN_DATA_INT8};
    return of[type];
}

static int add_tensor(struct dnn_graph *g, enum dnn_type type, const int64_t dims[4], int64_t pixel_stride, bool is_virtual)
{
    ASSERT(g->tensor_count < TENSORS_MAX);
    if (failed(g)) return 0;
    int id = g->tensor_count++;
    struct tensor_facts *t = &g->tensors[id];
    *t = (struct tensor_facts){make(CUDNN_BACKEND_TENSOR_DESCRIPTOR), type};
    const cudnnDataType_t cudnn_type = data_type(type);
    const int64_t alignment = ALIGNMENT, uid = id + 1;
    const int64_t strides[4] = {dims[2] * dims[3] * pixel_stride, 1, dims[3] * pixel_stride, pixel_stride};
    check(g, t->d && put(t->d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &cudnn_type) &&
                 put(t->d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims) &&
                 put(t->d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides) &&
                 put(t->d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment) &&
                 put(t->d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid) &&
                 put(t->d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual) && good(cudnnBackendFinalize(t->d)),
          "a tensor");
    return id;
}

int dnn_tensor(struct dnn_graph *g, enum dnn_type type, int n, int c, int h, int w, int buffer_c)
{
    return add_tensor(g, type, (int64_t[4]){n, c, h, w}, buffer_c ? buffer_c : c, false);
}

int dnn_virtual(struct dnn_graph *g, enum dnn_type type, int n, int c, int h, int w)
{
    return add_tensor(g, type, (int64_t[4]){n, c, h, w}, c, true);
}

static descriptor add_operation(struct dnn_graph *g, cudnnBackendDescriptorType_t type)
{
    ASSERT(g->operation_count < OPERATIONS_MAX);
    return g->operations[g->operation_count++] = make(type);
}

static bool put_tensor(struct dnn_graph *g, descriptor op, cudnnBackendAttributeName_t name, int tensor)
{
    ASSERT(tensor >= 0 && tensor < g->tensor_count);
    return put(op, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &g->tensors[tensor].d);
}

static descriptor convolution(struct dnn_graph *g, struct dnn_window window)
{
    ASSERT(g->part_count < PARTS_MAX);
    descriptor d = g->parts[g->part_count++] = make(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    const int64_t spatial = 2, dilation[2] = {1, 1}, stride[2] = {window.stride, window.stride}, padding[2] = {window.padding, window.padding};
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    check(g, d && put(d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums) &&
                 put(d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode) &&
                 put(d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &spatial) &&
                 put(d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation) &&
                 put(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride) &&
                 put(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, padding) &&
                 put(d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, padding) && good(cudnnBackendFinalize(d)),
          "a convolution's window");
    return d;
}

struct conv_names { /* of one kind of convolution's attributes */
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t alpha, beta, window, tensor[3];
    const char *what;
};

static void add_convolution(struct dnn_graph *g, const struct conv_names *names, const int tensors[3], struct dnn_window window)
{
    const float one = 1, zero = 0;
    if (failed(g)) return;
    descriptor op = add_operation(g, names->type), w = convolution(g, window);
    check(g, op && put(op, names->alpha, CUDNN_TYPE_FLOAT, 1, &one) && put(op, names->beta, CUDNN_TYPE_FLOAT, 1, &zero) &&
                 put(op, names->window, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w) && put_tensor(g, op, names->tensor[0], tensors[0]) &&
                 put_tensor(g, op, names->tensor[1], tensors[1]) && put_tensor(g, op, names->tensor[2], tensors[2]) && good(cudnnBackendFinalize(op)),
          names->what);
}

void dnn_conv_forward(struct dnn_graph *g, int x, int w, int y, struct dnn_window window)
{
    static const struct conv_names names = {
        CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
        "a convolution"};
    add_convolution(g, &names, (int[3]){x, w, y}, window);
}

void dnn_conv_data_gradient(struct dnn_graph *g, int dy, int w, int dx, struct dnn_window window)
{
    static const struct conv_names names = {
        CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX},
        "a convolution's data gradient"};
    add_convolution(g, &names, (int[3]){dy, w, dx}, window);
}

void dnn_conv_weight_gradient(struct dnn_graph *g, int x, int dy, int dw, struct dnn_window window)
{
    static const struct conv_names names = {
        CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW},
        "a convolution's weight gradient"};
    add_convolution(g, &names, (int[3]){x, dy, dw}, window);
}

static descriptor pointwise(struct dnn_graph *g, enum dnn_pointwise mode)
{
    static const cudnnPointwiseMode_t modes[] = {CUDNN_POINTWISE_ADD, CUDNN_POINTWISE_MUL, CUDNN_POINTWISE_RELU_FWD, CUDNN_POINTWISE_RELU_BWD,
                                                 CUDNN_POINTWISE_IDENTITY};
    ASSERT(g->part_count < PARTS_MAX);
    descriptor d = g->parts[g->part_count++] = make(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    const cudnnDataType_t precision = CUDNN_DATA_FLOAT;
    check(g, d && put(d, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &modes[mode]) &&
                 put(d, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &precision) && good(cudnnBackendFinalize(d)),
          "a pointwise mode");
    return d;
}

void dnn_pointwise(struct dnn_graph *g, enum dnn_pointwise mode, int x, int b, int y)
{
    bool backward = mode == DNN_RELU_BACKWARD, two = mode == DNN_ADD || mode == DNN_MUL;
    if (failed(g)) return;
    descriptor op = add_operation(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR), pw = pointwise(g, mode);
    bool fine = op && put(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &pw);
    if (backward)
        fine = fine && put_tensor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_DYDESC, x) && put_tensor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, b) &&
               put_tensor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_DXDESC, y);
    else
        fine = fine && put_tensor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x) &&
               (!two || put_tensor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b)) && put_tensor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    check(g, fine && good(cudnnBackendFinalize(op)), "a pointwise operation");
}

void dnn_statistics(struct dnn_graph *g, int x, int sum, int squares)
{
    const cudnnGenStatsMode_t mode = CUDNN_GENSTATS_SUM_SQSUM;
    const cudnnDataType_t precision = CUDNN_DATA_FLOAT;
    if (failed(g)) return;
    descriptor op = add_operation(g, CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR);
    check(g, op && put(op, CUDNN_ATTR_OPERATION_GENSTATS_MODE, CUDNN_TYPE_GENSTATS_MODE, 1, &mode) &&
                 put(op, CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &precision) &&
                 put_tensor(g, op, CUDNN_ATTR_OPERATION_GENSTATS_XDESC, x) && put_tensor(g, op, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, sum) &&
                 put_tensor(g, op, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, squares) && good(cudnnBackendFinalize(op)),
          "sums over channels");
}

/* ---- plan ---- */

static void finish_graph(struct dnn_graph *g)
{
    if (failed(g) || g->whole) return;
    g->whole = make(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    check(g, g->whole && put(g->whole, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->operation_count, g->operations) &&
                 good(cudnnBackendFinalize(g->whole)),
          "the graph");
}

enum { CONFIGS_MAX = 64 };
struct configs {
    descriptor heuristics, config[CONFIGS_MAX];
    int64_t count;
};

static bool ask(struct configs *c, const struct dnn_graph *g, const struct dnn_target *t, cudnnBackendHeurMode_t mode)
{
    *c = (struct configs){.heuristics = make(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)};
    for (int i = 0; i < CONFIGS_MAX; i++) c->config[i] = make(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    return c->heuristics && put(c->heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &g->whole) &&
           put(c->heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode) &&
           put(c->heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &t->device) &&
           good(cudnnBackendFinalize(c->heuristics)) &&
           good(cudnnBackendGetAttribute(c->heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, CONFIGS_MAX, &c->count,
                                         c->config));
}

static void forget(struct configs *c)
{
    for (int i = 0; i < CONFIGS_MAX; i++) drop(&c->config[i]);
    drop(&c->heuristics);
}

static bool has_note(const void *notes, size_t size, int64_t count, int note)
{
    for (int64_t i = 0; i < count; i++) {
        int value;
        memcpy(&value, (const char *)notes + (size_t)i * size, sizeof value);
        if (value == note) return true;
    }
    return false;
}

/* What the engine of a configuration says of itself. */
static bool read_engine(struct dnn_plan *plan, descriptor config)
{
    cudnnBackendNumericalNote_t numbers[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    cudnnBackendBehaviorNote_t behaviour[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    int64_t number_count = 0, behaviour_count = 0, count = 0, index = -1;
    descriptor engine = make(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    bool fine = engine && good(cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine)) &&
                good(cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT,
                                              &number_count, numbers)) &&
                good(cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT,
                                              &behaviour_count, behaviour)) &&
                good(cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &index));
    plan->engine = (int)index;
    plan->tensor_cores = has_note(numbers, sizeof *numbers, number_count, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
    plan->deterministic = !has_note(numbers, sizeof *numbers, number_count, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC);
    plan->compiled = has_note(behaviour, sizeof *behaviour, behaviour_count, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION);
    drop(&engine);
    return fine;
}

/* Without a card, or with its driver's stub only, a compiled engine cannot be loaded; that it got so far says that it exists. */
static bool compiled_but_not_loaded(void)
{
    char why[600] = "";
    cudnnGetLastErrorString(why, sizeof why);
    return strstr(why, "cuLibraryLoadData") != NULL;
}

static bool try_config(struct dnn_plan *plan, descriptor config, const struct dnn_target *t, const struct dnn_limits *limits)
{
    int64_t count = 0;
    if (!read_engine(plan, config)) return false;
    if ((limits->deterministic && !plan->deterministic) || (limits->tensor_cores && !plan->tensor_cores) ||
        (limits->no_compilation && plan->compiled))
        return false;
    descriptor d = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    bool fine = d && put(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config) &&
                put(d, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &t->device);
    bool whole = fine && good(cudnnBackendFinalize(d));
    if (fine && !whole && plan->compiled && compiled_but_not_loaded()) {
        plan->workspace = 0;
        plan->descriptor = NULL; /* known to exist, cannot be run here */
        drop(&d);
        return true;
    }
    fine = whole && good(cudnnBackendGetAttribute(d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count, &plan->workspace)) &&
           plan->workspace <= limits->workspace;
    if (fine) plan->descriptor = d;
    else drop(&d);
    return fine;
}

int dnn_plan_find(struct dnn_plan *plan, struct dnn_graph *g, const struct dnn_target *t, const struct dnn_limits *limits, struct error *err)
{
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    struct configs c;
    int64_t seen = 0;
    finish_graph(g);
    for (int m = 0; m < 2 && !failed(g); m++) {
        bool asked = ask(&c, g, t, modes[m]), found = false;
        for (int64_t i = 0; asked && i < c.count && !found; i++) found = try_config(plan, c.config[i], t, limits);
        seen += asked ? c.count : 0;
        forget(&c);
        if (found) return 0;
    }
    *plan = (struct dnn_plan){0};
    if (failed(g)) {
        *err = g->err;
        return -1;
    }
    return error_set(err, "cuDNN: none of %lld engine configurations is within the limits", (long long)seen);
}

void dnn_plan_close(struct dnn_plan *plan)
{
    if (plan->descriptor) cudnnBackendDestroyDescriptor(plan->descriptor);
    *plan = (struct dnn_plan){0};
}

/* ---- plans as text ---- */

/* cuDNN is not asked to judge damage: the text travels with its length and checksum. */
char *dnn_plan_save(const struct dnn_plan *plan, struct error *err)
{
    int64_t bytes = 0, count = 0;
    if (!plan->descriptor) {
        error_set(err, "the plan cannot be loaded on this machine");
        return NULL;
    }
    if (!good(cudnnBackendGetAttribute(plan->descriptor, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0, &bytes, NULL))) {
        cudnn_error(err, "the plan as text");
        return NULL;
    }
    char *json = mem_zero((size_t)bytes + 1);
    bool fine = good(cudnnBackendGetAttribute(plan->descriptor, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, bytes, &count, json));
    char *body = mem_format("%d %d %d %d\n%s", plan->engine, plan->tensor_cores, plan->deterministic, plan->compiled, json);
    char *text = fine ? mem_format("ladnn-plan 1 %zu %08x\n%s", strlen(body), (unsigned)crc32c(0, body, strlen(body)), body) : NULL;
    if (!fine) cudnn_error(err, "the plan as text");
    mem_free(body);
    mem_free(json);
    return text;
}

int dnn_plan_restore(struct dnn_plan *plan, const char *text, const struct dnn_target *t, struct error *err)
{
    size_t length = 0;
    unsigned crc = 0;
    int engine, notes[3], head = 0, at = 0;
    int64_t count = 0;
    *plan = (struct dnn_plan){0};
    if (sscanf(text, "ladnn-plan 1 %zu %8x%n", &length, &crc, &head) != 2 || text[head] != '\n')
        return error_set(err, "a kept plan is damaged: its first line");
    const char *body = text + head + 1;
    if (strlen(body) != length || crc32c(0, body, length) != crc) return error_set(err, "a kept plan is damaged: its checksum");
    if (sscanf(body, "%d %d %d %d%n", &engine, &notes[0], &notes[1], &notes[2], &at) != 4 || body[at] != '\n')
        return error_set(err, "a kept plan is damaged: its second line");
    const char *json = body + at + 1;
    descriptor d = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    if (!d || !put(d, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &t->device) ||
        !put(d, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json) + 1, json) ||
        !good(cudnnBackendFinalize(d)) ||
        !good(cudnnBackendGetAttribute(d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count, &plan->workspace))) {
        cudnn_error(err, "a kept plan is not taken");
        drop(&d);
        return -1;
    }
    *plan = (struct dnn_plan){d, plan->workspace, engine, notes[0], notes[1], notes[2]};
    return 0;
}
