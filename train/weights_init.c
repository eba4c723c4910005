/* weights_init.c - train.init: initial weights out of a file of ours, by name. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/trainer.h"
#include "train/weights_names.h"

static struct tensor_file *open_file(const char *path, struct error *err)
{
    struct tensor_file *f = tensor_file_open(path, err);
    if (!f && !strstr(err->message, "damaged:")) error_hint(err, "ladnn weights import FILE --backbone B --out W.h5 makes it of .safetensors and .pth");
    return f;
}

static int find_entry(const struct tensor_file *f, struct tensor_entry *e, const char *name)
{
    for (int i = 0; i < tensor_file_count(f); i++) {
        tensor_file_entry(f, i, e);
        if (!strcmp(e->name, name)) return 0;
    }
    return -1;
}

struct taken {
    int tensors, head, missing;
    char first_missing[128];
};

/* *values of a target (mem_free), or NULL: the file has none, or a head of another task. */
static int read_target(float **values, struct tensor_file *f, const struct weights_target *t, struct error *err)
{
    struct tensor_entry there, want = {.name = t->name, .type = TENSOR_F32, .ndim = t->ndim};
    int64_t elements = 1;
    *values = NULL;
    if (find_entry(f, &there, t->name)) return 0;
    if (t->head && there.ndim == t->ndim && there.dims[0] != t->dims[0]) return 0;
    for (int d = 0; d < t->ndim; d++) elements *= want.dims[d] = t->dims[d];
    *values = want.data = mem_alloc(sizeof(float) * (size_t)elements);
    if (!tensor_file_read(f, &want, err)) return 0;
    mem_free(*values);
    return -1;
}

/* One of a normalisation's two statistics. */
static void set_running(struct network *net, int b, const struct weights_target *t, const float *values)
{
    int64_t c = t->dims[0];
    float *mean = NEW_ARRAY(float, 2 * c), *var = mean + c;
    bool is_var = strstr(t->name, ".running_var") != NULL;
    network_running_get(net, b, mean, var);
    memcpy(is_var ? var : mean, values, sizeof(float) * (size_t)c);
    network_running_set(net, b, mean, var);
    mem_free(mean);
}

static int take_all(struct network *net, const struct graph *g, struct tensor_file *f, struct taken *n, struct error *err)
{
    int count, status = 0;
    struct weights_target *targets = weights_targets(&count, g);
    for (int i = 0; i < count && !status; i++) {
        const struct weights_target *t = &targets[i];
        float *values;
        status = read_target(&values, f, t, err);
        if (status) break;
        n->tensors += values != NULL;
        n->head += values && t->head;
        if (values && t->param >= 0) network_param_set(net, t->param, values);
        if (values && t->param < 0) set_running(net, (i - g->param_count) / 2, t, values); /* pairs, in the norms' order */
        if (!values && !t->head && !n->missing++) snprintf(n->first_missing, sizeof n->first_missing, "%s", t->name);
        mem_free(values);
    }
    weights_targets_free(targets, count);
    return status;
}

int weights_init(struct network *net, const struct graph *g, const char *path, struct error *err)
{
    struct taken n = {0};
    struct tensor_file *f = open_file(path, err);
    if (!f) return -1;
    const char *backbone = tensor_file_attribute(f, "backbone");
    int status = 0;
    if (!backbone || strcmp(backbone, g->backbone))
        status = error_set(err, "%s: weights of %s, but model.backbone is %s", path, backbone ? backbone : "no network that it names", g->backbone);
    if (!status) status = take_all(net, g, f, &n, err);
    if (!status && n.missing && !tensor_file_attribute(f, "partial"))
        status = error_set(err, "%s: lacks %d tensors of %s, one of them %s", path, n.missing, g->backbone, n.first_missing);
    if (!status && n.missing) log_warn("%s was imported as partial: %d tensors are drawn from the seed", path, n.missing);
    if (!status) log_info("initial weights: %d tensors of %s; the head is %s", n.tensors, path, n.head ? "its own" : "drawn from the seed");
    tensor_file_close(f);
    return status;
}

int weights_init_hash(const char *path, char hex[65], struct error *err)
{
    uint8_t digest[32];
    struct tensor_file *f = open_file(path, err);
    if (!f) return -1;
    tensor_file_identity(f, digest);
    hash_hex(hex, digest);
    tensor_file_close(f);
    return 0;
}
