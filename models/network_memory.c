/* network_memory.c - what a network keeps in the backend's memory, taken once.
 *
 * The arenas hold parameters in the order in which backward finishes them (last node first), each at a multiple of 16
 * floats; the gaps hold zeros in parameters, gradients and optimiser state alike, so whole arenas can be summed and updated.
 */
#include "base/memory.h"
#include "models/network_private.h"

enum { PARAM_ALIGN = 16 };

/* Cleared memory of the backend. NULL: there is no room. */
static void *take(const struct network *n, size_t bytes)
{
    void *memory = n->o.ops->alloc(bytes ? bytes : 1);
    if (memory) n->o.ops->zero(memory, bytes);
    return memory;
}

static float *take_floats(const struct network *n, int64_t count) { return take(n, sizeof(float) * (size_t)count); }
static double *take_doubles(const struct network *n, int64_t count) { return take(n, sizeof(double) * (size_t)count); }

static int64_t stored_count(const struct network *n, int p)
{
    const struct layer *layer = &n->layer[n->g->params[p].node];
    if (!network_is_stored_weight(n, p)) return param_elements(&n->g->params[p]);
    return (int64_t)(layer->conv ? n->o.ops->conv_weight_count(layer->conv) : n->o.ops->linear_weight_count(layer->linear));
}

static bool lay_out_parameters(struct network *n)
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
    n->parameters = take_floats(n, n->arena_count);
    if (n->o.shards) n->gradients = take_floats(n, n->arena_count);
    if (n->parameters) n->o.ops->parameters_set(n->parameters, n->arena_count, n->o.dtype);
    return n->parameters && (n->gradients || !n->o.shards);
}

/* ---- normalisation: values of the current pass, running statistics ---- */
enum { NORM_ROWS = 6 }; /* mean, inv_std, scale, shift, running mean and variance */

static bool drops_rows(const struct network *n, const struct node *node) { return node->drop > 0 && n->o.shards; }

static bool take_norm_memory(struct network *n)
{
    const struct graph *g = n->g;
    int64_t floats = 0, doubles = 0;
    for (int i = 0; i < g->node_count; i++) {
        const struct node *node = &g->nodes[i];
        if (node->kind != NODE_NORM) continue;
        floats += NORM_ROWS * (int64_t)g->values[node->x].c;
        if (drops_rows(n, node)) floats += n->o.shards * n->o.max_images;
    }
    for (int v = 0; v < g->value_count; v++) doubles += 2 * g->values[v].c;
    n->norm_values = take_floats(n, floats);
    n->norm_sums = take_doubles(n, doubles);
    return n->norm_values && n->norm_sums;
}

static void place_norm(struct network *n, int i, float **at)
{
    const struct node *node = &n->g->nodes[i];
    struct layer *layer = &n->layer[i];
    int c = n->g->values[node->x].c;
    float **rows[NORM_ROWS] = {&layer->norm.mean, &layer->norm.inv_std, &layer->norm.scale, &layer->norm.shift, &layer->norm.running_mean,
                               &layer->norm.running_var};
    for (int r = 0; r < NORM_ROWS; r++, *at += c) *rows[r] = *at;
    layer->norm.gamma = network_param(n, n->parameters, node->param[0]);
    layer->norm.beta = network_param(n, n->parameters, node->param[1]);
    if (drops_rows(n, node)) {
        layer->row_scale = *at;
        *at += n->o.shards * n->o.max_images;
    }
    n->norm_node[node->buffers] = i;
}

static void start_running(struct network *n, int b, int c)
{
    float *mean = NEW_ARRAY(float, 2 * c), *var = mean + c;
    for (int k = 0; k < c; k++) var[k] = 1;
    network_running_set(n, b, mean, var);
    mem_free(mean);
}

static bool lay_out_norms(struct network *n)
{
    const struct graph *g = n->g;
    if (!take_norm_memory(n)) return false;
    float *at = n->norm_values;
    double *sums = n->norm_sums;
    n->sums = NEW_ARRAY(double *, g->value_count);
    n->norm_node = NEW_ARRAY(int, g->norm_count);
    for (int i = 0; i < g->node_count; i++) {
        const struct node *node = &g->nodes[i];
        int root = value_root(g, node->x);
        if (node->kind != NODE_NORM) continue;
        place_norm(n, i, &at);
        start_running(n, node->buffers, g->values[node->x].c);
        if (!n->sums[root]) {
            n->sums[root] = sums;
            sums += 2 * g->values[root].c;
        }
    }
    return true;
}

/* Room for the per-shard parts that are summed as a tree: sums of norms, gradients of norms and of squeeze-excite. */
static bool lay_out_parts(struct network *n)
{
    const struct graph *g = n->g;
    int widest = 1, shards = n->o.shards ? n->o.shards : 1, images = n->o.max_images > 0 ? n->o.max_images : 1;
    int64_t largest = 0;
    for (int i = 0; i < g->node_count; i++) {
        const struct node *node = &g->nodes[i];
        int64_t c = g->values[node->x].c, s = node->squeeze;
        if (c > widest) widest = (int)c;
        if (node->kind != NODE_SE) continue;
        int64_t room = 2 * c * s + c + s + (c + s) * images;
        if (room > largest) largest = room;
    }
    if (largest < 2 * widest) largest = 2 * widest;
    n->part_sums = take_doubles(n, (int64_t)shards * 2 * widest);
    n->part_gradients = take_floats(n, shards * largest);
    n->mean_g = take_floats(n, widest);
    n->mean_gx = take_floats(n, widest);
    n->row_key = take(n, sizeof(uint64_t) * (size_t)shards * (size_t)images);
    return n->part_sums && n->part_gradients && n->mean_g && n->mean_gx && n->row_key;
}

/* Of what is free, this must be left: the caller's arenas, and on an accelerator the working memory of its calls, which is taken when they run. */
static size_t needed_later(const struct network *n)
{
    enum { WORKING_BYTES = 64 << 20 };
    return sizeof(float) * (size_t)n->o.state_floats * (size_t)n->arena_count + (n->o.ops->on_host ? 0 : WORKING_BYTES);
}

/* The hint is an estimate: activations grow with the images of a batch, the rest does not. */
static int no_room(const struct network *n, size_t room, struct error *err)
{
    double activations = (double)network_activation_bytes(n), left = (double)room;
    int images = n->o.shards ? n->o.shards * n->o.max_images : n->o.max_eval_images, fit = (int)(0.95 * left / activations * images);
    error_set(err, "no room on %s: activations of %d images take %.0f MB, %.0f MB are left for them", n->o.ops->name, images, activations / 1e6, left / 1e6);
    if (fit > 0 && fit < images) return error_hint(err, "a batch of %d images per rank should fit", fit);
    return error_hint(err, "another program may hold the memory");
}

int network_memory_open(struct network *n, struct error *err)
{
    if (lay_out_parameters(n) && lay_out_norms(n) && lay_out_parts(n)) {
        size_t room = n->o.ops->room();
        size_t later = needed_later(n), left = room > later ? room - later : 0;
        if (n->o.ops->on_host || network_activation_bytes(n) <= left) n->arena = n->o.ops->alloc(network_activation_bytes(n));
        return n->arena ? 0 : no_room(n, left, err);
    }
    error_set(err, "no room on %s for the parameters, %.0f MB", n->o.ops->name, 4e-6 * (double)n->arena_count);
    return error_hint(err, "no batch is small enough: another network, or another program holds the memory");
}

void network_memory_close(struct network *n)
{
    void *ours[] = {n->parameters, n->gradients, n->norm_values, n->norm_sums, n->arena, n->row_key, n->part_sums, n->part_gradients, n->mean_g,
                    n->mean_gx};
    if (n->parameters) n->o.ops->parameters_set(NULL, 0, n->o.dtype);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) n->o.ops->free(ours[i]);
    mem_free(n->offset);
    mem_free(n->count);
    mem_free(n->norm_node);
    mem_free(n->sums);
}
