/* comm_mpi.c - the `mpi` kind: start and end of MPI, and the operations in terms of requests.
 *
 * DESIGN. MPI_Init, MPI_Finalize and the few calls between cannot be tested in a loop; a timer ends the process if they
 * hang (deadline_start). LADNN_HOST_RANKS=n makes the program believe that every n ranks run on a host of their own, so that one
 * machine can test what several would do. */
#include "dist/comm_mpi.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/memory.h"

/* ---- deadline: one line, then the end; the handler may only write and exit ---- */

static char deadline_line[256];
static struct sigaction deadline_before;

static void on_deadline(int signal_number)
{
    (void)signal_number;
    ssize_t written = write(STDERR_FILENO, deadline_line, strlen(deadline_line));
    (void)written;
    _exit(1);
}

void deadline_start(int rank, const char *what, double limit_s)
{
    char host[64] = "", name[32] = "";
    gethostname(host, sizeof host - 1);
    if (rank >= 0) snprintf(name, sizeof name, " rank %d", rank);
    snprintf(deadline_line, sizeof deadline_line, "%s%s: %s has not come back after %.0f s: another rank is missing or dead\n", host,
             name, what, limit_s);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_deadline;
    sigaction(SIGALRM, &action, &deadline_before);
    struct itimerval timer = {.it_value = {.tv_sec = (time_t)limit_s, .tv_usec = 1}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

void deadline_end(void)
{
    struct itimerval off = {.it_value = {0, 0}};
    setitimer(ITIMER_REAL, &off, NULL);
    sigaction(SIGALRM, &deadline_before, NULL);
}

/* Starting and ending many ranks on a busy file system takes its time, however short the limit of a wait is. */
static double slow_limit_s(const struct comm *c)
{
    const double least_s = 60;
    return c->timeout_s > least_s ? c->timeout_s : least_s;
}

/* ---- errors and the end of all ranks ---- */

void mpi_check(int code, const char *call, const char *file, int line)
{
    if (code == MPI_SUCCESS) return;
    char why[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, why, &length);
    die_at(file, line, NULL, "%s: %s", call, why);
}

static void abort_all(int status)
{
    const double patience_s = 5;
    deadline_start(die_rank(), "MPI_Abort", patience_s);
    MPI_Abort(MPI_COMM_WORLD, status);
    _exit(status);
}

/* ---- start ---- */

/* N independent processes that each believe to be alone: MPI does not know this launcher. */
static int check_launcher(int size, struct error *err)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int told = getenv(names[i]) ? atoi(getenv(names[i])) : 0;
        if (told <= 1 || size == told) continue;
        error_set(err, "MPI sees %d rank(s), but the launcher says %s=%d", size, names[i], told);
        return error_hint(err, "start with mpirun, or with srun --mpi=pmix if this MPI was built for it");
    }
    return 0;
}

static int start_mpi(struct comm *c, struct error *err)
{
    int started = 0, ended = 0, level = 0;
    MPI_Initialized(&started);
    MPI_Finalized(&ended);
    if (started || ended) return error_set(err, "MPI can be started once in a process");
    MPI_TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level));
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN); /* inherited by what is made from it */
    MPI_Comm_rank(MPI_COMM_WORLD, &c->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &c->size);
    die_rank_set(c->rank);
    die_hook_set(abort_all);
    CHECK(level >= MPI_THREAD_FUNNELED, "this MPI does not allow threads (MPI_THREAD_FUNNELED)");
    int status = check_launcher(c->size, err);
    if (status) MPI_Finalize();
    return status;
}

static MPI_Comm ranks_of_host(const struct comm *c)
{
    MPI_Comm host, part;
    MPI_TRY(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, c->rank, MPI_INFO_NULL, &host));
    int pretended = getenv("LADNN_HOST_RANKS") ? atoi(getenv("LADNN_HOST_RANKS")) : 0;
    if (pretended <= 0) return host;
    MPI_TRY(MPI_Comm_split(host, c->rank / pretended, c->rank, &part));
    MPI_TRY(MPI_Comm_free(&host));
    return part;
}

/* More ranks than cores that they may use together. */
static bool is_crowded(MPI_Comm local, int local_size)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    if (sched_getaffinity(0, sizeof cores, &cores)) return true;
    MPI_TRY(MPI_Allreduce(MPI_IN_PLACE, &cores, sizeof cores, MPI_BYTE, MPI_BOR, local));
    return local_size > CPU_COUNT(&cores);
}

static int tag_limit(void)
{
    enum { TAGS_PROMISED = 32768 }; /* by the standard */
    int *most, known = 0;
    MPI_TRY(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &most, &known));
    return known && *most < TAGS_PROMISED ? *most : TAGS_PROMISED;
}

static int mpi_open(struct comm *c, struct error *err)
{
    enum { CHUNK_BYTES = 1 << 26 };
    deadline_start(-1, "the start of MPI", slow_limit_s(c));
    int status = start_mpi(c, err);
    if (!status) {
        struct mpi_state *s = c->state = NEW(struct mpi_state);
        s->slow_limit_s = slow_limit_s(c);
        s->local = ranks_of_host(c);
        MPI_TRY(MPI_Comm_rank(s->local, &c->local_rank));
        MPI_TRY(MPI_Comm_size(s->local, &c->local_size));
        MPI_TRY(MPI_Comm_dup(MPI_COMM_WORLD, &s->world));
        MPI_TRY(MPI_Comm_dup(MPI_COMM_WORLD, &s->collective));
        s->tag_limit = tag_limit();
        s->chunk_bytes = CHUNK_BYTES;
        s->crowded = is_crowded(s->local, c->local_size);
        s->watch = watch_open(c, s->local);
    }
    deadline_end();
    return status;
}

/* Unfinished requests are waited for: their messages point into buffers. */
static void mpi_close(struct comm *c)
{
    struct mpi_state *s = c->state;
    while (s->active) request_finish(s->active);
    comm_barrier(c, "end of the run");
    deadline_start(c->rank, "the end of MPI", slow_limit_s(c));
    request_free_all(s);
    watch_close(s->watch);
    MPI_TRY(MPI_Comm_free(&s->local));
    MPI_TRY(MPI_Comm_free(&s->world));
    MPI_TRY(MPI_Comm_free(&s->collective));
    die_hook_set(NULL);
    MPI_Finalize();
    deadline_end();
    mem_free(s);
}

/* ---- operations ---- */

static void mpi_describe(struct comm *c)
{
    watch_step(((struct mpi_state *)c->state)->watch, c->step);
}

enum { STEP_MESSAGES = 2 };

static void mpi_reduce(struct comm *c, double *values, int count, enum comm_reduce reduce, const char *what)
{
    struct mpi_request *r = request_open(c, what, STEP_MESSAGES);
    request_run(r, reduce == REDUCE_SUM ? ELEMENT_DOUBLE_SUM : ELEMENT_DOUBLE_MAX, values, count, -1);
    request_finish(r);
}

static void mpi_broadcast(struct comm *c, void *data, size_t bytes, int root, const char *what)
{
    struct mpi_request *r = request_open(c, what, STEP_MESSAGES);
    request_run(r, ELEMENT_BYTE, data, (int64_t)bytes, root);
    request_finish(r);
}

static int pieces(size_t bytes, size_t most)
{
    return (int)((bytes + most - 1) / most);
}

static size_t piece_bytes(size_t bytes, size_t most, int i)
{
    size_t left = bytes - (size_t)i * most;
    return left < most ? left : most;
}

static void gather_counts(struct comm *c, size_t bytes, size_t *counts, const char *what)
{
    const struct mpi_state *s = c->state;
    struct mpi_request *r = request_open(c, what, c->rank == 0 ? c->size : 1);
    if (c->rank) {
        MPI_TRY(MPI_Isend(&bytes, sizeof bytes, MPI_BYTE, 0, request_tag(r), s->world, &r->messages[0]));
    } else {
        counts[0] = bytes;
        r->messages[0] = MPI_REQUEST_NULL;
        for (int rank = 1; rank < c->size; rank++)
            MPI_TRY(MPI_Irecv(&counts[rank], sizeof *counts, MPI_BYTE, rank, request_tag(r), s->world, &r->messages[rank]));
    }
    request_finish(r);
}

static void receive_all(struct comm *c, char *all, const size_t *counts, const char *what)
{
    const struct mpi_state *s = c->state;
    int messages = 0, m = 0;
    for (int rank = 1; rank < c->size; rank++) messages += pieces(counts[rank], s->chunk_bytes);
    struct mpi_request *r = request_open(c, what, messages);
    char *at = all + counts[0];
    for (int rank = 1; rank < c->size; rank++)
        for (int i = 0; i < pieces(counts[rank], s->chunk_bytes); i++) {
            size_t bytes = piece_bytes(counts[rank], s->chunk_bytes, i);
            MPI_TRY(MPI_Irecv(at, (int)bytes, MPI_BYTE, rank, request_tag(r), s->world, &r->messages[m++]));
            at += bytes;
        }
    request_finish(r);
}

static void send_mine(struct comm *c, const char *mine, size_t bytes, const char *what)
{
    const struct mpi_state *s = c->state;
    int messages = pieces(bytes, s->chunk_bytes);
    struct mpi_request *r = request_open(c, what, messages);
    for (int i = 0; i < messages; i++)
        MPI_TRY(MPI_Isend(mine + (size_t)i * s->chunk_bytes, (int)piece_bytes(bytes, s->chunk_bytes, i), MPI_BYTE, 0, request_tag(r),
                          s->world, &r->messages[i]));
    request_finish(r);
}

static void mpi_gather(struct comm *c, const void *mine, size_t bytes, void **all, size_t *counts, const char *what)
{
    gather_counts(c, bytes, counts, what);
    if (c->rank) {
        *all = NULL;
        send_mine(c, mine, bytes, what);
        return;
    }
    size_t total = 0;
    for (int rank = 0; rank < c->size; rank++) total += counts[rank];
    *all = mem_alloc(total);
    if (bytes) memcpy(*all, mine, bytes);
    receive_all(c, *all, counts, what);
}

static struct comm_request *mpi_sum_start(struct comm *c, float *values, int64_t count, bool fixed_order, const char *what)
{
    const struct mpi_state *s = c->state;
    size_t bytes = (size_t)count * sizeof *values;
    int messages = fixed_order ? STEP_MESSAGES : pieces(bytes, s->chunk_bytes);
    struct mpi_request *r = request_open(c, what, messages);
    if (fixed_order) {
        request_run(r, ELEMENT_FLOAT_SUM, values, count, -1);
        return &r->head;
    }
    r->element = ELEMENT_FLOAT_SUM;
    r->count = count;
    for (int i = 0; i < messages; i++) {
        float *from = values + (size_t)i * (s->chunk_bytes / sizeof *values);
        int floats = (int)(piece_bytes(bytes, s->chunk_bytes, i) / sizeof *values);
        MPI_TRY(MPI_Iallreduce(MPI_IN_PLACE, from, floats, MPI_FLOAT, MPI_SUM, s->collective, &r->messages[i]));
    }
    return &r->head;
}

static bool mpi_test(struct comm_request *request)
{
    const struct mpi_state *s = request->comm->state;
    watch_beat(s->watch);
    return request_progress((struct mpi_request *)request);
}

static void mpi_wait(struct comm_request *request)
{
    request_finish((struct mpi_request *)request);
}

const struct comm_kind comm_kind_mpi = {
    .name = "mpi",
    .open = mpi_open,
    .close = mpi_close,
    .describe = mpi_describe,
    .broadcast = mpi_broadcast,
    .reduce = mpi_reduce,
    .gather = mpi_gather,
    .shared_alloc = mpi_shared_alloc,
    .shared_free = mpi_shared_free,
    .shared_room = mpi_shared_room,
    .sum_start = mpi_sum_start,
    .test = mpi_test,
    .wait = mpi_wait,
};
