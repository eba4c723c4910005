/* network_results.c - everything that one step of a network computes, as a safetensors file: what tests/gpu/parity.py compares with PyTorch.
 * Weights, batch and labels are those of tests/tools/formula_network.h.
 *
 *     network_results BACKBONE SIZE BATCH SALT BACKEND f32|bf16 FILE [PARAMETER=SHARE]
 *
 * eval, train, dlogits (BATCH, 6), loss (1), grad.PARAMETER in torch's shapes, running_mean.NORM and running_var.NORM after the step; metadata
 * `backend` says what computed. f32 is exact: TF32 is off. With PARAMETER=SHARE that share of
 * the gradient's largest element is added to each of its elements: the comparison must see it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/weights/weights_file.h"
#include "tests/tools/formula_network.h"

struct result {
    char name[160];
    enum { LOGITS, LOSS, GRADIENT, STATISTICS } kind;
    const float *values; /* of LOGITS */
    int index;           /* of the parameter, or of the node */
    bool var;
};
struct results {
    struct formula_case c;
    char altered[128]; /* a parameter's name */
    float share;
    struct result *of;
    struct weights_output *outputs;
    int count;
};

static void add(struct results *r, struct result result, const char *name, const char *suffix, int ndim, const int64_t *dims)
{
    snprintf(result.name, sizeof result.name, "%s%s", name, suffix);
    struct weights_output *o = &r->outputs[r->count];
    r->of[r->count] = result;
    *o = (struct weights_output){.name = r->of[r->count].name, .type = WEIGHTS_F32, .ndim = ndim};
    for (int d = 0; d < ndim; d++) o->dims[d] = dims[d];
    r->count++;
}

static void list(struct results *r)
{
    const struct graph *g = r->c.g;
    const int64_t logits[] = {r->c.batch, FORMULA_OUTPUTS}, one = 1;
    const int room = 4 + g->param_count + 2 * g->node_count;
    r->of = NEW_ARRAY(struct result, room);
    r->outputs = NEW_ARRAY(struct weights_output, room);
    add(r, (struct result){.kind = LOGITS, .values = r->c.eval}, "eval", "", 2, logits);
    add(r, (struct result){.kind = LOGITS, .values = r->c.train}, "train", "", 2, logits);
    add(r, (struct result){.kind = LOGITS, .values = r->c.dlogits}, "dlogits", "", 2, logits);
    add(r, (struct result){.kind = LOSS}, "loss", "", 1, &one);
    for (int p = 0; p < g->param_count; p++) {
        const struct param *of = &g->params[p];
        add(r, (struct result){.kind = GRADIENT, .index = p}, "grad.", of->name, of->ndim, of->dims);
    }
    for (int i = 0; i < g->node_count; i++) {
        if (g->nodes[i].kind != NODE_NORM) continue;
        const int64_t channels = g->values[g->nodes[i].x].c;
        add(r, (struct result){.kind = STATISTICS, .index = i}, "running_mean.", g->nodes[i].name, 1, &channels);
        add(r, (struct result){.kind = STATISTICS, .index = i, .var = true}, "running_var.", g->nodes[i].name, 1, &channels);
    }
}

static void alter(float *v, int64_t count, float share)
{
    float largest = 0;
    for (int64_t i = 0; i < count; i++) largest = fmaxf(largest, fabsf(v[i]));
    for (int64_t i = 0; i < count; i++) v[i] += largest * share;
}

static int values_of(void *context, int i, void *to, struct error *err)
{
    (void)err;
    struct results *r = context;
    const struct result *what = &r->of[i];
    const struct graph *g = r->c.g;
    const float loss = (float)r->c.loss;
    switch (what->kind) {
    case LOGITS: memcpy(to, what->values, sizeof(float) * (size_t)(r->c.batch * FORMULA_OUTPUTS)); break;
    case LOSS: memcpy(to, &loss, sizeof loss); break;
    case GRADIENT:
        network_gradient_get(r->c.n, what->index, to);
        if (!strcmp(g->params[what->index].name, r->altered)) alter(to, param_elements(&g->params[what->index]), r->share);
        break;
    case STATISTICS: {
        const int channels = g->values[g->nodes[what->index].x].c;
        float *mean = NEW_ARRAY(float, 2 * channels), *var = mean + channels;
        network_running_get(r->c.n, g->nodes[what->index].buffers, mean, var);
        memcpy(to, what->var ? var : mean, sizeof(float) * (size_t)channels);
        mem_free(mean);
    }
    }
    return 0;
}

static const struct ops *backend_open(const char *name)
{
    struct error err;
    const struct ops *ops = ops_find(name, &err);
    if (!ops || ops->attach(0, &err)) die_error(&err);
    ops->open(0);
    return ops;
}

int main(int argc, char **argv)
{
    struct error err;
    char device[256] = "";
    struct results r = {0};
    CHECK(argc == 8 || argc == 9, "usage: %s BACKBONE SIZE BATCH SALT BACKEND f32|bf16 FILE [PARAMETER=SHARE]", argv[0]);
    const enum dtype dtype = !strcmp(argv[6], "bf16") ? DTYPE_BF16 : DTYPE_F32;
    CHECK(argc < 9 || sscanf(argv[8], "%127[^=]=%f", r.altered, &r.share) == 2, "not PARAMETER=SHARE: %s", argv[8]);
    r.c.ops = backend_open(argv[5]);
    r.c.batch = atoi(argv[3]);
    CHECK(r.c.ops->has(dtype), "this machine's %s backend does not have %s", argv[5], argv[6]);
    formula_run(&r.c, argv[1], atoi(argv[2]), atoi(argv[4]), dtype, &r.c.batch, 1, true);
    if (r.c.ops->describe) r.c.ops->describe(device, sizeof device);
    list(&r);
    const struct weights_metadata about = {"backend", *device ? device : argv[5]};
    if (safetensors_write(argv[7], r.outputs, r.count, &about, 1, values_of, &r, &err)) die_error(&err);
    formula_close(&r.c);
    mem_free(r.of), mem_free(r.outputs);
    return 0;
}
