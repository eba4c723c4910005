/* dnn_plan.c - targets and plans, see dnn_graph.h. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "ops/cuda/dnn_private.h"

/* ---- target ---- */


struct dnn_target *dnn_target_from_json(const char *json, struct error *err)
{
    if (cuda_load_dnn(err)) return NULL;
    struct dnn_target *t = NEW(struct dnn_target);
    t->device = make(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    if (t->device && put(t->device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json) + 1, json) &&
        good(cuda.cudnnBackendFinalize(t->device)))
        return t;
    cudnn_error(err, "the description of the card is not taken");
    dnn_target_close(t);
    return NULL;
}

struct dnn_target *dnn_target_from_device(int device, struct error *err)
{
    const int32_t number = device;
    if (cuda_load_dnn(err)) return NULL;
    struct dnn_target *t = NEW(struct dnn_target);
    t->device = make(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    if (t->device && put(t->device, CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &number) && good(cuda.cudnnBackendFinalize(t->device)))
        return t;
    cudnn_error(err, "the card's properties");
    dnn_target_close(t);
    return NULL;
}

/* An attribute that is text, NULL with err. */
static char *json_of(descriptor d, cudnnBackendAttributeName_t name, const char *what, struct error *err)
{
    int64_t bytes = 0, count = 0;
    if (!good(cuda.cudnnBackendGetAttribute(d, name, CUDNN_TYPE_CHAR, 0, &bytes, NULL))) {
        cudnn_error(err, what);
        return NULL;
    }
    char *json = mem_zero((size_t)bytes + 1);
    if (good(cuda.cudnnBackendGetAttribute(d, name, CUDNN_TYPE_CHAR, bytes, &count, json))) return json;
    cudnn_error(err, what);
    mem_free(json);
    return NULL;
}

char *dnn_target_json(const struct dnn_target *t, struct error *err)
{
    return json_of(t->device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, "the card's properties as text", err);
}

void dnn_target_close(struct dnn_target *t)
{
    if (!t) return;
    drop(&t->device);
    mem_free(t);
}

/* ---- search ---- */

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
           good(cuda.cudnnBackendFinalize(c->heuristics)) &&
           good(cuda.cudnnBackendGetAttribute(c->heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, CONFIGS_MAX, &c->count,
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
    bool fine = engine && good(cuda.cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine)) &&
                good(cuda.cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT,
                                              &number_count, numbers)) &&
                good(cuda.cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT,
                                              &behaviour_count, behaviour)) &&
                good(cuda.cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &index));
    plan->engine = (int)index;
    plan->tensor_cores = has_note(numbers, sizeof *numbers, number_count, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
    plan->deterministic = !has_note(numbers, sizeof *numbers, number_count, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC);
    static const int inexact[] = {CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION, CUDNN_NUMERICAL_NOTE_FFT,
                                  CUDNN_NUMERICAL_NOTE_WINOGRAD};
    for (int i = 0; i < 4; i++) plan->inexact |= has_note(numbers, sizeof *numbers, number_count, inexact[i]);
    plan->compiled = has_note(behaviour, sizeof *behaviour, behaviour_count, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION);
    drop(&engine);
    return fine;
}

/* Without a card, or with its driver's stub only, a compiled engine cannot be loaded; that it got so far says that it exists. */
static bool compiled_but_not_loaded(void)
{
    return strstr(cuda_dnn_reason(), "cuLibraryLoadData") != NULL;
}

static bool within(const struct dnn_plan *plan, const struct dnn_limits *limits)
{
    return (!limits->deterministic || plan->deterministic) && (!limits->tensor_cores || plan->tensor_cores) &&
           (!limits->no_compilation || !plan->compiled) && (!limits->exact || (!plan->tensor_cores && !plan->inexact));
}

static bool try_config(struct dnn_plan *plan, descriptor config, const struct dnn_target *t, const struct dnn_limits *limits)
{
    int64_t count = 0;
    *plan = (struct dnn_plan){0};
    if (!read_engine(plan, config) || !within(plan, limits)) return false;
    descriptor d = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    bool fine = d && put(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config) &&
                put(d, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &t->device);
    bool whole = fine && good(cuda.cudnnBackendFinalize(d));
    if (fine && !whole && plan->compiled && compiled_but_not_loaded()) {
        drop(&d); /* known to exist, cannot be run here */
        return true;
    }
    fine = whole && good(cuda.cudnnBackendGetAttribute(d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count, &plan->workspace)) &&
           plan->workspace <= limits->workspace;
    if (fine) plan->descriptor = d;
    else drop(&d);
    return fine;
}

int dnn_plan_find_several(struct dnn_plan *plans, int most, struct dnn_graph *g, const struct dnn_target *t, const struct dnn_limits *limits,
                          struct error *err)
{
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    struct configs c;
    int64_t seen = 0;
    int found = 0;
    dnn_graph_finish(g);
    for (int m = 0; m < 2 && !dnn_failed(g) && !found; m++) {
        bool asked = ask(&c, g, t, modes[m]);
        for (int64_t i = 0; asked && i < c.count && found < most; i++) found += try_config(&plans[found], c.config[i], t, limits);
        seen += asked ? c.count : 0;
        forget(&c);
    }
    if (found) return found;
    *plans = (struct dnn_plan){0};
    if (dnn_graph_error(g, err)) return -1;
    return error_set(err, "cuDNN: none of %lld engine configurations is within the limits", (long long)seen);
}

int dnn_plan_find(struct dnn_plan *plan, struct dnn_graph *g, const struct dnn_target *t, const struct dnn_limits *limits, struct error *err)
{
    return dnn_plan_find_several(plan, 1, g, t, limits, err) < 0 ? -1 : 0;
}

void dnn_plan_close(struct dnn_plan *plan)
{
    if (plan->descriptor) cuda.cudnnBackendDestroyDescriptor(plan->descriptor);
    *plan = (struct dnn_plan){0};
}

/* ---- plans as text ---- */

/* cuDNN is not asked to judge damage: the text travels with its length and checksum. */
char *dnn_plan_save(const struct dnn_plan *plan, struct error *err)
{
    if (!plan->descriptor) {
        error_set(err, "the plan cannot be loaded on this machine");
        return NULL;
    }
    char *json = json_of(plan->descriptor, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, "the plan as text", err);
    if (!json) return NULL;
    char *body = mem_format("%d %d %d %d %d\n%s", plan->engine, plan->tensor_cores, plan->deterministic, plan->compiled, plan->inexact, json);
    char *text = mem_format("ladnn-plan 1 %zu %08x\n%s", strlen(body), (unsigned)crc32c(0, body, strlen(body)), body);
    mem_free(body);
    mem_free(json);
    return text;
}

int dnn_plan_restore(struct dnn_plan *plan, const char *text, const struct dnn_target *t, struct error *err)
{
    size_t length = 0;
    unsigned crc = 0;
    int engine, notes[4], head = 0, at = 0;
    int64_t count = 0;
    *plan = (struct dnn_plan){0};
    if (sscanf(text, "ladnn-plan 1 %zu %8x%n", &length, &crc, &head) != 2 || text[head] != '\n')
        return error_set(err, "a kept plan is damaged: its first line");
    const char *body = text + head + 1;
    if (strlen(body) != length || crc32c(0, body, length) != crc) return error_set(err, "a kept plan is damaged: its checksum");
    if (sscanf(body, "%d %d %d %d %d%n", &engine, &notes[0], &notes[1], &notes[2], &notes[3], &at) != 5 || body[at] != '\n')
        return error_set(err, "a kept plan is damaged: its second line");
    const char *json = body + at + 1;
    descriptor d = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    if (!d || !put(d, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &t->device) ||
        !put(d, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json) + 1, json) ||
        !good(cuda.cudnnBackendFinalize(d)) ||
        !good(cuda.cudnnBackendGetAttribute(d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count, &plan->workspace))) {
        cudnn_error(err, "a kept plan is not taken");
        drop(&d);
        return -1;
    }
    *plan = (struct dnn_plan){d, plan->workspace, engine, notes[0], notes[1], notes[2], notes[3]};
    return 0;
}
