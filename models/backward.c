/* backward.c - the backward pass: nodes in falling order, down to the frozen ones; plan.c has decided where each gradient goes. After a node its
 * parameters' gradients are final on this rank and `ready` may send them away. */
#include "base/clock.h"
#include "base/memory.h"
#include "models/network_private.h"

struct back {
    struct network *n;
    const struct network_pass *pass;
};

static struct tensor value_view(const struct back *b, int value, int s)
{
    return network_view(b->n, &b->n->train, value, NONE, s, b->pass->shard[s].images);
}

/* Gradient of a value, in the given slot of its buffer. */
static struct tensor gradient_view(const struct back *b, int value, int slot, int s)
{
    return network_view(b->n, &b->n->train, value, slot, s, b->pass->shard[s].images);
}

static int first_of(const struct back *b, int value) { return b->n->gradient.first[value_root(b->n->g, value)]; }
static int second_of(const struct back *b, int value) { return b->n->gradient.second[value_root(b->n->g, value)]; }

/* Adds the second contribution to a value's gradient into the first. */
static void merge(const struct back *b, int value)
{
    for (int s = 0; s < b->n->o.shards; s++) {
        struct tensor to = gradient_view(b, value_root(b->n->g, value), first_of(b, value), s);
        struct tensor from = gradient_view(b, value_root(b->n->g, value), second_of(b, value), s);
        b->n->o.ops->add(&to, &from);
    }
}

static const float *row_scale_of(const struct back *b, int i, int s)
{
    const float *scale = b->n->layer[i].row_scale;
    return scale ? scale + s * b->n->o.max_images : NULL;
}

static void backward_relu(const struct back *b, const struct node *node, const struct tensor *dy)
{
    if (node->act != ACT_RELU) return;
    for (int s = 0; s < b->n->o.shards; s++) {
        struct tensor y = value_view(b, node->y, s);
        b->n->o.ops->relu_backward(&dy[s], &y);
    }
}

static void backward_conv(const struct back *b, int i, const struct tensor *dx, const struct tensor *dy, const struct tensor *x)
{
    struct network *n = b->n;
    const struct node *node = &n->g->nodes[i];
    const struct ops *ops = n->o.ops;
    const float *weights = network_param(n, n->parameters, node->param[0]);
    float *dweights = network_param(n, n->gradients, node->param[0]), *dbias = network_param(n, n->gradients, node->param[1]);
    backward_relu(b, node, dy);
    if (node->kind == NODE_CONV && ops->conv_backward) {
        ops->conv_backward(n->layer[i].conv, dx, dweights, dbias, x, dy, weights, n->o.shards);
    } else if (node->kind == NODE_CONV) {
        ops->conv_backward_weights(n->layer[i].conv, dweights, dbias, x, dy, n->o.shards);
        if (dx) ops->conv_backward_data(n->layer[i].conv, dx, dy, weights, n->o.shards);
    } else {
        ops->linear_backward_weights(n->layer[i].linear, dweights, dbias, x, dy, n->o.shards);
        if (dx) ops->linear_backward_data(n->layer[i].linear, dx, dy, weights, n->o.shards);
    }
}

/* Leaves g in place of dy, and the sums of g and g*xhat of each shard in sums[s]. */
static void norm_sums_of_gradient(const struct back *b, int i, const struct tensor *dy, double *const sums[])
{
    const struct network *n = b->n;
    const struct node *node = &n->g->nodes[i];
    const struct norm_memory *m = &n->layer[i].norm;
    int c = n->g->values[node->x].c;
    for (int s = 0; s < n->o.shards; s++) {
        struct tensor x = value_view(b, node->x, s), y = value_view(b, node->y, s), dy2;
        bool two = second_of(b, node->y) != NONE, masked_by_y = node->residual != NONE && node->act == ACT_RELU;
        if (two) dy2 = gradient_view(b, node->y, second_of(b, node->y), s);
        n->o.ops->norm_backward_sums(sums[s], sums[s] + c, &dy[s], two ? &dy2 : NULL, &x, masked_by_y ? &y : NULL, m->mean, m->inv_std,
                                     m->scale, m->shift, row_scale_of(b, i, s), node->act);
    }
}

/* Gradients are summed over shards in float, as all parameters' are; the means' sums in double. */
static void norm_tree_sum(const struct network *n, float *dgamma, float *dbeta, double *const sums[], size_t c)
{
    const struct ops *ops = n->o.ops;
    float *parts[MAX_SHARDS];
    for (int s = 0; s < n->o.shards; s++) {
        parts[s] = n->part_gradients + (size_t)s * 2 * c;
        ops->narrow(parts[s], sums[s], 2 * c);
    }
    ops->tree_sum(parts, n->o.shards, 2 * c);
    ops->copy(dgamma, parts[0] + c, sizeof(float) * c);
    ops->copy(dbeta, parts[0], sizeof(float) * c);
    ops->tree_sum_double(sums, n->o.shards, 2 * c);
}

/* The gradients of gamma and beta into the arena, and the global means of g and g*xhat. */
static void norm_reduce_gradient(const struct back *b, int i, double *const sums[])
{
    const struct network *n = b->n;
    const struct ops *ops = n->o.ops;
    const struct node *node = &n->g->nodes[i];
    const struct value *x = &n->g->values[node->x];
    size_t c = (size_t)x->c;
    float *dgamma = network_param(n, n->gradients, node->param[0]), *dbeta = network_param(n, n->gradients, node->param[1]);
    if (n->o.shards == 1) {
        ops->narrow(dbeta, sums[0], c);
        ops->narrow(dgamma, sums[0] + c, c);
    } else {
        norm_tree_sum(n, dgamma, dbeta, sums, c);
    }
    if (b->pass->share) b->pass->share(b->pass->context, sums[0], 2 * x->c);
    ops->norm_means(n->mean_g, n->mean_gx, sums[0], sums[0] + c, x->c, (double)network_norm_images(n, b->pass) * x->h * x->w);
}

/* Sums, gradients and means in one call. */
static void norm_backward_batch(const struct back *b, int i, const struct tensor *dy)
{
    struct network *n = b->n;
    const struct node *node = &n->g->nodes[i];
    struct tensor x = value_view(b, node->x, 0), y = value_view(b, node->y, 0), dy2;
    bool two = second_of(b, node->y) != NONE, masked_by_y = node->residual != NONE && node->act == ACT_RELU;
    if (two) dy2 = gradient_view(b, node->y, second_of(b, node->y), 0);
    n->o.ops->norm_backward_batch(network_param(n, n->gradients, node->param[0]), network_param(n, n->gradients, node->param[1]), n->mean_g, n->mean_gx,
                                  dy, two ? &dy2 : NULL, &x, masked_by_y ? &y : NULL, &n->layer[i].norm, row_scale_of(b, i, 0), node->act,
                                  (double)network_norm_images(n, b->pass) * x.h * x.w);
}

static void backward_norm(const struct back *b, int i, const struct tensor *dx, const struct tensor *dy)
{
    struct network *n = b->n;
    const struct node *node = &n->g->nodes[i];
    const struct norm_memory *m = &n->layer[i].norm;
    double *sums[MAX_SHARDS];
    for (int s = 0; s < n->o.shards; s++) sums[s] = n->part_sums + (size_t)s * 2 * (size_t)n->g->values[node->x].c;
    if (n->o.ops->norm_backward_batch && network_norm_alone(n, b->pass)) {
        norm_backward_batch(b, i, dy);
    } else {
        norm_sums_of_gradient(b, i, dy, sums);
        norm_reduce_gradient(b, i, sums);
    }
    for (int s = 0; s < n->o.shards; s++) {
        struct tensor x = value_view(b, node->x, s);
        n->o.ops->norm_backward(&dx[s], &dy[s], &x, m->mean, m->inv_std, m->scale, n->mean_g, n->mean_gx, row_scale_of(b, i, s),
                                n->gradient.write[i].add);
    }
}

static void backward_se(const struct back *b, int i, const struct tensor *dx, const struct tensor *dy, const struct tensor *x)
{
    struct network *n = b->n;
    const struct node *node = &n->g->nodes[i];
    size_t c = (size_t)n->g->values[node->x].c, squeeze = (size_t)node->squeeze, at = 0;
    size_t size[4] = {squeeze * c, squeeze, c * squeeze, c};
    size_t room = 2 * squeeze * c + squeeze + c + (size_t)n->o.max_images * (c + squeeze);
    const float *w1 = network_param(n, n->parameters, node->param[0]), *w2 = network_param(n, n->parameters, node->param[2]);
    float *parts[MAX_SHARDS];
    for (int s = 0; s < n->o.shards; s++) {
        float *d = parts[s] = n->part_gradients + (size_t)s * room;
        float *d1 = d + size[0], *d2 = d1 + size[1], *d3 = d2 + size[2];
        n->o.ops->se_backward(&dx[s], d, d1, d2, d3, &x[s], &dy[s], network_slot(n, &n->train, n->train.note[i], s), w1, w2,
                              node->squeeze, d3 + size[3]);
    }
    n->o.ops->tree_sum(parts, n->o.shards, size[0] + size[1] + size[2] + size[3]);
    for (int k = 0; k < 4; at += size[k], k++)
        n->o.ops->copy(network_param(n, n->gradients, node->param[k]), parts[0] + at, sizeof(float) * size[k]);
}

static void backward_pool(const struct back *b, int i, const struct tensor *dx, const struct tensor *dy)
{
    const struct node *node = &b->n->g->nodes[i];
    struct pool_spec spec = {node->adaptive ? 0 : node->kernel, node->stride, node->padding};
    for (int s = 0; s < b->n->o.shards; s++) {
        if (node->kind == NODE_MAXPOOL)
            b->n->o.ops->maxpool_backward(&dx[s], &dy[s], network_slot(b->n, &b->n->train, b->n->train.note[i], s), &spec);
        else
            b->n->o.ops->avgpool_backward(&dx[s], &dy[s], &spec);
    }
}

static void backward_node(const struct back *b, int i)
{
    const struct node *node = &b->n->g->nodes[i];
    const struct write *w = &b->n->gradient.write[i];
    struct tensor x[MAX_SHARDS], dx[MAX_SHARDS], dy[MAX_SHARDS];
    bool asked = w->slot != NONE;
    if (second_of(b, node->y) != NONE && node->kind != NODE_NORM) merge(b, node->y);
    if (w->merge) merge(b, node->x);
    for (int s = 0; s < b->n->o.shards; s++) {
        x[s] = value_view(b, node->x, s);
        dy[s] = gradient_view(b, node->y, first_of(b, node->y), s);
        if (asked) dx[s] = gradient_view(b, node->x, w->slot, s);
    }
    switch (node->kind) {
    case NODE_CONV:
    case NODE_LINEAR: backward_conv(b, i, asked ? dx : NULL, dy, x); break;
    case NODE_NORM: backward_norm(b, i, dx, dy); break;
    case NODE_SE: backward_se(b, i, dx, dy, x); break;
    case NODE_MAXPOOL:
    case NODE_AVGPOOL: backward_pool(b, i, dx, dy); break;
    case NODE_DROPOUT:
        for (int s = 0; s < b->n->o.shards; s++)
            b->n->o.ops->dropout(&dx[s], &dy[s], node->drop, network_row_key(b->n, s), (uint64_t)node->random_layer);
        break;
    }
}

float *network_dlogits(const struct network *n, int s) { return network_slot(n, &n->train, n->gradient.first[n->g->logits], s); }

void network_backward(struct network *n, const struct network_pass *pass)
{
    struct back b = {n, pass};
    const struct graph *g = n->g;
    for (int i = g->node_count - 1; i >= n->frozen_nodes; i--) {
        double start = clock_s();
        backward_node(&b, i);
        network_wait_when_exact(n);
        n->times.backward_s[g->nodes[i].kind] += clock_s() - start;
        if (pass->ready && g->nodes[i].param_count) pass->ready(pass->context, n->layer[i].gradient_end);
    }
}
