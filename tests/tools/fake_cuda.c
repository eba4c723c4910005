/* fake_cuda.c - see fake_cuda.h. Memory, streams, events, graphs; cuDNN's part is in fake_cuda_math.c, cuBLASLt's in fake_matmul.c. */
#include "tests/tools/fake_cuda.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/memory.h"
#include "ops/cuda/cuda_calls.h"
#include "tests/tools/fake_cuda_math.h"

struct fake_cuda fake_cuda;

struct call {
    void (*f)(const void *arguments);
    void *arguments;
    size_t bytes;
    bool (*done)(void);
    struct call *next;
};
struct graph {
    struct call *first, **end;
};
static struct graph *recorded; /* NULL: no capture */

/* Guarded memory is one range of addresses, handed out once, that can be read and written only while the card runs. */
static const size_t CARD_BYTES = (size_t)64 << 30;
static char *card;
static size_t card_used;

static void card_door(bool open)
{
    if (card_used) CHECK(mprotect(card, card_used, open ? PROT_READ | PROT_WRITE : PROT_NONE) == 0, "mprotect: %m");
}

static void run_now(void (*f)(const void *arguments), const void *arguments)
{
    card_door(true);
    f(arguments);
    card_door(false);
}

static char *card_take(size_t bytes)
{
    enum { PAGE = 4096 };
    if (!card) card = mmap(NULL, CARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(card != MAP_FAILED && card_used + bytes + PAGE < CARD_BYTES, "no addresses left");
    char *block = card + card_used;
    card_used += (bytes + PAGE - 1) / PAGE * PAGE;
    return block;
}

/* ---- the queue of all streams ---- */

static struct call *waiting, **waiting_end = &waiting; /* empty unless a sum with other processes is under way */
static bool begun;                                      /* the first of them has run and is waited for */

static struct call *call_new(void (*f)(const void *arguments), const void *arguments, size_t bytes, bool (*done)(void))
{
    struct call *c = NEW(struct call);
    c->f = f;
    c->bytes = bytes;
    c->done = done;
    c->arguments = memcpy(mem_alloc(bytes), arguments, bytes);
    return c;
}

bool fake_progress(void)
{
    while (waiting) {
        struct call *c = waiting;
        if (!begun) run_now(c->f, c->arguments);
        begun = true;
        if (c->done && !c->done()) return false;
        waiting = c->next;
        if (!waiting) waiting_end = &waiting;
        begun = false;
        mem_free(c->arguments);
        mem_free(c);
    }
    return true;
}

static void submit(const struct call *c)
{
    if (fake_progress() && !c->done) {
        run_now(c->f, c->arguments);
        return;
    }
    struct call *own = call_new(c->f, c->arguments, c->bytes, c->done);
    *waiting_end = own;
    waiting_end = &own->next;
    fake_progress();
}

void fake_queue_until(void (*f)(const void *arguments), const void *arguments, size_t bytes, bool (*done)(void))
{
    if (!recorded) {
        submit(&(struct call){f, (void *)arguments, bytes, done, NULL});
        return;
    }
    struct call *c = call_new(f, arguments, bytes, done);
    *recorded->end = c;
    recorded->end = &c->next;
}

void fake_queue(void (*f)(const void *arguments), const void *arguments, size_t bytes)
{
    fake_queue_until(f, arguments, bytes, NULL);
}

#define NOT_IN_CAPTURE CHECK(!recorded, "%s inside a capture", __func__)

/* ---- the card ---- */

static const char *error_string(cudaError_t e) { return e == cudaErrorMemoryAllocation ? "out of memory" : "fake error"; }
static cudaError_t last_error(void) { return cudaSuccess; }
static cudaError_t driver_version(int *v) { return *v = fake_cuda.driver, cudaSuccess; }
static cudaError_t runtime_version(int *v) { return *v = 13000, cudaSuccess; }
static cudaError_t device_count(int *n)
{
    *n = fake_cuda.cards;
    return fake_cuda.driver < 13000 ? cudaErrorInsufficientDriver : fake_cuda.cards ? cudaSuccess : cudaErrorNoDevice;
}
static cudaError_t set_device(int i) { return i < fake_cuda.cards ? cudaSuccess : cudaErrorInvalidDevice; }
static cudaError_t properties(struct cudaDeviceProp *p, int i)
{
    memset(p, 0, sizeof *p);
    strcpy(p->name, "a card that is not there");
    p->major = fake_cuda.major, p->multiProcessorCount = 132, p->totalGlobalMem = fake_cuda.room;
    return i < fake_cuda.cards ? cudaSuccess : cudaErrorInvalidDevice;
}

/* ---- memory: its size stands before it ---- */

enum { BEFORE = 256 };

static cudaError_t take(void **p, size_t bytes)
{
    NOT_IN_CAPTURE;
    if (bytes > fake_cuda.room) return *p = NULL, cudaErrorMemoryAllocation;
    size_t whole = BEFORE + (bytes + BEFORE - 1) / BEFORE * BEFORE;
    char *block = fake_cuda.guarded ? card_take(whole) : aligned_alloc(BEFORE, whole);
    card_door(true);
    memcpy(block, &bytes, sizeof bytes);
    memset(block + BEFORE, 0xff, bytes);
    card_door(false);
    *p = block + BEFORE;
    fake_cuda.room -= bytes;
    fake_cuda.blocks++;
    return cudaSuccess;
}
static cudaError_t give(void *p)
{
    NOT_IN_CAPTURE;
    if (!p) return cudaSuccess;
    while (!fake_progress()) sched_yield(); /* as cudaFree waits for what uses the memory */
    size_t bytes;
    card_door(true);
    memcpy(&bytes, (char *)p - BEFORE, sizeof bytes);
    if (fake_cuda.guarded) memset(p, 0xff, bytes); /* its addresses are not used again */
    else free((char *)p - BEFORE);
    card_door(false);
    fake_cuda.room += bytes;
    fake_cuda.blocks--;
    return cudaSuccess;
}
/* Never given back: tests keep what they took. */
static cudaError_t take_managed(void **p, size_t bytes, unsigned flags) { return *p = aligned_alloc(BEFORE, bytes), flags == cudaMemAttachGlobal ? cudaSuccess : cudaErrorInvalidValue; }
static cudaError_t memory_info(size_t *room, size_t *total) { return *room = *total = fake_cuda.room, cudaSuccess; }
static cudaError_t take_pinned(void **p, size_t bytes, unsigned flags)
{
    NOT_IN_CAPTURE;
    (void)flags;
    *p = mem_alloc(bytes);
    fake_cuda.pinned++;
    return cudaSuccess;
}
static cudaError_t give_pinned(void *p) { return fake_cuda.pinned--, mem_free(p), cudaSuccess; }

struct move {
    void *to;
    const void *from;
    int value;
    size_t bytes;
};
static void do_copy(const void *a) { const struct move *m = a; memmove(m->to, m->from, m->bytes); }
static void do_set(const void *a) { const struct move *m = a; memset(m->to, m->value, m->bytes); }
static cudaError_t copy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t s)
{
    CHECK(s && (!recorded || kind == cudaMemcpyDeviceToDevice), "a copy from or to the host inside a capture, or on no stream");
    return fake_queue(do_copy, &(struct move){to, from, 0, bytes}, sizeof(struct move)), cudaSuccess;
}
static cudaError_t set(void *to, int value, size_t bytes, cudaStream_t s)
{
    CHECK(s, "on no stream");
    return fake_queue(do_set, &(struct move){to, NULL, value, bytes}, sizeof(struct move)), cudaSuccess;
}

/* ---- streams, events, graphs ---- */

static cudaError_t stream_create(cudaStream_t *s, unsigned flags) { return *s = (cudaStream_t)mem_alloc(1), flags == cudaStreamNonBlocking ? cudaSuccess : cudaErrorInvalidValue; }
static cudaError_t stream_destroy(cudaStream_t s) { return mem_free(s), cudaSuccess; }
static cudaError_t stream_wait(cudaStream_t s)
{
    NOT_IN_CAPTURE;
    while (!fake_progress()) sched_yield();
    return s ? cudaSuccess : cudaErrorInvalidValue;
}
static cudaError_t stream_query(cudaStream_t s)
{
    NOT_IN_CAPTURE;
    return !s ? cudaErrorInvalidValue : fake_progress() ? cudaSuccess : cudaErrorNotReady;
}
static cudaError_t event_query(cudaEvent_t e) { return stream_query((cudaStream_t)e); } /* one queue */
static cudaError_t event_create(cudaEvent_t *e, unsigned flags) { return (void)flags, *e = (cudaEvent_t)mem_alloc(1), cudaSuccess; }
static cudaError_t event_destroy(cudaEvent_t e) { return mem_free(e), cudaSuccess; }
static cudaError_t event_record(cudaEvent_t e, cudaStream_t s) { return e && s ? cudaSuccess : cudaErrorInvalidValue; }
static cudaError_t event_wait(cudaEvent_t e)
{
    NOT_IN_CAPTURE;
    while (!fake_progress()) sched_yield();
    return e ? cudaSuccess : cudaErrorInvalidValue;
}
static cudaError_t elapsed(float *ms, cudaEvent_t a, cudaEvent_t b) { return *ms = 1, a && b ? cudaSuccess : cudaErrorInvalidValue; }

static cudaError_t capture_begin(cudaStream_t s, enum cudaStreamCaptureMode mode)
{
    NOT_IN_CAPTURE;
    CHECK(s && mode == cudaStreamCaptureModeThreadLocal, "another capture mode");
    recorded = NEW(struct graph);
    recorded->end = &recorded->first;
    return cudaSuccess;
}
static cudaError_t capture_end(cudaStream_t s, cudaGraph_t *g)
{
    CHECK(recorded && s, "no capture");
    if (getenv("LADNN_COUNT_CALLS")) {
        long calls = 0;
        for (const struct call *c = recorded->first; c; c = c->next) calls++;
        fprintf(stderr, "%ld calls in the recorded step\n", calls);
    }
    *g = (cudaGraph_t)recorded;
    recorded = NULL;
    fake_cuda.captures++;
    return cudaSuccess;
}
/* The executable graph is the graph itself. */
static cudaError_t instantiate(cudaGraphExec_t *e, cudaGraph_t g, unsigned long long flags)
{
    (void)flags;
    *e = (cudaGraphExec_t)g;
    fake_cuda.graphs++;
    return cudaSuccess;
}
static void nothing(const void *arguments) { (void)arguments; }
static bool never(void) { return false; }
static cudaError_t launch(cudaGraphExec_t e, cudaStream_t s)
{
    CHECK(!recorded && s, "a launch inside a capture");
    for (const struct call *c = ((struct graph *)e)->first; c; c = c->next) submit(c);
    if (++fake_cuda.launches == fake_cuda.hang_at) fake_queue_until(nothing, "", 1, never);
    return cudaSuccess;
}
static cudaError_t graph_destroy(cudaGraph_t g) { return g ? cudaSuccess : cudaErrorInvalidValue; }
static cudaError_t exec_destroy(cudaGraphExec_t e)
{
    struct graph *g = (struct graph *)e;
    while (g->first) {
        struct call *next = g->first->next;
        mem_free(g->first->arguments);
        mem_free(g->first);
        g->first = next;
    }
    mem_free(g);
    fake_cuda.graphs--;
    return cudaSuccess;
}

void fake_cuda_install(void)
{
    struct error err = {0};
    fake_cuda = (struct fake_cuda){.driver = 13000, .cards = 1, .major = 9, .room = (size_t)4 << 30, .matmul_version = 130000};
    CHECK(cuda_load_dnn(&err) == 0, "%s", err.message); /* for the graphs */
    const struct cuda_calls before = cuda;
    cuda = (struct cuda_calls){
        .cudaGetErrorString = error_string, .cudaGetLastError = last_error, .cudaDriverGetVersion = driver_version,
        .cudaRuntimeGetVersion = runtime_version, .cudaGetDeviceCount = device_count, .cudaSetDevice = set_device,
        .cudaGetDeviceProperties = properties, .cudaMalloc = take, .cudaMallocManaged = take_managed, .cudaFree = give, .cudaMemGetInfo = memory_info, .cudaHostAlloc = take_pinned,
        .cudaFreeHost = give_pinned, .cudaMemcpyAsync = copy, .cudaMemsetAsync = set, .cudaStreamCreateWithFlags = stream_create,
        .cudaStreamDestroy = stream_destroy, .cudaStreamSynchronize = stream_wait, .cudaStreamQuery = stream_query, .cudaEventQuery = event_query, .cudaEventCreateWithFlags = event_create,
        .cudaEventDestroy = event_destroy, .cudaEventRecord = event_record, .cudaEventSynchronize = event_wait, .cudaEventElapsedTime = elapsed,
        .cudaStreamBeginCapture = capture_begin, .cudaStreamEndCapture = capture_end, .cudaGraphInstantiate = instantiate,
        .cudaGraphLaunch = launch, .cudaGraphDestroy = graph_destroy, .cudaGraphExecDestroy = exec_destroy,
    };
#define KEPT(name) cuda.name = before.name;
    CUDA_DNN_CALLS(KEPT)
    fake_math_install();
}
