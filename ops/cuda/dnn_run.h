/* dnn_run.h - running a plan on the card in use, and choosing between plans by the clock.
 *
 * DESIGN: a test's stand-in computes the graph's facts in host memory instead: everything above this line then runs without a card. */
#ifndef OPS_CUDA_DNN_RUN_H
#define OPS_CUDA_DNN_RUN_H
#include "ops/cuda/dnn_graph.h"

/* Queues the plan on the device's stream. pointers[i] is the memory of tensor ids[i]: of its first element, 16-byte aligned. The workspace
 * is the device's shared one, which must have been made large enough (dnn_plan_room). */
void dnn_plan_run(const struct dnn_plan *plan, const int *ids, void *const *pointers, int count);
void dnn_plan_room(const struct dnn_plan *plan); /* makes the shared workspace large enough; not inside a recording */
/* The place of the fastest of `count` plans of graph g, each timed on memory of its own; those that cannot run are passed over. -1: none could. */
int dnn_plan_fastest(const struct dnn_plan *plans, int count, const struct dnn_graph *g);

struct dnn_stand_in {
    int (*find)(struct dnn_plan *plan, struct dnn_graph *g, const struct dnn_limits *limits, struct error *err);
    void (*run)(const struct dnn_plan *plan, const int *ids, void *const *pointers, int count);
    void (*close)(struct dnn_plan *plan);
    char *(*save)(const struct dnn_plan *plan); /* these two: as dnn_plan_save and dnn_plan_restore */
    int (*restore)(struct dnn_plan *plan, const struct dnn_graph *g, const char *text, struct error *err);
};
/* NULL (as at first): cuDNN. */
void dnn_stand_in_set(const struct dnn_stand_in *stand_in);
const struct dnn_stand_in *dnn_stand_in(void);
#endif
