/* reduce.c - see reduce.h. */
#include "train/reduce.h"

#include "base/clock.h"
#include "base/memory.h"

struct reduce {
    struct comm *comm;
    const struct ops *ops;
    float *gradients;  /* in the backend's memory */
    int64_t count;
    bool on_cards;     /* they are summed there */
    struct buckets *buckets; /* NULL: a rank alone */
    float *staged;     /* gradients on the host; NULL: they are there already */
    double *sums;      /* statistics on the host, (sums_room) */
    int sums_room;
};

static int attach(struct reduce *r, bool bf16, struct error *err)
{
    const struct ops *o = r->ops;
    const struct comm_device device = {o->device(), o->stream(), o->alloc, o->free, o->copy, o->tree_sum, o->tree_sum_double, bf16, o->round, o->widen};
    return comm_attach_device(r->comm, &device, err);
}

struct reduce *reduce_open(struct comm *c, const struct ops *ops, float *gradients, int64_t count, const struct reduce_options *options,
                           struct error *err)
{
    struct reduce *r = NEW(struct reduce);
    *r = (struct reduce){.comm = c, .ops = ops, .gradients = gradients, .count = count, .on_cards = comm_sums_device(c)};
    if (r->on_cards && ops->on_host) {
        error_set(err, "dist.backend = nccl sums the memory of cards; the backend '%s' has none", ops->name);
        error_hint(err, "--set train.backend=cuda, or dist.backend=mpi");
        reduce_close(r);
        return NULL;
    }
    if (comm_size(c) == 1) return r;
    if (options->bf16 && !r->on_cards) {
        error_set(err, "dist.gradients = bf16: ranks on the backend '%s' that talk by %s sum in fp32 only", ops->name, comm_kind(c));
        error_hint(err, "dist.gradients = fp32, or GPUs with dist.backend = nccl");
        reduce_close(r);
        return NULL;
    }
    if (r->on_cards && attach(r, options->bf16, err)) {
        reduce_close(r);
        return NULL;
    }
    if (!ops->on_host && !r->on_cards) r->staged = mem_alloc(sizeof(float) * (size_t)count);
    r->buckets = buckets_open(c, r->staged ? r->staged : gradients, count, options->bucket_bytes, options->fixed_order, options->overlap && !r->staged);
    return r;
}

void reduce_close(struct reduce *r)
{
    if (!r) return;
    buckets_close(r->buckets);
    mem_free(r->staged);
    mem_free(r->sums);
    mem_free(r);
}

bool reduce_may_be_recorded(const struct reduce *r) { return !r->staged; }

/* Statistics of a card on the host, and back. */
static void staged_statistics(struct reduce *r, double *sums, int count)
{
    size_t bytes = sizeof(double) * (size_t)count;
    if (count > r->sums_room) {
        mem_free(r->sums);
        r->sums = mem_alloc(bytes);
        r->sums_room = count;
    }
    r->ops->download(r->sums, sums, bytes);
    comm_sum_double(r->comm, r->sums, count, "batch statistics");
    r->ops->upload(sums, r->sums, bytes);
}

void reduce_statistics(struct reduce *r, double *sums, int count)
{
    if (r->staged)
        staged_statistics(r, sums, count);
    else if (r->on_cards)
        comm_device_sum(r->comm, sums, count, "batch statistics");
    else
        comm_sum_double(r->comm, sums, count, "batch statistics");
}

void reduce_ready(struct reduce *r, int64_t end)
{
    if (r->buckets && !r->staged) buckets_ready(r->buckets, end);
}

double reduce_wait(struct reduce *r)
{
    double start = clock_s();
    size_t bytes = sizeof(float) * (size_t)r->count;
    if (!r->buckets) return 0;
    if (r->staged) r->ops->download(r->staged, r->gradients, bytes);
    buckets_wait(r->buckets);
    if (r->staged) r->ops->upload(r->gradients, r->staged, bytes);
    return clock_s() - start;
}

void reduce_watch(struct reduce *r)
{
    if (r->on_cards) comm_device_wait(r->comm, "a step of all ranks");
}
