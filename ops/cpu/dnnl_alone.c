/* dnnl_alone.c - see dnnl_alone.h. Inside a parallel region oneDNN takes one thread for whatever it does. Memory objects hold an
 * address, so each run makes its own (0.2 us each); scratchpads and streams are the threads' own.
 */
#include "ops/cpu/dnnl_alone.h"

#include <omp.h>
#include <string.h>

#include "base/memory.h"
#include "ops/cpu/dnnl_amx.h"

static bool is_deterministic;
void deterministic_set(bool on) { is_deterministic = on; }
bool deterministic(void) { return is_deterministic; }

int alone_begin(void)
{
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    return threads;
}

void alone_end(int threads) { omp_set_num_threads(threads); }

/* ---- what each thread has ---- */

struct place {
    dnnl_stream_t stream;
    struct { void *data; size_t bytes; } desk[DESK_COUNT];
};
static struct place *places; /* by number of the thread; kept, as the other buffers are */
static int place_count;

static void places_make(int threads)
{
    if (threads <= place_count) return;
    places = mem_grow(places, sizeof *places * (size_t)place_count, sizeof *places * (size_t)threads);
    memset(places + place_count, 0, sizeof *places * (size_t)(threads - place_count));
    for (; place_count < threads; place_count++)
        DNNL_CHECK(dnnl_stream_create(&places[place_count].stream, onednn_engine(), dnnl_stream_default_flags));
}

void side_by_side(int jobs, side_job *job, void *context)
{
    places_make(omp_get_max_threads());
    if (amx_needs_help()) { /* by one thread at a time */
        int threads = alone_begin();
        for (int j = 0; j < jobs; j++) job(context, j, 0);
        alone_end(threads);
        return;
    }
#pragma omp parallel for schedule(dynamic)
    for (int j = 0; j < jobs; j++) job(context, j, omp_get_thread_num());
}

void *desk(int thread, enum desk which, size_t bytes)
{
    struct place *p = &places[thread];
    if (p->desk[which].bytes < bytes) {
        mem_free(p->desk[which].data);
        p->desk[which].data = mem_alloc(bytes);
        p->desk[which].bytes = bytes;
    }
    return p->desk[which].data;
}

/* ---- primitives ---- */

static void argument_open(dnnl_exec_arg_t *arg, const dnnl_exec_arg_t *like, const void *data)
{
    const dnnl_memory_desc_t *md;
    DNNL_CHECK(dnnl_memory_get_memory_desc(like->memory, &md));
    arg->arg = like->arg;
    DNNL_CHECK(dnnl_memory_create(&arg->memory, md, onednn_engine(), (void *)data));
}

void primitive_run_alone(const struct primitive *p, int thread, const void *const data[])
{
    dnnl_exec_arg_t arg[PRIMITIVE_ARGS];
    for (int i = 0; i < p->count; i++) argument_open(&arg[i], &p->arg[i], data[i]);
    argument_open(&arg[p->count], &p->arg[p->count], desk(thread, DESK_PRIMITIVE, p->scratch_bytes));
    if (p->amx) amx_enter();
    dnnl_status_t status = dnnl_primitive_execute(p->handle, places[thread].stream, p->count + 1, arg);
    if (p->amx) amx_leave();
    DNNL_CHECK(status);
    DNNL_CHECK(dnnl_stream_wait(places[thread].stream));
    for (int i = 0; i <= p->count; i++) DNNL_CHECK(dnnl_memory_destroy(arg[i].memory));
}

const void *step_weights_alone(const struct step *s, int thread, const float *stored)
{
    if (s->reorder.handle == NULL) return stored;
    void *wanted = desk(thread, DESK_WEIGHTS, s->weight_bytes);
    primitive_run_alone(&s->reorder, thread, (const void *[]){wanted, stored});
    return wanted;
}

void parts_add(float *to, const float *parts, int count, size_t stride, size_t n)
{
    enum { PIECE = 4096 }; /* stays in the first cache */
#pragma omp parallel for schedule(static)
    for (size_t at = 0; at < n; at += PIECE) {
        size_t end = n - at < PIECE ? n : at + PIECE;
        memcpy(to + at, parts + at, (end - at) * sizeof(float));
        for (int k = 1; k < count; k++)
            for (size_t i = at; i < end; i++) to[i] += parts[(size_t)k * stride + i];
    }
}
