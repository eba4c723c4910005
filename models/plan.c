/* plan.c - decides where every activation, gradient and note lives, before anything runs.
 *
 * Gradients. Consumers of a value run their backward in falling node order. The first contribution gets a slot of its own, a
 * second one another, and the producer's backward adds the two while reading them (norm_backward_sums takes dy and dy2), so
 * a residual connection costs no pass of its own. Two contributions need no slot at all:
 *   - a residual's gradient IS the gradient g that norm_backward_sums leaves in place of dy: the slot is shared;
 *   - a normalisation without a residual writes dx over g.
 * In a DenseNet block every normalisation adds into the buffer's one gradient slot, the last one first, which covers all.
 */
#include "models/network_private.h"

#include "base/memory.h"

int value_root(const struct graph *g, int value)
{
    return g->values[value].buffer == NONE ? value : g->values[value].buffer;
}

enum dtype value_dtype(const struct network *n, int value)
{
    return value == n->g->logits ? DTYPE_F32 : n->o.dtype;
}

/* (N, C) matrices are NHWC; pictures come as the first convolution likes them; maps have the backend's layout. */
enum layout value_layout(const struct network *n, int value)
{
    const struct graph *g = n->g;
    value = value_root(g, value);
    if (value == g->input) return n->o.ops->input_layout(n->o.dtype);
    int producer = g->values[value].producer;
    if (producer != NONE) {
        const struct node *node = &g->nodes[producer];
        if (node->kind == NODE_LINEAR) return LAYOUT_NHWC;
        if (node->kind == NODE_AVGPOOL && node->adaptive && g->values[value].h * g->values[value].w == 1) return LAYOUT_NHWC;
        if (node->kind == NODE_DROPOUT) return value_layout(n, node->x);
    }
    return n->o.ops->layout(n->o.dtype);
}

static int slot_add(struct plan *p, size_t bytes)
{
    if (p->slot_count == p->slot_room) {
        int room = p->slot_room ? 2 * p->slot_room : 256;
        p->slots = mem_grow(p->slots, sizeof *p->slots * (size_t)p->slot_room, sizeof *p->slots * (size_t)room);
        p->slot_room = room;
    }
    p->slots[p->slot_count] = (struct block){.bytes = bytes, .first = 0, .last = NONE};
    return p->slot_count++;
}

static void slot_use(struct plan *p, int slot, int time)
{
    struct block *b = &p->slots[slot];
    if (b->last < b->first) {
        b->first = b->last = time;
        return;
    }
    if (time < b->first) b->first = time;
    if (time > b->last) b->last = time;
}

/* Channels of a buffer in memory. */
static int buffer_channels(const struct network *n, int root)
{
    return root == n->g->input ? n->o.ops->input_channels(n->o.dtype) : n->g->values[root].c;
}

static size_t value_bytes(const struct network *n, const struct plan *p, int value)
{
    const struct value *v = &n->g->values[value];
    struct tensor t = tensor_make(NULL, p->images, buffer_channels(n, value), v->h, v->w, value_dtype(n, value), value_layout(n, value));
    return tensor_buffer_bytes(&t);
}

static size_t note_bytes(const struct network *n, const struct plan *p, const struct node *node)
{
    struct tensor y;
    switch (node->kind) {
    case NODE_MAXPOOL: /* a byte for each element of a dense y */
        y = network_view(n, p, node->y, NONE, 0, p->images);
        y = tensor_make(NULL, p->images, y.c, y.h, y.w, DTYPE_F32, y.layout);
        return tensor_buffer_bytes(&y) / sizeof(float);
    case NODE_SE:
        return sizeof(float) * (size_t)p->images * 2 * (size_t)(n->g->values[node->x].c + node->squeeze);
    default:
        return 0;
    }
}

/* Values that node's backward reads. */
static bool backward_reads_x(const struct node *node)
{
    return node->kind == NODE_CONV || node->kind == NODE_LINEAR || node->kind == NODE_NORM || node->kind == NODE_SE;
}
static bool backward_reads_y(const struct node *node)
{
    bool relu = node->act == ACT_RELU;
    return (node->kind == NODE_CONV && relu) || (node->kind == NODE_LINEAR && relu) ||
           (node->kind == NODE_NORM && relu && node->residual != NONE);
}

static void plan_forward(struct plan *p, const struct network *n, bool training)
{
    const struct graph *g = n->g;
    for (int v = 0; v < g->value_count; v++)
        if (value_root(g, v) == v) p->activation[v] = slot_add(p, value_bytes(n, p, v));
    for (int v = 0; v < g->value_count; v++) p->activation[v] = p->activation[value_root(g, v)];
    slot_use(p, p->activation[g->input], 0);
    for (int i = 0; i < g->node_count; i++) {
        const struct node *node = &g->nodes[i];
        int backward = 2 * g->node_count - i;
        slot_use(p, p->activation[node->x], i);
        slot_use(p, p->activation[node->y], i);
        if (node->residual != NONE) slot_use(p, p->activation[node->residual], i);
        if (training && backward_reads_x(node)) slot_use(p, p->activation[node->x], backward);
        if (training && backward_reads_y(node)) slot_use(p, p->activation[node->y], backward);
        size_t bytes = note_bytes(n, p, node);
        p->note[i] = bytes ? slot_add(p, bytes) : NONE;
        if (bytes) slot_use(p, p->note[i], i);
        if (bytes && training) slot_use(p, p->note[i], backward);
    }
    slot_use(p, p->activation[g->logits], g->node_count);
}

/* A new slot for a gradient of `value`'s buffer. */
static int gradient_slot(struct plan *p, const struct network *n, int value)
{
    return slot_add(p, p->slots[p->activation[value_root(n->g, value)]].bytes);
}

static bool covers_buffer(const struct graph *g, int value)
{
    return g->values[value].c == g->values[value_root(g, value)].c;
}

/* dx of a normalisation over g: only when nobody else needs g and x is a whole value that has no gradient yet. */
static bool writes_over_g(const struct network *n, const struct node *node)
{
    return node->kind == NODE_NORM && node->residual == NONE && n->g->values[node->x].buffer == NONE &&
           n->g->values[node->y].buffer == NONE;
}

static void plan_gradient_of_x(struct plan *p, struct network *n, int i)
{
    struct gradient_plan *gp = &n->gradient;
    const struct node *node = &n->g->nodes[i];
    int v = value_root(n->g, node->x);
    struct write *w = &gp->write[i];
    if (v == n->g->input) return;
    if (gp->first[v] == NONE) {
        ASSERT(covers_buffer(n->g, node->x)); /* else parts of the buffer's gradient would never be written */
        gp->first[v] = writes_over_g(n, node) ? gp->first[node->y] : gradient_slot(p, n, v);
        w->slot = gp->first[v];
    } else if (node->kind == NODE_NORM) {
        w->slot = gp->first[v];
        w->add = true;
    } else {
        ASSERT(n->g->values[node->x].buffer == NONE);
        w->merge = gp->second[v] != NONE;
        if (!w->merge) gp->second[v] = gradient_slot(p, n, v);
        w->slot = gp->second[v];
    }
}

static void plan_gradient_of_residual(struct network *n, int i)
{
    struct gradient_plan *gp = &n->gradient;
    const struct node *node = &n->g->nodes[i];
    if (node->residual == NONE) return;
    int r = node->residual;
    ASSERT(n->g->values[r].buffer == NONE && r != n->g->input && gp->second[r] == NONE);
    if (gp->first[r] == NONE)
        gp->first[r] = gp->first[node->y];
    else
        gp->second[r] = gp->first[node->y];
}

static void plan_backward(struct plan *p, struct network *n)
{
    const struct graph *g = n->g;
    struct gradient_plan *gp = &n->gradient;
    gp->first = NEW_ARRAY(int, g->value_count);
    gp->second = NEW_ARRAY(int, g->value_count);
    gp->write = NEW_ARRAY(struct write, g->node_count);
    for (int v = 0; v < g->value_count; v++) gp->first[v] = gp->second[v] = NONE;
    for (int i = 0; i < g->node_count; i++) gp->write[i].slot = NONE;
    gp->first[g->logits] = gradient_slot(p, n, g->logits);
    slot_use(p, gp->first[g->logits], g->node_count);
    for (int i = g->node_count - 1; i >= 0; i--) {
        int y = value_root(g, g->nodes[i].y), time = 2 * g->node_count - i;
        ASSERT(gp->first[y] != NONE); /* every value is used */
        slot_use(p, gp->first[y], time);
        if (gp->second[y] != NONE) slot_use(p, gp->second[y], time);
        plan_gradient_of_residual(n, i);
        plan_gradient_of_x(p, n, i);
        if (gp->write[i].slot != NONE) {
            int v = value_root(g, g->nodes[i].x);
            slot_use(p, gp->write[i].slot, time);
            slot_use(p, gp->first[v], time);
        }
    }
}

/* Evaluation that will be explained (explain.c): the last map and what lies behind it stay until the end, and there is a gradient for each. */
static void plan_explain(struct plan *p, const struct network *n)
{
    const struct graph *g = n->g;
    int end = 2 * g->node_count;
    p->explain = NEW_ARRAY(int, g->value_count);
    for (int v = 0; v < g->value_count; v++) p->explain[v] = NONE;
    for (int i = g->values[g->last_map].producer; i < g->node_count; i++) {
        int y = g->nodes[i].y;
        ASSERT(g->values[y].buffer == NONE && (y == g->last_map || (g->nodes[i].residual == NONE && p->explain[g->nodes[i].x] != NONE)));
        slot_use(p, p->activation[y], end);
        if (p->note[i] != NONE) slot_use(p, p->note[i], end);
        p->explain[y] = gradient_slot(p, n, y);
        slot_use(p, p->explain[y], g->node_count);
        slot_use(p, p->explain[y], end);
    }
}

/* The convolution that writes channels [first, end) of a buffer and nothing else, or NONE. */
static int writer_of(const struct graph *g, int root, int first, int end)
{
    for (int i = 0; i < g->node_count; i++) {
        const struct value *y = &g->values[g->nodes[i].y];
        bool plain = g->nodes[i].kind == NODE_CONV && g->nodes[i].param[1] == NONE && g->nodes[i].act == ACT_NONE;
        if (plain && value_root(g, g->nodes[i].y) == root && y->c_offset == first && y->c_offset + y->c == end) return i;
    }
    return NONE;
}

/* Sums are taken once of each channel: by the first normalisation over it, or by the convolution that writes it. */
void plan_sums(struct network *n)
{
    const struct graph *g = n->g;
    int *have = NEW_ARRAY(int, g->value_count); /* channels of a buffer whose sums an earlier normalisation takes */
    for (int i = 0; i < g->node_count; i++) n->layer[i].stats_from = n->layer[i].stats_for = NONE;
    for (int i = 0; i < g->node_count; i++) {
        struct layer *layer = &n->layer[i];
        int x = g->nodes[i].x, c = g->values[x].c, root = value_root(g, x);
        if (g->nodes[i].kind != NODE_NORM) continue;
        ASSERT(g->values[x].c_offset == 0); /* slices that are normalised start at channel 0 */
        layer->stats_first = have[root];
        layer->stats_end = c > have[root] ? c : have[root];
        have[root] = layer->stats_end;
        if (n->o.ops->conv_forward_sums && n->o.shards) layer->stats_from = writer_of(g, root, layer->stats_first, layer->stats_end);
        if (layer->stats_from != NONE) n->layer[layer->stats_from].stats_for = i;
    }
    mem_free(have);
}

void plan_make(struct plan *p, struct network *n, int images, bool training)
{
    p->images = images;
    p->activation = NEW_ARRAY(int, n->g->value_count);
    p->note = NEW_ARRAY(int, n->g->node_count);
    plan_forward(p, n, training);
    if (training) plan_backward(p, n);
    if (!training && n->o.explain) plan_explain(p, n);
    p->bytes = memory_plan(p->slots, p->slot_count);
}

void plan_free(struct plan *p)
{
    mem_free(p->slots);
    mem_free(p->activation);
    mem_free(p->note);
    mem_free(p->explain);
}

void gradient_plan_free(struct gradient_plan *p)
{
    mem_free(p->first);
    mem_free(p->second);
    mem_free(p->write);
}

void *network_slot(const struct network *n, const struct plan *p, int slot, int shard)
{
    return n->arena + (size_t)shard * p->bytes + p->slots[slot].offset;
}

struct tensor network_view(const struct network *n, const struct plan *p, int value, int slot, int shard, int images)
{
    const struct value *v = &n->g->values[value];
    if (slot == NONE) slot = p->activation[value];
    struct tensor t = tensor_make(NULL, images, buffer_channels(n, value_root(n->g, value)), v->h, v->w, value_dtype(n, value), value_layout(n, value));
    t.data = n->arena ? network_slot(n, p, slot, shard) : NULL;
    t.c = v->c;
    t.c_offset = v->c_offset;
    return t;
}
