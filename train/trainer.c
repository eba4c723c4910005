/* trainer.c - opens and closes what a rank trains with. See trainer.h for how the global batch is cut. */
#include "train/trainer.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/threads.h"
#include "io/load/sampler.h"
#include "models/init.h"
#include "train/identity.h"

/* A rule needs both classes: said before the epochs, not after them. */
static int judge_validation(const struct trainer *t, struct error *err)
{
    int64_t n = dataset_count(t->data, SPLIT_VAL), positives = 0;
    for (int64_t i = 0; i < n; i++) positives += dataset_item(t->data, SPLIT_VAL, i)->covid;
    if (t->c.threshold.rule == THRESHOLD_FIXED || (positives && positives < n)) return 0;
    error_set(err, "%s: no threshold can be chosen by %s: the validation images are all of one class", t->c.data,
              threshold_rule_names[t->c.threshold.rule]);
    return error_hint(err, "give test.threshold as a number");
}

static int open_data(struct trainer *t, struct error *err)
{
    t->data = dataset_open(t->c.data, err);
    if (!t->data) return -1;
    for (enum split s = 0; s < SPLIT_COUNT; s++)
        if (dataset_count(t->data, s) == 0) {
            error_set(err, "%s: no %s images", t->c.data, split_names[s]);
            return error_hint(err, "ladnn inspect %s shows what is there", t->c.data);
        }
    if (judge_validation(t, err)) return -1;
    t->train_count = dataset_count(t->data, SPLIT_TRAIN);
    t->order = NEW_ARRAY(int64_t, t->train_count);
    t->batches = (int)((t->train_count + t->c.batch - 1) / t->c.batch);
    if (t->c.batch > t->train_count)
        log_warn("train.batch = %d, but there are %d training images: one step per epoch", t->c.batch, (int)t->train_count);
    return 0;
}

static int cut_batch(struct trainer *t, struct error *err)
{
    int size = comm_size(t->comm), rank = comm_rank(t->comm);
    t->shards = t->c.deterministic ? t->c.virtual_shards : size;
    if (t->shards % size) {
        error_set(err, "train.deterministic with train.virtual_shards = %d cannot run on %d ranks", t->shards, size);
        return error_hint(err, "the number of ranks must divide train.virtual_shards");
    }
    t->local_shards = t->shards / size;
    t->first_shard = rank * t->local_shards;
    return 0;
}

/* All image counts that the network will meet: of a shard of a whole batch and of an epoch's last one, and of evaluation. */
static void expect_batches(struct trainer *t)
{
    const int64_t batches[] = {t->c.batch, t->train_count % t->c.batch};
    for (int b = 0; b < 2; b++) {
        network_expect(t->net, (int)(batches[b] / t->shards), true);
        network_expect(t->net, (int)((batches[b] + t->shards - 1) / t->shards), true);
    }
    for (enum split s = SPLIT_VAL; s <= SPLIT_TEST; s++) {
        int64_t count = dataset_count(t->data, s);
        if (count >= t->c.eval_batch) network_expect(t->net, t->c.eval_batch, false);
        network_expect(t->net, (int)(count % t->c.eval_batch), false);
    }
}

/* Frozen stages, and a learning rate for each of the others; arenas begin with the head. */
static int set_stages(struct trainer *t, struct error *err)
{
    struct optim_range range[OPTIM_RANGES_MOST];
    int head = t->graph->stage_count - 1, frozen = t->c.freeze < 0 ? head : t->c.freeze;
    if (frozen > head) return error_set(err, "train.freeze = %d: %s has %d stages before its head", frozen, t->c.backbone, head);
    ASSERT(t->graph->stage_count <= OPTIM_RANGES_MOST);
    for (int stage = head; stage >= frozen; stage--) {
        double factor = pow(t->c.layer_decay, head - stage) * (stage == head ? t->c.head_lr_factor : 1);
        range[head - stage] = (struct optim_range){network_stage_end(t->net, stage), factor};
    }
    network_freeze(t->net, frozen);
    optim_set_ranges(&t->optim, range, head - frozen + 1);
    return 0;
}

static int open_network(struct trainer *t, struct error *err)
{
    int per_shard = (t->c.batch + t->shards - 1) / t->shards;
    struct network_options options = {.ops = t->c.ops, .dtype = t->c.dtype, .max_images = per_shard,
                                      .max_eval_images = t->c.eval_batch, .shards = t->local_shards,
                                      .state_floats = t->c.optim.kind == OPTIM_ADAM ? 2 : 1};
    t->graph = graph_build(t->c.backbone, t->c.augment.size, loss_outputs(&t->c.loss), true, err);
    if (!t->graph) return -1;
    t->net = network_open(t->graph, &options, err);
    if (!t->net) return -1;
    expect_batches(t);
    int64_t count = network_arena_count(t->net);
    int room = per_shard * t->local_shards;
    if (optim_open(&t->optim, t->c.ops, &t->c.optim, count, err) || set_stages(t, err)) return -1;
    t->reduce = reduce_open(t->comm, t->c.ops, network_gradients(t->net), network_trainable_count(t->net),
                            &(struct reduce_options){t->c.bucket_bytes, t->c.deterministic, t->c.overlap, t->c.bf16_gradients}, err);
    if (!t->reduce) return -1;
    t->shard = NEW_ARRAY(struct network_shard, t->local_shards);
    t->row_key = NEW_ARRAY(uint64_t, room);
    t->labels = NEW_ARRAY(float, room * LOSS_TARGETS);
    t->targets = t->c.ops->alloc(sizeof(float) * LOSS_TARGETS * (size_t)room);
    t->loss = t->c.ops->alloc(sizeof(double) * 2 * (size_t)t->local_shards);
    return t->targets && t->loss ? 0 : error_set(err, "no room on %s for a batch's labels", t->c.ops->name);
}

/* Every rank was started with its own command line and sees its own files: all must have the same settings and the same data. */
static int compare_ranks(struct trainer *t, const struct text *identity, struct error *err)
{
    struct text mine = {0};
    size_t *counts = NEW_ARRAY(size_t, comm_size(t->comm)), at = 0;
    void *all = NULL;
    int rc = 0;
    text_add(&mine, "%strain.epochs = %d\ntrain.max_steps = %lld\n", identity->data, t->c.epochs, (long long)t->c.max_steps);
    comm_gather(t->comm, mine.data, mine.length + 1, &all, counts, "comparing the ranks' settings");
    for (int r = 0; all && r < comm_size(t->comm) && !rc; at += counts[r++]) {
        const char *theirs = (const char *)all + at, *ours = mine.data;
        if (!text_first_difference(&ours, &theirs)) continue;
        rc = error_set(err, "rank %d has '%.*s', rank 0 has '%.*s'", r, (int)strcspn(theirs, "\n"), theirs, (int)strcspn(ours, "\n"), ours);
        error_hint(err, "start all ranks with the same settings, and let them see the same data");
    }
    text_free(&mine);
    mem_free(counts);
    mem_free(all);
    return comm_agree(t->comm, rc, err, "comparing the ranks' settings");
}

/* A rank that waits for another has limited patience (dist.timeout_s), so rank 0 says again and again that it is still waiting. */
static const char WAITING[] = "waiting for the run folder";
static void still_waiting(void *comm) { comm_any(comm, true, WAITING); }

static int open_folder(struct trainer *t, const char *identity, bool *finished, struct error *err)
{
    struct run_opening how = {.overwrite = t->c.overwrite, .take_over = t->c.take_over, .take_over_s = t->c.take_over_s,
                              .waiting = still_waiting, .context = t->comm};
    if (comm_rank(t->comm) == 0) {
        t->run = run_folder_open(t->c.out, identity, &how, finished, err);
        comm_any(t->comm, false, WAITING);
        return t->run ? 0 : -1;
    }
    while (comm_any(t->comm, false, WAITING)) continue;
    return 0;
}

static int open_run(struct trainer *t, bool *finished, struct error *err)
{
    struct text identity = {0};
    uint8_t digest[32];
    char hex[65];
    dataset_hash(t->data, digest);
    hash_hex(hex, digest);
    int rc = comm_agree(t->comm, run_identity_of(t->settings, hex, &identity, err), err, "telling what this run is");
    if (!rc) rc = compare_ranks(t, &identity, err);
    if (!rc) rc = open_folder(t, identity.data, finished, err);
    text_free(&identity);
    if (!rc && t->run && !*finished) trainer_tell(t, RUN_RUNNING, NULL);
    return comm_agree(t->comm, rc, err, "opening the run folder");
}

/* config.cfg: every setting with its origin, and what it was run on. */
static int write_config(struct trainer *t, struct error *err)
{
    struct text out = {0};
    struct error ignored;
    uint8_t digest[32];
    char hex[65] = "unknown", now[32], device[400];
    clock_iso8601(now, sizeof now);
    text_add(&out, "// ladnn %s, %s. Research use only: not for diagnosis.%s\n", LADNN_VERSION, now,
             dataset_synthetic(t->data) ? " SYNTHETIC data." : "");
    if (!sha256_file(digest, "/proc/self/exe", &ignored)) hash_hex(hex, digest);
    text_add(&out, "// program sha256 %s\n", hex);
    dataset_hash(t->data, digest);
    hash_hex(hex, digest);
    t->c.ops->describe(device, sizeof device);
    if (*device) text_add(&out, "// rank 0 computes on %s\n", device);
    text_add(&out, "// data %s sha256 %s, %d shards\n// ranks %d, threads of rank 0: %d\n", dataset_name(t->data), hex,
             dataset_shard_count(t->data), comm_size(t->comm), omp_get_max_threads());
    settings_write(t->settings, &out);
    int rc = run_folder_write(t->run, "config.cfg", &out, err);
    text_free(&out);
    return rc;
}

static int record_start(struct trainer *t, struct error *err)
{
    struct text line = {0};
    struct json j;
    json_open(&j, &line, false);
    json_object(&j, NULL);
    json_string(&j, "type", "start");
    json_string(&j, "version", LADNN_VERSION);
    json_string(&j, "backbone", t->c.backbone);
    json_string(&j, "method", t->c.method);
    json_string(&j, "dataset", dataset_name(t->data));
    json_bool(&j, "synthetic", dataset_synthetic(t->data));
    json_int(&j, "parameters", graph_parameter_count(t->graph));
    json_int(&j, "train_images", t->train_count);
    json_int(&j, "val_images", dataset_count(t->data, SPLIT_VAL));
    json_int(&j, "test_images", dataset_count(t->data, SPLIT_TEST));
    json_end_object(&j);
    t->at.record_bytes = run_record_add(t->run, line.data, err);
    text_free(&line);
    return t->at.record_bytes < 0 ? -1 : 0;
}

static int begin(struct trainer *t, struct error *err)
{
    bool restored = false;
    t->at.best_epoch = -1;
    if (t->c.vote_last && t->run) t->vote_sum = NEW_ARRAY(double, dataset_count(t->data, SPLIT_TEST) * LOGIT_COUNT);
    init_network(t->net, t->graph, t->c.seed);
    int rc = *t->c.init ? weights_init(t->net, t->graph, t->c.init, err) : 0;
    if (comm_agree(t->comm, rc, err, "reading the initial weights")) return -1;
    if (t->c.resume && trainer_restore(t, &restored, err)) return -1;
    if (t->run && !t->c.resume) { /* else a later run would continue from what this one leaves behind */
        char *checkpoints = run_folder_file(t->run, "checkpoints");
        rc = fence_check(run_folder_fence(t->run), err) || folder_remove(checkpoints, err) ? -1 : 0;
        mem_free(checkpoints);
    }
    if (t->run && !rc) {
        rc = run_record_rewind(t->run, restored ? t->at.record_bytes : 0, err);
        if (!rc && !restored) rc = record_start(t, err);
        if (!rc) rc = write_config(t, err);
    }
    return comm_agree(t->comm, rc, err, "starting the run record");
}

static int check_paths(const struct train_config *c, struct error *err)
{
    if (!*c->data) return error_set(err, "train.data is not set: --data DIR, a folder made by ladnn pack");
    if (!*c->out) return error_set(err, "train.out is not set: --out DIR, the run folder to make or continue");
    return 0;
}

/* On the backend when it samples pictures itself and they fit, else through the loader. All ranks see the same batches either way. */
static int open_pictures(struct trainer *t, struct error *err)
{
    int images = (t->c.batch + t->shards - 1) / t->shards * t->local_shards;
    int rc = resident_open(&t->resident, t->c.ops, t->data, SPLIT_TRAIN, t->c.loader.cache, &t->c.augment, images, err);
    if (!rc && !t->resident) t->train_loader = loader_open(t->data, SPLIT_TRAIN, &t->c.augment, &t->c.loader);
    return rc;
}

static int open_parts(struct trainer *t, struct error *err)
{
    bool finished = false;
    int threads = threads_of_rank(t->c.threads, comm_local_size(t->comm));
    if (comm_agree(t->comm, open_data(t, err) || cut_batch(t, err) ? -1 : 0, err, "opening the data")) return -1;
    if (open_run(t, &finished, err)) return -1;
    if (comm_any(t->comm, finished, "looking for an earlier result")) {
        t->at.epoch = t->c.epochs; /* nothing to do: trainer_run says so */
        return comm_agree(t->comm, t->run ? run_finished(t->c.out, t->c.epochs, &finished, err) : 0, err, "looking at an earlier result");
    }
    omp_set_num_threads(threads);
    if (comm_agree(t->comm, t->c.ops->attach(comm_local_rank(t->comm), err), err, "taking the accelerators")) return -1;
    t->c.ops->tune(&t->c.tuning);
    t->c.ops->open(threads);
    t->c.augment.seed = t->c.seed;
    if (comm_agree(t->comm, open_network(t, err), err, "planning the network")) return -1;
    if (pixel_cache_open(&t->c.loader.cache, t->data, t->comm, t->c.cache, t->c.cache_mb, err)) return -1;
    if (comm_agree(t->comm, open_pictures(t, err), err, "reading the training pictures")) return -1;
    log_info("%s %s: %.1f M parameters, %.2f GMAC an image, %lld + %lld + %lld images of '%s'%s", t->c.backbone, t->c.method,
             (double)graph_parameter_count(t->graph) / 1e6, graph_macs(t->graph) / 1e9, (long long)t->train_count,
             (long long)dataset_count(t->data, SPLIT_VAL), (long long)dataset_count(t->data, SPLIT_TEST),
             dataset_name(t->data), dataset_synthetic(t->data) ? " (SYNTHETIC)" : "");
    char device[400];
    t->c.ops->describe(device, sizeof device);
    if (*device) log_info("rank 0 computes on %s", device);
    log_info("%d rank%s (%s) x %d thread%s, %s on %s, batch %d in %d part%s, activations %.0f MB a rank", comm_size(t->comm),
             comm_size(t->comm) > 1 ? "s" : "", comm_kind(t->comm), threads, threads > 1 ? "s" : "",
             t->c.dtype == DTYPE_BF16 ? "bf16" : "fp32", t->c.ops->name, t->c.batch, t->shards, t->shards > 1 ? "s" : "",
             (double)network_activation_bytes(t->net) / 1e6);
    return begin(t, err);
}

struct trainer *trainer_open(const struct settings *s, struct comm *comm, struct error *err)
{
    struct trainer *t = NEW(struct trainer);
    t->settings = s;
    t->comm = comm;
    t->started_s = t->saved_s = clock_s();
    pace_start(&t->pace);
    if (train_config_read(&t->c, s, err) || check_paths(&t->c, err) || open_parts(t, err)) {
        trainer_tell_failure(t, err);
        trainer_close(t);
        return NULL;
    }
    return t;
}

static void close_step(struct trainer *t)
{
    if (!t->c.ops) return;
    for (size_t i = 0; i < sizeof t->recording / sizeof *t->recording; i++) t->c.ops->recording_free(t->recording[i]);
    t->c.ops->free(t->targets);
    t->c.ops->free(t->loss);
    optim_close(&t->optim);
}

void trainer_close(struct trainer *t)
{
    if (!t) return;
    loader_close(t->train_loader);
    resident_close(t->resident);
    pixel_cache_close(t->c.loader.cache);
    reduce_close(t->reduce);
    close_step(t);
    network_close(t->net);
    graph_close(t->graph);
    dataset_close(t->data);
    run_folder_close(t->run);
    mem_free(t->order);
    mem_free(t->shard);
    mem_free(t->row_key);
    mem_free(t->labels);
    mem_free(t->vote_sum);
    mem_free(t);
}
