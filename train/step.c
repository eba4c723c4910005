/* step.c - one global batch. The step on one screen: train_step at the end of the file. */
#include <math.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "io/load/sampler.h"
#include "train/trainer.h"

/* Images of global batch b. */
static int batch_images(const struct trainer *t, int b)
{
    int64_t left = t->train_count - (int64_t)b * t->c.batch;
    return left < t->c.batch ? (int)left : t->c.batch;
}

/* This rank's share of a batch of `images`: consecutive, since its virtual shards are. */
static void local_slice(const struct trainer *t, int images, int *first, int *number)
{
    int last_first, last_number;
    sampler_slice(first, number, images, t->shards, t->first_shard);
    sampler_slice(&last_first, &last_number, images, t->shards, t->first_shard + t->local_shards - 1);
    *number = last_first + last_number - *first;
}

void train_start_epoch(struct trainer *t)
{
    int64_t *items = NEW_ARRAY(int64_t, t->train_count), n = 0;
    int *counts = NEW_ARRAY(int, t->batches), batches = 0, first, number;
    sampler_order(t->order, t->train_count, t->c.seed, (uint64_t)t->at.epoch);
    for (int b = t->at.batch; b < t->batches; b++) {
        local_slice(t, batch_images(t, b), &first, &number);
        for (int i = 0; i < number; i++) items[n++] = t->order[(int64_t)b * t->c.batch + first + i];
        if (number) counts[batches++] = number;
    }
    loader_start(t->train_loader, items, counts, batches, true, (uint64_t)t->at.epoch);
    mem_free(items);
    mem_free(counts);
}

/* Waits for this rank's pictures and hands them to its virtual shards. */
static int load(struct trainer *t, struct loader_batch *batch, struct error *err)
{
    int images = batch_images(t, t->at.batch), first, number, done = 0, at, outputs = loss_outputs(&t->c.loss);
    struct random keys = random_stream(t->c.seed, RANDOM_ROW_KEY, (uint64_t)t->at.epoch, 0);
    *batch = (struct loader_batch){0};
    local_slice(t, images, &first, &number);
    if (number && loader_next(t->train_loader, batch, err)) return -1;
    ASSERT(batch->count == number);
    for (int i = 0; i < number; i++) t->row_key[i] = random_u64_at(&keys, (uint64_t)batch->items[i]);
    for (int s = 0; s < t->local_shards; s++) {
        struct network_shard *shard = &t->shard[s];
        sampler_slice(&at, &shard->images, images, t->shards, t->first_shard + s);
        shard->pixels = batch->pixels + (int64_t)done * 3 * t->c.augment.size * t->c.augment.size;
        shard->row_key = t->row_key + done;
        shard->logits = t->logits + done * outputs;
        shard->dlogits = t->dlogits + done * outputs;
        done += shard->images;
    }
    t->pass.shard = t->shard;
    t->pass.total_images = images;
    return 0;
}

/* Callbacks of the network: it knows nothing of ranks. */
static void share_statistics(void *context, double *sums, int count)
{
    struct trainer *t = context;
    double start = clock_s();
    comm_sum_double(t->comm, sums, count, "batch statistics");
    t->comm_s += clock_s() - start;
}

static void gradients_ready(void *context, int64_t end)
{
    struct trainer *t = context;
    buckets_ready(t->buckets, end);
}

/* Loss and its gradient per virtual shard, summed over shards and ranks in the tree's order. */
static struct loss_sums loss_and_gradient(struct trainer *t, const struct loader_batch *batch)
{
    double parts[2 * t->local_shards], *part[t->local_shards];
    const float *targets = batch->targets;
    for (int s = 0; s < t->local_shards; s++) {
        struct network_shard *shard = &t->shard[s];
        struct loss_sums sums = loss_compute((float *)shard->dlogits, shard->logits, targets, shard->images,
                                             t->pass.total_images, &t->c.loss);
        if (shard->images) targets += shard->images * LOGIT_COUNT;
        part[s] = &parts[2 * s];
        part[s][0] = sums.loss;
        part[s][1] = sums.covid;
    }
    shard_tree_sum_double(part, t->local_shards, 2);
    double start = clock_s();
    comm_sum_double(t->comm, parts, 2, "loss");
    t->comm_s += clock_s() - start;
    return (struct loss_sums){parts[0], parts[1]};
}

/* Name of the first parameter, in the network's order, whose gradient is not finite. */
static const char *first_bad_gradient(const struct trainer *t)
{
    const float *gradients = network_gradients(t->net);
    for (int p = 0; p < t->graph->param_count; p++) {
        int64_t offset, count;
        network_param_range(t->net, p, &offset, &count);
        for (int64_t i = offset; i < offset + count; i++)
            if (!isfinite(gradients[i])) return t->graph->params[p].name;
    }
    return "no parameter's";
}

/* All ranks see the same sums. */
static int refuse_nonfinite(const struct trainer *t, double loss, double norm, struct error *err)
{
    if (isfinite(loss) && isfinite(norm)) return 0;
    if (!isfinite(loss))
        error_set(err, "epoch %d batch %d: the loss is %g", t->at.epoch + 1, t->at.batch + 1, loss);
    else
        error_set(err, "epoch %d batch %d: the gradient's norm is %g (first in %s)", t->at.epoch + 1, t->at.batch + 1, norm, first_bad_gradient(t));
    return error_hint(err, "a smaller optim.lr, optim.clip_norm, or train.precision = fp32 may help");
}

int train_step(struct trainer *t, struct loss_sums *loss, double *gradient_norm, struct error *err)
{
    struct loader_batch batch;
    double start = clock_s(), comm = t->comm_s;
    comm_describe_step(t->comm, "epoch %d batch %d", t->at.epoch + 1, t->at.batch + 1);
    if (comm_agree(t->comm, load(t, &batch, err), err, "loading a batch")) return -1;
    double loaded = clock_s();
    t->pass.context = t;
    t->pass.share = t->c.sync_bn && comm_size(t->comm) > 1 ? share_statistics : NULL;
    t->pass.ready = gradients_ready;
    network_forward(t->net, &t->pass);
    *loss = loss_and_gradient(t, &batch);
    if (refuse_nonfinite(t, loss->loss, 0, err)) return -1;
    network_backward(t->net, &t->pass);
    t->comm_s += buckets_wait(t->buckets);
    *gradient_norm = optim_step(&t->optim, network_parameters(t->net), network_gradients(t->net),
                                optim_lr(&t->c.optim, t->at.epoch));
    if (refuse_nonfinite(t, loss->loss, *gradient_norm, err)) return -1;
    t->data_s += loaded - start;
    t->compute_s += clock_s() - loaded - (t->comm_s - comm);
    t->at.images += t->pass.total_images;
    t->at.loss_sum += loss->loss * t->pass.total_images;
    t->at.covid_sum += loss->covid;
    t->at.step++;
    t->at.batch++;
    return 0;
}
