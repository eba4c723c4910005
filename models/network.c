/* network.c - opens a graph on a backend: plans, operation handles, memory (network_memory.c). The step itself is in forward.c and
 * backward.c. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "models/network_private.h"

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
    if (n->layer[i].stats_for != NONE) spec.sums_c_total = n->g->values[value_root(n->g, node->y)].c;
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
    bool backward = n->o.shards > 0 || n->o.explain; /* linear layers lie behind the last map */
    n->layer[i].linear = n->o.ops->linear_create(&spec, images, backward, NULL, err);
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

struct network *network_open(const struct graph *g, const struct network_options *options, struct error *err)
{
    struct network *n = NEW(struct network);
    n->g = g;
    n->o = *options;
    n->layer = NEW_ARRAY(struct layer, g->node_count);
    ASSERT(n->o.shards <= MAX_SHARDS && (n->o.shards == 0 || n->o.max_images > 0));
    plan_sums(n);
    if (n->o.shards) plan_make(&n->train, n, n->o.max_images, true);
    if (n->o.max_eval_images) plan_make(&n->eval, n, n->o.max_eval_images, false);
    if (create_handles(n, err) || network_memory_open(n, err)) {
        network_close(n);
        return NULL;
    }
    return n;
}

void network_expect(struct network *n, int images, bool training)
{
    const struct ops *ops = n->o.ops;
    for (int i = 0; i < n->g->node_count; i++) {
        if (n->layer[i].conv && ops->conv_expect) ops->conv_expect(n->layer[i].conv, images, training);
        if (n->layer[i].linear && ops->linear_expect) ops->linear_expect(n->layer[i].linear, images, training);
    }
}

void network_close(struct network *n)
{
    if (!n) return;
    for (int i = 0; i < n->g->node_count; i++) {
        if (n->layer[i].conv) n->o.ops->conv_close(n->layer[i].conv);
        if (n->layer[i].linear) n->o.ops->linear_close(n->layer[i].linear);
    }
    network_memory_close(n);
    plan_free(&n->train);
    plan_free(&n->eval);
    gradient_plan_free(&n->gradient);
    mem_free(n->layer);
    mem_free(n);
}

size_t network_activation_bytes(const struct network *n)
{
    size_t train = (size_t)n->o.shards * n->train.bytes;
    return train > n->eval.bytes ? train : n->eval.bytes;
}

void network_time_exactly(struct network *n, bool on) { n->exact_times = on; }

void network_wait_when_exact(const struct network *n)
{
    if (n->exact_times) n->o.ops->download(NULL, NULL, 0);
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
