/* comm.c - picks the kind and builds agreement (any, first error) from its operations. */
#include "dist/comm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "dist/comm_kind.h"

/* A launcher started this process as one of its ranks. A Slurm step of one task needs no MPI. */
static bool launched(void)
{
    static const char *const marks[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (getenv(marks[i])) return true;
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    return tasks && atoi(tasks) > 1;
}

static const struct comm_kind *kind_find(const char *name)
{
    if (!strcmp(name, "auto")) return launched() ? &comm_kind_mpi : &comm_kind_self;
    const struct comm_kind *const kinds[] = {&comm_kind_self, &comm_kind_mpi,
#ifdef LADNN_HAVE_NCCL
                                             &comm_kind_nccl
#endif
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i] && !strcmp(name, kinds[i]->name)) return kinds[i];
    return !strcmp(name, "nccl") && !launched() ? &comm_kind_self : NULL; /* a process alone needs no NCCL */
}

static int unknown_kind(const char *name, struct error *err)
{
    if (strcmp(name, "nccl")) return error_set(err, "unknown communicator '%s': auto, self, mpi or nccl", name);
    error_set(err, "this ladnn was built without NCCL");
    return error_hint(err, "build again where CMake finds NCCL, or --set dist.backend=mpi, which sums through the host");
}

struct comm *comm_open(const char *kind, double timeout_s, struct error *err)
{
    struct comm *c = NEW(struct comm);
    c->kind = kind_find(kind);
    c->timeout_s = timeout_s;
    int status = c->kind ? 0 : unknown_kind(kind, err);
    if (!status && !(timeout_s > 0)) status = error_set(err, "the time limit of a wait must be above 0, not %g s", timeout_s);
    if (!status) status = c->kind->open(c, err);
    if (status) {
        mem_free(c);
        return NULL;
    }
    log_rank_set(c->rank);
    return c;
}

void comm_close(struct comm *c)
{
    if (!c) return;
    c->kind->close(c);
    mem_free(c);
}

int comm_rank(const struct comm *c)
{
    return c->rank;
}

int comm_size(const struct comm *c)
{
    return c->size;
}

int comm_local_rank(const struct comm *c)
{
    return c->local_rank;
}

int comm_local_size(const struct comm *c)
{
    return c->local_size;
}

const char *comm_kind(const struct comm *c)
{
    return c->kind->name;
}

void comm_describe_step(struct comm *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->step, sizeof c->step, format, args);
    va_end(args);
    if (c->kind->describe) c->kind->describe(c);
}

void comm_barrier(struct comm *c, const char *what)
{
    double nothing = 0;
    c->kind->reduce(c, &nothing, 1, REDUCE_MAX, what);
}

void comm_broadcast(struct comm *c, void *data, size_t bytes, int root, const char *what)
{
    ASSERT(root >= 0 && root < c->size);
    c->kind->broadcast(c, data, bytes, root, what);
}

void comm_sum_double(struct comm *c, double *values, int count, const char *what)
{
    c->kind->reduce(c, values, count, REDUCE_SUM, what);
}

void comm_max_double(struct comm *c, double *values, int count, const char *what)
{
    c->kind->reduce(c, values, count, REDUCE_MAX, what);
}

void comm_gather(struct comm *c, const void *mine, size_t bytes, void **all, size_t *counts, const char *what)
{
    c->kind->gather(c, mine, bytes, all, counts, what);
}

bool comm_any(struct comm *c, bool mine, const char *what)
{
    double any = mine;
    c->kind->reduce(c, &any, 1, REDUCE_MAX, what);
    return any > 0;
}

int comm_agree(struct comm *c, int rc, struct error *err, const char *what)
{
    double first = rc ? c->size - c->rank : 0; /* the largest belongs to the lowest failing rank */
    c->kind->reduce(c, &first, 1, REDUCE_MAX, what);
    if (first == 0) return 0;
    int root = c->size - (int)first;
    struct error shared = {{0}, {0}};
    if (root == c->rank && err) shared = *err;
    c->kind->broadcast(c, &shared, sizeof shared, root, what);
    if (!err) return -1;
    *err = shared;
    if (c->size == 1) return -1; /* no rank to name */
    error_prefix(err, "rank %d", root);
    if (shared.hint[0]) error_hint(err, "%s", shared.hint);
    return -1;
}

void *comm_shared_alloc(struct comm *c, size_t bytes, struct error *err)
{
    comm_barrier(c, "sharing memory"); /* what follows cannot be watched: all must be there */
    void *memory = c->kind->shared_alloc(c, bytes, err);
    return comm_agree(c, memory ? 0 : -1, err, "sharing memory") ? NULL : memory; /* after a failure MPI takes it back at its end */
}

void comm_shared_free(struct comm *c, void *memory)
{
    if (!memory) return;
    comm_barrier(c, "giving back shared memory");
    c->kind->shared_free(c, memory);
}

size_t comm_shared_room(const struct comm *c)
{
    return c->kind->shared_room(c);
}

struct comm_request *comm_sum_start(struct comm *c, float *values, int64_t count, bool fixed_order, const char *what)
{
    ASSERT(count >= 0);
    return c->kind->sum_start(c, values, count, fixed_order, what);
}

bool comm_sums_device(const struct comm *c)
{
    return c->kind->device_sum != NULL;
}

int comm_attach_device(struct comm *c, const struct comm_device *device, struct error *err)
{
    ASSERT(comm_sums_device(c));
    return c->kind->attach(c, device, err);
}

void comm_device_sum(struct comm *c, double *values, int count, const char *what)
{
    ASSERT(comm_sums_device(c));
    c->kind->device_sum(c, values, count, what);
}

void comm_device_wait(struct comm *c, const char *what)
{
    if (c->kind->device_wait) c->kind->device_wait(c, what);
}

bool comm_test(struct comm_request *r)
{
    return !r || r->comm->kind->test(r);
}

void comm_wait(struct comm_request *r)
{
    if (r) r->comm->kind->wait(r);
}
