/* conv_private.h - what conv.c (handles, plans, weights) and conv_run.c (what runs) share. */
#ifndef OPS_CUDA_CONV_PRIVATE_H
#define OPS_CUDA_CONV_PRIVATE_H
#include "ops/cuda/conv_graph.h"
#include "ops/cuda/cuda_layers.h"
#include "ops/cuda/plan_cache.h"

enum conv_step { STEP_FORWARD, STEP_SUMS, STEP_DATA, STEP_WEIGHTS, STEPS }; /* sums: forward with the sums of y */
struct conv_plans { /* for one image count */
    int n;
    struct kept_plan *of[STEPS];
    struct conv_plans *next;
};
struct conv {
    struct conv_spec s;
    bool training, sums; /* sums: may be taken of y */
    int in_lanes, out_lanes, out_h, out_w; /* channels, rounded up */
    struct dnn_limits limits;
    struct conv_plans *plans;
};

static inline bool conv_is_depthwise(const struct conv *c) { return c->s.groups > 1; }
enum conv_fusion conv_fusion_of(const struct conv *c, enum conv_step step);
/* Waits for it; without one the program ends. */
const struct dnn_plan *conv_plan(struct conv *c, int n, enum conv_step step);
/* The plan that takes the sums of y as well. NULL: there is none for so many images. */
const struct dnn_plan *conv_plan_of_sums(struct conv *c, int n);
#endif
