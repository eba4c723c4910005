/* comm.h - the communicator: one interface, three kinds: `self` (one process, no MPI started), `mpi`, and `nccl`, which is `mpi` with sums
 * of what lies in the memory of cards.
 *
 * DESIGN. Every wait has a limit: a call that takes longer than `timeout_s` ends the run with one line that names this rank,
 * the rank(s) it waits for, the operation and the step. Sums in `fixed order` are a balanced binary tree over the ranks,
 * ((0+1)+(2+3)), the same tree that ops/ops.h uses inside a rank: V virtual shards give the same bits on 1, 2 or 4 ranks
 * when both are powers of two. Calls are made by one thread (MPI_THREAD_FUNNELED).
 */
#ifndef DIST_COMM_H
#define DIST_COMM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

struct comm;
struct comm_request;

/* kind: "auto" (mpi when a launcher started us with it: OMPI_*, PMI*, SLURM step, else self), "self", "mpi", "nccl" (as auto, for cards).
 * Collective. Sets die_rank, log_rank and the die hook (abort of all ranks, non-zero exit). */
struct comm *comm_open(const char *kind, double timeout_s, struct error *err);
/* Collective; finalizes MPI. NULL is fine. */
void comm_close(struct comm *c);
int comm_rank(const struct comm *c);
int comm_size(const struct comm *c);
int comm_local_rank(const struct comm *c); /* within this host */
int comm_local_size(const struct comm *c);
const char *comm_kind(const struct comm *c);
/* What the run is doing, for the hang report ("epoch 3 step 17"); copied. */
void comm_describe_step(struct comm *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* All collective, blocking, in fixed order; `what` is a literal for the hang report. */
void comm_barrier(struct comm *c, const char *what);
void comm_broadcast(struct comm *c, void *data, size_t bytes, int root, const char *what);
void comm_sum_double(struct comm *c, double *values, int count, const char *what); /* same bits on every rank */
void comm_max_double(struct comm *c, double *values, int count, const char *what);
/* Rank 0 gets all ranks' bytes in rank order in *all (mem_alloc; caller frees) and counts[size]; others NULL. */
void comm_gather(struct comm *c, const void *mine, size_t bytes, void **all, size_t *counts, const char *what);
/* True on all ranks when any rank says true: agreement on stopping. */
bool comm_any(struct comm *c, bool mine, const char *what);
/* Every rank passes its own err (rc != 0) or success (rc == 0); on any failure all ranks return -1 with the first failing
 * rank's error in err, prefixed "rank R: ". For judging input together. */
int comm_agree(struct comm *c, int rc, struct error *err, const char *what);

/* One piece of memory for all ranks of this host, 64-byte aligned, contents undefined: what one rank writes, the others see (order by
 * atomics or a barrier). Pages are taken when first touched. All ranks of a host ask for the same size. Collective; on failure all ranks return
 * NULL with err. */
void *comm_shared_alloc(struct comm *c, size_t bytes, struct error *err);
void comm_shared_free(struct comm *c, void *memory); /* collective; NULL is fine */
/* What comm_shared_alloc can give on this host now. Not collective. */
size_t comm_shared_room(const struct comm *c);

/* Non-blocking sum of floats in place, started in the same order on all ranks. fixed_order: the tree above; else
 * MPI_Iallreduce. The buffer must stay until comm_wait. */
struct comm_request *comm_sum_start(struct comm *c, float *values, int64_t count, bool fixed_order, const char *what);
/* ---- the memory of cards: of the kind `nccl` ---- */
/* The card that this rank computes on, and what of its backend a sum needs; all are queued on the stream. */
struct comm_device {
    int number;   /* of the card, as CUDA counts */
    void *stream; /* cudaStream_t of the computing */
    void *(*alloc)(size_t bytes); /* NULL when there is no room */
    void (*free)(void *memory);   /* NULL is fine */
    void (*copy)(void *to, const void *from, size_t bytes);
    void (*tree_sum)(float *const parts[], int count, size_t elements); /* ((0+1)+(2+3)) into parts[0] */
    void (*tree_sum_double)(double *const parts[], int count, size_t elements);
    bool bf16; /* sums that are in no fixed order are of values rounded to bf16: half the bytes, and a rounding at every rank */
    void (*round)(uint16_t *to, const float *from, size_t count);
    void (*widen)(float *to, const uint16_t *from, size_t count);
};
/* Whether sums of this kind are those of cards: comm_sum_start then takes their memory, is behind all that is queued on the stream, and
 * comm_wait makes the stream wait, not the host: so a step can be recorded. */
bool comm_sums_device(const struct comm *c);
/* Once, before the first sum. -1 with err: no NCCL, two ranks with one card. Collective. */
int comm_attach_device(struct comm *c, const struct comm_device *device, struct error *err);
/* Queues a sum in fixed order, in place. Collective. */
void comm_device_sum(struct comm *c, double *values, int count, const char *what);
/* Waits until all that is queued on the stream is done, with the time limit and its verdict. Not collective, but all ranks do it. */
void comm_device_wait(struct comm *c, const char *what);

bool comm_test(struct comm_request *r); /* makes progress; true when done */
void comm_wait(struct comm_request *r); /* waits and frees; NULL is fine */
#endif
