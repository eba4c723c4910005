/* parameters.c - parameters, gradients and running statistics between the backend's memory and torchvision's order on the host. */
#include <string.h>

#include "base/memory.h"
#include "models/network_private.h"

bool network_is_stored_weight(const struct network *n, int p)
{
    enum node_kind kind = n->g->nodes[n->g->params[p].node].kind;
    return n->g->params[p].role == PARAM_WEIGHT && (kind == NODE_CONV || kind == NODE_LINEAR);
}

float *network_parameters(struct network *n) { return n->parameters; }
float *network_gradients(struct network *n) { return n->gradients; }
int64_t network_arena_count(const struct network *n) { return n->arena_count; }

static int first_node_of(const struct graph *g, int stage)
{
    int i = 0;
    while (i < g->node_count && g->nodes[i].stage < stage) i++;
    return i;
}

void network_freeze(struct network *n, int stages) { n->frozen_nodes = first_node_of(n->g, stages); }

int64_t network_stage_end(const struct network *n, int stage) { return n->layer[first_node_of(n->g, stage)].gradient_end; }

int64_t network_trainable_count(const struct network *n) { return n->layer[n->frozen_nodes].gradient_end; }

void network_parameters_changed(struct network *n) { n->parameters_changed = true; }

void network_param_range(const struct network *n, int p, int64_t *offset, int64_t *count)
{
    *offset = n->offset[p];
    *count = n->count[p];
}

float *network_param(const struct network *n, const float *arena, int param)
{
    return param == NONE ? NULL : (float *)arena + n->offset[param];
}

/* Torchvision's order into the stored one, both on the host. */
static void store(const struct network *n, int p, float *stored, const float *values)
{
    const struct layer *layer = &n->layer[n->g->params[p].node];
    if (!network_is_stored_weight(n, p))
        memcpy(stored, values, sizeof(float) * (size_t)n->count[p]);
    else if (layer->conv)
        n->o.ops->conv_weight_import(layer->conv, stored, values);
    else
        n->o.ops->linear_weight_import(layer->linear, stored, values);
}

static void unstore(const struct network *n, int p, float *values, const float *stored)
{
    const struct layer *layer = &n->layer[n->g->params[p].node];
    if (!network_is_stored_weight(n, p))
        memcpy(values, stored, sizeof(float) * (size_t)n->count[p]);
    else if (layer->conv)
        n->o.ops->conv_weight_export(layer->conv, values, stored);
    else
        n->o.ops->linear_weight_export(layer->linear, values, stored);
}

void network_arena_import(struct network *n, int p, float *arena, const float *values)
{
    float *there = network_param(n, arena, p);
    if (arena == n->parameters) n->parameters_changed = true;
    if (n->o.ops->on_host) {
        store(n, p, there, values);
        return;
    }
    float *stored = NEW_ARRAY(float, n->count[p]);
    store(n, p, stored, values);
    n->o.ops->upload(there, stored, sizeof(float) * (size_t)n->count[p]);
    mem_free(stored);
}

void network_arena_export(const struct network *n, int p, float *values, const float *arena)
{
    const float *there = network_param(n, arena, p);
    if (n->o.ops->on_host) {
        unstore(n, p, values, there);
        return;
    }
    float *stored = mem_alloc(sizeof(float) * (size_t)n->count[p]);
    n->o.ops->download(stored, there, sizeof(float) * (size_t)n->count[p]);
    unstore(n, p, values, stored);
    mem_free(stored);
}

void network_param_set(struct network *n, int p, const float *values)
{
    network_arena_import(n, p, n->parameters, values);
}

void network_param_get(const struct network *n, int p, float *values) { network_arena_export(n, p, values, n->parameters); }
void network_gradient_get(const struct network *n, int p, float *values) { network_arena_export(n, p, values, n->gradients); }

static size_t running_bytes(const struct network *n, int b)
{
    return sizeof(float) * (size_t)n->g->values[n->g->nodes[n->norm_node[b]].x].c;
}

void network_running_get(const struct network *n, int b, float *mean, float *var)
{
    const struct norm_memory *m = &n->layer[n->norm_node[b]].norm;
    n->o.ops->download(mean, m->running_mean, running_bytes(n, b));
    n->o.ops->download(var, m->running_var, running_bytes(n, b));
}

void network_running_set(struct network *n, int b, const float *mean, const float *var)
{
    const struct norm_memory *m = &n->layer[n->norm_node[b]].norm;
    n->o.ops->upload(m->running_mean, mean, running_bytes(n, b));
    n->o.ops->upload(m->running_var, var, running_bytes(n, b));
}
