/* cmd_eval.c - `ladnn eval RUN`: the best weights of a finished run on a split, with the settings of that run. */
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "train/commands.h"
#include "train/trainer.h"

static int load_network(struct network **net, struct graph **graph, const char *run, struct train_config *c, struct error *err)
{
    struct network_options options = {.ops = c->ops, .dtype = c->dtype, .max_eval_images = c->eval_batch};
    char *path = path_join(run, "best.h5");
    *graph = graph_build(c->backbone, c->augment.size, loss_logits(&c->loss), true, err);
    *net = *graph ? network_open(*graph, &options, err) : NULL;
    int rc = *net ? weights_load(*net, *graph, path, err) : -1;
    mem_free(path);
    return rc;
}

static void print_metrics(const double *probability, const struct dataset *d, enum split split, const struct evaluation *e)
{
    int64_t n = e->count;
    float *labels = NEW_ARRAY(float, n * LOGIT_COUNT);
    uint8_t *truth = NEW_ARRAY(uint8_t, n * LOGIT_COUNT);
    struct run_metrics m;
    struct text out = {0};
    struct json j;
    split_labels(labels, d, split);
    for (int64_t i = 0; i < n * LOGIT_COUNT; i++) truth[i] = labels[i] > 0;
    metrics_run(&m, probability, truth, n);
    json_open(&j, &out, true);
    json_object(&j, NULL);
    json_string(&j, "notice", dataset_synthetic(d) ? "SYNTHETIC data; research use only, not for diagnosis"
                                                   : "research use only, not for diagnosis");
    json_string(&j, "split", split_names[split]);
    json_number(&j, "loss", e->loss);
    json_number(&j, "covid_loss", e->covid);
    metrics_json(&j, &m);
    json_end_object(&j);
    printf("%s\n", out.data);
    text_free(&out);
    mem_free(labels);
    mem_free(truth);
}

static int evaluate(struct settings *s, struct dataset *d, struct train_config *c, struct comm *comm, struct error *err)
{
    struct network *net = NULL;
    struct graph *graph = NULL;
    struct evaluation e = {0};
    enum split split = (enum split)split_from_name(settings_string(s, "eval.split"));
    int rc = load_network(&net, &graph, settings_string(s, "eval.run"), c, err);
    if (!rc && dataset_count(d, split) == 0) rc = error_set(err, "%s: no %s images", settings_string(s, "eval.data"), split_names[split]);
    if (!rc) rc = evaluate_split(&e, d, split, net, c, comm, err);
    if (!rc) {
        double *p = NEW_ARRAY(double, e.count * LOGIT_COUNT);
        bool finished;
        const char *out = settings_string(s, "eval.out");
        loss_probabilities(p, e.logits, (int)e.count, &c->loss);
        print_metrics(p, d, split, &e);
        struct run_folder *folder = *out ? run_folder_open(out, "ladnn eval\n", false, &finished, err) : NULL;
        if (*out) rc = folder ? run_write_predictions(folder, d, split, p, err) : -1;
        run_folder_close(folder);
        mem_free(p);
    }
    mem_free(e.logits);
    network_close(net);
    graph_close(graph);
    return rc;
}

/* The run's own settings decide backbone, method, precision and preprocessing. */
static int read_run_settings(struct settings *s, struct train_config *c, struct error *err)
{
    char batch[32], *config = path_join(settings_string(s, "eval.run"), "config.cfg");
    int rc = settings_read_file(s, config, err);
    mem_free(config);
    snprintf(batch, sizeof batch, "%lld", (long long)settings_int(s, "eval.batch"));
    if (!rc) rc = settings_set(s, "train.eval_batch", batch, "eval.batch", err);
    return rc ? rc : train_config_read(c, s, err);
}

static int run(struct settings *s)
{
    struct error err = {0};
    struct train_config c;
    struct dataset *d = NULL;
    struct comm *comm = comm_open("self", 60, &err);
    int rc = !comm || read_run_settings(s, &c, &err) ? -1 : 0;
    if (!rc) {
        const char *data = *settings_string(s, "eval.data") ? settings_string(s, "eval.data") : c.data;
        int threads = threads_of_rank((int)settings_int(s, "eval.threads"), 1);
        omp_set_num_threads(threads);
        c.ops->open(threads);
        d = dataset_open(data, &err);
        rc = d ? evaluate(s, d, &c, comm, &err) : -1;
    }
    dataset_close(d);
    comm_close(comm);
    if (rc) log_error("%s%s%s", err.message, *err.hint ? "\nhint: " : "", err.hint);
    return rc ? 1 : 0;
}

const struct command command_eval = {
    .name = "eval", .groups = "eval train model optim augment dist loader",
    .summary = "test the best weights of a run on a split",
    .usage = "RUN [--split test] [--data DIR] [--out DIR]", .positional = "eval.run", .run = run};
