/* dnn_private.h - what dnn_graph.c, dnn_plan.c and dnn_run.c share: cuDNN's descriptors, made short. */
#ifndef OPS_CUDA_DNN_PRIVATE_H
#define OPS_CUDA_DNN_PRIVATE_H
#include "ops/cuda/cuda_calls.h"
#include "ops/cuda/dnn_graph.h"

typedef cudnnBackendDescriptor_t descriptor;

static inline bool good(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_SUCCESS;
}

static inline bool put(descriptor d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count, const void *value)
{
    return good(cuda.cudnnBackendSetAttribute(d, name, type, count, value));
}

static inline descriptor make(cudnnBackendDescriptorType_t type)
{
    descriptor d = NULL;
    return good(cuda.cudnnBackendCreateDescriptor(type, &d)) ? d : NULL;
}

static inline void drop(descriptor *d)
{
    if (*d) cuda.cudnnBackendDestroyDescriptor(*d);
    *d = NULL;
}

/* Why cuDNN refused the last call of this thread. */
static inline int cudnn_error(struct error *err, const char *what)
{
    return error_set(err, "cuDNN: %s: %s", what, cuda_dnn_reason());
}

struct dnn_target {
    descriptor device;
};

enum { DNN_PARTS_MAX = 8 };
struct dnn_graph {
    struct dnn_facts facts;
    descriptor tensors[DNN_TENSORS_MAX], operations[DNN_OPERATIONS_MAX], parts[DNN_PARTS_MAX]; /* parts: convolution and pointwise descriptors */
    int part_count;
    descriptor whole;
    struct error err; /* of the first call that failed */
};
static inline bool dnn_failed(const struct dnn_graph *g)
{
    return *g->err.message != 0;
}
void dnn_graph_finish(struct dnn_graph *g);
#endif
