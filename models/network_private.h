/* network_private.h - what network.c, plan.c, forward.c and backward.c share. */
#ifndef MODELS_NETWORK_PRIVATE_H
#define MODELS_NETWORK_PRIVATE_H
#include "models/memory_plan.h"
#include "models/network.h"

enum { MAX_SHARDS = 64, NONE = -1 };

/* Where things lie. A slot is a buffer of the activation arena: a value's memory, its gradient, or a node's notes for
 * backward. Times: node i runs forward at i and backward at 2*nodes - i. */
struct plan {
    int images;           /* largest count per shard */
    struct block *slots;
    int slot_count, slot_room;
    int *activation;      /* [value] slot of the value's own memory (its buffer's for a slice) */
    int *note;            /* [node] slot of the pool's index or squeeze-excite's saved numbers, or NONE */
    int *explain;         /* [value] slot of the gradient of the last map or of a value behind it, or NONE; NULL: is not explained */
    size_t bytes;         /* arena of one shard */
};
/* Gradient plan (training only). A value's gradient is the sum of up to two contributions in slots `first` and `second`;
 * the producer's backward takes both. */
struct gradient_plan {
    int *first, *second;  /* [value], of the buffer for slices; NONE */
    struct write {
        int slot;         /* where node's backward puts the gradient of its x, or NONE */
        bool add;         /* accumulate (normalisations only) */
        bool merge;       /* add second to first before `slot` (== second) is overwritten */
    } *write;             /* [node] */
};
struct layer { /* a node's run-time state */
    struct conv *conv;
    struct linear *linear;
    int stats_first, stats_end;   /* norm: channels of x's buffer whose sums are taken here first */
    int stats_from;               /* norm: the convolution that writes just these and takes their sums (ops->conv_forward_sums), or NONE */
    int stats_for;                /* conv: the normalisation that it does so for, or NONE */
    struct norm_memory norm;      /* norm: (c) each */
    float *row_scale;             /* norm with drop: (shards, images) */
    int64_t gradient_end;         /* arena position that is final after this node's backward */
};
struct network {
    const struct graph *g;
    struct network_options o;
    struct plan train, eval;
    struct gradient_plan gradient;
    struct layer *layer;
    int64_t arena_count;
    int64_t *offset, *count;      /* [param] */
    int *norm_node;               /* [buffers] */
    int frozen_nodes;             /* the first ones, of frozen stages */
    bool parameters_changed;      /* since the backend was last told */
    /* In the backend's memory: */
    float *parameters, *gradients;
    float *norm_values;           /* what struct norm_memory of all layers points into, and row_scale */
    double *norm_sums;            /* what `sums` points into */
    double **sums;                /* [value] of buffers: (2, c): sum and sum of squares of the current pass */
    char *arena;                  /* max(shards * train.bytes, eval.bytes) */
    uint64_t *row_key;            /* (shards, max_images) */
    double *part_sums;            /* (shards, 2 * widest) */
    float *part_gradients;        /* (shards, largest small parameter set) */
    float *mean_g, *mean_gx;      /* (widest) */
    struct network_times times;
    bool exact_times;
};

/* Takes all memory of a network whose plans and handles are there; close also after a failure. */
int network_memory_open(struct network *n, struct error *err);
void network_memory_close(struct network *n);
bool network_is_stored_weight(const struct network *n, int p); /* in the backend's own arrangement */

void plan_sums(struct network *n); /* stats_* of all layers */
void plan_make(struct plan *p, struct network *n, int images, bool training);
void plan_free(struct plan *p);
void gradient_plan_free(struct gradient_plan *p);

int value_root(const struct graph *g, int value); /* itself, or the buffer it is a slice of */
enum dtype value_dtype(const struct network *n, int value);
enum layout value_layout(const struct network *n, int value);
/* View of a value in shard s of a plan's arena; with `slot` instead of the value's own memory when it is not NONE. */
struct tensor network_view(const struct network *n, const struct plan *p, int value, int slot, int shard, int images);
void *network_slot(const struct network *n, const struct plan *p, int slot, int shard);
float *network_param(const struct network *n, const float *arena, int param); /* NULL for NONE */
uint64_t *network_row_key(const struct network *n, int shard); /* in the backend's memory */
void network_wait_when_exact(const struct network *n); /* network_time_exactly */
bool network_norm_alone(const struct network *n, const struct network_pass *pass); /* one shard, nobody to share with */
int network_norm_images(const struct network *n, const struct network_pass *pass);
#endif
