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

/* A pass over the split. */
struct pass {
    struct dataset *d;
    enum split split;
    struct network *net;
    const struct train_config *c;
    struct comm *comm;
};

/* Left to right, each of the planes (count * 3, size, size), in place. */
static void mirror(float *pixels, int count, int size)
{
    for (int64_t row = 0; row < (int64_t)count * 3 * size; row++)
        for (float *left = pixels + row * size, *right = left + size - 1; left < right; left++, right--) {
            float kept = *left;
            *left = *right;
            *right = kept;
        }
}

static int infer_mine(float *mine, size_t *bytes, struct loader *l, int batches, bool mirrored, int outputs, const struct pass *p,
                      struct error *err)
{
    struct loader_batch batch;
    *bytes = 0;
    for (int b = 0; b < batches; b++) {
        if (loader_next(l, &batch, err)) return -1;
        if (mirrored) mirror(batch.pixels, batch.count, p->c->augment.size);
        network_infer(p->net, batch.pixels, batch.count, mine + *bytes / sizeof(float));
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

/* Collective. Logits (count, outputs) of the split on rank 0, NULL elsewhere; of the pictures, or of their mirror images. */
static int collect(float **logits, const struct pass *p, bool mirrored, struct error *err)
{
    int outputs = loss_outputs(&p->c->loss), size = comm_size(p->comm), batch = p->c->eval_batch;
    int64_t count = dataset_count(p->d, p->split);
    size_t bytes, *counts = NEW_ARRAY(size_t, size);
    void *all = NULL;
    float *mine = NEW_ARRAY(float, (count + batch) * outputs);
    struct loader *l = loader_open(p->d, p->split, &p->c->augment, &p->c->loader);
    int batches = start(l, count, batch, comm_rank(p->comm), size);
    int rc = comm_agree(p->comm, infer_mine(mine, &bytes, l, batches, mirrored, outputs, p, err), err, "evaluating");
    loader_close(l);
    *logits = NULL;
    if (!rc) comm_gather(p->comm, mine, bytes, &all, counts, "collecting predictions");
    if (!rc && comm_rank(p->comm) == 0) {
        *logits = NEW_ARRAY(float, count * outputs);
        reorder(*logits, all, count, batch, size, outputs);
    }
    mem_free(mine);
    mem_free(all);
    mem_free(counts);
    return rc;
}

int evaluate_split(struct evaluation *e, struct dataset *d, enum split split, struct network *net, const struct train_config *c,
                   struct comm *comm, struct error *err)
{
    struct pass pass = {d, split, net, c, comm};
    *e = (struct evaluation){.count = dataset_count(d, split)};
    int rc = collect(&e->logits, &pass, false, err);
    if (!rc) {
        if (e->logits) score(e, d, split, &c->loss);
        comm_broadcast(comm, &e->loss, sizeof e->loss, 0, "validation loss");
        comm_broadcast(comm, &e->covid, sizeof e->covid, 0, "validation loss");
    }
    return rc;
}

int predict_split(struct evaluation *e, struct dataset *d, enum split split, struct network *net, const struct train_config *c,
                  struct comm *comm, struct error *err)
{
    struct pass pass = {d, split, net, c, comm};
    float *mirrored = NULL;
    if (evaluate_split(e, d, split, net, c, comm, err)) return -1;
    if (c->test_flip && collect(&mirrored, &pass, true, err)) return -1;
    if (e->logits) {
        int64_t n = e->count * LOGIT_COUNT;
        e->probability = NEW_ARRAY(double, n);
        loss_probabilities(e->probability, e->logits, (int)e->count, &c->loss);
        if (mirrored) {
            double *other = NEW_ARRAY(double, n);
            loss_probabilities(other, mirrored, (int)e->count, &c->loss);
            for (int64_t i = 0; i < n; i++) e->probability[i] = (e->probability[i] + other[i]) / 2;
            mem_free(other);
        }
    }
    mem_free(mirrored);
    return 0;
}

int choose_threshold(struct train_config *c, struct dataset *d, struct network *net, struct comm *comm, struct error *err)
{
    struct evaluation e = {0};
    if (c->threshold.rule == THRESHOLD_FIXED) return 0;
    int rc = predict_split(&e, d, SPLIT_VAL, net, c, comm, err);
    if (!rc) {
        if (e.probability) rc = results_choose(&c->threshold, e.probability, d, SPLIT_VAL, err);
        rc = comm_agree(comm, rc, err, "choosing a threshold");
    }
    evaluation_free(&e);
    return rc;
}

void evaluation_free(struct evaluation *e)
{
    mem_free(e->logits);
    mem_free(e->probability);
    e->logits = NULL;
    e->probability = NULL;
}
