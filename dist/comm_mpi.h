/* comm_mpi.h - private to the `mpi` kind: its state, its requests, and the watch that knows who is missing.
 *
 * DESIGN. Everything but MPI_Iallreduce is point-to-point messages that follow a schedule (comm_schedule.h), so one engine
 * (comm_mpi_request.c) runs blocking operations and sums in the background alike: its state is "step i of this chunk", and
 * each call of its progress moves on as far as the messages allow. A wait is a loop of such calls.
 *
 * Every operation has a number, equal on all ranks, which is also its message tag: ranks that disagree on the operation
 * never take each other's data. Each rank writes on a board in its host's shared memory what it has entered and when it was
 * last seen (comm_mpi_watch.c); a rank whose wait reaches the limit reads its own host's board, asks the waiting ranks
 * of other hosts for theirs, and so names the ranks that have not come or are silent, even if these are stopped.
 */
#ifndef DIST_COMM_MPI_H
#define DIST_COMM_MPI_H
#include <mpi.h>
#include "dist/comm_kind.h"
#include "dist/comm_schedule.h"

#define MPI_TRY(call) mpi_check((call), #call, __FILE__, __LINE__)
void mpi_check(int code, const char *call, const char *file, int line);

struct watch;
/* Collective, under the opening's deadline. local: the ranks of this host. */
struct watch *watch_open(const struct comm *c, MPI_Comm local);
void watch_close(struct watch *w);
void watch_step(struct watch *w, const char *step);
/* This rank has entered its next operation; returns its number, from 1. */
int64_t watch_enter(struct watch *w, const char *what);
/* Called all through a wait: seen alive. */
void watch_beat(struct watch *w);
/* Answers another host's question, if one has come. Called now and then in a wait. */
void watch_answer(struct watch *w);
struct mpi_request;
/* The wait has reached its limit: prints who is missing and ends the run. */
void watch_verdict(struct watch *w, const struct mpi_request *r, double waited_s) __attribute__((noreturn));

enum element { ELEMENT_BYTE, ELEMENT_FLOAT_SUM, ELEMENT_DOUBLE_SUM, ELEMENT_DOUBLE_MAX };

struct mpi_state {
    MPI_Comm world;        /* messages of the schedules */
    MPI_Comm collective;   /* MPI_Iallreduce */
    MPI_Comm local;        /* the ranks of this host */
    struct mpi_shared *shared; /* list: what the host's ranks share */
    double slow_limit_s;   /* for calls that cannot be tested in a loop */
    struct watch *watch;
    int tag_limit;
    bool crowded;          /* more ranks here than cores: give the core away early */
    size_t chunk_bytes;    /* a message is at most this long */
    struct mpi_request *spare, *active; /* lists */
};

struct mpi_request {
    struct comm_request head;
    struct mpi_request *next;
    const char *what;
    int64_t number; /* of the operation */
    bool done;
    enum element element;
    char *values;
    int64_t count;
    int root;       /* of a broadcast, or -1: a sum */
    /* by schedule: the chunk [at, at + chunk) is in step `step` of `steps_count` */
    int64_t at, chunk;
    int step, steps_count;
    struct comm_step steps[COMM_STEPS_MAX];
    void *scratch;
    size_t scratch_bytes;
    /* messages under way: receive and send of the step, or any number of collective ones or a gather's */
    MPI_Request *messages;
    MPI_Status *statuses;
    int messages_count, messages_room;
};

/* A request with room for `messages`, entered on the board and on the active list. */
struct mpi_request *request_open(struct comm *c, const char *what, int messages);
/* Starts the schedule of a sum (root -1) or a broadcast. */
void request_run(struct mpi_request *r, enum element element, void *values, int64_t count, int root);
/* Moves on as far as possible; true when done. */
bool request_progress(struct mpi_request *r);
/* Progress until done or the limit; back on the spare list. */
void request_finish(struct mpi_request *r);
void request_free_all(struct mpi_state *s);
int request_tag(const struct mpi_request *r);

/* comm_shared_* of this kind. */
void *mpi_shared_alloc(struct comm *c, size_t bytes, struct error *err);
void mpi_shared_free(struct comm *c, void *memory);
size_t mpi_shared_room(const struct comm *c);

/* Between these two, calls of MPI that cannot be tested in a loop end the run with one line after limit_s. */
void deadline_start(int rank, const char *what, double limit_s);
void deadline_end(void);
#endif
