/* dnnl_shared.h - what conv and linear share around oneDNN 2.x: the engine, buffers, primitives whose arguments are set at
 * call time, conversion between stored and wanted weights, and the sum over virtual shards. oneDNN's header stays inside
 * ops/cpu.
 */
#ifndef OPS_CPU_DNNL_SHARED_H
#define OPS_CPU_DNNL_SHARED_H
#include <dnnl.h>
#include "ops/cpu/cpu.h"

#define DNNL_CHECK(call)                                                                          \
    do {                                                                                          \
        dnnl_status_t status_ = (call);                                                           \
        CHECK(status_ == dnnl_success, "oneDNN: %s: %s", #call, onednn_status_text(status_));     \
    } while (0)
const char *onednn_status_text(dnnl_status_t status);
dnnl_engine_t onednn_engine(void);

/* ---- buffers shared by all handles: a call uses them and leaves nothing behind. They grow when a handle is created, and
 * otherwise only when a larger image count or more shards are first seen. ---- */
enum scratch {
    SCRATCH_PRIMITIVE,  /* oneDNN's own scratchpad */
    SCRATCH_WEIGHTS,    /* weights in the order a primitive wants */
    SCRATCH_GRADIENT,   /* a weight gradient in the order a primitive writes */
    SCRATCH_X, SCRATCH_Y, /* dense twins of slices, f32 twins of bf16 */
    SCRATCH_BIAS,
    SCRATCH_PARTS,      /* in deterministic mode: parts of a sum, see dnnl_alone.h */
    SCRATCH_SUMS,       /* partial sums over shards; one more slot for each level of the tree */
    SCRATCH_SUMS_LEVELS = 2 * 16,
    SCRATCH_COUNT = SCRATCH_SUMS + SCRATCH_SUMS_LEVELS
};
void *scratch(enum scratch which, size_t bytes);

/* ---- a primitive and its arguments ---- */
#define PRIMITIVE_ARGS 5
struct primitive {
    dnnl_primitive_t handle;              /* NULL: absent */
    dnnl_exec_arg_t arg[PRIMITIVE_ARGS];  /* arg[0..count), then the scratchpad */
    int count;
    size_t scratch_bytes;
    bool amx; /* runs on AMX tiles, see dnnl_amx.h */
};
/* Attributes that every primitive here has; `relu` adds y = max(0, y). The caller destroys it. */
dnnl_primitive_attr_t primitive_attributes(bool relu);
/* Compiles an operation (`desc` is an op descriptor of oneDNN) for the argument ids given, in the order in which
 * primitive_run takes their data. `hint`: the forward primitive that a backward one belongs to. Returns -1 with err. */
int primitive_open(struct primitive *p, const void *desc, dnnl_primitive_attr_t attributes, const struct primitive *hint,
                   const int *ids, int count, struct error *err);
void primitive_close(struct primitive *p);
const dnnl_memory_desc_t *primitive_md(const struct primitive *p, int id);
const char *primitive_implementation(const struct primitive *p);
/* data[i] belongs to the i-th id of primitive_open; returns when the result is there. */
void primitive_run(const struct primitive *p, const void *const data[]);
/* Copies between two arrangements of one shape. */
int reorder_open(struct primitive *p, const dnnl_memory_desc_t *to, const dnnl_memory_desc_t *from, struct error *err);
void reorder_once(void *to, const dnnl_memory_desc_t *to_md, const void *from, const dnnl_memory_desc_t *from_md);

/* ---- a primitive with weights, and the way between its arrangement of them and the stored one ---- */
struct step {
    struct primitive run;
    struct primitive reorder; /* absent when the primitive works on the stored weights in place */
    size_t weight_bytes;      /* as the primitive wants them */
};
/* Adds the reorder to a step whose `run` is open and makes room for it. `weights_id`: DNNL_ARG_WEIGHTS (stored is
 * converted before) or DNNL_ARG_DIFF_WEIGHTS (converted after). */
int step_finish(struct step *s, int weights_id, const dnnl_memory_desc_t *stored, struct error *err);
void step_close(struct step *s);
/* Stored weights as the step wants them. `held` starts as NULL and remembers whose arrangement the scratch holds, so that
 * the shards of one call share one conversion. */
const void *step_weights(const struct step *s, const struct step **held, const float *stored);

/* ---- sum of what shards deliver one after the other, in the order of shard_tree_sum (ops.h), in log2(shards) buffers:
 * buffers are added as soon as they are two neighbours of one level, as a binary counter carries. ---- */
struct shard_sum {
    float *level[SCRATCH_SUMS_LEVELS / 2];
    size_t count;
    int depth, done, slot;
};
/* The sum ends in `total` (= level[0]), in scratch when that is NULL. `which` (0 or 1) keeps two sums of one call apart. */
struct shard_sum shard_sum_start(float *total, size_t count, int which);
float *shard_sum_next(struct shard_sum *s); /* where the next shard's values go */
void shard_sum_add(struct shard_sum *s);    /* they are there */
void shard_sum_end(struct shard_sum *s);
#endif
