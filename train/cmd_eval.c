/* cmd_eval.c - `ladnn eval RUN`: the best weights of a finished run on a split, with the settings of that run: eval's own settings
 * say which run, which data and how fast; only test.* change numbers, and replace the run's. */
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

static int print_results(const struct eval *v, const struct evaluation *e, struct error *err)
{
    if (!isfinite(e->loss)) return error_set(err, "%s/best.h5 gives no numbers: its loss is NaN", settings_string(v->own, "eval.run"));
    uint8_t digest[32];
    char hex[65];
    struct results r;
    struct text out = {0};
    struct json j;
    results_make(&r, e->probability, v->data, v->split, &v->run.c.threshold);
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
    json_bool(&j, "flip", v->run.c.test_flip);
    results_json(&j, &r);
    json_end_object(&j);
    printf("%s\n", out.data);
    text_free(&out);
    return 0;
}

/* Rank 0. */
static int report(const struct eval *v, const struct evaluation *e, struct error *err)
{
    const char *out = settings_string(v->own, "eval.out");
    bool finished;
    int rc = print_results(v, e, err);
    struct run_folder *folder = !rc && *out ? run_folder_open(out, "ladnn eval\n", &(struct run_opening){0}, &finished, err) : NULL;
    if (!rc && *out) rc = folder ? run_write_predictions(folder, v->data, v->split, e->probability, err) : -1;
    run_folder_close(folder);
    return rc;
}

static int evaluate(struct eval *v, struct error *err)
{
    struct evaluation e = {0};
    int rc = comm_agree(v->comm, finished_run_load(&v->run, false, err), err, "reading the weights");
    if (!rc) rc = choose_threshold(&v->run.c, v->data, v->run.net, v->comm, err);
    if (!rc) rc = predict_split(&e, v->data, v->split, v->run.net, &v->run.c, v->comm, err);
    if (!rc) rc = comm_agree(v->comm, e.logits ? report(v, &e, err) : 0, err, "writing the results");
    evaluation_free(&e);
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
    int rc = v.comm ? finished_run_settings(&v.run, path, backend, settings_int(s, "eval.batch"), s, err) : -1;
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
    .name = "eval", .groups = "eval test",
    .summary = "test the best weights of a run on a split, on any number of ranks",
    .usage = "RUN [--split test] [--data DIR] [--out DIR] [--set test.flip=true]", .positional = "eval.run", .on_ranks = true, .run = run};
