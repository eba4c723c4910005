/* cmd_bench.c - `ladnn bench train|infer`: images per second of one rank on made-up pictures; `bench load` and
 * `bench pack` are in bench_data.c and bench_pack.c.
 *
 * A training step here is forward, loss, backward and the Adam update of one global batch on one rank, as in train_step, without
 * the loader (on a GPU the pictures lie on the card, as in training); images/s = batch / median step time. Peak memory is the process's largest resident set. ready_s runs from the
 * first line of the command to the first step's begin (planning, primitives, initial weights), first_step_s to its end.
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/threads.h"
#include "models/init.h"
#include "train/bench_data.h"
#include "train/commands.h"
#include "train/config.h"
#include "models/network.h"

enum { LIMIT_S = 60 }; /* of a wait for the GPU */
struct bench {
    const struct settings *s;
    const struct ops *ops;
    struct graph *graph;
    struct network *net;
    struct optim optim;
    struct loss_spec loss;
    struct network_shard shard;
    float *pixels, *logits;
    float *targets; /* in the backend's memory, and so is */
    double *sums;   /* the loss */
    struct recording *recording;
    uint64_t *keys;
    bool train, loaded, kinds;
    size_t room; /* of the backend's memory, at the start */
    int batch, threads;
    double start_s;
};

static void fill(struct bench *b, int size)
{
    struct random r = random_stream(1, RANDOM_TEST, 0, 0);
    int64_t count = (int64_t)b->batch * 3 * size * size;
    b->pixels = NEW_ARRAY(float, count);
    b->logits = NEW_ARRAY(float, b->batch * LOGIT_COUNT);
    b->keys = NEW_ARRAY(uint64_t, b->batch);
    for (int64_t i = 0; i < count; i++) b->pixels[i] = (float)random_range(&r, -2, 2);
    for (int i = 0; i < b->batch; i++) b->keys[i] = random_u64(&r);
    b->shard = (struct network_shard){.images = b->batch, .pixels = b->pixels, .row_key = b->keys};
}

/* What training needs beside the network. */
static int open_training(struct bench *b, struct error *err)
{
    struct optim_spec adam = {.kind = OPTIM_ADAM, .lr = 5e-5, .weight_decay = 5e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    struct random r = random_stream(2, RANDOM_TEST, 0, 0);
    int count = b->batch * LOGIT_COUNT;
    float *labels = NEW_ARRAY(float, count);
    for (int i = 0; i < count; i++) labels[i] = random_u32(&r) & 1;
    b->targets = b->ops->alloc(sizeof(float) * (size_t)count);
    b->sums = b->ops->alloc(sizeof(double) * 2);
    if (b->targets) b->ops->upload(b->targets, labels, sizeof(float) * (size_t)count);
    mem_free(labels);
    if (!b->targets || !b->sums) return error_set(err, "no room on %s", b->ops->name);
    return optim_open(&b->optim, b->ops, &adam, network_arena_count(b->net), err);
}

static int open_bench(struct bench *b, const char *backbone, struct error *err)
{
    int size = (int)settings_int(b->s, "bench.size");
    enum dtype dtype = !strcmp(settings_string(b->s, "bench.precision"), "bf16") ? DTYPE_BF16 : DTYPE_F32;
    struct network_options options = {.ops = b->ops, .dtype = dtype, .max_images = b->batch,
                                      .max_eval_images = b->train ? 0 : b->batch, .shards = b->train ? 1 : 0,
                                      .state_floats = b->train ? 2 : 0};
    if (dtype == DTYPE_BF16 && !b->ops->has(dtype)) return error_set(err, "this CPU has no bf16");
    b->graph = graph_build(backbone, size, LOGIT_COUNT, true, err);
    b->net = b->graph ? network_open(b->graph, &options, err) : NULL;
    if (!b->net) return -1;
    init_network(b->net, b->graph, 1);
    network_time_exactly(b->net, b->kinds);
    fill(b, size);
    return b->train ? open_training(b, err) : 0;
}

static void close_bench(struct bench *b)
{
    b->ops->recording_free(b->recording);
    b->ops->free(b->targets);
    b->ops->free(b->sums);
    optim_close(&b->optim);
    network_close(b->net);
    graph_close(b->graph);
    void *all[] = {b->pixels, b->logits, b->keys};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
}

static void queue_step(void *context)
{
    struct bench *b = context;
    struct network_pass pass = {.shard = &b->shard, .total_images = b->batch};
    network_forward(b->net, &pass);
    b->ops->loss(b->sums, network_dlogits(b->net, 0), network_logits(b->net, 0), b->targets, b->batch, b->batch, &b->loss);
    network_backward(b->net, &pass);
    optim_queue(&b->optim, network_parameters(b->net), network_gradients(b->net));
}

static void step(struct bench *b)
{
    struct network_pass pass = {.shard = &b->shard, .total_images = b->batch};
    if (!b->train) {
        network_infer(b->net, b->pixels, b->batch, b->logits);
        return;
    }
    if (b->ops->on_host || !b->loaded) network_load(b->net, &pass);
    b->loaded = true;
    optim_prepare(&b->optim, b->optim.spec.lr);
    if (b->kinds) queue_step(b);
    else b->ops->replay(&b->recording, queue_step, b);
    optim_norm(&b->optim);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* What the layers of each kind take in a step. */
static void json_times(struct json *j, const struct network_times *t, int steps)
{
    json_object(j, "kinds_ms");
    for (int k = 0; k <= NODE_DROPOUT; k++) {
        if (!(t->forward_s[k] + t->backward_s[k] > 0)) continue;
        json_array(j, node_kind_names[k]);
        json_number(j, NULL, 1e3 * t->forward_s[k] / steps);
        json_number(j, NULL, 1e3 * t->backward_s[k] / steps);
        json_end_array(j);
    }
    json_end_object(j);
}

static void print_times(const struct network_times *times, int steps)
{
    const struct network_times t = *times;
    for (int k = 0; k <= NODE_DROPOUT; k++)
        if (t.forward_s[k] + t.backward_s[k] > 0)
            log_info("  %-8s forward %7.1f ms  backward %7.1f ms a step", node_kind_names[k], 1e3 * t.forward_s[k] / steps,
                     1e3 * t.backward_s[k] / steps);
}

static int measure(struct bench *b, const char *backbone, struct error *err)
{
    int warmup = (int)settings_int(b->s, "bench.warmup"), steps = (int)settings_int(b->s, "bench.steps");
    double *seconds = NEW_ARRAY(double, steps), ready_s, first_s = 0;
    struct network_times times;
    struct text out = {0};
    struct json j;
    if (open_bench(b, backbone, err)) return -1;
    ready_s = clock_s() - b->start_s;
    for (int i = 0; i < warmup; i++) {
        step(b);
        if (i == 0) first_s = clock_s() - b->start_s;
    }
    network_time(b->net, &times);
    for (int i = 0; i < steps; i++) {
        double start = clock_s();
        step(b);
        seconds[i] = clock_s() - start;
    }
    qsort(seconds, (size_t)steps, sizeof *seconds, by_value);
    network_time(b->net, &times);
    double median = (seconds[steps / 2] + seconds[(steps - 1) / 2]) / 2;
    if (settings_bool(b->s, "bench.json")) {
        json_open(&j, &out, false);
        json_object(&j, NULL);
        json_string(&j, "what", b->train ? "train" : "infer");
        json_string(&j, "backbone", backbone);
        json_string(&j, "backend", b->ops->name);
        json_string(&j, "precision", settings_string(b->s, "bench.precision"));
        json_int(&j, "batch", b->batch);
        json_int(&j, "threads", b->threads);
        json_int(&j, "steps", steps);
        json_number(&j, "images_per_s", b->batch / median);
        json_number(&j, "step_ms_median", 1e3 * median);
        json_number(&j, "step_ms_min", 1e3 * seconds[0]);
        json_number(&j, "step_ms_max", 1e3 * seconds[steps - 1]);
        json_number(&j, "ready_s", ready_s);
        json_number(&j, "first_step_s", first_s);
        json_number(&j, "activation_mb", (double)network_activation_bytes(b->net) / 1e6);
        json_number(&j, "peak_rss_mb", (double)mem_peak_bytes() / 1e6);
        if (!b->ops->on_host) {
            char device[400];
            b->ops->describe(device, sizeof device);
            json_string(&j, "device", device);
            json_string(&j, "sums", settings_string(b->s, "gpu.sums"));
            json_number(&j, "device_mb", (double)(b->room - b->ops->room()) / 1e6);
            if (b->kinds) json_times(&j, &times, steps);
        }
        json_end_object(&j);
        printf("%s\n", out.data);
        fflush(stdout);
        text_free(&out);
    } else {
        printf("%-16s %s %s batch %d, %d threads: %.1f img/s (median %.1f ms, min %.1f), first step after %.2f s, peak %.0f MB\n",
               backbone, b->train ? "train" : "infer", settings_string(b->s, "bench.precision"), b->batch, b->threads,
               b->batch / median, 1e3 * median, 1e3 * seconds[0], first_s, (double)mem_peak_bytes() / 1e6);
    }
    print_times(&times, steps);
    mem_free(seconds);
    return 0;
}

static int run(struct settings *s, struct error *err)
{
    const char *which = settings_string(s, "bench.backbone");
    const char *what = settings_string(s, "bench.what");
    if (!strcmp(what, "load")) return bench_load(s, err);
    if (!strcmp(what, "pack")) return bench_pack(s, err);
    int rc = 0;
    for (int i = 0; backbone_names[i] && !rc; i++) {
        if (strcmp(which, "all") && strcmp(which, backbone_names[i])) continue;
        struct bench b = {.s = s, .start_s = clock_s(), .batch = (int)settings_int(s, "bench.batch"),
                          .train = !strcmp(what, "train"), .kinds = settings_bool(s, "bench.kinds"),
                          .loss = {LOSS_BCE, true, 5}, .ops = ops_find(settings_string(s, "bench.backend"), err)};
        if (!b.ops || b.ops->attach(0, err)) return -1;
        b.room = b.ops->room();
        b.threads = threads_of_rank((int)settings_int(s, "bench.threads"), 1);
        omp_set_num_threads(b.threads);
        bool deterministic = settings_bool(s, "bench.deterministic");
        b.ops->tune(&(struct ops_tuning){.candidates = deterministic ? 1 : (int)settings_int(s, "gpu.tune"), .tf32 = settings_bool(s, "gpu.tf32"),
                                         .sums_apart = !strcmp(settings_string(s, "gpu.sums"), "apart"), .limit_s = LIMIT_S, .deterministic = deterministic});
        b.ops->open(b.threads);
        rc = measure(&b, backbone_names[i], err);
        close_bench(&b);
    }
    return rc;
}

const struct command command_bench = {
    .name = "bench", .groups = "bench gpu", .summary = "measure training or inference on made-up pictures, the making of shards, or their reading",
    .usage = "train|infer [--backbone B|all] [--batch N] [--precision fp32|bf16] | pack|load --data DIR  [--json]",
    .positional = "bench.what", .run = run};
