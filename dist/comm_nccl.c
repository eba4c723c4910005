/* comm_nccl.c - sums of what lies in the memory of cards, by NCCL; everything else is the `mpi` kind's.
 *
 * DESIGN. Sums are queued, never waited for by the host, in the same order on all ranks: gradients on a stream of their own, behind what
 * has been computed so far, and the computing stream waits for them only at the end; statistics on the computing stream. So a whole step
 * can be recorded as one CUDA graph. Sums in fixed order gather all ranks' values and add them as a balanced tree, by the backend's own
 * kernel: the bits of the `mpi` kind. The host waits for a step in comm_device_wait, which has the time limit: NCCL itself would wait for
 * ever for a rank that does not come. */
#ifdef LADNN_HAVE_NCCL
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "dist/comm_kind.h"
#include "dist/nccl_calls.h"

struct nccl_state {
    struct comm *control;  /* mpi, or self */
    struct comm_device device;
    ncclComm_t comm;       /* NULL before attach, and for a rank alone */
    cudaStream_t side;     /* of gradients */
    cudaEvent_t computed, summed, mark;
    bool summing;          /* something was queued on `side` since the last wait */
    void *gathered;        /* all ranks' values */
    size_t gathered_bytes;
    struct half *halves;   /* what is summed in bf16 */
};
/* A bucket's values in bf16: each has memory of its own, for all are under way together, and the same in every step, for steps are recorded. */
struct half {
    float *values;
    size_t count;
    uint16_t *rounded;
    struct half *next;
};
struct nccl_request {
    struct comm_request head;
    struct half *half; /* NULL: f32 */
};

#define CUDA_TRY(call)                                                                                           \
    do {                                                                                                         \
        cudaError_t status_ = nccl.call;                                                                         \
        CHECK(status_ == cudaSuccess, "CUDA: %s: %s", #call, nccl.cudaGetErrorString(status_));                  \
    } while (0)

/* ---- NCCL's own state ---- */

static void die_of_nccl(const struct comm *c, ncclResult_t result, const char *what) __attribute__((noreturn));
static void die_of_nccl(const struct comm *c, ncclResult_t result, const char *what)
{
    struct nccl_state *s = c->state;
    const char *why = nccl.ncclGetLastError(s->comm);
    die_hint("NCCL_DEBUG=WARN tells more", "rank %d, %s: NCCL: %s: %s%s%s", c->rank, c->step, what, nccl.ncclGetErrorString(result),
             why && *why ? ": " : "", why && *why ? why : "");
}

/* The cards stand still: NCCL cannot say for whom, the control communicator can. */
static void nccl_verdict(struct comm *c, const char *what, double waited_s) __attribute__((noreturn));
static void nccl_verdict(struct comm *c, const char *what, double waited_s)
{
    enum { ASKING_S = 5 };
    struct nccl_state *s = c->state;
    if (s->control->timeout_s > ASKING_S) s->control->timeout_s = ASKING_S;
    log_error("rank %d, %s: the cards have made no progress in '%s' for %.0f s; looking for who is missing", c->rank, c->step, what, waited_s);
    comm_barrier(s->control, what); /* names who does not come, and ends the run */
    die_hint("NCCL_DEBUG=WARN tells more", "rank %d, %s: all ranks are there, but their cards have made no progress in '%s' for %.0f s", c->rank, c->step,
             what, waited_s);
}

/* Calls of a non-blocking communicator may be under way when they return. */
static void settle(struct comm *c, ncclResult_t result, const char *what)
{
    struct nccl_state *s = c->state;
    double start = clock_s();
    while (result == ncclInProgress) {
        if (nccl.ncclCommGetAsyncError(s->comm, &result) != ncclSuccess) result = ncclSystemError;
        if (result == ncclInProgress && clock_s() - start > c->timeout_s) nccl_verdict(c, what, clock_s() - start);
        sched_yield();
    }
    if (result != ncclSuccess) die_of_nccl(c, result, what);
}

/* ---- opening ---- */

static int nccl_open(struct comm *c, struct error *err)
{
    struct nccl_state *s = NEW(struct nccl_state);
    s->control = comm_open("auto", c->timeout_s, err);
    if (!s->control) {
        mem_free(s);
        return -1;
    }
    c->state = s;
    c->rank = s->control->rank, c->size = s->control->size;
    c->local_rank = s->control->local_rank, c->local_size = s->control->local_size;
    return 0;
}

static void nccl_close(struct comm *c)
{
    struct nccl_state *s = c->state;
    if (s->comm) nccl.ncclCommDestroy(s->comm);
    if (s->side) {
        nccl.cudaStreamDestroy(s->side);
        nccl.cudaEventDestroy(s->computed);
        nccl.cudaEventDestroy(s->summed);
        nccl.cudaEventDestroy(s->mark);
    }
    if (s->gathered) s->device.free(s->gathered);
    while (s->halves) {
        struct half *next = s->halves->next;
        s->device.free(s->halves->rounded);
        mem_free(s->halves);
        s->halves = next;
    }
    comm_close(s->control);
    mem_free(s);
}

struct place { char host[HOST_NAME_MAX + 1], card[32]; };

/* NCCL refuses two ranks on one card, late and in other words. */
static int refuse_shared_card(struct comm *c, struct error *err)
{
    struct nccl_state *s = c->state;
    struct place mine = {{0}, {0}};
    size_t *counts = NEW_ARRAY(size_t, c->size);
    void *all = NULL;
    int rc = 0;
    gethostname(mine.host, sizeof mine.host - 1);
    CUDA_TRY(cudaDeviceGetPCIBusId(mine.card, sizeof mine.card, s->device.number));
    comm_gather(s->control, &mine, sizeof mine, &all, counts, "comparing the ranks' cards");
    const struct place *places = all;
    for (int a = 0; all && a < c->size && !rc; a++)
        for (int b = 0; b < a && !rc; b++) {
            if (strcmp(places[a].host, places[b].host) || strcmp(places[a].card, places[b].card)) continue;
            rc = error_set(err, "ranks %d and %d both have card %s of %s", b, a, places[a].card, places[a].host);
            error_hint(err, "a rank for each card (mpirun -np, Slurm: --gpus-per-task=1), or --set dist.backend=mpi, which lets ranks share one");
        }
    mem_free(all);
    mem_free(counts);
    return comm_agree(s->control, rc, err, "comparing the ranks' cards");
}

static int connect_cards(struct comm *c, struct error *err)
{
    struct nccl_state *s = c->state;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    ncclUniqueId id;
    ncclResult_t result = ncclSuccess;
    config.blocking = 0;
    memset(&id, 0, sizeof id);
    if (c->rank == 0) result = nccl.ncclGetUniqueId(&id);
    if (comm_agree(s->control, result == ncclSuccess ? 0 : error_set(err, "NCCL: %s", nccl.ncclGetErrorString(result)), err, "starting NCCL")) return -1;
    comm_broadcast(s->control, &id, sizeof id, 0, "starting NCCL");
    settle(c, nccl.ncclCommInitRankConfig(&s->comm, c->size, id, c->rank, &config), "connecting the ranks' cards");
    return 0;
}

static int nccl_attach(struct comm *c, const struct comm_device *device, struct error *err)
{
    struct nccl_state *s = c->state;
    s->device = *device;
    if (c->size == 1) return 0;
    if (comm_agree(s->control, nccl_load(err), err, "loading NCCL") || refuse_shared_card(c, err) || connect_cards(c, err)) return -1;
    CUDA_TRY(cudaStreamCreateWithFlags(&s->side, cudaStreamNonBlocking));
    CUDA_TRY(cudaEventCreateWithFlags(&s->computed, cudaEventDisableTiming));
    CUDA_TRY(cudaEventCreateWithFlags(&s->summed, cudaEventDisableTiming));
    CUDA_TRY(cudaEventCreateWithFlags(&s->mark, cudaEventDisableTiming));
    log_info("%d cards are connected by NCCL", c->size);
    return 0;
}

/* ---- sums ---- */

static void *gather_room(struct nccl_state *s, size_t bytes)
{
    if (bytes > s->gathered_bytes) {
        s->device.free(s->gathered);
        s->gathered = s->device.alloc(bytes);
        CHECK(s->gathered, "no room on the card for %zu bytes of all ranks' values", bytes);
        s->gathered_bytes = bytes;
    }
    return s->gathered;
}

/* On the computing stream: all ranks' values beside each other, then the tree, then back to their place. */
static void sum_in_order(struct comm *c, void *values, size_t count, bool is_double, const char *what)
{
    enum { MOST = 4096 };
    struct nccl_state *s = c->state;
    size_t bytes = count * (is_double ? sizeof(double) : sizeof(float));
    char *all = gather_room(s, bytes * (size_t)c->size);
    void *parts[MOST];
    CHECK(c->size <= MOST, "%d ranks in fixed order: at most %d", c->size, MOST);
    settle(c, nccl.ncclAllGather(values, all, count, is_double ? ncclFloat64 : ncclFloat32, s->comm, s->device.stream), what);
    for (int r = 0; r < c->size; r++) parts[r] = all + (size_t)r * bytes;
    if (is_double) s->device.tree_sum_double((double *const *)parts, c->size, count);
    else s->device.tree_sum((float *const *)parts, c->size, count);
    s->device.copy(values, all, bytes);
}

static void nccl_device_sum(struct comm *c, double *values, int count, const char *what)
{
    if (c->size > 1) sum_in_order(c, values, (size_t)count, true, what);
}

static struct half *half_of(struct nccl_state *s, float *values, size_t count)
{
    for (struct half *h = s->halves; h; h = h->next)
        if (h->values == values && h->count == count) return h;
    struct half *h = NEW(struct half);
    *h = (struct half){values, count, s->device.alloc(sizeof(uint16_t) * count), s->halves};
    CHECK_HINT(h->rounded, "dist.gradients = fp32 needs none", "no room on the card for %zu gradients in bf16", count);
    return s->halves = h;
}

static struct comm_request *nccl_sum_start(struct comm *c, float *values, int64_t count, bool fixed_order, const char *what)
{
    struct nccl_state *s = c->state;
    if (c->size == 1 || count == 0) return NULL;
    if (fixed_order) {
        sum_in_order(c, values, (size_t)count, false, what);
        return NULL;
    }
    struct nccl_request *r = NEW(struct nccl_request);
    *r = (struct nccl_request){{c}, s->device.bf16 ? half_of(s, values, (size_t)count) : NULL};
    if (r->half) s->device.round(r->half->rounded, values, (size_t)count);
    void *summed = r->half ? (void *)r->half->rounded : values;
    CUDA_TRY(cudaEventRecord(s->computed, s->device.stream));
    CUDA_TRY(cudaStreamWaitEvent(s->side, s->computed, 0));
    settle(c, nccl.ncclAllReduce(summed, summed, (size_t)count, r->half ? ncclBfloat16 : ncclFloat32, ncclSum, s->comm, s->side), what);
    s->summing = true;
    return &r->head;
}

static bool nccl_test(struct comm_request *r)
{
    (void)r;
    return true; /* the cards go on by themselves */
}

/* The computing stream waits for all that was started, once. */
static void nccl_wait(struct comm_request *request)
{
    struct nccl_request *r = (struct nccl_request *)request;
    struct nccl_state *s = request->comm->state;
    if (s->summing) {
        CUDA_TRY(cudaEventRecord(s->summed, s->side));
        CUDA_TRY(cudaStreamWaitEvent(s->device.stream, s->summed, 0));
        s->summing = false;
    }
    if (r->half) s->device.widen(r->half->values, r->half->rounded, r->half->count);
    mem_free(r);
}

/* ---- waiting for the cards ---- */

static void nccl_device_wait(struct comm *c, const char *what)
{
    enum { SPIN_S = 1, SLEEP_US = 1000 }; /* a step is a matter of milliseconds: sleeping would make it longer */
    struct nccl_state *s = c->state;
    double start = clock_s();
    if (c->size == 1) return;
    CUDA_TRY(cudaEventRecord(s->mark, s->device.stream));
    for (;;) {
        ncclResult_t result = ncclSuccess;
        cudaError_t status = nccl.cudaEventQuery(s->mark);
        if (status == cudaSuccess) return;
        CHECK(status == cudaErrorNotReady, "rank %d, %s: %s: CUDA: %s", c->rank, c->step, what, nccl.cudaGetErrorString(status));
        nccl.ncclCommGetAsyncError(s->comm, &result);
        if (result != ncclSuccess && result != ncclInProgress) die_of_nccl(c, result, what);
        double waited = clock_s() - start;
        if (waited > c->timeout_s) nccl_verdict(c, what, waited);
        if (waited > SPIN_S) usleep(SLEEP_US);
        else sched_yield();
    }
}

/* ---- the rest is the control communicator's ---- */

static struct comm *control(const struct comm *c) { return ((struct nccl_state *)c->state)->control; }
static void nccl_describe(struct comm *c) { comm_describe_step(control(c), "%s", c->step); }
static void nccl_broadcast(struct comm *c, void *data, size_t bytes, int root, const char *what) { comm_broadcast(control(c), data, bytes, root, what); }
static void nccl_reduce(struct comm *c, double *values, int count, enum comm_reduce reduce, const char *what)
{
    control(c)->kind->reduce(control(c), values, count, reduce, what);
}
static void nccl_gather(struct comm *c, const void *mine, size_t bytes, void **all, size_t *counts, const char *what)
{
    comm_gather(control(c), mine, bytes, all, counts, what);
}
static void *nccl_shared_alloc(struct comm *c, size_t bytes, struct error *err) { return control(c)->kind->shared_alloc(control(c), bytes, err); }
static void nccl_shared_free(struct comm *c, void *memory) { control(c)->kind->shared_free(control(c), memory); }
static size_t nccl_shared_room(const struct comm *c) { return comm_shared_room(control(c)); }

const struct comm_kind comm_kind_nccl = {
    .name = "nccl",
    .open = nccl_open,
    .close = nccl_close,
    .describe = nccl_describe,
    .broadcast = nccl_broadcast,
    .reduce = nccl_reduce,
    .gather = nccl_gather,
    .shared_alloc = nccl_shared_alloc,
    .shared_free = nccl_shared_free,
    .shared_room = nccl_shared_room,
    .sum_start = nccl_sum_start,
    .test = nccl_test,
    .wait = nccl_wait,
    .attach = nccl_attach,
    .device_sum = nccl_device_sum,
    .device_wait = nccl_device_wait,
};
#endif
