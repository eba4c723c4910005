/* trainer.h - everything one rank needs to train, and the pieces of the loop.
 *
 * The unit is the global batch: batch b of an epoch is images [b*B, (b+1)*B) of sampler_order(seed, epoch), the last one
 * shorter. It is cut into `shards` virtual shards (io/load/sampler.h): as many as ranks, or train.virtual_shards in
 * deterministic runs; this rank owns `local_shards` of them from `first_shard` on.
 */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H
#include "dist/comm.h"
#include "io/load/loader.h"
#include "io/shard/shard.h"
#include "io/tensor_file.h"
#include "models/network.h"
#include "train/config.h"
#include "train/metrics.h"
#include "train/pace.h"
#include "train/reduce.h"
#include "train/resident.h"
#include "train/results.h"
#include "train/run_folder.h"

struct position { /* where the run is: kept in a checkpoint, the same on all ranks */
    int64_t step;        /* updates done since the start */
    int epoch, batch;    /* next global batch */
    int64_t images;      /* of this epoch so far */
    double loss_sum, covid_sum; /* of this epoch so far, weighted by images */
    int best_epoch;      /* -1: none yet */
    double best_covid;   /* its validation COVID loss */
    int votes;           /* epochs in vote_sum */
    int64_t record_bytes;/* length of record.jsonl up to here */
};
struct trainer {
    struct train_config c;
    const struct settings *settings;
    struct comm *comm;
    struct dataset *data;
    struct graph *graph;
    struct network *net;
    struct optim optim;
    struct reduce *reduce;
    struct resident *resident;   /* the training pictures, when the backend samples them; else */
    struct loader *train_loader;
    struct run_folder *run; /* rank 0, else NULL */
    int shards, first_shard, local_shards;
    int64_t train_count, *order;
    int batches;            /* per epoch */
    struct network_shard *shard;
    struct network_pass pass;
    uint64_t *row_key;      /* (local images) */
    float *labels;          /* (local images, 6) */
    float *targets;         /* (local images, 6), in the backend's memory; so is loss: (local_shards, 2) */
    double *loss;
    struct recording *recording[2]; /* of the step: full batches, an epoch's last one */
    struct position at;
    double *vote_sum;       /* (test images, 6) on rank 0 */
    double data_s, compute_s, comm_s, started_s, saved_s;
    bool stepped; /* since the start of this process */
    struct pace pace;
};

/* Collective. Opens data, network, optimiser, run folder; continues from a checkpoint or initialises. */
struct trainer *trainer_open(const struct settings *s, struct comm *comm, struct error *err);
void trainer_close(struct trainer *t); /* NULL is fine */

enum train_end { TRAIN_FINISHED, TRAIN_STOPPED, TRAIN_WAS_FINISHED };
/* Collective. The loop: to the last epoch and the test, or to an agreed stop (checkpoint written). */
int trainer_run(struct trainer *t, enum train_end *end, struct error *err);

/* ---- pieces, also used by tests and bench ---- */
/* Collective. One global batch: loads, forward, loss, backward with reduction, update. loss is that of the batch. */
int train_step(struct trainer *t, struct loss_sums *loss, double *gradient_norm, struct error *err);
/* Loader pass over the rest of the epoch from t->at.batch on. */
void train_start_epoch(struct trainer *t);
/* Collective. Logits of a whole split in item order on rank 0 (NULL elsewhere). Fixed batches of eval_batch images
 * are dealt to the ranks in turn, so results do not depend on the number of ranks. */
struct evaluation {
    float *logits;       /* (count, outputs), rank 0 */
    double *probability; /* (count, 6), rank 0, by predict_split */
    int64_t count;
    double loss, covid;  /* means: loss as in training, COVID cross-entropy; on all ranks */
};
int evaluate_split(struct evaluation *e, struct dataset *d, enum split split, struct network *net, const struct train_config *c,
                   struct comm *comm, struct error *err);
/* Collective. The same with probabilities: of each picture, or with test.flip the mean of it and its mirror image; the losses stay those of
 * the pictures. */
int predict_split(struct evaluation *e, struct dataset *d, enum split split, struct network *net, const struct train_config *c,
                  struct comm *comm, struct error *err);
void evaluation_free(struct evaluation *e); /* count and losses stay */
/* Collective. A c->threshold that is a rule gets its value, on rank 0, from the predictions of the validation split. */
int choose_threshold(struct train_config *c, struct dataset *d, struct network *net, struct comm *comm, struct error *err);
/* The six labels of an image, and (count, 6) of a split. */
void labels_of(float labels[LOGIT_COUNT], const struct shard_item *item);
void split_labels(float *labels, const struct dataset *d, enum split split);

/* Checkpoints and weights of a trainer (state.c). Rank 0 writes; reading is collective. */
int trainer_save(struct trainer *t, struct error *err);
int trainer_restore(struct trainer *t, bool *restored, struct error *err);
int weights_save(struct network *net, const struct graph *g, const char *path, const struct tensor_attribute *attributes,
                 int attribute_count, struct error *err);
/* Reads parameters and running statistics; refuses another network, naming the first difference. */
int weights_load(struct network *net, const struct graph *g, const char *path, struct error *err);
/* train.init (weights_init.c): what the file holds replaces initial weights and statistics; the head stays as it is when the file has none, or
 * one of other outputs. A file with anything else missing is refused, unless it was imported as partial. Each rank reads it. */
int weights_init(struct network *net, const struct graph *g, const char *path, struct error *err);
/* SHA-256 of its contents: part of what makes a run this run. */
int weights_init_hash(const char *path, char hex[65], struct error *err);
#endif
