/* forward.c - the forward pass, training and evaluation: node by node, and within a node shard by shard, so that all shards
 * of a rank meet at each normalisation and its statistics can run over the whole global batch. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "models/network_private.h"

/* One pass over one plan; evaluation is one shard with running statistics. */
struct run {
    struct network *n;
    const struct plan *plan;
    struct network_shard *shard;
    int shards;
    struct network_pass *pass; /* NULL in evaluation */
};

static struct tensor view(const struct run *r, int value, int s)
{
    return network_view(r->n, r->plan, value, NONE, s, r->shard[s].images);
}

static void views(const struct run *r, struct tensor *t, int value)
{
    for (int s = 0; s < r->shards; s++) t[s] = view(r, value, s);
}

/* Images that a normalisation runs over. */
int network_norm_images(const struct network *n, const struct network_pass *pass)
{
    int images = 0;
    if (pass->share) return pass->total_images;
    for (int s = 0; s < n->o.shards; s++) images += pass->shard[s].images;
    return images;
}

/* Sum and sum of squares of the channels that no earlier node has taken, over all shards and ranks. */
static void norm_take_sums(struct run *r, int i)
{
    struct network *n = r->n;
    const struct layer *layer = &n->layer[i];
    int x = n->g->nodes[i].x, root = value_root(n->g, x), all = n->g->values[root].c;
    int first = layer->stats_first, c = layer->stats_end - first;
    double *parts[MAX_SHARDS];
    if (c <= 0) return;
    for (int s = 0; s < r->shards; s++) {
        struct tensor t = view(r, x, s);
        t.c_offset = first;
        t.c = c;
        parts[s] = n->part_sums + (size_t)s * 2 * (size_t)c;
        n->o.ops->norm_sums(parts[s], parts[s] + c, &t);
    }
    shard_tree_sum_double(parts, r->shards, 2 * (size_t)c);
    if (r->pass->share) r->pass->share(r->pass->context, parts[0], 2 * c);
    memcpy(n->sums[root] + first, parts[0], sizeof(double) * (size_t)c);
    memcpy(n->sums[root] + all + first, parts[0] + c, sizeof(double) * (size_t)c);
}

static void norm_batch_statistics(struct run *r, int i)
{
    struct network *n = r->n;
    const struct node *node = &n->g->nodes[i];
    struct layer *layer = &n->layer[i];
    const struct value *x = &n->g->values[node->x];
    int root = value_root(n->g, node->x), all = n->g->values[root].c;
    double count = (double)network_norm_images(n, r->pass) * x->h * x->w;
    float *running_mean = n->running_mean[node->buffers], *running_var = n->running_var[node->buffers];
    norm_take_sums(r, i);
    for (int c = 0; c < x->c; c++) {
        double mean = n->sums[root][c] / count, var = n->sums[root][all + c] / count - mean * mean;
        if (var < 0) var = 0;
        layer->mean[c] = (float)mean;
        layer->inv_std[c] = (float)(1 / sqrt(var + node->eps));
        double unbiased = count > 1 ? var * count / (count - 1) : var;
        running_mean[c] = (float)((1 - node->momentum) * running_mean[c] + node->momentum * mean);
        running_var[c] = (float)((1 - node->momentum) * running_var[c] + node->momentum * unbiased);
    }
}

static void norm_running_statistics(struct run *r, int i)
{
    const struct node *node = &r->n->g->nodes[i];
    struct layer *layer = &r->n->layer[i];
    for (int c = 0; c < r->n->g->values[node->x].c; c++) {
        layer->mean[c] = r->n->running_mean[node->buffers][c];
        layer->inv_std[c] = (float)(1 / sqrt((double)r->n->running_var[node->buffers][c] + node->eps));
    }
}

/* Stochastic depth (Huang et al. 2016), row mode: an image's branch is kept with probability 1 - p and scaled by 1/(1-p). */
static const float *norm_row_scale(struct run *r, int i, int s)
{
    const struct node *node = &r->n->g->nodes[i];
    if (!r->pass || node->drop <= 0) return NULL;
    float *scale = r->n->layer[i].row_scale + s * r->n->o.max_images;
    for (int k = 0; k < r->shard[s].images; k++) {
        struct random stream = random_stream(r->shard[s].row_key[k], RANDOM_DROP_PATH, (uint64_t)node->random_layer, 0);
        scale[k] = random_u32_at(&stream, 0) < node->drop * 4294967296.0 ? 0 : (float)(1 / (1 - node->drop));
    }
    return scale;
}

static void forward_norm(struct run *r, int i)
{
    struct network *n = r->n;
    const struct node *node = &n->g->nodes[i];
    struct layer *layer = &n->layer[i];
    const float *gamma = network_param(n, n->parameters, node->param[0]);
    const float *beta = network_param(n, n->parameters, node->param[1]);
    if (r->pass)
        norm_batch_statistics(r, i);
    else
        norm_running_statistics(r, i);
    for (int c = 0; c < n->g->values[node->x].c; c++) {
        layer->scale[c] = gamma[c] * layer->inv_std[c];
        layer->shift[c] = beta[c] - layer->mean[c] * layer->scale[c];
    }
    for (int s = 0; s < r->shards; s++) {
        struct tensor x = view(r, node->x, s), y = view(r, node->y, s), residual;
        if (node->residual != NONE) residual = view(r, node->residual, s);
        n->o.ops->norm_forward(&y, &x, node->residual != NONE ? &residual : NULL, layer->scale, layer->shift,
                               norm_row_scale(r, i, s), node->act);
    }
}

static void forward_pool(struct run *r, int i)
{
    const struct node *node = &r->n->g->nodes[i];
    struct pool_spec spec = {node->adaptive ? 0 : node->kernel, node->stride, node->padding};
    for (int s = 0; s < r->shards; s++) {
        struct tensor x = view(r, node->x, s), y = view(r, node->y, s);
        if (node->kind == NODE_MAXPOOL)
            r->n->o.ops->maxpool_forward(&y, network_slot(r->n, r->plan, r->plan->note[i], s), &x, &spec);
        else
            r->n->o.ops->avgpool_forward(&y, &x, &spec);
    }
}

static void forward_se(struct run *r, int i)
{
    const struct node *node = &r->n->g->nodes[i];
    const float *p[4];
    for (int k = 0; k < 4; k++) p[k] = network_param(r->n, r->n->parameters, node->param[k]);
    for (int s = 0; s < r->shards; s++) {
        struct tensor x = view(r, node->x, s), y = view(r, node->y, s);
        r->n->o.ops->se_forward(&y, network_slot(r->n, r->plan, r->plan->note[i], s), &x, p[0], p[1], p[2], p[3], node->squeeze);
    }
}

static void forward_dropout(struct run *r, int i)
{
    const struct node *node = &r->n->g->nodes[i];
    static const uint64_t unused;
    for (int s = 0; s < r->shards; s++) {
        struct tensor x = view(r, node->x, s), y = view(r, node->y, s);
        const uint64_t *keys = r->pass ? r->shard[s].row_key : &unused; /* p = 0 asks for no number */
        r->n->o.ops->dropout(&y, &x, r->pass ? node->drop : 0, keys, (uint64_t)node->random_layer);
    }
}

static void forward_node(struct run *r, int i)
{
    struct network *n = r->n;
    const struct node *node = &n->g->nodes[i];
    struct tensor x[MAX_SHARDS], y[MAX_SHARDS];
    const float *weights = network_param(n, n->parameters, node->param[0]);
    const float *bias = network_param(n, n->parameters, node->param[1]);
    views(r, x, node->x);
    views(r, y, node->y);
    switch (node->kind) {
    case NODE_CONV: n->o.ops->conv_forward(n->layer[i].conv, y, x, weights, bias, r->shards); break;
    case NODE_LINEAR: n->o.ops->linear_forward(n->layer[i].linear, y, x, weights, bias, r->shards); break;
    case NODE_NORM: forward_norm(r, i); break;
    case NODE_MAXPOOL:
    case NODE_AVGPOOL: forward_pool(r, i); break;
    case NODE_SE: forward_se(r, i); break;
    case NODE_DROPOUT: forward_dropout(r, i); break;
    }
}

static void forward(struct run *r)
{
    const struct graph *g = r->n->g;
    for (int s = 0; s < r->shards; s++) {
        struct tensor x = view(r, g->input, s);
        r->n->o.ops->input(&x, r->shard[s].pixels);
    }
    for (int i = 0; i < g->node_count; i++) {
        double start = clock_s();
        forward_node(r, i);
        r->n->times.forward_s[g->nodes[i].kind] += clock_s() - start;
    }
    for (int s = 0; s < r->shards; s++) {
        struct tensor y = view(r, g->logits, s);
        if (y.n) memcpy(r->shard[s].logits, y.data, sizeof(float) * (size_t)y.n * (size_t)y.c);
    }
}

void network_forward(struct network *n, struct network_pass *pass)
{
    struct run r = {n, &n->train, pass->shard, n->o.shards, pass};
    forward(&r);
}

void network_infer(struct network *n, const float *pixels, int images, float *logits)
{
    struct network_shard shard = {.images = images, .pixels = pixels, .logits = logits};
    struct run r = {n, &n->eval, &shard, 1, NULL};
    ASSERT(images <= n->o.max_eval_images);
    forward(&r);
}
