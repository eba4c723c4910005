/* dnn_run.c - see dnn_run.h. */
#include "ops/cuda/dnn_run.h"

#include <stdlib.h>

#include "base/memory.h"
#include "ops/cuda/cuda_device_private.h"
#include "ops/cuda/dnn_private.h"

static const struct dnn_stand_in *replaced;
void dnn_stand_in_set(const struct dnn_stand_in *stand_in) { replaced = stand_in; }
const struct dnn_stand_in *dnn_stand_in(void) { return replaced; }

/* What a plan's tensors are bound to; NULL when cuDNN does not take it. */
static descriptor variant_pack(const int *ids, void *const *pointers, int count, void *workspace)
{
    int64_t uids[DNN_TENSORS_MAX];
    ASSERT(count <= DNN_TENSORS_MAX);
    for (int i = 0; i < count; i++) uids[i] = ids[i] + 1; /* as dnn_graph.c numbers them */
    descriptor d = make(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    if (d && put(d, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, uids) &&
        put(d, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers) &&
        put(d, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace) && good(cuda.cudnnBackendFinalize(d)))
        return d;
    drop(&d);
    return NULL;
}

static bool execute(const struct dnn_plan *plan, const int *ids, void *const *pointers, int count, void *workspace)
{
    descriptor pack = variant_pack(ids, pointers, count, workspace);
    bool fine = pack && good(cuda.cudnnBackendExecute(device.dnn, plan->descriptor, pack));
    drop(&pack);
    return fine;
}

void dnn_plan_room(const struct dnn_plan *plan)
{
    device_scratch(SCRATCH_DNN, plan->workspace > 0 ? (size_t)plan->workspace : 1);
}

void dnn_plan_run(const struct dnn_plan *plan, const int *ids, void *const *pointers, int count)
{
    for (int i = 0; i < count; i++) ASSERT((uintptr_t)pointers[i] % 16 == 0);
    if (replaced) {
        replaced->run(plan, ids, pointers, count);
        return;
    }
    CHECK(plan->descriptor, "cuDNN: engine %d was found but not loaded", plan->engine);
    void *workspace = device_scratch(SCRATCH_DNN, (size_t)plan->workspace);
    CHECK(execute(plan, ids, pointers, count, workspace), "cuDNN: running engine %d: %s", plan->engine, cuda_dnn_reason());
}

/* ---- by the clock ---- */

struct trial {
    int ids[DNN_TENSORS_MAX], count;
    void *pointers[DNN_TENSORS_MAX];
    cudaEvent_t start, end;
};

static size_t tensor_bytes(const struct dnn_tensor_facts *t)
{
    static const size_t bytes[] = {4, 2, 2, 1};
    return (size_t)(t->dims[0] * t->strides[0]) * bytes[t->type];
}

static bool trial_open(struct trial *t, const struct dnn_facts *facts)
{
    *t = (struct trial){0};
    CUDA_CHECK(cudaEventCreateWithFlags(&t->start, cudaEventDefault));
    CUDA_CHECK(cudaEventCreateWithFlags(&t->end, cudaEventDefault));
    for (int i = 0; i < facts->tensor_count; i++) {
        if (facts->tensors[i].is_virtual) continue;
        t->ids[t->count] = i;
        if (!(t->pointers[t->count] = device_alloc(tensor_bytes(&facts->tensors[i])))) return false;
        t->count++;
    }
    return true;
}

static void trial_close(struct trial *t)
{
    for (int i = 0; i < t->count; i++) device_free(t->pointers[i]);
    CUDA_CHECK(cudaEventDestroy(t->start));
    CUDA_CHECK(cudaEventDestroy(t->end));
}

/* Milliseconds of the fastest of a few runs; negative when it does not run. */
static float trial_time(const struct trial *t, const struct dnn_plan *plan)
{
    enum { RUNS = 5 };
    float best = -1;
    if (!plan->descriptor) return best;
    dnn_plan_room(plan);
    void *workspace = device_scratch(SCRATCH_DNN, (size_t)plan->workspace);
    for (int i = 0; i <= RUNS; i++) { /* the first loads the kernel */
        float ms = 0;
        CUDA_CHECK(cudaEventRecord(t->start, device.stream));
        if (!execute(plan, t->ids, t->pointers, t->count, workspace)) return -1;
        CUDA_CHECK(cudaEventRecord(t->end, device.stream));
        CUDA_CHECK(cudaEventSynchronize(t->end));
        CUDA_CHECK(cudaEventElapsedTime(&ms, t->start, t->end));
        if (i > 0 && (best < 0 || ms < best)) best = ms;
    }
    return best;
}

int dnn_plan_fastest(const struct dnn_plan *plans, int count, const struct dnn_graph *g)
{
    struct trial t;
    int best = -1;
    float best_ms = 0;
    bool room = trial_open(&t, dnn_graph_facts(g));
    for (int i = 0; room && i < count; i++) {
        float ms = trial_time(&t, &plans[i]);
        if (ms >= 0 && (best < 0 || ms < best_ms)) best = i, best_ms = ms;
    }
    trial_close(&t);
    return best;
}
