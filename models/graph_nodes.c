/* graph_nodes.c - adding to a graph: each function adds one node with its parameters and the value it writes. The families'
 * tables are in vgg.c, resnet.c, densenet.c and efficientnet.c.
 *
 * Node order is the order in which things run; parameter order is torchvision's state_dict. They differ only where a
 * ResNet shortcut runs before the normalisation that adds it (graph_declare_norm).
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "models/builders.h"

enum { NONE = -1 };

/* ---- values, nodes, parameters ---- */

/* Room for one more: arrays grow when their count is a power of two, so no room needs to be kept. */
static void *grown(void *old, int count, size_t each)
{
    if (count & (count - 1)) return old;
    return mem_grow(old, (size_t)count * each, (size_t)(count ? 2 * count : 1) * each);
}

static int add_value(struct graph *g, int c, int h, int w, int producer)
{
    ASSERT(c > 0 && h > 0 && w > 0);
    g->values = grown(g->values, g->value_count, sizeof *g->values);
    g->values[g->value_count] = (struct value){.c = c, .h = h, .w = w, .buffer = NONE, .producer = producer};
    return g->value_count++;
}

static int add_node(struct graph *g, enum node_kind kind, const char *name, int x)
{
    ASSERT(x >= 0 && x < g->value_count && strlen(name) < sizeof g->nodes->name);
    g->nodes = grown(g->nodes, g->node_count, sizeof *g->nodes);
    struct node *node = &g->nodes[g->node_count];
    *node = (struct node){.kind = kind, .x = x, .y = NONE, .residual = NONE, .param = {NONE, NONE, NONE, NONE},
                          .stage = g->stage_count - 1, .act = ACT_NONE, .groups = 1, .random_layer = NONE, .buffers = NONE};
    snprintf(node->name, sizeof node->name, "%s", name);
    return g->node_count++;
}

/* The value a node writes: its own memory, or channels from c_offset on of a buffer. */
static int set_output(struct graph *g, int node, int c, int h, int w, int buffer, int c_offset)
{
    int y = add_value(g, c, h, w, node);
    if (buffer != NONE) {
        const struct value *b = &g->values[buffer];
        ASSERT(b->h == h && b->w == w && c_offset + c <= b->c && b->buffer == NONE && b->producer == NONE);
        g->values[y].buffer = buffer;
        g->values[y].c_offset = c_offset;
    }
    return g->nodes[node].y = y;
}

static int find_or_add_param(struct graph *g, const char *name)
{
    for (int p = 0; p < g->param_count; p++)
        if (!strcmp(g->params[p].name, name)) return p;
    g->params = grown(g->params, g->param_count, sizeof *g->params);
    g->params[g->param_count] = (struct param){.node = NONE};
    snprintf(g->params[g->param_count].name, sizeof g->params->name, "%s", name);
    return g->param_count++;
}

/* dims: (out, in) of a matrix, (out, in/groups, k, k) of a convolution, (c) otherwise. fan_in and fan_out of a vector are
 * those of the weight beside it. */
static int add_param(struct graph *g, int node, const char *name, enum param_role role, int ndim, const int64_t *dims,
                     int fan_in, int fan_out)
{
    int p = find_or_add_param(g, name);
    struct param *param = &g->params[p];
    ASSERT(param->node == NONE); /* two nodes of one name otherwise */
    param->role = role;
    param->ndim = ndim;
    for (int d = 0; d < ndim; d++) param->dims[d] = dims[d];
    param->node = node;
    param->fan_in = fan_in;
    param->fan_out = fan_out;
    if (node != NONE) g->nodes[node].param[g->nodes[node].param_count++] = p;
    return p;
}

static void add_vector(struct graph *g, int node, const char *name, enum param_role role, int c, int fan_in, int fan_out)
{
    add_param(g, node, name, role, 1, (int64_t[]){c}, fan_in, fan_out);
}

/* How many nodes drop something so far: the next random layer. */
static int random_layers(const struct graph *g)
{
    int count = 0;
    for (int i = 0; i < g->node_count; i++) count += g->nodes[i].drop > 0;
    return count;
}

/* ---- nodes ---- */

struct path path_print(const char *format, ...)
{
    struct path path;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path.text, sizeof path.text, format, arguments);
    va_end(arguments);
    ASSERT(length >= 0 && (size_t)length < sizeof path.text);
    return path;
}

static int conv(struct graph *g, const struct node *shape, const char *name, int x, int out_c, bool bias, int buffer, int c_offset)
{
    int i = add_node(g, NODE_CONV, name, x), k = shape->kernel;
    struct value in = g->values[x];
    ASSERT(in.c % shape->groups == 0 && out_c % shape->groups == 0);
    g->nodes[i].kernel = k;
    g->nodes[i].stride = shape->stride;
    g->nodes[i].padding = shape->padding;
    g->nodes[i].groups = shape->groups;
    g->nodes[i].act = shape->act;
    int64_t dims[] = {out_c, in.c / shape->groups, k, k};
    int fan_in = (int)dims[1] * k * k, fan_out = out_c * k * k;
    add_param(g, i, PATH("%s.weight", name), PARAM_WEIGHT, 4, dims, fan_in, fan_out);
    if (bias) add_vector(g, i, PATH("%s.bias", name), PARAM_BIAS, out_c, fan_in, fan_out);
    return set_output(g, i, out_c, conv_out_size(in.h, k, shape->stride, shape->padding),
                      conv_out_size(in.w, k, shape->stride, shape->padding), buffer, c_offset);
}

int graph_conv(struct graph *g, const char *name, int x, int out_c, int kernel, int stride, int padding, int groups,
               bool bias, enum activation act)
{
    struct node shape = {.kernel = kernel, .stride = stride, .padding = padding, .groups = groups, .act = act};
    return conv(g, &shape, name, x, out_c, bias, NONE, 0);
}

int graph_conv_into(struct graph *g, const char *name, int x, int buffer, int c_offset, int out_c, int kernel, int stride,
                    int padding)
{
    struct node shape = {.kernel = kernel, .stride = stride, .padding = padding, .groups = 1};
    return conv(g, &shape, name, x, out_c, false, buffer, c_offset);
}

void graph_declare_norm(struct graph *g, const char *name, int c)
{
    add_vector(g, NONE, PATH("%s.weight", name), PARAM_GAMMA, c, c, c);
    add_vector(g, NONE, PATH("%s.bias", name), PARAM_BETA, c, c, c);
}

int graph_norm_add(struct graph *g, const char *name, int x, int residual, enum activation act, double drop_path)
{
    struct value in = g->values[x];
    int layer = random_layers(g), i = add_node(g, NODE_NORM, name, x);
    struct node *node = &g->nodes[i];
    node->residual = residual;
    node->act = act;
    node->drop = drop_path;
    if (drop_path > 0) node->random_layer = layer;
    node->eps = 1e-5;
    node->momentum = 0.1;
    node->buffers = g->norm_count++;
    add_vector(g, i, PATH("%s.weight", name), PARAM_GAMMA, in.c, in.c, in.c);
    add_vector(g, i, PATH("%s.bias", name), PARAM_BETA, in.c, in.c, in.c);
    if (residual != NONE) {
        const struct value *r = &g->values[residual];
        ASSERT(r->c == in.c && r->h == in.h && r->w == in.w && act != ACT_SILU);
    }
    return set_output(g, i, in.c, in.h, in.w, NONE, 0);
}

int graph_norm(struct graph *g, const char *name, int x, enum activation act)
{
    return graph_norm_add(g, name, x, NONE, act, 0);
}

static int pool(struct graph *g, enum node_kind kind, const char *name, int x, const struct pool_spec *spec, int buffer)
{
    int i = add_node(g, kind, name, x);
    struct value in = g->values[x];
    g->nodes[i].kernel = spec->kernel;
    g->nodes[i].stride = spec->stride;
    g->nodes[i].padding = spec->padding;
    return set_output(g, i, in.c, conv_out_size(in.h, spec->kernel, spec->stride, spec->padding),
                      conv_out_size(in.w, spec->kernel, spec->stride, spec->padding), buffer, 0);
}

int graph_maxpool(struct graph *g, const char *name, int x, int kernel, int stride, int padding)
{
    return pool(g, NODE_MAXPOOL, name, x, &(struct pool_spec){kernel, stride, padding}, NONE);
}

int graph_maxpool_into(struct graph *g, const char *name, int x, int buffer, int kernel, int stride, int padding)
{
    return pool(g, NODE_MAXPOOL, name, x, &(struct pool_spec){kernel, stride, padding}, buffer);
}

int graph_avgpool(struct graph *g, const char *name, int x, int kernel, int stride)
{
    return pool(g, NODE_AVGPOOL, name, x, &(struct pool_spec){kernel, stride, 0}, NONE);
}

int graph_avgpool_into(struct graph *g, const char *name, int x, int buffer, int kernel, int stride)
{
    return pool(g, NODE_AVGPOOL, name, x, &(struct pool_spec){kernel, stride, 0}, buffer);
}

int graph_adaptive_pool(struct graph *g, const char *name, int x, int h, int w)
{
    struct value in = g->values[x];
    if (in.h == h && in.w == w) return x;
    int i = add_node(g, NODE_AVGPOOL, name, x);
    g->nodes[i].adaptive = true;
    return set_output(g, i, in.c, h, w, NONE, 0);
}

int graph_se(struct graph *g, const char *name, int x, int squeeze)
{
    int i = add_node(g, NODE_SE, name, x);
    struct value in = g->values[x];
    g->nodes[i].squeeze = squeeze;
    int64_t down[] = {squeeze, in.c, 1, 1}, up[] = {in.c, squeeze, 1, 1}; /* torchvision's are 1x1 convolutions */
    add_param(g, i, PATH("%s.fc1.weight", name), PARAM_WEIGHT, 4, down, in.c, squeeze);
    add_vector(g, i, PATH("%s.fc1.bias", name), PARAM_BIAS, squeeze, in.c, squeeze);
    add_param(g, i, PATH("%s.fc2.weight", name), PARAM_WEIGHT, 4, up, squeeze, in.c);
    add_vector(g, i, PATH("%s.fc2.bias", name), PARAM_BIAS, in.c, squeeze, in.c);
    return set_output(g, i, in.c, in.h, in.w, NONE, 0);
}

int graph_dropout(struct graph *g, const char *name, int x, double p)
{
    int layer = random_layers(g), i = add_node(g, NODE_DROPOUT, name, x);
    struct value in = g->values[x];
    g->nodes[i].drop = p;
    g->nodes[i].random_layer = layer;
    return set_output(g, i, in.c, in.h, in.w, NONE, 0);
}

int graph_linear(struct graph *g, const char *name, int x, int out_c, enum activation act)
{
    int i = add_node(g, NODE_LINEAR, name, x);
    int in = g->values[x].c * g->values[x].h * g->values[x].w;
    g->nodes[i].act = act;
    add_param(g, i, PATH("%s.weight", name), PARAM_WEIGHT, 2, (int64_t[]){out_c, in}, in, out_c);
    add_vector(g, i, PATH("%s.bias", name), PARAM_BIAS, out_c, in, out_c);
    return set_output(g, i, out_c, 1, 1, NONE, 0);
}

int graph_buffer(struct graph *g, int c, int h, int w)
{
    return add_value(g, c, h, w, NONE);
}

int graph_slice(struct graph *g, int buffer, int c_offset, int c)
{
    struct value whole = g->values[buffer];
    ASSERT(whole.buffer == NONE && c_offset >= 0 && c_offset + c <= whole.c);
    int v = add_value(g, c, whole.h, whole.w, NONE);
    g->values[v].buffer = buffer;
    g->values[v].c_offset = c_offset;
    return v;
}
