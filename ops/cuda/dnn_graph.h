/* dnn_graph.h - one operation graph of cuDNN's backend API, and the plan that will run it.
 *
 * Tensors are channels-last in memory: dims are always (N, C, H, W), strides say NHWC. A tensor may be a slice of the channels of a
 * wider buffer. Virtual tensors live in registers between two fused operations. Functions return ids; the first thing that cuDNN
 * refuses is remembered, later calls do nothing, and dnn_plan_find reports it.
 *
 * DESIGN: a plan is made for a target, which is the card in use or a description of one (JSON): so which engines serve a layer on an H200
 * can be asked and tested on a machine without a GPU. Nothing here runs anything. Not thread safe per graph; graphs are independent. */
#ifndef OPS_CUDA_DNN_GRAPH_H
#define OPS_CUDA_DNN_GRAPH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/text.h"

/* ---- what the plan is for ---- */
struct dnn_target;
/* The members of cudaDeviceProp that cuDNN wants, as cuDNN itself writes them. NULL with err. */
struct dnn_target *dnn_target_from_json(const char *json, struct error *err);
/* The card of this number in this process. */
struct dnn_target *dnn_target_from_device(int device, struct error *err);
char *dnn_target_json(const struct dnn_target *t, struct error *err); /* mem_free; NULL with err */
void dnn_target_close(struct dnn_target *t);                          /* NULL is fine */

/* ---- graph ---- */
enum dnn_type { DNN_F32, DNN_BF16, DNN_F16, DNN_I8 };
enum dnn_pointwise { DNN_ADD, DNN_MUL, DNN_RELU, DNN_RELU_BACKWARD, DNN_IDENTITY };
struct dnn_window { int kernel, stride, padding; };

struct dnn_graph;
struct dnn_graph *dnn_graph_open(void);
void dnn_graph_close(struct dnn_graph *g); /* NULL is fine */
/* A tensor in memory, of `c` channels out of `buffer_c` (0: all). Bound by its id when the plan runs. */
int dnn_tensor(struct dnn_graph *g, enum dnn_type type, int n, int c, int h, int w, int buffer_c);
int dnn_virtual(struct dnn_graph *g, enum dnn_type type, int n, int c, int h, int w);
/* y = conv(x, w); dx = from dy and w; dw = from x and dy. All sums in float. w, dw: (K, C, R, S) channels-last. */
void dnn_conv_forward(struct dnn_graph *g, int x, int w, int y, struct dnn_window window);
void dnn_conv_data_gradient(struct dnn_graph *g, int dy, int w, int dx, struct dnn_window window);
void dnn_conv_weight_gradient(struct dnn_graph *g, int x, int dy, int dw, struct dnn_window window);
/* y = f(x), or f(x, b) with b broadcast over what it has size 1 in. RELU_BACKWARD: x is dy, b is the forward's y. */
void dnn_pointwise(struct dnn_graph *g, enum dnn_pointwise mode, int x, int b, int y);
/* Per channel (1, C, 1, 1), f32. */
void dnn_statistics(struct dnn_graph *g, int x, int sum, int squares);

/* What the graph was made of, in order: for keys, for tuning, for tests that compute it elsewhere. */
enum { DNN_TENSORS_MAX = 16, DNN_OPERATIONS_MAX = 8 };
enum dnn_operation { DNN_CONV_FORWARD, DNN_CONV_DATA_GRADIENT, DNN_CONV_WEIGHT_GRADIENT, DNN_POINTWISE, DNN_STATISTICS };
struct dnn_tensor_facts {
    enum dnn_type type;
    int64_t dims[4], strides[4]; /* N, C, H, W */
    bool is_virtual;
};
struct dnn_operation_facts {
    enum dnn_operation kind;
    int tensors[3]; /* (x, w, y), (dy, w, dx), (x, dy, dw), (x, b, y), (x, sum, squares) */
    struct dnn_window window;
    enum dnn_pointwise mode;
};
struct dnn_facts {
    struct dnn_tensor_facts tensors[DNN_TENSORS_MAX]; /* by id */
    struct dnn_operation_facts operations[DNN_OPERATIONS_MAX];
    int tensor_count, operation_count;
};
const struct dnn_facts *dnn_graph_facts(const struct dnn_graph *g);
void dnn_graph_describe(const struct dnn_graph *g, struct text *out);
int dnn_graph_error(const struct dnn_graph *g, struct error *err); /* -1 with what cuDNN refused */

/* ---- plan ---- */
struct dnn_limits {
    int64_t workspace;  /* bytes */
    bool deterministic; /* only engines that give the same bits each time */
    bool tensor_cores;  /* only engines on tensor cores */
    bool exact;         /* only engines that sum products of f32 in f32, as the definition does: no TF32, no transforms */
    bool no_compilation;/* only engines that are ready in the library: plans in milliseconds */
};
struct dnn_plan {
    void *descriptor;   /* cudnnBackendDescriptor_t */
    int64_t workspace;
    int engine;         /* cuDNN's number of it */
    bool tensor_cores, deterministic, compiled; /* compiled: by the runtime compiler, for this card */
    bool inexact;       /* narrower factors or sums, or by way of a transform (FFT, Winograd) */
};
/* The first configuration within the limits, in the order of cuDNN's heuristics (mode A, then fallback). */
int dnn_plan_find(struct dnn_plan *plan, struct dnn_graph *g, const struct dnn_target *t, const struct dnn_limits *limits, struct error *err);
/* The first `most` of them. How many were found, at least 1; -1 with err. */
int dnn_plan_find_several(struct dnn_plan *plans, int most, struct dnn_graph *g, const struct dnn_target *t, const struct dnn_limits *limits, struct error *err);
void dnn_plan_close(struct dnn_plan *plan);
/* The plan as text (mem_free), to be kept with the versions of cuDNN and the driver: choosing engines anew would change bits. NULL for a plan
 * that cannot be loaded here. */
char *dnn_plan_save(const struct dnn_plan *plan, struct error *err);
/* The same plan again, in a fraction of the time. The text must be one that dnn_plan_save made for this target; what is damaged is refused. */
int dnn_plan_restore(struct dnn_plan *plan, const char *text, const struct dnn_target *t, struct error *err);
#endif
