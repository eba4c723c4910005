/* network.c - opens a graph on a backend: operation handles, parameter arenas, activation memory; and gives access to
 * parameters in torchvision's order. The step itself is in forward.c and backward.c.
 *
 * The arenas hold parameters in the order in which backward finishes them (last node first), each at a multiple of 16
 * floats; the gaps hold zeros in parameters, gradients and optimiser state alike, so whole arenas can be summed and updated.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "models/network_private.h"

enum { PARAM_ALIGN = 16 };

static struct tensor shape_of(const struct network *n, int value)
{
    return network_view(n, n->o.shards ? &n->train : &n->eval, value, NONE, 0, 1);
}

static int create_conv(struct network *n, int i, struct error *err)
{
    const struct node *node = &n->g->nodes[i];
    const struct value *x = &n->g->values[node->x];
    struct conv_spec spec = {.in_c = x->c, .out_c = n->g->values[node->y].c, .in_h = x->h, .in_w = x->w,
        .kernel = node->kernel, .stride = node->stride, .padding = node->padding, .groups = node->groups,
        .bias = node->param[1] != NONE, .relu = node->act == ACT_RELU, .first = node->x == n->g->input, .dtype = n->o.dtype};
    int images = n->o.shards ? n->o.max_images : n->o.max_eval_images;
    n->layer[i].conv = n->o.ops->conv_create(&spec, images, n->o.shards > 0, NULL, err);
    return n->layer[i].conv ? 0 : error_prefix(err, "%s", node->name);
}

static int create_linear(struct network *n, int i, struct error *err)
{
    const struct node *node = &n->g->nodes[i];
    struct tensor x = shape_of(n, node->x), y = shape_of(n, node->y);
    struct linear_spec spec = {.in_c = x.c, .in_h = x.h, .in_w = x.w, .out_c = y.c, .relu = node->act == ACT_RELU,
        .x_dtype = x.dtype, .y_dtype = y.dtype, .x_layout = x.layout};
    int images = n->o.shards ? n->o.max_images : n->o.max_eval_images;
    n->layer[i].linear = n->o.ops->linear_create(&spec, images, n->o.shards > 0, NULL, err);
    return n->layer[i].linear ? 0 : error_prefix(err, "%s", node->name);
}

static int create_handles(struct network *n, struct error *err)
{
    for (int i = 0; i < n->g->node_count; i++) {
        if (n->g->nodes[i].kind == NODE_CONV && create_conv(n, i, err)) return -1;
        if (n->g->nodes[i].kind == NODE_LINEAR && create_linear(n, i, err)) return -1;
    }
    return 0;
}

static bool is_stored_weight(const struct network *n, int p)
{
    enum node_kind kind = n->g->nodes[n->g->params[p].node].kind;
    return n->g->params[p].role == PARAM_WEIGHT && (kind == NODE_CONV || kind == NODE_LINEAR);
}

static int64_t stored_count(const struct network *n, int p)
{
    const struct layer *layer = &n->layer[n->g->params[p].node];
    if (!is_stored_weight(n, p)) return param_elements(&n->g->params[p]);
    return (int64_t)(layer->conv ? n->o.ops->conv_weight_count(layer->conv) : n->o.ops->linear_weight_count(layer->linear));
}

static void lay_out_parameters(struct network *n)
{
    const struct graph *g = n->g;
    n->offset = NEW_ARRAY(int64_t, g->param_count);
    n->count = NEW_ARRAY(int64_t, g->param_count);
    for (int i = g->node_count - 1; i >= 0; i--) {
        for (int k = 0; k < g->nodes[i].param_count; k++) {
            int p = g->nodes[i].param[k];
            if (p == NONE) continue;
            n->offset[p] = n->arena_count;
            n->count[p] = stored_count(n, p);
            n->arena_count += (n->count[p] + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
        }
        n->layer[i].gradient_end = n->arena_count;
    }
    n->parameters = NEW_ARRAY(float, n->arena_count);
    if (n->o.shards) n->gradients = NEW_ARRAY(float, n->arena_count);
}

/* Normalisation: per-pass coefficients, running statistics, and which channels' sums each node takes first. */
static void lay_out_norms(struct network *n, int *widest)
{
    const struct graph *g = n->g;
    int *have = NEW_ARRAY(int, g->value_count); /* channels of a buffer whose sums an earlier node takes */
    n->running_mean = NEW_ARRAY(float *, g->norm_count);
    n->running_var = NEW_ARRAY(float *, g->norm_count);
    n->sums = NEW_ARRAY(double *, g->value_count);
    for (int i = 0; i < g->node_count; i++) {
        const struct node *node = &g->nodes[i];
        struct layer *layer = &n->layer[i];
        int c = g->values[node->x].c, root = value_root(g, node->x);
        if (c > *widest) *widest = c;
        if (node->kind != NODE_NORM) continue;
        ASSERT(g->values[node->x].c_offset == 0); /* slices that are normalised start at channel 0 */
        n->running_mean[node->buffers] = NEW_ARRAY(float, c);
        n->running_var[node->buffers] = NEW_ARRAY(float, c);
        for (int k = 0; k < c; k++) n->running_var[node->buffers][k] = 1;
        layer->mean = NEW_ARRAY(float, 4 * c);
        layer->inv_std = layer->mean + c;
        layer->scale = layer->mean + 2 * c;
        layer->shift = layer->mean + 3 * c;
        if (node->drop > 0 && n->o.shards) layer->row_scale = NEW_ARRAY(float, n->o.shards * n->o.max_images);
        if (!n->sums[root]) n->sums[root] = NEW_ARRAY(double, 2 * g->values[root].c);
        layer->stats_first = have[root];
        layer->stats_end = c > have[root] ? c : have[root];
        have[root] = layer->stats_end;
    }
    mem_free(have);
}

/* Room for the per-shard parts that are summed as a tree: sums of norms, gradients of norms and of squeeze-excite. */
static void lay_out_parts(struct network *n, int widest)
{
    const struct graph *g = n->g;
    size_t largest = 2 * (size_t)widest;
    for (int i = 0; i < g->node_count; i++) {
        const struct node *node = &g->nodes[i];
        if (node->kind != NODE_SE) continue;
        size_t c = (size_t)g->values[node->x].c, s = (size_t)node->squeeze;
        size_t scratch = (c + s) * (size_t)(n->o.max_images > 0 ? n->o.max_images : 1);
        if (2 * c * s + c + s + scratch > largest) largest = 2 * c * s + c + s + scratch;
    }
    int shards = n->o.shards ? n->o.shards : 1;
    n->part_sums = NEW_ARRAY(double, (size_t)shards * 2 * (size_t)widest);
    n->part_gradients = NEW_ARRAY(float, (size_t)shards * largest);
    n->mean_g = NEW_ARRAY(float, widest);
    n->mean_gx = NEW_ARRAY(float, widest);
}

static void allocate_arena(struct network *n)
{
    size_t train = (size_t)n->o.shards * n->train.bytes;
    n->arena = mem_alloc(train > n->eval.bytes ? train : n->eval.bytes);
}

struct network *network_open(const struct graph *g, const struct network_options *options, struct error *err)
{
    struct network *n = NEW(struct network);
    int widest = 1;
    n->g = g;
    n->o = *options;
    n->layer = NEW_ARRAY(struct layer, g->node_count);
    ASSERT(n->o.shards <= MAX_SHARDS && (n->o.shards == 0 || n->o.max_images > 0));
    if (n->o.shards) plan_make(&n->train, n, n->o.max_images, true);
    if (n->o.max_eval_images) plan_make(&n->eval, n, n->o.max_eval_images, false);
    if (create_handles(n, err)) {
        network_close(n);
        return NULL;
    }
    lay_out_parameters(n);
    lay_out_norms(n, &widest);
    lay_out_parts(n, widest);
    allocate_arena(n);
    return n;
}

void network_close(struct network *n)
{
    if (!n) return;
    for (int i = 0; i < n->g->node_count; i++) {
        if (n->layer[i].conv) n->o.ops->conv_close(n->layer[i].conv);
        if (n->layer[i].linear) n->o.ops->linear_close(n->layer[i].linear);
        mem_free(n->layer[i].mean);
        mem_free(n->layer[i].row_scale);
    }
    for (int b = 0; b < n->g->norm_count && n->running_mean; b++) {
        mem_free(n->running_mean[b]);
        mem_free(n->running_var[b]);
    }
    for (int v = 0; v < n->g->value_count && n->sums; v++) mem_free(n->sums[v]);
    plan_free(&n->train);
    plan_free(&n->eval);
    gradient_plan_free(&n->gradient);
    void *all[] = {n->layer, n->parameters, n->gradients, n->offset, n->count, n->running_mean, n->running_var,
                   n->sums, n->arena, n->part_sums, n->part_gradients, n->mean_g, n->mean_gx, n};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
}

float *network_parameters(struct network *n) { return n->parameters; }
float *network_gradients(struct network *n) { return n->gradients; }
int64_t network_arena_count(const struct network *n) { return n->arena_count; }
float *network_running_mean(struct network *n, int b) { return n->running_mean[b]; }
float *network_running_var(struct network *n, int b) { return n->running_var[b]; }

size_t network_activation_bytes(const struct network *n)
{
    size_t train = (size_t)n->o.shards * n->train.bytes;
    return train > n->eval.bytes ? train : n->eval.bytes;
}

void network_param_range(const struct network *n, int p, int64_t *offset, int64_t *count)
{
    *offset = n->offset[p];
    *count = n->count[p];
}

float *network_param(const struct network *n, const float *arena, int param)
{
    return param == NONE ? NULL : (float *)arena + n->offset[param];
}

void network_arena_import(const struct network *n, int p, float *arena, const float *values)
{
    const struct layer *layer = &n->layer[n->g->params[p].node];
    float *stored = network_param(n, arena, p);
    if (!is_stored_weight(n, p))
        memcpy(stored, values, sizeof(float) * (size_t)n->count[p]);
    else if (layer->conv)
        n->o.ops->conv_weight_import(layer->conv, stored, values);
    else
        n->o.ops->linear_weight_import(layer->linear, stored, values);
}

void network_arena_export(const struct network *n, int p, float *values, const float *arena)
{
    const struct layer *layer = &n->layer[n->g->params[p].node];
    const float *stored = network_param(n, arena, p);
    if (!is_stored_weight(n, p))
        memcpy(values, stored, sizeof(float) * (size_t)n->count[p]);
    else if (layer->conv)
        n->o.ops->conv_weight_export(layer->conv, values, stored);
    else
        n->o.ops->linear_weight_export(layer->linear, values, stored);
}

void network_param_set(struct network *n, int p, const float *values) { network_arena_import(n, p, n->parameters, values); }
void network_param_get(const struct network *n, int p, float *values) { network_arena_export(n, p, values, n->parameters); }
void network_gradient_get(const struct network *n, int p, float *values)
{
    network_arena_export(n, p, values, n->gradients);
}

void network_time(struct network *n, struct network_times *times)
{
    *times = n->times;
    n->times = (struct network_times){0};
}

void network_describe(const struct network *n)
{
    const struct graph *g = n->g;
    for (int i = 0; i < g->node_count; i++) {
        const struct node *node = &g->nodes[i];
        const struct value *x = &g->values[node->x], *y = &g->values[node->y];
        char how[200] = "";
        if (n->layer[i].conv) n->o.ops->conv_describe(n->layer[i].conv, how, sizeof how);
        printf("%-38s %-8s %4dx%3dx%3d -> %4dx%3dx%3d  %s\n", node->name, node_kind_names[node->kind], x->c, x->h, x->w, y->c,
               y->h, y->w, how);
    }
}
