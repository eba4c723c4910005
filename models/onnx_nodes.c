/* onnx_nodes.c - a node of ours as one or some of ONNX's. DenseNet's slices become concatenations again. */
#include <stdio.h>

#include "base/memory.h"
#include "models/onnx_private.h"

enum { NONE = -1 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_F = 2, ATTRIBUTE_I = 3, ATTRIBUTE_INTS = 8, ATTRIBUTE_TYPE = 20, TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_INTS = 7 };

/* ---- nodes: node_open, attributes, node_end; inputs and outputs by name ---- */

static void node_open(struct onnx_writer *w, const char *op, const char *name)
{
    w->node = proto_open(w->out, GRAPH_NODE);
    proto_text(w->out, NODE_OP, op);
    if (*name) proto_text(w->out, NODE_NAME, name);
}

static void node_end(struct onnx_writer *w) { proto_end(w->out, w->node); }

static void input(struct onnx_writer *w, const char *name) { proto_text(w->out, NODE_INPUT, name); }
static void output(struct onnx_writer *w, const char *name) { proto_text(w->out, NODE_OUTPUT, name); }

static void attribute_int(struct onnx_writer *w, const char *name, int64_t value)
{
    size_t a = proto_open(w->out, NODE_ATTRIBUTE);
    proto_text(w->out, ATTRIBUTE_NAME, name);
    proto_int(w->out, ATTRIBUTE_I, value);
    proto_int(w->out, ATTRIBUTE_TYPE, TYPE_INT);
    proto_end(w->out, a);
}

static void attribute_float(struct onnx_writer *w, const char *name, float value)
{
    size_t a = proto_open(w->out, NODE_ATTRIBUTE);
    proto_text(w->out, ATTRIBUTE_NAME, name);
    proto_float(w->out, ATTRIBUTE_F, value);
    proto_int(w->out, ATTRIBUTE_TYPE, TYPE_FLOAT);
    proto_end(w->out, a);
}

/* `count` times the same number. */
static void attribute_ints(struct onnx_writer *w, const char *name, int64_t value, int count)
{
    size_t a = proto_open(w->out, NODE_ATTRIBUTE);
    proto_text(w->out, ATTRIBUTE_NAME, name);
    for (int i = 0; i < count; i++) proto_int(w->out, ATTRIBUTE_INTS, value);
    proto_int(w->out, ATTRIBUTE_TYPE, TYPE_INTS);
    proto_end(w->out, a);
}

/* A node of up to two inputs and no attributes. */
static void simple(struct onnx_writer *w, const char *op, const char *y, const char *a, const char *b)
{
    node_open(w, op, "");
    input(w, a);
    if (b) input(w, b);
    output(w, y);
    node_end(w);
}

/* ---- names of values ---- */
struct name { char text[NAME]; };

static struct name value_name(const struct onnx_writer *w, int value)
{
    struct name n;
    while (w->alias[value] != value) value = w->alias[value];
    if (value == w->g->logits) snprintf(n.text, NAME, "logits");
    else if (value == w->g->input) snprintf(n.text, NAME, "pixels");
    else snprintf(n.text, NAME, "value.%d", value);
    return n;
}

static struct name part_name(int node, const char *what)
{
    struct name n;
    snprintf(n.text, NAME, "node.%d.%s", node, what);
    return n;
}
#define VALUE(v) (value_name(w, v).text)
#define PART(what) (part_name(i, what).text)

/* y = act(x) under the name y; x and y differ unless there is none. */
static void activation(struct onnx_writer *w, int i, enum activation act, const char *y, const char *x)
{
    if (act == ACT_RELU) simple(w, "Relu", y, x, NULL);
    if (act != ACT_SILU) return;
    simple(w, "Sigmoid", PART("gate"), x, NULL);
    simple(w, "Mul", y, x, PART("gate"));
}

/* What a node reads: a slice of a buffer is joined from what was written into it. */
static struct name read_name(struct onnx_writer *w, int value)
{
    const struct value *v = &w->g->values[value];
    struct name name = value_name(w, value);
    if (v->buffer == NONE || v->producer != NONE || w->joined[value]) return name;
    node_open(w, "Concat", "");
    for (int c = 0; c < v->c;)
        for (int p = 0; p < w->g->value_count; p++) {
            const struct value *part = &w->g->values[p];
            if (part->buffer != v->buffer || part->producer == NONE || part->c_offset != c) continue;
            input(w, VALUE(p));
            c += part->c;
            break;
        }
    output(w, name.text);
    attribute_int(w, "axis", 1);
    node_end(w);
    w->joined[value] = true;
    return name;
}

/* ---- one node of ours each ---- */

static const char *param_name(const struct onnx_writer *w, int i, int k) { return w->g->params[w->g->nodes[i].param[k]].name; }

static void convolution(struct onnx_writer *w, int i, const char *x)
{
    const struct node *node = &w->g->nodes[i];
    struct name y = value_name(w, node->y), before = node->act == ACT_NONE ? y : part_name(i, "sum");
    node_open(w, "Conv", node->name);
    input(w, x);
    for (int k = 0; k < node->param_count; k++) input(w, param_name(w, i, k));
    output(w, before.text);
    attribute_int(w, "group", node->groups);
    attribute_ints(w, "kernel_shape", node->kernel, 2);
    attribute_ints(w, "pads", node->padding, 4);
    attribute_ints(w, "strides", node->stride, 2);
    node_end(w);
    activation(w, i, node->act, y.text, before.text);
}

static void normalisation(struct onnx_writer *w, int i, const char *x)
{
    const struct node *node = &w->g->nodes[i];
    char mean[NAME], var[NAME];
    bool adds = node->residual != NONE, acts = node->act != ACT_NONE;
    struct name y = value_name(w, node->y), normal = adds || acts ? part_name(i, "normal") : y, sum = acts ? part_name(i, "sum") : y;
    snprintf(mean, NAME, "%s.running_mean", node->name);
    snprintf(var, NAME, "%s.running_var", node->name);
    node_open(w, "BatchNormalization", node->name);
    input(w, x);
    for (int k = 0; k < 2; k++) input(w, param_name(w, i, k));
    input(w, mean);
    input(w, var);
    output(w, normal.text);
    attribute_float(w, "epsilon", (float)node->eps);
    node_end(w);
    if (adds) simple(w, "Add", sum.text, normal.text, VALUE(node->residual));
    activation(w, i, node->act, y.text, adds ? sum.text : normal.text);
}

/* The matrix that averages windows of an axis as torch.nn.AdaptiveAvgPool2d has them; (out, in), or (in, out) for the right side. */
static void averages(struct onnx_writer *w, const char *name, int in, int out, bool right)
{
    float *a = NEW_ARRAY(float, in * out);
    for (int o = 0; o < out; o++) {
        int first = o * in / out, end = ((o + 1) * in + out - 1) / out;
        for (int k = first; k < end; k++) a[right ? k * out + o : o * in + k] = 1 / (float)(end - first);
    }
    onnx_constant(w, name, 2, right ? (int64_t[]){in, out} : (int64_t[]){out, in}, a);
    mem_free(a);
}

static void pooling(struct onnx_writer *w, int i, const char *x)
{
    const struct node *node = &w->g->nodes[i];
    const struct value *in = &w->g->values[node->x], *out = &w->g->values[node->y];
    if (node->adaptive && (out->h > 1 || out->w > 1)) {
        averages(w, PART("rows"), in->h, out->h, false);
        averages(w, PART("columns"), in->w, out->w, true);
        simple(w, "MatMul", PART("half"), PART("rows"), x);
        simple(w, "MatMul", VALUE(node->y), PART("half"), PART("columns"));
        return;
    }
    node_open(w, node->adaptive ? "GlobalAveragePool" : node->kind == NODE_MAXPOOL ? "MaxPool" : "AveragePool", node->name);
    input(w, x);
    output(w, VALUE(node->y));
    if (!node->adaptive) {
        attribute_ints(w, "kernel_shape", node->kernel, 2);
        attribute_ints(w, "pads", node->padding, 4);
        attribute_ints(w, "strides", node->stride, 2);
    }
    node_end(w);
}

static void squeeze_excite(struct onnx_writer *w, int i, const char *x)
{
    const struct node *node = &w->g->nodes[i];
    struct name read = part_name(i, "pooled"), wrote = part_name(i, "squeezed");
    simple(w, "GlobalAveragePool", read.text, x, NULL);
    for (int half = 0; half < 2; half++) {
        node_open(w, "Conv", "");
        input(w, read.text);
        for (int k = 0; k < 2; k++) input(w, param_name(w, i, 2 * half + k));
        output(w, wrote.text);
        node_end(w);
        if (half) break;
        activation(w, i, ACT_SILU, PART("silu"), wrote.text);
        read = part_name(i, "silu"), wrote = part_name(i, "excited");
    }
    simple(w, "Sigmoid", PART("scale"), wrote.text, NULL);
    simple(w, "Mul", VALUE(node->y), x, PART("scale"));
}

static void linear(struct onnx_writer *w, int i, const char *x)
{
    const struct node *node = &w->g->nodes[i];
    struct name y = value_name(w, node->y), before = node->act == ACT_NONE ? y : part_name(i, "sum");
    node_open(w, "Flatten", "");
    input(w, x);
    output(w, PART("flat"));
    attribute_int(w, "axis", 1);
    node_end(w);
    node_open(w, "Gemm", node->name);
    input(w, PART("flat"));
    for (int k = 0; k < 2; k++) input(w, param_name(w, i, k));
    output(w, before.text);
    attribute_int(w, "transB", 1);
    node_end(w);
    activation(w, i, node->act, y.text, before.text);
}

void onnx_node(struct onnx_writer *w, int i)
{
    const struct node *node = &w->g->nodes[i];
    struct name x = read_name(w, node->x);
    switch (node->kind) {
    case NODE_CONV: convolution(w, i, x.text); break;
    case NODE_NORM: normalisation(w, i, x.text); break;
    case NODE_MAXPOOL:
    case NODE_AVGPOOL: pooling(w, i, x.text); break;
    case NODE_LINEAR: linear(w, i, x.text); break;
    case NODE_SE: squeeze_excite(w, i, x.text); break;
    case NODE_DROPOUT: w->alias[node->y] = node->x; break;
    }
}
