/* cuda_host.h - runs the text of the kernels on the host, for tests on machines without a card.
 *
 * DESIGN: a host C++ compiler meets the words of CUDA as defined here, and LAUNCH calls the kernel for every thread of every block,
 * block after block. A thread that meets a barrier or a shuffle is a coroutine (ucontext): it is left where it stands until all others
 * have come. Threads that meet none follow each other on one stack, so kernels without barriers are plain loops. What a card would
 * forgive or hang on is an error here: threads of a block waiting at different barriers, or ended while others wait.
 *
 * The order of blocks and threads can be turned round (host_reverse): results must not depend on it. Shared memory is static, so one
 * launch runs at a time, and it is what the last block left: nothing may rely on it being zero.
 */
#ifndef OPS_CUDA_CUDA_HOST_H
#define OPS_CUDA_CUDA_HOST_H
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include <tuple>

#include "base/error.h"
extern "C" {
#include "base/memory.h"
}

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define UNROLL

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) float4 { float x, y, z, w; };

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

/* ---- the threads of one block ---- */

enum { HOST_WARP_SIZE = 32, HOST_MAX_THREADS = 1024, HOST_STACK_BYTES = 64 << 10 };
enum host_state { HOST_RUNS, HOST_AT_BARRIER, HOST_AT_SHUFFLE, HOST_ENDED };
struct host_context { /* a place to go on from */
    ucontext_t start;
    void *place[5]; /* __builtin_setjmp */
    bool begun;
};
struct host_worker { /* a stack: runs threads until one waits, then belongs to that one until it ends */
    struct host_context context;
    void *stack;
    struct host_worker *next_free;
};
struct host_thread {
    enum host_state state;
    const char *file; /* of the barrier it waits at */
    int line;
    unsigned shuffles; /* so far */
    struct host_worker *worker;
};
struct host_block {
    void (*body)(void *context);
    void *context;
    int threads, started, ended, current;
    struct host_thread thread[HOST_MAX_THREADS];
    uint64_t lane[2][HOST_MAX_THREADS]; /* values of shuffles, two sets in turn: the next may begin while some still read */
    struct host_context scheduler;
    struct host_worker *now, *free;
};
inline struct host_block host_block;
inline bool host_reverse;

/* Goes on at `to`; returns when someone comes back to `from`. swapcontext asks the kernel each time, which would be most of a test's time;
 * the address sanitizer knows only swapcontext. */
#ifdef __SANITIZE_ADDRESS__
inline void host_switch(struct host_context *from, struct host_context *to) { swapcontext(&from->start, &to->start); }
#else
inline __attribute__((noinline)) void host_jump(struct host_context *to)
{
    if (to->begun) __builtin_longjmp(to->place, 1);
    to->begun = true;
    setcontext(&to->start);
}
inline __attribute__((noinline)) void host_switch(struct host_context *from, struct host_context *to)
{
    from->begun = true;
    if (__builtin_setjmp(from->place) == 0) host_jump(to);
}
#endif

inline void host_enter(int thread)
{
    unsigned t = (unsigned)thread;
    host_block.current = thread;
    threadIdx = dim3(t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y);
}

inline void host_worker_main(void)
{
    struct host_block *b = &host_block;
    for (;;) {
        struct host_worker *me = b->now;
        while (b->started < b->threads) {
            int order = b->started++, thread = host_reverse ? b->threads - 1 - order : order;
            b->thread[thread].worker = me;
            host_enter(thread);
            b->body(b->context);
            b->thread[b->current].state = HOST_ENDED;
            b->ended++;
        }
        me->next_free = b->free;
        b->free = me;
        host_switch(&me->context, &b->scheduler);
    }
}

inline struct host_worker *host_worker_new(void)
{
    struct host_worker *w = NEW(struct host_worker);
    w->stack = mem_alloc(HOST_STACK_BYTES);
    getcontext(&w->context.start);
    w->context.start.uc_stack.ss_sp = w->stack;
    w->context.start.uc_stack.ss_size = HOST_STACK_BYTES;
    makecontext(&w->context.start, host_worker_main, 0);
    return w;
}

inline void host_run(struct host_worker *w)
{
    host_block.now = w;
    host_switch(&host_block.scheduler, &w->context);
}

/* The current thread waits until host_release lets it go. */
inline void host_wait(enum host_state state, const char *file, int line)
{
    struct host_block *b = &host_block;
    struct host_thread *t = &b->thread[b->current];
    t->state = state, t->file = file, t->line = line;
    host_switch(&t->worker->context, &b->scheduler);
}

/* Lets threads [first, end) go when all wait at the same place. */
inline bool host_release(int first, int end, enum host_state state)
{
    const struct host_thread *t = host_block.thread;
    for (int i = first; i < end; i++)
        if (t[i].state != state || t[i].line != t[first].line || t[i].file != t[first].file) return false;
    for (int i = first; i < end; i++) host_block.thread[i].state = HOST_RUNS;
    return true;
}

inline void host_die_divergent(void)
{
    static const char *const states[] = {"runs", "waits at the barrier", "waits at the shuffle", "has ended"};
    const struct host_thread *a = host_block.thread, *b = a;
    for (int i = 1; i < host_block.threads && b == a; i++)
        if (a[i].state != a->state || a[i].line != a->line || a[i].file != a->file) b = a + i;
    die("divergent barrier in block %u %u %u: thread 0 %s %s:%d, thread %d %s %s:%d", blockIdx.x, blockIdx.y, blockIdx.z, states[a->state],
        a->file ? a->file : "", a->line, (int)(b - a), states[b->state], b->file ? b->file : "", b->line);
}

inline void host_block_run(void)
{
    struct host_block *b = &host_block;
    b->started = b->ended = 0;
    for (int i = 0; i < b->threads; i++) b->thread[i] = host_thread{HOST_RUNS, NULL, 0, 0, NULL};
    while (b->started < b->threads) {
        struct host_worker *w = b->free ? b->free : host_worker_new();
        b->free = b->free ? w->next_free : NULL;
        host_run(w);
    }
    while (b->ended < b->threads) {
        bool released = false;
        for (int i = 0; i < b->threads; i += HOST_WARP_SIZE)
            released |= host_release(i, i + HOST_WARP_SIZE < b->threads ? i + HOST_WARP_SIZE : b->threads, HOST_AT_SHUFFLE);
        if (!released) released = host_release(0, b->threads, HOST_AT_BARRIER);
        if (!released) host_die_divergent();
        for (int k = 0; k < b->threads; k++) {
            int i = host_reverse ? b->threads - 1 - k : k;
            if (b->thread[i].state == HOST_RUNS) host_enter(i), host_run(b->thread[i].worker);
        }
    }
}

template <class BODY> static void host_launch(dim3 grid, dim3 block, BODY body)
{
    unsigned blocks = grid.x * grid.y * grid.z;
    CHECK(blocks > 0 && grid.y < 65536 && grid.z < 65536, "a grid of %u %u %u blocks", grid.x, grid.y, grid.z);
    CHECK(block.x * block.y * block.z > 0 && block.x * block.y * block.z <= HOST_MAX_THREADS && block.z <= 64, "a block of %u %u %u threads", block.x, block.y, block.z);
    gridDim = grid, blockDim = block;
    host_block.threads = (int)(block.x * block.y * block.z);
    host_block.body = [](void *context) { (*(BODY *)context)(); };
    host_block.context = &body;
    for (unsigned order = 0; order < blocks; order++) {
        unsigned b = host_reverse ? blocks - 1 - order : order;
        blockIdx = dim3(b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y);
        host_block_run();
    }
}

/* A test may keep launches for later, as a card's stream does while a graph is recorded; NULL: they run at once. Bytes may be copied. */
inline void (*host_queue)(void (*f)(const void *launch), const void *launch, size_t bytes);

/* The arguments take the kernel's types now, as on the card. */
template <class... P> struct host_call {
    void (*kernel)(P...);
    dim3 grid, block;
    std::tuple<P...> arguments;
};
template <class... P> static void host_call_run(const void *launch)
{
    const struct host_call<P...> *c = (const struct host_call<P...> *)launch;
    host_launch(c->grid, c->block, [c]() { std::apply(c->kernel, c->arguments); });
}
template <class... P, class... A> static void host_submit(void (*kernel)(P...), dim3 grid, dim3 block, A... arguments)
{
    struct host_call<P...> call = {kernel, grid, block, std::tuple<P...>(arguments...)};
    if (host_queue) host_queue(host_call_run<P...>, &call, sizeof call);
    else host_call_run<P...>(&call);
}
#define LAUNCH(kernel, grid, block, stream, ...)                     \
    do {                                                             \
        void *launched_on = (void *)(stream);                        \
        (void)launched_on;                                           \
        auto launched = kernel;                                      \
        host_submit(launched, grid, block, __VA_ARGS__);             \
    } while (0)

/* ---- functions of the card ---- */

#define __syncthreads() host_wait(HOST_AT_BARRIER, __FILE__, __LINE__)

template <class T> static T host_shuffle(T value, int from, const char *file, int line)
{
    struct host_block *b = &host_block;
    int me = b->current, lane = me % HOST_WARP_SIZE;
    uint64_t *values = b->lane[b->thread[me].shuffles++ % 2], bits = 0;
    memcpy(&bits, &value, sizeof value);
    values[me] = bits;
    host_wait(HOST_AT_SHUFFLE, file, line);
    bool exists = from >= 0 && from < HOST_WARP_SIZE && me - lane + from < b->threads;
    memcpy(&value, &values[exists ? me - lane + from : me], sizeof value);
    return value;
}
inline int host_lane(void) { return host_block.current % HOST_WARP_SIZE; }
#define __shfl_xor_sync(mask, value, other) ((void)(mask), host_shuffle(value, host_lane() ^ (other), __FILE__, __LINE__))
#define __shfl_down_sync(mask, value, by) ((void)(mask), host_shuffle(value, host_lane() + (by), __FILE__, __LINE__))

template <class T> static inline T __ldg(const T *p) { return *p; }
static inline float __uint_as_float(unsigned u) { float f; memcpy(&f, &u, 4); return f; }
#define __expf expf /* not a function: the C library has one of that name */
static inline int min(int a, int b) { return a < b ? a : b; }
static inline float __fdividef(float a, float b) { return a / b; }
/* Never fused with what follows, as these are on the card. */
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
#endif
