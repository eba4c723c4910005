/* comm_mpi_request.c - the engine: runs a schedule over messages, chunk by chunk, and waits with a limit. */
#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "dist/comm_mpi.h"

static size_t element_bytes(enum element e)
{
    return e == ELEMENT_BYTE ? 1 : e == ELEMENT_FLOAT_SUM ? sizeof(float) : sizeof(double);
}

/* ---- combining: to = below (+) above, element by element; `to` is one of the two ---- */

static void sum_floats(float *to, const float *below, const float *above, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++) to[i] = below[i] + above[i];
}

static void sum_doubles(double *to, const double *below, const double *above, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++) to[i] = below[i] + above[i];
}

static void max_doubles(double *to, const double *below, const double *above, int64_t count)
{
    for (int64_t i = 0; i < count; i++) to[i] = below[i] != below[i] || below[i] > above[i] ? below[i] : above[i]; /* NaN wins */
}

static void combine(const struct mpi_request *r, const struct comm_step *s)
{
    if (s->recv_from < 0 || s->combine == COMBINE_STORE) return; /* it was received in place */
    void *mine = r->values + (size_t)(r->at + s->recv_at) * element_bytes(r->element);
    const void *below = s->combine == COMBINE_ABOVE ? mine : r->scratch;
    const void *above = s->combine == COMBINE_ABOVE ? r->scratch : mine;
    if (r->element == ELEMENT_FLOAT_SUM) sum_floats(mine, below, above, s->recv_count);
    if (r->element == ELEMENT_DOUBLE_SUM) sum_doubles(mine, below, above, s->recv_count);
    if (r->element == ELEMENT_DOUBLE_MAX) max_doubles(mine, below, above, s->recv_count);
}

/* ---- steps and chunks ---- */

int request_tag(const struct mpi_request *r)
{
    const struct mpi_state *s = r->head.comm->state;
    return (int)(r->number % s->tag_limit);
}

static void post_step(struct mpi_request *r)
{
    const struct mpi_state *state = r->head.comm->state;
    const struct comm_step *s = &r->steps[r->step];
    size_t each = element_bytes(r->element);
    char *values = r->values + (size_t)r->at * each;
    size_t receive_bytes = (size_t)s->recv_count * each, send_bytes = (size_t)s->send_count * each;
    r->messages[0] = r->messages[1] = MPI_REQUEST_NULL;
    if (s->recv_from >= 0 && receive_bytes) {
        bool store = s->combine == COMBINE_STORE;
        if (!store && r->scratch_bytes < receive_bytes) {
            r->scratch = mem_grow(r->scratch, 0, receive_bytes);
            r->scratch_bytes = receive_bytes;
        }
        void *to = store ? values + (size_t)s->recv_at * each : r->scratch;
        MPI_TRY(MPI_Irecv(to, (int)receive_bytes, MPI_BYTE, s->recv_from, request_tag(r), state->world, &r->messages[0]));
    }
    if (s->send_to >= 0 && send_bytes)
        MPI_TRY(MPI_Isend(values + (size_t)s->send_at * each, (int)send_bytes, MPI_BYTE, s->send_to, request_tag(r), state->world,
                          &r->messages[1]));
}

static void check_received(const struct mpi_request *r)
{
    const struct comm_step *s = &r->steps[r->step];
    if (s->recv_from < 0 || !s->recv_count) return;
    int bytes = 0;
    MPI_TRY(MPI_Get_count(&r->statuses[0], MPI_BYTE, &bytes));
    CHECK((size_t)bytes == (size_t)s->recv_count * element_bytes(r->element),
          "operation %lld '%s': rank %d sent %d bytes where %zu were expected: the ranks disagree on its length",
          (long long)r->number, r->what, s->recv_from, bytes, (size_t)s->recv_count * element_bytes(r->element));
}

/* Plans the chunk that starts at r->at; false when nothing is left. */
static bool start_chunk(struct mpi_request *r)
{
    enum { HALVING_BYTES = 32 << 10 }; /* below, the number of steps is what counts */
    const struct comm *c = r->head.comm;
    const struct mpi_state *s = c->state;
    int64_t most = (int64_t)(s->chunk_bytes / element_bytes(r->element)), left = r->count - r->at;
    if (left <= 0) return false;
    r->chunk = left < most ? left : most;
    bool many = (size_t)r->chunk * element_bytes(r->element) >= HALVING_BYTES;
    r->steps_count = r->root < 0 ? schedule_sum(r->steps, c->rank, c->size, r->chunk, many)
                                 : schedule_broadcast(r->steps, c->rank, c->size, r->root, r->chunk);
    r->step = 0;
    return true;
}

/* Posts what comes next, over the end of a chunk; false when all is done. */
static bool post_next(struct mpi_request *r)
{
    while (r->step == r->steps_count) {
        r->at += r->chunk;
        if (!start_chunk(r)) return false;
    }
    post_step(r);
    return true;
}

static bool messages_arrived(struct mpi_request *r)
{
    int arrived = 0, code = MPI_Testall(r->messages_count, r->messages, &arrived, r->statuses);
    for (int i = 0; code == MPI_ERR_IN_STATUS && i < r->messages_count; i++)
        CHECK(r->statuses[i].MPI_ERROR != MPI_ERR_TRUNCATE,
              "operation %lld '%s': rank %d sent more than was expected: the ranks disagree on its length", (long long)r->number,
              r->what, r->statuses[i].MPI_SOURCE);
    mpi_check(code, r->what, __FILE__, __LINE__);
    return arrived;
}

bool request_progress(struct mpi_request *r)
{
    while (!r->done) {
        if (!messages_arrived(r)) return false;
        if (r->steps_count) {
            check_received(r);
            combine(r, &r->steps[r->step]);
            r->step++;
        }
        r->done = !r->steps_count || !post_next(r);
    }
    return true;
}

void request_run(struct mpi_request *r, enum element element, void *values, int64_t count, int root)
{
    r->element = element;
    r->values = values;
    r->count = r->head.comm->size > 1 ? count : 0;
    r->root = root;
    r->done = !post_next(r);
}

/* ---- the lists ---- */

struct mpi_request *request_open(struct comm *c, const char *what, int messages)
{
    struct mpi_state *s = c->state;
    struct mpi_request *r = s->spare ? s->spare : NEW(struct mpi_request);
    if (s->spare) s->spare = r->next;
    if (r->messages_room < messages) {
        r->messages = mem_grow(r->messages, 0, (size_t)messages * sizeof *r->messages);
        r->statuses = mem_grow(r->statuses, 0, (size_t)messages * sizeof *r->statuses);
        r->messages_room = messages;
    }
    r->messages_count = messages;
    r->head.comm = c;
    r->what = what;
    r->number = watch_enter(s->watch, what);
    r->done = false;
    r->element = ELEMENT_BYTE;
    r->at = r->chunk = r->count = 0;
    r->step = r->steps_count = 0;
    r->next = s->active;
    s->active = r;
    return r;
}

static void request_close(struct mpi_request *r)
{
    struct mpi_state *s = r->head.comm->state;
    struct mpi_request **place = &s->active;
    while (*place != r) place = &(*place)->next;
    *place = r->next;
    r->next = s->spare;
    s->spare = r;
}

void request_free_all(struct mpi_state *s)
{
    ASSERT(!s->active);
    while (s->spare) {
        struct mpi_request *r = s->spare;
        s->spare = r->next;
        mem_free(r->scratch);
        mem_free(r->messages);
        mem_free(r->statuses);
        mem_free(r);
    }
}

/* ---- waiting ---- */

/* How long to look without sleeping. MPI moves large data only while it is looked at, hence the time per byte; ranks that
 * share cores must give them to those who still compute. */
static double wakeful_s(const struct mpi_request *r)
{
    const double crowded_s = 200e-6, alone_s = 20e-3, per_byte_s = 2e-9;
    const struct mpi_state *s = r->head.comm->state;
    return (s->crowded ? crowded_s : alone_s) + (double)r->count * (double)element_bytes(r->element) * per_byte_s;
}

/* Between two looks: nothing at first, then the core goes to whoever wants it, then short sleeps. */
static void pause_between(double waited_s, double sleep_after_s)
{
    const double spin_s = 10e-6, calm_after_s = 1;
    enum { NAP_NS = 20000, CALM_NAP_NS = 500000 };
    if (waited_s < spin_s) return;
    if (waited_s < sleep_after_s) {
        sched_yield();
        return;
    }
    struct timespec nap = {.tv_nsec = waited_s < sleep_after_s + calm_after_s ? NAP_NS : CALM_NAP_NS};
    nanosleep(&nap, NULL);
}

static void progress_others(const struct mpi_request *waiting)
{
    const struct mpi_state *s = waiting->head.comm->state;
    for (struct mpi_request *r = s->active; r; r = r->next)
        if (r != waiting) request_progress(r);
}

void request_finish(struct mpi_request *r)
{
    const double gap_limit_s = 1; /* a longer gap between two looks: this very rank was suspended, which is nobody's fault */
    const double patient_s = 10e-6;
    const struct comm *c = r->head.comm;
    struct mpi_state *s = c->state;
    double waited_s = 0, before_s = 0, sleep_after_s = wakeful_s(r);
    while (!request_progress(r)) {
        double now_s = clock_s();
        double gap_s = before_s > 0 ? now_s - before_s : 0;
        before_s = now_s;
        waited_s += gap_s < gap_limit_s ? gap_s : 0;
        if (waited_s > patient_s) {
            progress_others(r);
            watch_beat(s->watch);
            watch_answer(s->watch);
        }
        if (waited_s > c->timeout_s) watch_verdict(s->watch, r, waited_s);
        pause_between(waited_s, sleep_after_s);
    }
    request_close(r);
}
