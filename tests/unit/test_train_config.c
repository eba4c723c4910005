/* test_train_config.c - settings become the values they name; combinations that cannot be meant are refused with a message that
 * names the key and where it was set; the identity holds what decides the numbers, and nothing else. */
#include <sched.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "train/commands.h"
#include "base/threads.h"
#include "train/config.h"

static struct error err;

/* Settings of `ladnn train` with blank-separated key=value words on top of the defaults. */
static struct settings *settings_with(const char *words)
{
    struct settings *s = settings_open(&command_train);
    char copy[1600], *state = NULL;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok_r(copy, " ", &state); w; w = strtok_r(NULL, " ", &state)) {
        char *value = strchr(w, '=');
        *value++ = 0;
        EXPECT(settings_set(s, w, value, "test.cfg:7", &err) == 0, "%s", err.message);
    }
    return s;
}

/* Returns train_config_read's status; the strings of c are gone with the settings. */
static int read_config(struct train_config *c, const char *words)
{
    struct settings *s = settings_with(words);
    err = (struct error){0};
    int status = train_config_read(c, s, &err);
    settings_close(s);
    return status;
}

/* ---- values ---- */
static void test_defaults(void)
{
    struct train_config c;
    EXPECT(read_config(&c, "") == 0, "the defaults: %s", err.message);
    EXPECT(c.loss.kind == LOSS_BCE && c.loss.lesions && c.loss.covid_weight == 5, "the paper's loss");
    EXPECT(c.optim.kind == OPTIM_ADAM && c.optim.lr == 5e-5 && c.optim.weight_decay == 5e-4 && c.optim.cosine_period == 0, "Adam");
    EXPECT(c.optim.beta1 == 0.9 && c.optim.beta2 == 0.999 && c.optim.eps == 1e-8 && c.optim.clip_norm == 0, "Adam");
    EXPECT(c.augment.recipe == AUGMENT_AFFINE && c.augment.size == 224 && c.augment.flip == 0.5, "augmentation");
    EXPECT(c.augment.scale_min == 0.8 && c.augment.scale_max == 1.2 && c.augment.shear_degrees == 0.2, "affine");
    EXPECT(c.batch == 32 && c.epochs == 15 && c.vote_last == 0 && c.dtype == DTYPE_F32 && c.sync_bn && c.resume, "run");
    EXPECT(c.bucket_bytes == 25u << 20, "%zu", c.bucket_bytes);
}

static void test_values(void)
{
    struct train_config c;
    struct settings *s = settings_with(
        "model.backbone=vgg16 model.method=baseline train.data=D train.out=O train.stop_signal=usr1 train.loss=softmax train.covid_weight=2 "
        "optim.name=sgd optim.lr=0.5 optim.weight_decay=0.25 optim.beta1=0.1 optim.beta2=0.2 optim.eps=0.3 optim.momentum=0.4 "
        "optim.clip_norm=6 optim.schedule=cosine optim.cosine_period=7 augment.recipe=crop augment.size=96 augment.flip=0.125 "
        "augment.scale_min=0.7 augment.scale_max=1.3 augment.shear_degrees=8 augment.crop_scale_min=0.375 augment.crop_resize=100 "
        "train.seed=9007199254740991 train.epochs=11 train.batch=12 train.eval_batch=13 train.threads=14 train.virtual_shards=15 "
        "train.checkpoint_keep=16 train.vote_last=3 train.max_steps=5000000000 train.time_limit_s=18 train.checkpoint_every_s=19 "
        "train.overwrite=true train.resume=false train.backend=ref dist.backend=self dist.sync_bn=false dist.overlap=false "
        "dist.timeout_s=20 dist.bucket_mb=0.5 loader.threads=21 loader.prefetch=22 loader.cache=false loader.cache_mb=23");
    err = (struct error){0};
    EXPECT(train_config_read(&c, s, &err) == 0, "%s", err.message);
    EXPECT(!strcmp(c.backbone, "vgg16") && !strcmp(c.method, "baseline") && !strcmp(c.data, "D") && !strcmp(c.out, "O"), "strings");
    EXPECT(!strcmp(c.stop_signal, "usr1") && !strcmp(c.comm_kind, "self") && !strcmp(c.ops->name, "ref"), "names");
    EXPECT(c.loss.kind == LOSS_SOFTMAX && !c.loss.lesions && c.loss.covid_weight == 2, "loss");
    EXPECT(c.optim.kind == OPTIM_SGD && c.optim.lr == 0.5 && c.optim.weight_decay == 0.25 && c.optim.beta1 == 0.1, "optim");
    EXPECT(c.optim.beta2 == 0.2 && c.optim.eps == 0.3 && c.optim.momentum == 0.4 && c.optim.clip_norm == 6, "optim");
    EXPECT(c.optim.cosine_period == 7, "cosine");
    EXPECT(c.augment.recipe == AUGMENT_CROP && c.augment.size == 96 && c.augment.flip == 0.125 && c.augment.scale_min == 0.7, "augment");
    EXPECT(c.augment.scale_max == 1.3 && c.augment.shear_degrees == 8 && c.augment.crop_scale_min == 0.375, "augment");
    EXPECT(c.augment.crop_resize == 100 && c.augment.seed == c.seed && c.seed == 9007199254740991u, "seed");
    EXPECT(c.epochs == 11 && c.batch == 12 && c.eval_batch == 13 && c.threads == 14 && c.virtual_shards == 15, "counts");
    EXPECT(c.checkpoint_keep == 16 && c.vote_last == 3 && c.max_steps == 5000000000, "counts");
    EXPECT(c.time_limit_s == 18 && c.checkpoint_every_s == 19 && c.timeout_s == 20 && c.bucket_bytes == 1 << 19, "times and sizes");
    EXPECT(c.overwrite && !c.resume && !c.sync_bn && !c.overlap && !c.deterministic, "switches");
    EXPECT(c.loader.threads == 21 && c.loader.prefetch == 22 && !c.loader.cache && !c.cache && c.cache_mb == 23, "loader");
    settings_close(s);
}

/* ---- combinations ---- */
static void refused(const char *words, const char *key, const char *hint)
{
    struct train_config c;
    EXPECT(read_config(&c, words) == -1, "taken: %s", words);
    EXPECT_TEXT(err.message, key);
    EXPECT_TEXT(err.message, "test.cfg:7");
    EXPECT_TEXT(err.hint, hint);
}

static void taken(const char *words)
{
    struct train_config c;
    EXPECT(read_config(&c, words) == 0, "%s: %s", words, err.message);
}

static void test_combinations(void)
{
    refused("train.precision=bf16 train.backend=ref", "train.precision = bf16", "fp32");
    refused("train.deterministic=true dist.sync_bn=false", "dist.sync_bn", "ranks");
    refused("train.deterministic=true dist.gradients=bf16", "dist.gradients", "ranks");
    refused("train.deterministic=true train.virtual_shards=6", "train.virtual_shards = 6", "");
    refused("train.deterministic=true train.virtual_shards=3", "train.virtual_shards = 3", "");
    refused("train.freeze=1", "train.freeze = 1", "ladnn weights import");
    refused("train.freeze=-1", "train.freeze = -1", "--init");
    taken("train.freeze=1 train.init=W.h5");
    refused("augment.scale_min=1.25", "augment.scale_min", "");
    refused("train.loss=softmax", "train.loss = softmax", "model.method = baseline");
    taken("train.deterministic=true");
    for (int shards = 1; shards <= 4096; shards *= 2) {
        char words[80];
        snprintf(words, sizeof words, "train.deterministic=true train.virtual_shards=%d", shards);
        taken(words);
    }
    taken("train.virtual_shards=6 dist.sync_bn=false");
    taken("train.loss=softmax model.method=baseline");
    taken("augment.scale_min=1.2 augment.scale_max=1.2");
    taken("train.precision=fp32 train.backend=ref");
}

/* ---- identity ---- */
static bool changes_identity(const char *base, const char *word)
{
    struct text a = {0}, b = {0};
    char words[400];
    snprintf(words, sizeof words, "%s %s", base, word);
    struct settings *s = settings_with(base), *t = settings_with(words);
    train_config_identity(s, &a);
    train_config_identity(t, &b);
    bool differ = strcmp(a.data, b.data);
    settings_close(s), settings_close(t);
    text_free(&a), text_free(&b);
    return differ;
}

static void test_identity(void)
{
    static const char *const decide[] = {
        "model.backbone=vgg16", "model.method=baseline", "train.batch=31", "train.seed=2", "train.precision=bf16",
        "train.loss=softmax", "train.covid_weight=5.0000001", "train.deterministic=true", "train.vote_last=2", "dist.sync_bn=false",
        "train.freeze=1", "optim.head_lr_factor=10", "optim.layer_decay=0.7",
        "optim.name=sgd", "optim.lr=5.000000001e-5", "optim.weight_decay=0", "optim.beta1=0.8", "optim.beta2=0.9", "optim.eps=1e-7",
        "optim.momentum=0.8", "optim.schedule=cosine", "optim.cosine_period=9", "optim.clip_norm=1", "augment.recipe=none",
        "augment.size=96", "augment.flip=0", "augment.scale_min=0.9", "augment.scale_max=1.3", "augment.shear_degrees=1",
        "augment.crop_scale_min=0.6", "augment.crop_resize=240", "gpu.tf32=true", "dist.gradients=bf16", "test.flip=true", "test.threshold=youden"};
    static const char *const do_not[] = {
        "train.data=D", "train.init=I", "train.out=O", "train.epochs=16", "train.threads=3", "train.virtual_shards=8", "train.max_steps=4",
        "train.time_limit_s=1", "train.checkpoint_every_s=1", "train.checkpoint_keep=3", "train.resume=false", "train.eval_batch=2",
        "train.stop_signal=none", "train.overwrite=true", "train.take_over=true", "train.take_over_s=1", "train.lead_s=5",
        "dist.bucket_mb=1", "dist.timeout_s=3", "dist.overlap=false",
        "dist.backend=self", "train.backend=ref", "train.capture=false", "gpu.tune=2", "gpu.sums=apart",
        "loader.threads=2", "loader.prefetch=4", "loader.cache=false", "loader.cache_mb=1"};
    int rows = 0;
    for (size_t i = 0; i < sizeof decide / sizeof *decide; i++) EXPECT(changes_identity("", decide[i]), "%s", decide[i]);
    for (size_t i = 0; i < sizeof do_not / sizeof *do_not; i++) EXPECT(!changes_identity("", do_not[i]), "%s", do_not[i]);
    for (const struct setting_row *row = settings_table; row->key; row++)
        for (const char *const *group = (const char *const[]){"train.", "model.", "optim.", "gpu.", "augment.", "dist.", "loader.", "test.", NULL}; *group; group++)
            rows += !strncmp(row->key, *group, strlen(*group));
    EXPECT(rows == (int)(sizeof decide / sizeof *decide + sizeof do_not / sizeof *do_not), "a new key (%d) needs a place in one of the lists", rows);
    EXPECT(changes_identity("train.deterministic=true", "train.virtual_shards=8"), "the parts of a batch count when deterministic");
    EXPECT(changes_identity("train.deterministic=true", "train.backend=ref"), "equal bits need the same arithmetic");
    EXPECT(changes_identity("train.deterministic=true", "gpu.sums=apart"), "equal bits need the same sums");
    EXPECT(changes_identity("train.vote_last=2", "train.epochs=16"), "the last epochs depend on their number when they vote");
}

/* ---- threads ---- */
static void test_threads(void)
{
    cpu_set_t all, one;
    int online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    EXPECT(threads_of_rank(3, 1) == 3 && threads_of_rank(3, 64) == 3, "a setting stands");
    if (sched_getaffinity(0, sizeof all, &all)) return;
    int cores = CPU_COUNT(&all);
    EXPECT(threads_of_rank(0, 1) == cores, "%d of %d", threads_of_rank(0, 1), cores);
    EXPECT(threads_of_rank(0, 2 * online) >= 1, "never none");
    if (cores == online) EXPECT(threads_of_rank(0, online) == 1 && threads_of_rank(0, 2 * online) == 1, "unbound ranks share the cores");
    if (cores < 3 || cores != online) return; /* a bound rank has its cores for itself; two of three or more show it */
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) < 2; cpu++)
        if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    EXPECT(sched_setaffinity(0, sizeof one, &one) == 0 && threads_of_rank(0, 2) == 2, "%d threads of two bound cores", threads_of_rank(0, 2));
    sched_setaffinity(0, sizeof all, &all);
}

int main(void)
{
    test_defaults();
    test_values();
    test_combinations();
    test_identity();
    test_threads();
    return check_verdict();
}
