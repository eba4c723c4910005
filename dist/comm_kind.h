/* comm_kind.h - private to dist/: what every communicator has in common and the operations table of a kind.
 *
 * DESIGN. A kind keeps its own state behind `state`. The `nccl` kind opens an `mpi` one for the control operations, and carries
 * itself only the sums of what lies in the memory of cards.
 */
#ifndef DIST_COMM_KIND_H
#define DIST_COMM_KIND_H
#include "dist/comm.h"

enum comm_reduce { REDUCE_SUM, REDUCE_MAX };

struct comm_kind {
    const char *name;
    int (*open)(struct comm *c, struct error *err); /* sets rank, size, local_rank, local_size, host and state */
    void (*close)(struct comm *c);
    void (*describe)(struct comm *c); /* c->step has changed */
    void (*broadcast)(struct comm *c, void *data, size_t bytes, int root, const char *what);
    void (*reduce)(struct comm *c, double *values, int count, enum comm_reduce reduce, const char *what);
    void (*gather)(struct comm *c, const void *mine, size_t bytes, void **all, size_t *counts, const char *what);
    void *(*shared_alloc)(struct comm *c, size_t bytes, struct error *err); /* NULL with err on this rank alone */
    void (*shared_free)(struct comm *c, void *memory);
    size_t (*shared_room)(const struct comm *c);
    struct comm_request *(*sum_start)(struct comm *c, float *values, int64_t count, bool fixed_order, const char *what);
    bool (*test)(struct comm_request *r);
    void (*wait)(struct comm_request *r);
    /* Kinds that sum the memory of cards; else NULL. */
    int (*attach)(struct comm *c, const struct comm_device *device, struct error *err);
    void (*device_sum)(struct comm *c, double *values, int count, const char *what);
    void (*device_wait)(struct comm *c, const char *what);
};

struct comm {
    const struct comm_kind *kind;
    void *state;
    int rank, size, local_rank, local_size;
    double timeout_s;
    char step[80]; /* what the run is doing */
};

/* The first member of every kind's own request. */
struct comm_request {
    struct comm *comm;
};

extern const struct comm_kind comm_kind_self, comm_kind_mpi, comm_kind_nccl; /* nccl: where the build has it */
#endif
