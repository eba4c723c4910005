/* cmd_eval.c - `ladnn eval RUN`: the best weights of a finished run on a split, with the settings of that run: eval's own settings
 * say which run, which data and how fast, nothing that changes a number. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "train/commands.h"
#include "train/trainer.h"

static int load_network(struct network **net, struct graph **graph, const char *run, struct train_config *c, struct error *err)
{
    struct network_options options = {.ops = c->ops, .dtype = c->dtype, .max_eval_images = c->eval_batch};
    char *path = path_join(run, "best.h5");
    *graph = graph_build(c->backbone, c->augment.size, loss_outputs(&c->loss), true, err);
    *net = *graph ? network_open(*graph, &options, err) : NULL;
    int rc = *net ? weights_load(*net, *graph, path, err) : -1;
    mem_free(path);
    return rc;
}

struct eval {
    const struct settings *own;  /* eval's */
    struct settings *runs;       /* the run's, from its config.cfg: they decide network, precision, preprocessing */
    struct train_config c;
    struct comm *comm;
    struct dataset *data;
    enum split split;
    bool same_data;              /* as the run was trained on */
};

static int print_metrics(const struct eval *v, const double *probability, const struct evaluation *e, struct error *err)
{
    if (!isfinite(e->loss)) return error_set(err, "%s/best.h5 gives no numbers: its loss is NaN", settings_string(v->own, "eval.run"));
    int64_t n = e->count;
    float *labels = NEW_ARRAY(float, n * LOGIT_COUNT);
    uint8_t *truth = NEW_ARRAY(uint8_t, n * LOGIT_COUNT), digest[32];
    char hex[65];
    struct run_metrics m;
    struct text out = {0};
    struct json j;
    split_labels(labels, v->data, v->split);
    for (int64_t i = 0; i < n * LOGIT_COUNT; i++) truth[i] = labels[i] > 0;
    metrics_run(&m, probability, truth, n);
    dataset_hash(v->data, digest);
    hash_hex(hex, digest);
    json_open(&j, &out, true);
    json_object(&j, NULL);
    json_string(&j, "notice", dataset_notice(v->data));
    json_string(&j, "run", settings_string(v->own, "eval.run"));
    json_string(&j, "backbone", v->c.backbone);
    json_string(&j, "method", v->c.method);
    json_string(&j, "dataset", dataset_name(v->data));
    json_string(&j, "data_sha256", hex);
    json_bool(&j, "data_of_the_run", v->same_data);
    json_string(&j, "split", split_names[v->split]);
    json_number(&j, "loss", e->loss);
    json_number(&j, "covid_loss", e->covid);
    metrics_json(&j, &m);
    json_end_object(&j);
    printf("%s\n", out.data);
    text_free(&out);
    mem_free(labels);
    mem_free(truth);
    return 0;
}

/* Rank 0. */
static int report(const struct eval *v, const struct evaluation *e, struct error *err)
{
    const char *out = settings_string(v->own, "eval.out");
    double *p = NEW_ARRAY(double, e->count * LOGIT_COUNT);
    bool finished;
    loss_probabilities(p, e->logits, (int)e->count, &v->c.loss);
    int rc = print_metrics(v, p, e, err);
    struct run_folder *folder = !rc && *out ? run_folder_open(out, "ladnn eval\n", &(struct run_opening){0}, &finished, err) : NULL;
    if (!rc && *out) rc = folder ? run_write_predictions(folder, v->data, v->split, p, err) : -1;
    run_folder_close(folder);
    mem_free(p);
    return rc;
}

static int evaluate(struct eval *v, struct error *err)
{
    struct network *net = NULL;
    struct graph *graph = NULL;
    struct evaluation e = {0};
    int rc = load_network(&net, &graph, settings_string(v->own, "eval.run"), &v->c, err);
    rc = comm_agree(v->comm, rc, err, "reading the weights");
    if (!rc) rc = evaluate_split(&e, v->data, v->split, net, &v->c, v->comm, err);
    if (!rc) rc = comm_agree(v->comm, e.logits ? report(v, &e, err) : 0, err, "writing the results");
    mem_free(e.logits);
    network_close(net);
    graph_close(graph);
    return rc;
}

static int read_settings(struct eval *v, struct error *err)
{
    char batch[32], *config = path_join(settings_string(v->own, "eval.run"), "config.cfg");
    int rc = settings_read_file(v->runs, config, err);
    mem_free(config);
    snprintf(batch, sizeof batch, "%lld", (long long)settings_int(v->own, "eval.batch"));
    if (!rc) rc = settings_set(v->runs, "train.eval_batch", batch, "eval.batch", err);
    if (!rc && strcmp(settings_string(v->own, "eval.backend"), "run"))
        rc = settings_set(v->runs, "train.backend", settings_string(v->own, "eval.backend"), "eval.backend", err);
    return rc ? rc : train_config_read(&v->c, v->runs, err);
}

/* identity.txt of the run holds the hash of its data. */
static void compare_data(struct eval *v)
{
    char hex[65], *name = path_join(settings_string(v->own, "eval.run"), "identity.txt");
    uint8_t *kept = NULL, digest[32];
    size_t bytes;
    dataset_hash(v->data, digest);
    hash_hex(hex, digest);
    v->same_data = !file_read(&kept, &bytes, name, NULL) && strstr((char *)kept, hex);
    if (!v->same_data) log_warn("%s: not the data that %s was trained on", dataset_name(v->data), settings_string(v->own, "eval.run"));
    if (v->c.vote_last)
        log_warn("the run's own result is a vote of its last %d epochs; this is its best epoch alone", v->c.vote_last);
    mem_free(kept);
    mem_free(name);
}

static int open_data(struct eval *v, struct error *err)
{
    const char *path = *settings_string(v->own, "eval.data") ? settings_string(v->own, "eval.data") : v->c.data;
    v->data = dataset_open(path, err);
    if (!v->data && !*settings_string(v->own, "eval.data")) error_hint(err, "that is where the run found its data; --data says where it is now");
    if (v->data && dataset_count(v->data, v->split) == 0) return error_set(err, "%s: no %s images", path, split_names[v->split]);
    return v->data ? 0 : -1;
}

static int run(struct settings *s, struct error *err)
{
    if (!*settings_string(s, "eval.run")) return settings_missing(&command_eval, "eval.run", "which run folder?", err);
    struct eval v = {.own = s, .runs = settings_open(&command_train), .split = (enum split)split_from_name(settings_string(s, "eval.split"))};
    v.comm = comm_open("auto", 600, err);
    int rc = v.comm ? comm_agree(v.comm, read_settings(&v, err), err, "reading the run's settings") : -1;
    if (!rc) rc = comm_agree(v.comm, open_data(&v, err), err, "opening the data");
    if (!rc) rc = comm_agree(v.comm, v.c.ops->attach(comm_local_rank(v.comm), err), err, "taking the accelerators");
    if (!rc) {
        int threads = threads_of_rank((int)settings_int(s, "eval.threads"), comm_local_size(v.comm));
        omp_set_num_threads(threads);
        v.c.ops->tune(&v.c.tuning);
        v.c.ops->open(threads);
        compare_data(&v);
        rc = evaluate(&v, err);
    }
    dataset_close(v.data);
    comm_close(v.comm);
    settings_close(v.runs);
    return rc;
}

const struct command command_eval = {
    .name = "eval", .groups = "eval",
    .summary = "test the best weights of a run on a split, on any number of ranks",
    .usage = "RUN [--split test] [--data DIR] [--out DIR]", .positional = "eval.run", .on_ranks = true, .run = run};
