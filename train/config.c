/* config.c - see config.h. */
#include "train/config.h"

#include <string.h>

static void read_loss(struct train_config *c, const struct settings *s)
{
    bool softmax = !strcmp(settings_string(s, "train.loss"), "softmax");
    c->method = settings_string(s, "model.method");
    c->loss = (struct loss_spec){.kind = softmax ? LOSS_SOFTMAX : LOSS_BCE, .lesions = !strcmp(c->method, "ladnn"),
                                 .covid_weight = settings_float(s, "train.covid_weight")};
}

static void read_optim(struct train_config *c, const struct settings *s)
{
    bool cosine = !strcmp(settings_string(s, "optim.schedule"), "cosine");
    c->optim = (struct optim_spec){
        .kind = !strcmp(settings_string(s, "optim.name"), "sgd") ? OPTIM_SGD : OPTIM_ADAM,
        .lr = settings_float(s, "optim.lr"), .weight_decay = settings_float(s, "optim.weight_decay"),
        .beta1 = settings_float(s, "optim.beta1"), .beta2 = settings_float(s, "optim.beta2"),
        .eps = settings_float(s, "optim.eps"), .momentum = settings_float(s, "optim.momentum"),
        .clip_norm = settings_float(s, "optim.clip_norm"),
        .cosine_period = cosine ? (int)settings_int(s, "optim.cosine_period") : 0};
}

static void read_augment(struct train_config *c, const struct settings *s)
{
    const char *recipe = settings_string(s, "augment.recipe");
    c->augment = (struct augment){
        .recipe = !strcmp(recipe, "affine") ? AUGMENT_AFFINE : !strcmp(recipe, "crop") ? AUGMENT_CROP : AUGMENT_NONE,
        .size = (int)settings_int(s, "augment.size"), .flip = settings_float(s, "augment.flip"),
        .scale_min = settings_float(s, "augment.scale_min"), .scale_max = settings_float(s, "augment.scale_max"),
        .shear_degrees = settings_float(s, "augment.shear_degrees"),
        .crop_scale_min = settings_float(s, "augment.crop_scale_min"),
        .crop_resize = (int)settings_int(s, "augment.crop_resize"), .seed = c->seed};
}

static void read_run(struct train_config *c, const struct settings *s)
{
    c->backbone = settings_string(s, "model.backbone");
    c->data = settings_string(s, "train.data");
    c->out = settings_string(s, "train.out");
    c->stop_signal = settings_string(s, "train.stop_signal");
    c->init = settings_string(s, "train.init");
    c->freeze = (int)settings_int(s, "train.freeze");
    c->head_lr_factor = settings_float(s, "optim.head_lr_factor");
    c->layer_decay = settings_float(s, "optim.layer_decay");
    c->seed = (uint64_t)settings_int(s, "train.seed");
    c->epochs = (int)settings_int(s, "train.epochs");
    c->batch = (int)settings_int(s, "train.batch");
    c->eval_batch = (int)settings_int(s, "train.eval_batch");
    c->threads = (int)settings_int(s, "train.threads");
    c->virtual_shards = (int)settings_int(s, "train.virtual_shards");
    c->checkpoint_keep = (int)settings_int(s, "train.checkpoint_keep");
    c->vote_last = (int)settings_int(s, "train.vote_last");
    c->max_steps = settings_int(s, "train.max_steps");
    c->deterministic = settings_bool(s, "train.deterministic");
    c->capture = settings_bool(s, "train.capture");
    c->resume = settings_bool(s, "train.resume");
    c->overwrite = settings_bool(s, "train.overwrite");
    c->take_over = settings_bool(s, "train.take_over");
    c->take_over_s = settings_float(s, "train.take_over_s");
    c->lead_s = settings_float(s, "train.lead_s");
    c->time_limit_s = settings_float(s, "train.time_limit_s");
    c->checkpoint_every_s = settings_float(s, "train.checkpoint_every_s");
}

static int judge(const struct train_config *c, const struct settings *s, struct error *err)
{
    int v = c->virtual_shards;
    if (c->loss.covid_weight <= 0 && !c->loss.lesions)
        return error_set(err, "train.covid_weight = 0 (%s) leaves the baseline nothing to learn", settings_origin(s, "train.covid_weight"));
    if (c->freeze && !*c->init) {
        error_set(err, "train.freeze = %d (%s) would keep random weights: train.init is not set", c->freeze, settings_origin(s, "train.freeze"));
        return error_hint(err, "--init FILE: a file made by ladnn weights import, or a run's best.h5");
    }
    if (c->vote_last > c->epochs)
        return error_set(err, "train.vote_last = %d (%s) is above train.epochs = %d (%s)", c->vote_last,
                         settings_origin(s, "train.vote_last"), c->epochs, settings_origin(s, "train.epochs"));
    if (c->vote_last && c->threshold.rule != THRESHOLD_FIXED) {
        error_set(err, "test.threshold = %s (%s) does not go with train.vote_last", threshold_rule_names[c->threshold.rule],
                  settings_origin(s, "test.threshold"));
        return error_hint(err, "the epochs vote on the test images alone; give a number");
    }
    if (c->dtype == DTYPE_BF16 && !c->ops->has(DTYPE_BF16)) {
        error_set(err, "train.precision = bf16 (%s): backend '%s' has no bf16 on this CPU", settings_origin(s, "train.precision"),
                  c->ops->name);
        return error_hint(err, "use train.precision = fp32");
    }
    if (c->deterministic && !c->sync_bn) {
        error_set(err, "train.deterministic needs dist.sync_bn = true (%s)", settings_origin(s, "dist.sync_bn"));
        return error_hint(err, "statistics per rank depend on the number of ranks");
    }
    if (c->deterministic && c->bf16_gradients) {
        error_set(err, "train.deterministic needs dist.gradients = fp32 (%s)", settings_origin(s, "dist.gradients"));
        return error_hint(err, "rounded sums depend on the number of ranks");
    }
    if (c->deterministic && (v < 1 || (v & (v - 1))))
        return error_set(err, "train.virtual_shards = %d (%s): must be a power of two when train.deterministic is set", v,
                         settings_origin(s, "train.virtual_shards"));
    if (c->augment.scale_min > c->augment.scale_max)
        return error_set(err, "augment.scale_min is above augment.scale_max (%s)", settings_origin(s, "augment.scale_min"));
    if (c->loss.kind == LOSS_SOFTMAX && c->loss.lesions) {
        error_set(err, "train.loss = softmax (%s) has no lesion outputs", settings_origin(s, "train.loss"));
        return error_hint(err, "set model.method = baseline");
    }
    return 0;
}

int train_config_read(struct train_config *c, const struct settings *s, struct error *err)
{
    *c = (struct train_config){0};
    read_run(c, s);
    read_loss(c, s);
    read_optim(c, s);
    read_augment(c, s);
    c->ops = ops_find(settings_string(s, "train.backend"), err);
    if (!c->ops) return -1;
    c->tuning = (struct ops_tuning){.candidates = c->deterministic ? 1 : (int)settings_int(s, "gpu.tune"), .tf32 = settings_bool(s, "gpu.tf32"),
                                    .sums_apart = !strcmp(settings_string(s, "gpu.sums"), "apart"), .limit_s = settings_float(s, "dist.timeout_s"), .deterministic = c->deterministic};
    c->dtype = !strcmp(settings_string(s, "train.precision"), "bf16") ? DTYPE_BF16 : DTYPE_F32;
    c->comm_kind = settings_string(s, "dist.backend");
    c->sync_bn = settings_bool(s, "dist.sync_bn");
    c->overlap = settings_bool(s, "dist.overlap");
    c->bf16_gradients = !strcmp(settings_string(s, "dist.gradients"), "bf16");
    c->timeout_s = settings_float(s, "dist.timeout_s");
    c->bucket_bytes = (size_t)(settings_float(s, "dist.bucket_mb") * (1 << 20));
    c->loader = (struct loader_options){.threads = (int)settings_int(s, "loader.threads"),
        .prefetch = (int)settings_int(s, "loader.prefetch")};
    c->cache = settings_bool(s, "loader.cache");
    c->cache_mb = settings_int(s, "loader.cache_mb");
    c->test_flip = settings_bool(s, "test.flip");
    if (threshold_parse(&c->threshold, settings_string(s, "test.threshold"), err))
        return error_prefix(err, "test.threshold (%s)", settings_origin(s, "test.threshold"));
    return judge(c, s, err);
}

static void add_value(const struct settings *s, const struct setting_row *row, struct text *out)
{
    switch (row->type) {
    case SETTING_INT: text_add(out, "%s = %lld\n", row->key, (long long)settings_int(s, row->key)); break;
    case SETTING_FLOAT: text_add(out, "%s = %.17g\n", row->key, settings_float(s, row->key)); break;
    case SETTING_BOOL: text_add(out, "%s = %s\n", row->key, settings_bool(s, row->key) ? "true" : "false"); break;
    default: text_add(out, "%s = %s\n", row->key, settings_string(s, row->key));
    }
}

static bool decides_numbers(const char *key)
{
    static const char *const groups[] = {"model.", "optim.", "augment.", "gpu.tf32"};
    static const char *const keys[] = {"train.batch", "train.seed", "train.precision", "train.loss", "train.covid_weight",
        "train.deterministic", "train.freeze", "train.vote_last", "dist.sync_bn"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (!strncmp(key, groups[i], strlen(groups[i]))) return true;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(key, keys[i])) return true;
    return false;
}

void train_config_identity(const struct settings *s, struct text *out)
{
    for (const struct setting_row *row = settings_table; row->key; row++)
        if (decides_numbers(row->key)) add_value(s, row, out);
    if (settings_bool(s, "train.deterministic")) /* equal bits need the same arithmetic, too */
        text_add(out, "train.virtual_shards = %lld\ntrain.backend = %s\n", (long long)settings_int(s, "train.virtual_shards"),
                 settings_string(s, "train.backend"));
    if (settings_bool(s, "train.deterministic") && !strcmp(settings_string(s, "gpu.sums"), "apart")) text_add(out, "gpu.sums = apart\n");
    if (!strcmp(settings_string(s, "dist.gradients"), "bf16")) text_add(out, "dist.gradients = bf16\n");
    if (settings_bool(s, "test.flip")) text_add(out, "test.flip = true\n");
    if (strcmp(settings_string(s, "test.threshold"), "0.5")) text_add(out, "test.threshold = %s\n", settings_string(s, "test.threshold"));
    if (settings_int(s, "train.vote_last")) /* which epochs vote is counted from the last one */
        text_add(out, "train.epochs = %lld\n", (long long)settings_int(s, "train.epochs"));
}
