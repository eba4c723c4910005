/* dnnl_shared.c - engine, buffers and primitives of oneDNN, see dnnl_shared.h.
 *
 * Memory objects are made once without data and get their addresses at each run: oneDNN 2.x takes them by argument id.
 * Scratchpads are the caller's (dnnl_scratchpad_mode_user), so that a network's worth of primitives shares one.
 */
#include "ops/cpu/dnnl_shared.h"
#include <string.h>
#include "base/memory.h"
#include "ops/cpu/dnnl_amx.h"

const char *onednn_status_text(dnnl_status_t status)
{
    switch (status) {
    case dnnl_success: return "success";
    case dnnl_out_of_memory: return "out of memory";
    case dnnl_invalid_arguments: return "invalid arguments";
    case dnnl_unimplemented: return "not implemented";
    case dnnl_not_required: return "not required";
    default: return "runtime error";
    }
}

static dnnl_engine_t engine;
static dnnl_stream_t stream;

dnnl_engine_t onednn_engine(void)
{
    if (engine == NULL) {
        amx_prepare();
        DNNL_CHECK(dnnl_engine_create(&engine, dnnl_cpu, 0));
        DNNL_CHECK(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
    }
    return engine;
}

void *scratch(enum scratch which, size_t bytes)
{
    static struct { void *data; size_t bytes; } slots[SCRATCH_COUNT];
    if (slots[which].bytes < bytes) {
        mem_free(slots[which].data); /* nothing lives in it between calls */
        slots[which].data = mem_alloc(bytes);
        slots[which].bytes = bytes;
    }
    return slots[which].data;
}

/* ---- primitives ---- */

dnnl_primitive_attr_t primitive_attributes(bool relu)
{
    dnnl_primitive_attr_t attributes;
    DNNL_CHECK(dnnl_primitive_attr_create(&attributes));
    DNNL_CHECK(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user));
    if (relu) {
        dnnl_post_ops_t after;
        DNNL_CHECK(dnnl_post_ops_create(&after));
        DNNL_CHECK(dnnl_post_ops_append_eltwise(after, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f));
        DNNL_CHECK(dnnl_primitive_attr_set_post_ops(attributes, after));
        DNNL_CHECK(dnnl_post_ops_destroy(after));
    }
    return attributes;
}

static void memory_open(dnnl_exec_arg_t *arg, int id, const dnnl_memory_desc_t *md)
{
    arg->arg = id;
    DNNL_CHECK(dnnl_memory_create(&arg->memory, md, onednn_engine(), DNNL_MEMORY_NONE));
}

/* Makes the primitive of a descriptor and forgets the descriptor. */
static int primitive_compile(struct primitive *p, dnnl_primitive_desc_t pd, struct error *err)
{
    amx_enter();
    dnnl_status_t status = dnnl_primitive_create(&p->handle, pd);
    amx_leave();
    DNNL_CHECK(dnnl_primitive_desc_destroy(pd));
    if (status != dnnl_success) {
        p->handle = NULL;
        return error_set(err, "oneDNN cannot compile the operation: %s", onednn_status_text(status));
    }
    const dnnl_memory_desc_t *pad = primitive_md(p, DNNL_ARG_SCRATCHPAD);
    p->scratch_bytes = dnnl_memory_desc_get_size(pad);
    memory_open(&p->arg[p->count], DNNL_ARG_SCRATCHPAD, pad);
    scratch(SCRATCH_PRIMITIVE, p->scratch_bytes);
    p->amx = strstr(primitive_implementation(p), "amx") != NULL;
    return 0;
}

int primitive_open(struct primitive *p, const void *desc, dnnl_primitive_attr_t attributes, const struct primitive *hint,
                   const int *ids, int count, struct error *err)
{
    ASSERT(count < PRIMITIVE_ARGS);
    const_dnnl_primitive_desc_t hint_pd = NULL;
    if (hint != NULL) DNNL_CHECK(dnnl_primitive_get_primitive_desc(hint->handle, &hint_pd));
    dnnl_primitive_desc_t pd;
    dnnl_engine_t where = onednn_engine();
    amx_enter();
    dnnl_status_t status = dnnl_primitive_desc_create(&pd, desc, attributes, where, hint_pd);
    amx_leave();
    if (status != dnnl_success) return error_set(err, "oneDNN has no such operation: %s", onednn_status_text(status));
    p->count = count;
    if (primitive_compile(p, pd, err) < 0) return -1;
    for (int i = 0; i < count; i++) memory_open(&p->arg[i], ids[i], primitive_md(p, ids[i]));
    return 0;
}

void primitive_close(struct primitive *p)
{
    if (p->handle == NULL) return;
    for (int i = 0; i <= p->count; i++) DNNL_CHECK(dnnl_memory_destroy(p->arg[i].memory));
    DNNL_CHECK(dnnl_primitive_destroy(p->handle));
    *p = (struct primitive){0};
}

static const_dnnl_primitive_desc_t primitive_desc(const struct primitive *p)
{
    const_dnnl_primitive_desc_t pd;
    DNNL_CHECK(dnnl_primitive_get_primitive_desc(p->handle, &pd));
    return pd;
}

const dnnl_memory_desc_t *primitive_md(const struct primitive *p, int id)
{
    return dnnl_primitive_desc_query_md(primitive_desc(p), dnnl_query_exec_arg_md, id);
}

const char *primitive_implementation(const struct primitive *p)
{
    const char *text = NULL;
    DNNL_CHECK(dnnl_primitive_desc_query(primitive_desc(p), dnnl_query_impl_info_str, 0, &text));
    return text;
}

void primitive_run(const struct primitive *p, const void *const data[])
{
    for (int i = 0; i < p->count; i++) DNNL_CHECK(dnnl_memory_set_data_handle(p->arg[i].memory, (void *)data[i]));
    DNNL_CHECK(dnnl_memory_set_data_handle(p->arg[p->count].memory, scratch(SCRATCH_PRIMITIVE, p->scratch_bytes)));
    if (p->amx) amx_enter();
    dnnl_status_t status = dnnl_primitive_execute(p->handle, stream, p->count + 1, p->arg);
    if (p->amx) amx_leave();
    DNNL_CHECK(status);
    DNNL_CHECK(dnnl_stream_wait(stream));
}

int reorder_open(struct primitive *p, const dnnl_memory_desc_t *to, const dnnl_memory_desc_t *from, struct error *err)
{
    dnnl_primitive_attr_t attributes = primitive_attributes(false);
    dnnl_primitive_desc_t pd;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&pd, from, onednn_engine(), to, onednn_engine(), attributes);
    DNNL_CHECK(dnnl_primitive_attr_destroy(attributes));
    if (status != dnnl_success) return error_set(err, "oneDNN has no such reorder: %s", onednn_status_text(status));
    p->count = 2;
    if (primitive_compile(p, pd, err) < 0) return -1;
    memory_open(&p->arg[0], DNNL_ARG_TO, to);
    memory_open(&p->arg[1], DNNL_ARG_FROM, from);
    return 0;
}

void reorder_once(void *to, const dnnl_memory_desc_t *to_md, const void *from, const dnnl_memory_desc_t *from_md)
{
    struct primitive p = {0};
    struct error err;
    if (reorder_open(&p, to_md, from_md, &err) < 0) die_error(&err);
    primitive_run(&p, (const void *[]){to, from});
    primitive_close(&p);
}

/* ---- steps ---- */

int step_finish(struct step *s, int weights_id, const dnnl_memory_desc_t *stored, struct error *err)
{
    const dnnl_memory_desc_t *wanted = primitive_md(&s->run, weights_id);
    s->weight_bytes = dnnl_memory_desc_get_size(wanted);
    if (dnnl_memory_desc_equal(wanted, stored)) return 0;
    bool after = weights_id == DNNL_ARG_DIFF_WEIGHTS;
    scratch(after ? SCRATCH_GRADIENT : SCRATCH_WEIGHTS, s->weight_bytes);
    return after ? reorder_open(&s->reorder, stored, wanted, err) : reorder_open(&s->reorder, wanted, stored, err);
}

void step_close(struct step *s)
{
    primitive_close(&s->run);
    primitive_close(&s->reorder);
}

const void *step_weights(const struct step *s, const struct step **held, const float *stored)
{
    if (s->reorder.handle == NULL) return stored;
    void *wanted = scratch(SCRATCH_WEIGHTS, s->weight_bytes);
    if (*held != s) primitive_run(&s->reorder, (const void *[]){wanted, stored});
    *held = s;
    return wanted;
}

/* ---- sums over shards ---- */

struct shard_sum shard_sum_start(float *total, size_t count, int which)
{
    struct shard_sum s = {.count = count, .slot = SCRATCH_SUMS + which * SCRATCH_SUMS_LEVELS / 2};
    s.level[0] = total != NULL ? total : scratch((enum scratch)s.slot, count * sizeof(float));
    return s;
}

float *shard_sum_next(struct shard_sum *s)
{
    int d = s->depth++;
    ASSERT(d < SCRATCH_SUMS_LEVELS / 2);
    if (d > 0) s->level[d] = scratch((enum scratch)(s->slot + d), s->count * sizeof(float));
    return s->level[d];
}

/* Adds the last buffer to the one before it. */
static void shard_sum_carry(struct shard_sum *s)
{
    s->depth--;
    shard_tree_sum((float *const[]){s->level[s->depth - 1], s->level[s->depth]}, 2, s->count);
}

void shard_sum_add(struct shard_sum *s)
{
    for (int t = ++s->done; t % 2 == 0; t /= 2) shard_sum_carry(s);
}

void shard_sum_end(struct shard_sum *s)
{
    while (s->depth > 1) shard_sum_carry(s);
}
