/* finished_run.c - see finished_run.h. */
#include "train/finished_run.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/commands.h"
#include "train/trainer.h"

/* The value of `own` in the place of the run's, when it was given. */
static int replace(struct settings *s, const struct settings *own, const char *key, const char *value, struct error *err)
{
    const char *origin = settings_origin(own, key);
    return strcmp(origin, "default") ? settings_set(s, key, value, origin, err) : 0;
}

int finished_run_settings(struct finished_run *r, const char *path, const char *backend, int64_t batch, const struct settings *own,
                          struct error *err)
{
    char text[32], *config = path_join(path, "config.cfg");
    *r = (struct finished_run){.path = path, .settings = settings_open(&command_train)};
    int rc = settings_read_file(r->settings, config, err);
    mem_free(config);
    snprintf(text, sizeof text, "%lld", (long long)batch);
    if (!rc) rc = settings_set(r->settings, "train.eval_batch", text, "--batch", err);
    if (!rc && strcmp(backend, "run")) rc = settings_set(r->settings, "train.backend", backend, "--backend", err);
    if (!rc && own) rc = replace(r->settings, own, "test.flip", settings_bool(own, "test.flip") ? "true" : "false", err);
    if (!rc && own) rc = replace(r->settings, own, "test.threshold", settings_string(own, "test.threshold"), err);
    return rc ? rc : train_config_read(&r->c, r->settings, err);
}

int finished_run_load(struct finished_run *r, bool explain, struct error *err)
{
    const struct train_config *c = &r->c;
    struct network_options options = {.ops = c->ops, .dtype = c->dtype, .max_eval_images = c->eval_batch, .explain = explain};
    char *path = path_join(r->path, "best.h5");
    r->graph = graph_build(c->backbone, c->augment.size, loss_outputs(&c->loss), true, err);
    r->net = r->graph ? network_open(r->graph, &options, err) : NULL;
    int rc = r->net ? weights_load(r->net, r->graph, path, err) : -1;
    mem_free(path);
    return rc;
}

void finished_run_close(struct finished_run *r)
{
    network_close(r->net);
    graph_close(r->graph);
    settings_close(r->settings);
    *r = (struct finished_run){0};
}

struct dataset *finished_run_data(const struct finished_run *r, const char *path, struct error *err)
{
    struct dataset *d = dataset_open(*path ? path : r->c.data, err);
    if (!d && !*path) error_hint(err, "that is where the run found its data; --data says where it is now");
    return d;
}

bool finished_run_compare(const struct finished_run *r, const struct dataset *d)
{
    char hex[65], *name = path_join(r->path, "identity.txt");
    uint8_t *kept = NULL, digest[32];
    size_t bytes;
    dataset_hash(d, digest);
    hash_hex(hex, digest);
    bool same = !file_read(&kept, &bytes, name, NULL) && strstr((char *)kept, hex);
    if (!same) log_warn("%s: not the data that %s was trained on", dataset_name(d), r->path);
    if (r->c.vote_last) log_warn("%s: the run's own result is a vote of its last %d epochs; this is its best epoch alone", r->path, r->c.vote_last);
    mem_free(kept);
    mem_free(name);
    return same;
}
