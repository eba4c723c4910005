/* evaluate.c - a whole split through the network, each image once. */
#include <string.h>

#include "base/memory.h"
#include "train/trainer.h"

static int batch_count(int64_t images, int batch) { return (int)((images + batch - 1) / batch); }
static int batch_size(int64_t images, int batch, int b)
{
    int64_t left = images - (int64_t)b * batch;
    return left < batch ? (int)left : batch;
}

/* This rank's batches (b = rank, rank + size, ...) as one loader pass. */
static int start(struct loader *l, int64_t images, int batch, int rank, int size)
{
    int64_t *items = NEW_ARRAY(int64_t, images + 1), n = 0;
    int *counts = NEW_ARRAY(int, batch_count(images, batch) + 1), batches = 0;
    for (int b = rank; b < batch_count(images, batch); b += size) {
        counts[batches] = batch_size(images, batch, b);
        for (int i = 0; i < counts[batches]; i++) items[n++] = (int64_t)b * batch + i;
        batches++;
    }
    loader_start(l, items, counts, batches, false, 0);
    mem_free(items);
    mem_free(counts);
    return batches;
}

static int infer_mine(float *mine, size_t *bytes, struct loader *l, int batches, int outputs, struct network *net,
                      struct error *err)
{
    struct loader_batch batch;
    *bytes = 0;
    for (int b = 0; b < batches; b++) {
        if (loader_next(l, &batch, err)) return -1;
        network_infer(net, batch.pixels, batch.count, mine + *bytes / sizeof(float));
        *bytes += sizeof(float) * (size_t)batch.count * (size_t)outputs;
    }
    return 0;
}

/* Rank after rank, each with its batches in order -> item order. */
static void reorder(float *logits, const float *all, int64_t images, int batch, int size, int outputs)
{
    for (int rank = 0; rank < size; rank++)
        for (int b = rank; b < batch_count(images, batch); b += size) {
            size_t n = (size_t)batch_size(images, batch, b) * (size_t)outputs;
            memcpy(logits + (size_t)b * (size_t)batch * (size_t)outputs, all, sizeof(float) * n);
            all += n;
        }
}

void labels_of(float labels[LOGIT_COUNT], const struct shard_item *item)
{
    labels[0] = (float)item->covid;
    for (int l = 0; l < LESION_COUNT; l++) labels[1 + l] = item->lesion[l];
}

void split_labels(float *labels, const struct dataset *d, enum split split)
{
    for (int64_t i = 0; i < dataset_count(d, split); i++) labels_of(labels + i * LOGIT_COUNT, dataset_item(d, split, i));
}

static void score(struct evaluation *e, const struct dataset *d, enum split split, const struct loss_spec *loss)
{
    float *labels = NEW_ARRAY(float, e->count * LOGIT_COUNT);
    split_labels(labels, d, split);
    struct loss_sums sums = loss_compute(NULL, e->logits, labels, (int)e->count, (int)e->count, loss);
    e->loss = sums.loss;
    e->covid = sums.covid / (double)e->count;
    mem_free(labels);
}

int evaluate_split(struct evaluation *e, struct dataset *d, enum split split, struct network *net, const struct train_config *c,
                   struct comm *comm, struct error *err)
{
    int outputs = loss_outputs(&c->loss), size = comm_size(comm), rc;
    size_t bytes, *counts = NEW_ARRAY(size_t, size);
    void *all = NULL;
    *e = (struct evaluation){.count = dataset_count(d, split)};
    float *mine = NEW_ARRAY(float, (e->count + c->eval_batch) * outputs);
    struct loader *l = loader_open(d, split, &c->augment, &c->loader);
    int batches = start(l, e->count, c->eval_batch, comm_rank(comm), size);
    rc = comm_agree(comm, infer_mine(mine, &bytes, l, batches, outputs, net, err), err, "evaluating");
    loader_close(l);
    if (!rc) {
        comm_gather(comm, mine, bytes, &all, counts, "collecting predictions");
        if (comm_rank(comm) == 0) {
            e->logits = NEW_ARRAY(float, e->count * outputs);
            reorder(e->logits, all, e->count, c->eval_batch, size, outputs);
            score(e, d, split, &c->loss);
        }
        comm_broadcast(comm, &e->loss, sizeof e->loss, 0, "validation loss");
        comm_broadcast(comm, &e->covid, sizeof e->covid, 0, "validation loss");
    }
    mem_free(mine);
    mem_free(all);
    mem_free(counts);
    return rc;
}
