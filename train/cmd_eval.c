/* cmd_eval.c - `ladnn eval RUN`: the best weights of a finished run on a split, with the settings of that run: eval's own settings
 * say which run, which data and how fast, nothing that changes a number. */
#include <math.h>
#include <omp.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/threads.h"
#include "train/commands.h"
#include "train/finished_run.h"
#include "train/trainer.h"

struct eval {
    const struct settings *own;  /* eval's */
    struct finished_run run;
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
    json_string(&j, "backbone", v->run.c.backbone);
    json_string(&j, "method", v->run.c.method);
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
    loss_probabilities(p, e->logits, (int)e->count, &v->run.c.loss);
    int rc = print_metrics(v, p, e, err);
    struct run_folder *folder = !rc && *out ? run_folder_open(out, "ladnn eval\n", &(struct run_opening){0}, &finished, err) : NULL;
    if (!rc && *out) rc = folder ? run_write_predictions(folder, v->data, v->split, p, err) : -1;
    run_folder_close(folder);
    mem_free(p);
    return rc;
}

static int evaluate(struct eval *v, struct error *err)
{
    struct evaluation e = {0};
    int rc = comm_agree(v->comm, finished_run_load(&v->run, false, err), err, "reading the weights");
    if (!rc) rc = evaluate_split(&e, v->data, v->split, v->run.net, &v->run.c, v->comm, err);
    if (!rc) rc = comm_agree(v->comm, e.logits ? report(v, &e, err) : 0, err, "writing the results");
    mem_free(e.logits);
    return rc;
}

static int open_data(struct eval *v, struct error *err)
{
    const char *path = settings_string(v->own, "eval.data");
    v->data = finished_run_data(&v->run, path, err);
    if (v->data && dataset_count(v->data, v->split) == 0)
        return error_set(err, "%s: no %s images", *path ? path : v->run.c.data, split_names[v->split]);
    return v->data ? 0 : -1;
}

static int run(struct settings *s, struct error *err)
{
    if (!*settings_string(s, "eval.run")) return settings_missing(&command_eval, "eval.run", "which run folder?", err);
    const char *path = settings_string(s, "eval.run"), *backend = settings_string(s, "eval.backend");
    struct eval v = {.own = s, .split = (enum split)split_from_name(settings_string(s, "eval.split"))};
    v.comm = comm_open("auto", 600, err);
    int rc = v.comm ? finished_run_settings(&v.run, path, backend, settings_int(s, "eval.batch"), err) : -1;
    if (v.comm) rc = comm_agree(v.comm, rc, err, "reading the run's settings");
    if (!rc) rc = comm_agree(v.comm, open_data(&v, err), err, "opening the data");
    if (!rc) rc = comm_agree(v.comm, v.run.c.ops->attach(comm_local_rank(v.comm), err), err, "taking the accelerators");
    if (!rc) {
        int threads = threads_of_rank((int)settings_int(s, "eval.threads"), comm_local_size(v.comm));
        omp_set_num_threads(threads);
        v.run.c.ops->tune(&v.run.c.tuning);
        v.run.c.ops->open(threads);
        v.same_data = finished_run_compare(&v.run, v.data);
        rc = evaluate(&v, err);
    }
    finished_run_close(&v.run);
    dataset_close(v.data);
    comm_close(v.comm);
    return rc;
}

const struct command command_eval = {
    .name = "eval", .groups = "eval",
    .summary = "test the best weights of a run on a split, on any number of ranks",
    .usage = "RUN [--split test] [--data DIR] [--out DIR]", .positional = "eval.run", .on_ranks = true, .run = run};
