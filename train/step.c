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
    sampler_order(t->order, t->train_count, t->c.seed, (uint64_t)t->at.epoch);
    if (t->resident) return;
    int64_t *items = NEW_ARRAY(int64_t, t->train_count), n = 0;
    int *counts = NEW_ARRAY(int, t->batches), batches = 0, first, number;
    for (int b = t->at.batch; b < t->batches; b++) {
        local_slice(t, batch_images(t, b), &first, &number);
        for (int i = 0; i < number; i++) items[n++] = t->order[(int64_t)b * t->c.batch + first + i];
        if (number) counts[batches++] = number;
    }
    loader_start(t->train_loader, items, counts, batches, true, (uint64_t)t->at.epoch);
    mem_free(items);
    mem_free(counts);
}

/* One rank's images of a batch: ready ones of the loader, or the names of those that the backend samples itself. */
struct batch {
    int count;
    const int64_t *items;
    const float *pixels, *targets;
    const struct picture *pictures;
};

static int from_loader(struct trainer *t, struct batch *b, int count, struct error *err)
{
    struct loader_batch ready = {0};
    if (count && loader_next(t->train_loader, &ready, err)) return -1;
    ASSERT(ready.count == count);
    *b = (struct batch){count, ready.items, ready.pixels, ready.targets, NULL};
    return 0;
}

static void from_resident(struct trainer *t, struct batch *b, int first, int count)
{
    const int64_t *items = t->order + (int64_t)t->at.batch * t->c.batch + first;
    for (int i = 0; i < count; i++) labels_of(t->labels + i * LOSS_TARGETS, dataset_item(t->data, SPLIT_TRAIN, items[i]));
    *b = (struct batch){count, items, NULL, t->labels, resident_batch(t->resident, items, count, (uint64_t)t->at.epoch)};
}

/* Deals this rank's images to its virtual shards and hands them over. */
static void deal(struct trainer *t, const struct batch *b, int images)
{
    struct random keys = random_stream(t->c.seed, RANDOM_ROW_KEY, (uint64_t)t->at.epoch, 0);
    int64_t picture = 3 * (int64_t)t->c.augment.size * t->c.augment.size;
    for (int i = 0; i < b->count; i++) t->row_key[i] = random_u64_at(&keys, (uint64_t)b->items[i]);
    for (int s = 0, done = 0, at; s < t->local_shards; done += t->shard[s].images, s++) {
        struct network_shard *shard = &t->shard[s];
        *shard = (struct network_shard){.row_key = t->row_key + done};
        sampler_slice(&at, &shard->images, images, t->shards, t->first_shard + s);
        if (b->pictures) {
            shard->pictures = b->pictures + done;
            shard->pool = resident_pool(t->resident);
        } else {
            shard->pixels = b->pixels + done * picture;
        }
    }
    t->pass.shard = t->shard;
    t->pass.total_images = images;
    network_load(t->net, &t->pass);
    t->c.ops->upload(t->targets, b->targets, sizeof(float) * LOSS_TARGETS * (size_t)b->count);
}

static int load(struct trainer *t, struct error *err)
{
    int images = batch_images(t, t->at.batch), first, count;
    struct batch b;
    local_slice(t, images, &first, &count);
    if (t->resident)
        from_resident(t, &b, first, count);
    else if (from_loader(t, &b, count, err))
        return -1;
    deal(t, &b, images);
    return 0;
}

/* Callbacks of the network: it knows nothing of ranks. */
static void share_statistics(void *context, double *sums, int count)
{
    struct trainer *t = context;
    double start = clock_s();
    reduce_statistics(t->reduce, sums, count);
    t->comm_s += clock_s() - start;
}

static void gradients_ready(void *context, int64_t end)
{
    struct trainer *t = context;
    reduce_ready(t->reduce, end);
}

/* Loss and its gradient per virtual shard, summed over this rank's shards in the tree's order. */
static void queue_loss(struct trainer *t)
{
    double *part[t->local_shards];
    const float *targets = t->targets;
    for (int s = 0; s < t->local_shards; s++) {
        int images = t->shard[s].images;
        part[s] = t->loss + 2 * s;
        t->c.ops->loss(part[s], network_dlogits(t->net, s), network_logits(t->net, s), targets, images, t->pass.total_images, &t->c.loss);
        targets += images * LOSS_TARGETS;
    }
    t->c.ops->tree_sum_double(part, t->local_shards, 2);
}

/* The calls of a step, the same for all batches of a size: a backend may record them and repeat them as one (ops->replay). */
static void queue_step(void *context)
{
    struct trainer *t = context;
    network_forward(t->net, &t->pass);
    queue_loss(t);
    network_backward(t->net, &t->pass);
    t->comm_s += reduce_wait(t->reduce);
    optim_queue(&t->optim, network_parameters(t->net), network_gradients(t->net));
}

/* Waits for the step. Sums over the ranks follow the tree's order, too. */
static struct loss_sums collect_loss(struct trainer *t)
{
    double sums[2], start;
    t->c.ops->download(sums, t->loss, sizeof sums);
    start = clock_s();
    comm_sum_double(t->comm, sums, 2, "loss");
    t->comm_s += clock_s() - start;
    return (struct loss_sums){sums[0], sums[1]};
}

static bool all_finite(const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i])) return false;
    return true;
}

/* Name of the first parameter, in the network's order, whose gradient is not finite. */
static const char *first_bad_gradient(const struct trainer *t)
{
    const char *name = NULL;
    for (int p = 0; p < t->graph->param_count && !name; p++) {
        int64_t count = param_elements(&t->graph->params[p]);
        float *values = mem_alloc(sizeof(float) * (size_t)count);
        network_gradient_get(t->net, p, values);
        if (!all_finite(values, count)) name = t->graph->params[p].name;
        mem_free(values);
    }
    return name ? name : "no parameter's";
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
    double start = clock_s(), comm = t->comm_s;
    comm_describe_step(t->comm, "epoch %d batch %d", t->at.epoch + 1, t->at.batch + 1);
    if (comm_agree(t->comm, load(t, err), err, "loading a batch")) return -1;
    double loaded = clock_s();
    t->pass.context = t;
    t->pass.share = t->c.sync_bn && comm_size(t->comm) > 1 ? share_statistics : NULL;
    t->pass.ready = gradients_ready;
    optim_prepare(&t->optim, optim_lr(&t->c.optim, t->at.epoch));
    if (t->c.capture && reduce_may_be_recorded(t->reduce))
        t->c.ops->replay(&t->recording[t->pass.total_images < t->c.batch], queue_step, t);
    else
        queue_step(t);
    reduce_watch(t->reduce);
    *loss = collect_loss(t);
    *gradient_norm = optim_norm(&t->optim);
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
