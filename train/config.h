/* config.h - the training settings as typed values, checked together. */
#ifndef TRAIN_CONFIG_H
#define TRAIN_CONFIG_H
#include "base/settings.h"
#include "io/load/augment.h"
#include "io/load/loader.h"
#include "ops/ops.h"
#include "train/loss.h"
#include "train/optim.h"
#include "train/threshold.h"

struct train_config { /* strings are borrowed from the settings */
    const char *backbone, *method, *data, *out, *stop_signal, *comm_kind, *init;
    struct loss_spec loss;
    struct optim_spec optim;
    struct augment augment;
    struct loader_options loader; /* without its cache: who opens the data sets that */
    const struct ops *ops;
    struct ops_tuning tuning;
    enum dtype dtype;
    uint64_t seed;
    int freeze;
    double head_lr_factor, layer_decay;
    int epochs, batch, eval_batch, threads, virtual_shards, checkpoint_keep, vote_last;
    int64_t max_steps;
    struct threshold threshold;
    bool test_flip;
    bool capture, deterministic, sync_bn, overlap, bf16_gradients, resume, overwrite, take_over, cache;
    int64_t cache_mb;
    double take_over_s, lead_s, time_limit_s, checkpoint_every_s, timeout_s;
    size_t bucket_bytes;
};
/* Judges combinations too (deterministic without synchronised statistics, bf16 on a CPU without it, ...). */
int train_config_read(struct train_config *c, const struct settings *s, struct error *err);
/* The settings that decide the numbers, one "key = value" a line: what a checkpoint must agree with to be continued. What train.init names
 * counts by its contents (weights_init_hash), not by its name. */
void train_config_identity(const struct settings *s, struct text *out);
#endif
