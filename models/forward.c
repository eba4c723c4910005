/* forward.c - the forward pass, training and evaluation: node by node, and within a node shard by shard, so that all shards
 * of a rank meet at each normalisation and its statistics can run over the whole global batch. */
#include "base/clock.h"
#include "base/memory.h"
#include "models/network_private.h"

/* One pass over one plan; evaluation is one shard with running statistics. */
struct run {
    struct network *n;
    const struct plan *plan;
    const struct network_shard *shard;
    int shards;
    const struct network_pass *pass; /* NULL in evaluation */
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

bool network_norm_alone(const struct network *n, const struct network_pass *pass) { return n->o.shards == 1 && !pass->share; }

/* Statistics in one call: one shard whose sums nobody shares. */
static bool norm_at_once(const struct run *r) { return r->n->o.ops->norm_batch && network_norm_alone(r->n, r->pass); }

/* Of the channels that no earlier node has taken, the parts of all shards: (2, fresh channels) each. */
static void norm_parts(const struct run *r, int i, double *parts[])
{
    const struct layer *layer = &r->n->layer[i];
    for (int s = 0; s < r->shards; s++) parts[s] = r->n->part_sums + (size_t)s * 2 * (size_t)(layer->stats_end - layer->stats_first);
}

/* The parts become sum and sum of squares over all shards and ranks. */
static void norm_sum_parts(struct run *r, int i, double *const parts[])
{
    struct network *n = r->n;
    const struct ops *ops = n->o.ops;
    int first = n->layer[i].stats_first, c = n->layer[i].stats_end - first, root = value_root(n->g, n->g->nodes[i].x);
    double *sum = n->sums[root] + first, *squares = sum + n->g->values[root].c;
    ops->tree_sum_double(parts, r->shards, 2 * (size_t)c);
    if (r->pass->share) r->pass->share(r->pass->context, parts[0], 2 * c);
    ops->copy(sum, parts[0], sizeof(double) * (size_t)c);
    ops->copy(squares, parts[0] + c, sizeof(double) * (size_t)c);
}

/* Channels whose sums are taken at node i, of one shard. */
static struct tensor norm_fresh(const struct run *r, int i, int s)
{
    struct tensor t = view(r, r->n->g->nodes[i].x, s);
    t.c_offset = r->n->layer[i].stats_first;
    t.c = r->n->layer[i].stats_end - t.c_offset;
    return t;
}

static void norm_take_sums(struct run *r, int i)
{
    struct network *n = r->n;
    const struct ops *ops = n->o.ops;
    struct tensor fresh = norm_fresh(r, i, 0);
    int root = value_root(n->g, n->g->nodes[i].x), c = fresh.c;
    double *sum = n->sums[root] + n->layer[i].stats_first, *parts[MAX_SHARDS];
    if (c <= 0) return;
    if (network_norm_alone(n, r->pass)) {
        ops->norm_sums(sum, sum + n->g->values[root].c, &fresh);
        return;
    }
    norm_parts(r, i, parts);
    for (int s = 0; s < r->shards; s++) {
        fresh = norm_fresh(r, i, s);
        ops->norm_sums(parts[s], parts[s] + c, &fresh);
    }
    norm_sum_parts(r, i, parts);
}

static struct norm_spec norm_spec_of(const struct network *n, int i)
{
    const struct node *node = &n->g->nodes[i];
    return (struct norm_spec){n->g->values[node->x].c, node->eps, node->momentum};
}

/* Elements of a channel. */
static double norm_count(const struct run *r, int i)
{
    const struct value *x = &r->n->g->values[r->n->g->nodes[i].x];
    return (double)network_norm_images(r->n, r->pass) * x->h * x->w;
}

static void norm_coefficients(struct run *r, int i)
{
    struct network *n = r->n;
    const struct ops *ops = n->o.ops;
    const struct norm_memory *m = &n->layer[i].norm;
    const struct norm_spec spec = norm_spec_of(n, i);
    int root = value_root(n->g, n->g->nodes[i].x);
    double *sum = n->sums[root], *squares = sum + n->g->values[root].c;
    bool taken = n->layer[i].stats_from != NONE; /* by forward_conv */
    if (!r->pass || i < n->frozen_nodes) {
        ops->norm_frozen(m, &spec);
    } else if (norm_at_once(r)) {
        struct tensor fresh = norm_fresh(r, i, 0);
        if (!taken) ops->norm_batch(m, &spec, sum, squares, &fresh, norm_count(r, i));
    } else {
        if (!taken) norm_take_sums(r, i);
        ops->norm_statistics(m, &spec, sum, squares, norm_count(r, i));
    }
}

/* Stochastic depth's factors of a shard's images, or NULL. */
static const float *norm_row_scale(struct run *r, int i, int s)
{
    const struct node *node = &r->n->g->nodes[i];
    if (!r->pass || node->drop <= 0) return NULL;
    float *scale = r->n->layer[i].row_scale + s * r->n->o.max_images;
    r->n->o.ops->drop_rows(scale, network_row_key(r->n, s), r->shard[s].images, node->drop, (uint64_t)node->random_layer);
    return scale;
}

static void forward_norm(struct run *r, int i)
{
    struct network *n = r->n;
    const struct node *node = &n->g->nodes[i];
    const struct norm_memory *m = &n->layer[i].norm;
    norm_coefficients(r, i);
    for (int s = 0; s < r->shards; s++) {
        struct tensor x = view(r, node->x, s), y = view(r, node->y, s), residual;
        if (node->residual != NONE) residual = view(r, node->residual, s);
        n->o.ops->norm_forward(&y, &x, node->residual != NONE ? &residual : NULL, m->scale, m->shift, norm_row_scale(r, i, s), node->act);
    }
}

/* A convolution that batch normalisation i follows, with the sums for it. */
static void conv_with_sums(struct run *r, struct conv *conv, const struct tensor *y, const struct tensor *x, const float *weights, int i)
{
    struct network *n = r->n;
    const struct norm_spec spec = norm_spec_of(n, i);
    int root = value_root(n->g, n->g->nodes[i].x);
    double *sum = n->sums[root], *parts[MAX_SHARDS];
    if (norm_at_once(r)) {
        n->o.ops->conv_forward_batch(conv, y, x, weights, &n->layer[i].norm, &spec, sum, sum + n->g->values[root].c, norm_count(r, i));
        return;
    }
    norm_parts(r, i, parts);
    n->o.ops->conv_forward_sums(conv, y, x, weights, parts, r->shards);
    norm_sum_parts(r, i, parts);
}

static void forward_conv(struct run *r, const struct layer *layer, const struct tensor *y, const struct tensor *x, const float *weights,
                         const float *bias)
{
    int norm = r->pass ? layer->stats_for : NONE;
    if (norm != NONE && norm >= r->n->frozen_nodes) conv_with_sums(r, layer->conv, y, x, weights, norm);
    else r->n->o.ops->conv_forward(layer->conv, y, x, weights, bias, r->shards);
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
    for (int s = 0; s < r->shards; s++) { /* in evaluation p = 0, which asks for no number */
        struct tensor x = view(r, node->x, s), y = view(r, node->y, s);
        r->n->o.ops->dropout(&y, &x, r->pass ? node->drop : 0, network_row_key(r->n, s), (uint64_t)node->random_layer);
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
    case NODE_CONV: forward_conv(r, &n->layer[i], y, x, weights, bias); break;
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
    for (int i = 0; i < g->node_count; i++) {
        double start = clock_s();
        forward_node(r, i);
        network_wait_when_exact(r->n);
        r->n->times.forward_s[g->nodes[i].kind] += clock_s() - start;
    }
}

static void load(struct run *r)
{
    struct network *n = r->n;
    if (n->parameters_changed) n->o.ops->parameters_set(n->parameters, n->arena_count, n->o.dtype);
    n->parameters_changed = false;
    for (int s = 0; s < r->shards; s++) {
        struct tensor x = view(r, n->g->input, s);
        if (r->shard[s].pictures)
            n->o.ops->pictures(&x, r->shard[s].pool, r->shard[s].pictures);
        else
            n->o.ops->input(&x, r->shard[s].pixels);
        if (r->pass) n->o.ops->upload(network_row_key(n, s), r->shard[s].row_key, sizeof(uint64_t) * (size_t)r->shard[s].images);
    }
}

static struct run training(struct network *n, const struct network_pass *pass)
{
    return (struct run){n, &n->train, pass->shard, n->o.shards, pass};
}

void network_load(struct network *n, const struct network_pass *pass)
{
    struct run r = training(n, pass);
    load(&r);
}

void network_forward(struct network *n, const struct network_pass *pass)
{
    struct run r = training(n, pass);
    forward(&r);
}

uint64_t *network_row_key(const struct network *n, int s) { return n->row_key + (size_t)s * (size_t)n->o.max_images; }

float *network_logits(const struct network *n, int s) { return network_slot(n, &n->train, n->train.activation[n->g->logits], s); }

void network_infer(struct network *n, const float *pixels, int images, float *logits)
{
    struct network_shard shard = {.images = images, .pixels = pixels};
    struct run r = {n, &n->eval, &shard, 1, NULL};
    ASSERT(images <= n->o.max_eval_images);
    load(&r);
    forward(&r);
    struct tensor y = view(&r, n->g->logits, 0);
    n->o.ops->download(logits, y.data, sizeof(float) * (size_t)y.n * (size_t)y.c);
}
