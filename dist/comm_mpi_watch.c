/* comm_mpi_watch.c - the board of a host and the verdict on who is missing.
 *
 * DESIGN. A slot belongs to one rank, which alone writes it; others read it when their patience ends, so a torn string costs a
 * wrong letter in a report at worst. Times are CLOCK_MONOTONIC, which is one clock for all processes of a host; an answer
 * to another host carries ages instead. Who is to blame, in this order: ranks that have not entered the operation and have been
 * silent for half of the wait; ranks that have entered another operation under its number; ranks that have entered but are
 * silent; ranks that have not entered, yet are alive (they wait for somebody themselves).
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "dist/comm_mpi.h"

struct slot {
    _Atomic int64_t entered;  /* number of the newest operation */
    _Atomic int64_t seen_ns;  /* last sign of life; in an answer: its age */
    int32_t rank;
    _Atomic int32_t verdict;  /* in slot 0 of a host: somebody is printing the verdict */
    char what[48], step[80];
};
struct place { /* where a rank runs */
    char host[64];
    int32_t leader; /* lowest rank of the host */
};
struct watch {
    const struct comm *comm;
    MPI_Comm questions;
    MPI_Win window;
    struct slot *board, *mine; /* board[local_rank] */
    struct place *places;      /* by rank */
    int32_t asker, my_question;
    bool asked_by_lower; /* a lower rank of another host is at its verdict */
    MPI_Request ask, answer;
    struct slot *answer_slots;
};
enum { TAG_ASK = 1, TAG_ANSWER = 2 };

static int64_t now_ns(void)
{
    return (int64_t)(clock_s() * 1e9);
}

static void learn_places(struct watch *w, int leader)
{
    struct place mine = {.leader = leader};
    gethostname(mine.host, sizeof mine.host - 1);
    w->places = NEW_ARRAY(struct place, w->comm->size);
    MPI_TRY(MPI_Allgather(&mine, sizeof mine, MPI_BYTE, w->places, sizeof mine, MPI_BYTE, w->questions));
}

static void open_board(struct watch *w, MPI_Comm local)
{
    struct slot *ignored;
    MPI_Aint bytes = w->comm->local_rank == 0 ? (MPI_Aint)sizeof(struct slot) * w->comm->local_size : 0;
    int unit;
    MPI_TRY(MPI_Win_allocate_shared(bytes, 1, MPI_INFO_NULL, local, &ignored, &w->window));
    MPI_TRY(MPI_Win_shared_query(w->window, 0, &bytes, &unit, &w->board));
    w->mine = &w->board[w->comm->local_rank];
    memset(w->mine, 0, sizeof *w->mine);
    w->mine->rank = w->comm->rank;
    watch_beat(w);
    MPI_TRY(MPI_Barrier(local));
}

struct watch *watch_open(const struct comm *c, MPI_Comm local)
{
    struct watch *w = NEW(struct watch);
    const struct mpi_state *s = c->state;
    w->comm = c;
    int leader = c->rank;
    MPI_TRY(MPI_Bcast(&leader, 1, MPI_INT, 0, local));
    MPI_TRY(MPI_Comm_dup(s->world, &w->questions));
    learn_places(w, leader);
    open_board(w, local);
    w->answer = MPI_REQUEST_NULL;
    w->answer_slots = NEW_ARRAY(struct slot, c->local_size);
    MPI_TRY(MPI_Irecv(&w->asker, 1, MPI_INT32_T, MPI_ANY_SOURCE, TAG_ASK, w->questions, &w->ask));
    return w;
}

void watch_close(struct watch *w)
{
    MPI_TRY(MPI_Cancel(&w->ask));
    MPI_TRY(MPI_Wait(&w->ask, MPI_STATUS_IGNORE));
    MPI_TRY(MPI_Wait(&w->answer, MPI_STATUS_IGNORE));
    MPI_TRY(MPI_Win_free(&w->window));
    MPI_TRY(MPI_Comm_free(&w->questions));
    mem_free(w->places);
    mem_free(w->answer_slots);
    mem_free(w);
}

/* The last byte of a slot's strings stays 0. */
static void set_string(char *to, size_t room, const char *from)
{
    size_t length = strlen(from);
    if (length > room - 1) length = room - 1;
    memcpy(to, from, length);
    to[length] = 0;
}

void watch_step(struct watch *w, const char *step)
{
    set_string(w->mine->step, sizeof w->mine->step, step);
}

void watch_beat(struct watch *w)
{
    atomic_store_explicit(&w->mine->seen_ns, now_ns(), memory_order_relaxed);
}

int64_t watch_enter(struct watch *w, const char *what)
{
    set_string(w->mine->what, sizeof w->mine->what, what);
    watch_beat(w);
    return atomic_fetch_add_explicit(&w->mine->entered, 1, memory_order_release) + 1;
}

/* ---- other hosts: a waiting rank answers for its whole host ---- */

static void snapshot(const struct watch *w, struct slot *to)
{
    memcpy(to, w->board, sizeof *to * (size_t)w->comm->local_size);
    for (int i = 0; i < w->comm->local_size; i++) to[i].seen_ns = now_ns() - to[i].seen_ns;
}

void watch_answer(struct watch *w)
{
    int asked = 0, sent = 0;
    MPI_TRY(MPI_Test(&w->answer, &sent, MPI_STATUS_IGNORE));
    if (!sent) return;
    MPI_TRY(MPI_Test(&w->ask, &asked, MPI_STATUS_IGNORE));
    if (!asked) return;
    w->asked_by_lower |= w->asker < w->comm->rank;
    snapshot(w, w->answer_slots);
    MPI_TRY(MPI_Isend(w->answer_slots, (int)sizeof(struct slot) * w->comm->local_size, MPI_BYTE, w->asker, TAG_ANSWER, w->questions,
                      &w->answer));
    MPI_TRY(MPI_Irecv(&w->asker, 1, MPI_INT32_T, MPI_ANY_SOURCE, TAG_ASK, w->questions, &w->ask));
}

/* Takes one answer, if there is one. */
static void take_answer(struct watch *w, struct slot *all)
{
    int here = 0, bytes = 0;
    MPI_Status status;
    MPI_TRY(MPI_Iprobe(MPI_ANY_SOURCE, TAG_ANSWER, w->questions, &here, &status));
    if (!here) return;
    MPI_TRY(MPI_Get_count(&status, MPI_BYTE, &bytes));
    struct slot *slots = mem_alloc((size_t)bytes);
    MPI_TRY(MPI_Recv(slots, bytes, MPI_BYTE, status.MPI_SOURCE, TAG_ANSWER, w->questions, MPI_STATUS_IGNORE));
    for (size_t i = 0; i < (size_t)bytes / sizeof *slots; i++) all[slots[i].rank] = slots[i];
    mem_free(slots);
}

static void ask_other_hosts(struct watch *w, struct slot *all)
{
    const double patience_s = 1;
    const struct comm *c = w->comm;
    bool others = false;
    w->my_question = c->rank;
    for (int rank = 0; rank < c->size; rank++) {
        if (w->places[rank].leader == w->places[c->rank].leader) continue;
        MPI_Request sent;
        MPI_TRY(MPI_Isend(&w->my_question, 1, MPI_INT32_T, rank, TAG_ASK, w->questions, &sent));
        MPI_TRY(MPI_Request_free(&sent)); /* the run ends here, sent or not */
        others = true;
    }
    for (double end_s = clock_s() + patience_s; others && clock_s() < end_s;) {
        take_answer(w, all);
        watch_answer(w);
        watch_beat(w);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* ---- the verdict ---- */

enum blame { BLAME_NONE, BLAME_ABSENT, BLAME_OTHER_WORK, BLAME_SILENT, BLAME_BEHIND };

static enum blame judge(const struct mpi_request *r, const struct slot *s, double waited_s)
{
    bool silent = (double)s->seen_ns * 1e-9 > waited_s / 2;
    if (s->rank < 0) return BLAME_ABSENT;
    if (s->entered < r->number) return silent ? BLAME_ABSENT : BLAME_BEHIND;
    if (s->entered == r->number && strncmp(s->what, r->what, sizeof s->what - 1)) return BLAME_OTHER_WORK;
    return silent ? BLAME_SILENT : BLAME_NONE;
}

static void describe(struct text *t, const struct watch *w, int rank, const struct slot *s, enum blame why)
{
    text_add(t, "%srank %d on %s (", t->length ? ", " : "", rank, w->places[rank].host);
    static const char *const words[] = {[BLAME_ABSENT] = "not there yet: last was", [BLAME_OTHER_WORK] = "is in another one:",
                                        [BLAME_SILENT] = "silent in", [BLAME_BEHIND] = "alive, but only in"};
    if (s->rank < 0)
        text_add(t, "nobody answers there)");
    else
        text_add(t, "%s %lld '%s'%s%s, last seen %.1f s ago)", words[why], (long long)s->entered, s->what, s->step[0] ? ", " : "",
                 s->step, (double)s->seen_ns * 1e-9);
}

/* Adds the ranks to blame to t. */
static void find_missing(struct text *t, const struct watch *w, const struct mpi_request *r, const struct slot *all, double waited_s)
{
    enum { NAMED_MOST = 8 };
    int found = 0;
    for (enum blame why = BLAME_ABSENT; why <= BLAME_BEHIND && !found; why++)
        for (int rank = 0; rank < w->comm->size; rank++)
            if (rank != w->comm->rank && judge(r, &all[rank], waited_s) == why && found++ < NAMED_MOST)
                describe(t, w, rank, &all[rank], why);
    if (found > NAMED_MOST) text_add(t, " and %d more", found - NAMED_MOST);
    if (found) return;
    int peer = r->steps_count ? r->steps[r->step].recv_from >= 0 ? r->steps[r->step].recv_from : r->steps[r->step].send_to : -1;
    if (peer >= 0)
        text_add(t, "rank %d on %s (it is alive; the network may be stuck)", peer, w->places[peer].host);
    else
        text_add(t, "a message (all ranks are there and alive; the network may be stuck)");
}

/* Somebody else prints the verdict and ends this rank with all others. */
static void stay_quiet(void)
{
    const unsigned patience_s = 8;
    sleep(patience_s);
    _exit(1);
}

void watch_verdict(struct watch *w, const struct mpi_request *r, double waited_s)
{
    if (atomic_exchange(&w->board[0].verdict, 1)) stay_quiet(); /* one verdict per host */
    struct slot *all = NEW_ARRAY(struct slot, w->comm->size), *here = NEW_ARRAY(struct slot, w->comm->local_size);
    for (int rank = 0; rank < w->comm->size; rank++) all[rank].rank = -1;
    snapshot(w, here);
    ask_other_hosts(w, all);
    if (w->asked_by_lower) stay_quiet();
    for (int i = 0; i < w->comm->local_size; i++) all[here[i].rank] = here[i];
    struct text missing = {NULL, 0, 0};
    find_missing(&missing, w, r, all, waited_s);
    const char *step = w->comm->step;
    die_at(__FILE__, __LINE__, "the rank is stopped, stuck in its own work or overloaded; dist.timeout_s sets the limit",
           "waited %.1f s in operation %lld '%s'%s%s for %s", waited_s, (long long)r->number, r->what, step[0] ? ", " : "", step,
           missing.data);
}
