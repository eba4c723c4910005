/* network.h - a graph planned for a backend, a precision and a largest number of images, with its parameters, gradients,
 * running statistics and activation memory; and the step: forward, backward.
 *
 * Memory is the backend's (ops/ops.h): the host reads it through the functions here. One arena of parameters and one of gradients in the
 * SAME order and arrangement (f32, backend's stored layout), in the order in which backward finishes them, so that a finished prefix of
 * the gradients can be reduced while backward goes on; one arena for activations, laid out by lifetimes, once per virtual shard. A step
 * allocates nothing.
 *
 * Numerics are those of virtual shards (ops/ops.h): each holds up to `max_images`; normalisation statistics run over all of
 * them, on all ranks when `share` is given.
 */
#ifndef MODELS_NETWORK_H
#define MODELS_NETWORK_H
#include <stdbool.h>
#include <stdint.h>
#include "models/graph.h"

struct network_options {
    const struct ops *ops;
    enum dtype dtype;      /* of activations and working weights */
    int max_images;        /* per virtual shard in training */
    int max_eval_images;   /* per evaluation batch; 0: no evaluation */
    int shards;            /* virtual shards on this rank; 0: no training (no gradients, no saved activations) */
    bool explain;          /* network_infer keeps the last map and what lies behind it */
    int state_floats;      /* for each parameter, that the caller will take afterwards: an optimiser's state. Judged with the room on an accelerator */
};
struct network;
/* Borrows the graph. */
struct network *network_open(const struct graph *g, const struct network_options *options, struct error *err);
void network_close(struct network *n); /* NULL is fine */
/* Batches of `images` will come, too (an epoch's last one): see ops->conv_expect, linear_expect. */
void network_expect(struct network *n, int images, bool training);

/* ---- parameters. An arena here is one in the backend's memory with network_arena_count floats ---- */
float *network_parameters(struct network *n);
float *network_gradients(struct network *n);
int64_t network_arena_count(const struct network *n); /* floats in each of the two arenas, padding included */
/* To be called when the arena of parameters was changed by others than the functions here and the optimiser. */
void network_parameters_changed(struct network *n);
/* Where parameter p of the graph lies in the arenas. */
void network_param_range(const struct network *n, int p, int64_t *offset, int64_t *count);
/* Parameter (or gradient) p from and to torchvision's order. */
void network_param_set(struct network *n, int p, const float *values);
void network_param_get(const struct network *n, int p, float *values);
void network_gradient_get(const struct network *n, int p, float *values);
/* Converts one parameter out of any arena of the same arrangement (optimiser state). */
void network_arena_export(const struct network *n, int p, float *values, const float *arena);
void network_arena_import(struct network *n, int p, float *arena, const float *values);
/* The leading `stages` (struct node) stay as they are: their normalisations use and keep their running statistics, also in training, and
 * network_backward ends before them. Their gradients are then the arenas' last floats, and 0: those before network_trainable_count are
 * worked out. Dropping goes on. After network_open, before the first step. */
void network_freeze(struct network *n, int stages);
int64_t network_trainable_count(const struct network *n); /* `ready` is called the last time with this */
/* Arena position at which a stage ends; the stage after it in the network ends where it begins (the head begins at 0). */
int64_t network_stage_end(const struct network *n, int stage);
/* Running mean and variance of norm node `buffers` index b: (c) floats each. Initially 0 and 1. */
void network_running_get(const struct network *n, int b, float *mean, float *var);
void network_running_set(struct network *n, int b, const float *mean, const float *var);

/* ---- the step ---- */
struct network_shard {
    int images;             /* 0 .. max_images */
    const float *pixels;    /* (images, 3, S, S), or NULL with pictures and pool */
    const uint64_t *row_key;/* (images): keys of dropout and stochastic depth (random_u64_at(RANDOM_ROW_KEY...)) */
    const struct picture *pictures; /* (images) in the backend's memory: what the backend samples from the pool (ops->pictures) */
    const struct picture_pool *pool;
};
struct network_pass {
    const struct network_shard *shard; /* options.shards of them */
    int total_images;       /* of the global batch when `share` is given, else of these shards */
    /* Sums `count` doubles in the backend's memory over all ranks in a fixed order, in place. NULL: statistics of this rank alone. */
    void (*share)(void *context, double *sums, int count);
    /* Gradients [0, end) are final. NULL: not asked. Called in rising order, the last time with network_trainable_count. */
    void (*ready)(void *context, int64_t end);
    void *context;
};
/* Hands over pictures and keys of all shards: before each network_forward. They may be changed on return. */
void network_load(struct network *n, const struct network_pass *pass);
/* Training mode: batch statistics, running statistics updated (momentum 0.1, unbiased variance). Collective with `share`. */
void network_forward(struct network *n, const struct network_pass *pass);
/* Of shard s, in the backend's memory, (images, logits) f32: what network_forward has left, and where the caller puts d(loss)/d(logits)
 * before network_backward. */
float *network_logits(const struct network *n, int s);
float *network_dlogits(const struct network *n, int s);
/* Overwrites the gradients with the sum over the shards of d(loss)/d(parameter). After network_forward of the same pass. */
void network_backward(struct network *n, const struct network_pass *pass);
/* Evaluation mode: running statistics, no dropout. images <= max_eval_images. Not collective. */
void network_infer(struct network *n, const float *pixels, int images, float *logits);
/* With `explain`, of the images of the last network_infer, as plain floats (images, C, H, W) in the host's memory, C, H, W as of
 * graph->last_map: the map itself, and d(sum of dlogits * logits)/d(map), running statistics and no dropout as there. dlogits: (images,
 * outputs), in the host's memory. */
void network_last_map(const struct network *n, int images, float *map);
void network_last_map_gradient(struct network *n, int images, const float *dlogits, float *dmap);

/* Prints a line per node: name, kind, shapes, parameters, MAC, implementation. Into stdout for `bench`. */
void network_describe(const struct network *n);
size_t network_activation_bytes(const struct network *n);
/* Seconds spent per node kind since the last call, when enabled (bench): forward and backward. */
struct network_times { double forward_s[8], backward_s[8]; };
/* On an accelerator calls are queued and cost nothing here: on = each layer is waited for, and its time is told (with that of one wait). */
void network_time_exactly(struct network *n, bool on);
void network_time(struct network *n, struct network_times *times);
#endif
