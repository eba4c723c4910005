/* onnx.c - see onnx.h. Numbers of fields are those of onnx.proto. DenseNet's slices become concatenations again. */
#include "models/onnx.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/protobuf.h"

enum { NONE = -1, OPSET = 13, IR_VERSION = 7, NAME = 120 };
enum { MODEL_IR = 1, MODEL_PRODUCER = 2, MODEL_PRODUCER_VERSION = 3, MODEL_DOC = 6, MODEL_GRAPH = 7, MODEL_OPSET = 8, MODEL_METADATA = 14 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INITIALIZER = 5, GRAPH_DOC = 10, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_F = 2, ATTRIBUTE_I = 3, ATTRIBUTE_INTS = 8, ATTRIBUTE_TYPE = 20, TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_INTS = 7 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9, ELEMENT_FLOAT = 1 };

struct writer {
    struct text *out;
    const struct graph *g;
    const struct onnx_source *source;
    int *alias;     /* [value] the value that it is another name of: dropout's input */
    bool *joined;   /* [value] its concatenation was written */
    size_t node;    /* the node that is open */
    struct error *err;
};

/* ---- nodes: node_open, attributes, node_end; inputs and outputs by name ---- */

static void node_open(struct writer *w, const char *op, const char *name)
{
    w->node = proto_open(w->out, GRAPH_NODE);
    proto_text(w->out, NODE_OP, op);
    if (*name) proto_text(w->out, NODE_NAME, name);
}

static void node_end(struct writer *w) { proto_end(w->out, w->node); }

static void input(struct writer *w, const char *name) { proto_text(w->out, NODE_INPUT, name); }
static void output(struct writer *w, const char *name) { proto_text(w->out, NODE_OUTPUT, name); }

static void attribute_int(struct writer *w, const char *name, int64_t value)
{
    size_t a = proto_open(w->out, NODE_ATTRIBUTE);
    proto_text(w->out, ATTRIBUTE_NAME, name);
    proto_int(w->out, ATTRIBUTE_I, value);
    proto_int(w->out, ATTRIBUTE_TYPE, TYPE_INT);
    proto_end(w->out, a);
}

static void attribute_float(struct writer *w, const char *name, float value)
{
    size_t a = proto_open(w->out, NODE_ATTRIBUTE);
    proto_text(w->out, ATTRIBUTE_NAME, name);
    proto_float(w->out, ATTRIBUTE_F, value);
    proto_int(w->out, ATTRIBUTE_TYPE, TYPE_FLOAT);
    proto_end(w->out, a);
}

/* `count` times the same number. */
static void attribute_ints(struct writer *w, const char *name, int64_t value, int count)
{
    size_t a = proto_open(w->out, NODE_ATTRIBUTE);
    proto_text(w->out, ATTRIBUTE_NAME, name);
    for (int i = 0; i < count; i++) proto_int(w->out, ATTRIBUTE_INTS, value);
    proto_int(w->out, ATTRIBUTE_TYPE, TYPE_INTS);
    proto_end(w->out, a);
}

/* A node of up to two inputs and no attributes. */
static void simple(struct writer *w, const char *op, const char *y, const char *a, const char *b)
{
    node_open(w, op, "");
    input(w, a);
    if (b) input(w, b);
    output(w, y);
    node_end(w);
}

/* ---- names of values ---- */
struct name { char text[NAME]; };

static struct name value_name(const struct writer *w, int value)
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
static void activation(struct writer *w, int i, enum activation act, const char *y, const char *x)
{
    if (act == ACT_RELU) simple(w, "Relu", y, x, NULL);
    if (act != ACT_SILU) return;
    simple(w, "Sigmoid", PART("gate"), x, NULL);
    simple(w, "Mul", y, x, PART("gate"));
}

/* What a node reads: a slice of a buffer is joined from what was written into it. */
static struct name read_name(struct writer *w, int value)
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

/* ---- constants ---- */

static void constant(struct writer *w, const char *name, int ndim, const int64_t *dims, const float *values)
{
    size_t t = proto_open(w->out, GRAPH_INITIALIZER), count = 1;
    for (int d = 0; d < ndim; d++) {
        proto_int(w->out, TENSOR_DIMS, dims[d]);
        count *= (size_t)dims[d];
    }
    proto_int(w->out, TENSOR_TYPE, ELEMENT_FLOAT);
    proto_text(w->out, TENSOR_NAME, name);
    proto_bytes(w->out, TENSOR_RAW, values, sizeof(float) * count);
    proto_end(w->out, t);
}

static int constant_from_source(struct writer *w, const char *name, int ndim, const int64_t *dims)
{
    int64_t count = 1;
    for (int d = 0; d < ndim; d++) count *= dims[d];
    float *values = mem_alloc(sizeof(float) * (size_t)count);
    int status = w->source->values(w->source->context, name, count, values, w->err);
    if (!status) constant(w, name, ndim, dims, values);
    mem_free(values);
    return status;
}

static int all_constants(struct writer *w)
{
    const struct graph *g = w->g;
    int status = 0;
    for (int p = 0; p < g->param_count && !status; p++) status = constant_from_source(w, g->params[p].name, g->params[p].ndim, g->params[p].dims);
    for (int i = 0; i < g->node_count && !status; i++) {
        char mean[NAME], var[NAME];
        int64_t c = g->values[g->nodes[i].x].c;
        if (g->nodes[i].kind != NODE_NORM) continue;
        snprintf(mean, NAME, "%s.running_mean", g->nodes[i].name);
        snprintf(var, NAME, "%s.running_var", g->nodes[i].name);
        status = constant_from_source(w, mean, 1, &c) || constant_from_source(w, var, 1, &c) ? -1 : 0;
    }
    return status;
}

/* ---- one node of ours each ---- */

static const char *param_name(const struct writer *w, int i, int k) { return w->g->params[w->g->nodes[i].param[k]].name; }

static void convolution(struct writer *w, int i, const char *x)
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

static void normalisation(struct writer *w, int i, const char *x)
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
static void averages(struct writer *w, const char *name, int in, int out, bool right)
{
    float *a = NEW_ARRAY(float, in * out);
    for (int o = 0; o < out; o++) {
        int first = o * in / out, end = ((o + 1) * in + out - 1) / out;
        for (int k = first; k < end; k++) a[right ? k * out + o : o * in + k] = 1 / (float)(end - first);
    }
    constant(w, name, 2, right ? (int64_t[]){in, out} : (int64_t[]){out, in}, a);
    mem_free(a);
}

static void pooling(struct writer *w, int i, const char *x)
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

static void squeeze_excite(struct writer *w, int i, const char *x)
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

static void linear(struct writer *w, int i, const char *x)
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

static void any_node(struct writer *w, int i)
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

/* ---- the model ---- */

/* ValueInfoProto: name, type (tensor of floats), shape whose first dimension is any number "N". */
static void value_info(struct writer *w, int field, const char *name, const int64_t *dims, int count)
{
    size_t info = proto_open(w->out, field), type, tensor, shape, dim;
    proto_text(w->out, 1, name);
    type = proto_open(w->out, 2);
    tensor = proto_open(w->out, 1);
    proto_int(w->out, 1, ELEMENT_FLOAT);
    shape = proto_open(w->out, 2);
    dim = proto_open(w->out, 1);
    proto_text(w->out, 2, "N");
    proto_end(w->out, dim);
    for (int d = 0; d < count; d++) {
        dim = proto_open(w->out, 1);
        proto_int(w->out, 1, dims[d]);
        proto_end(w->out, dim);
    }
    proto_end(w->out, shape);
    proto_end(w->out, tensor);
    proto_end(w->out, type);
    proto_end(w->out, info);
}

static int whole_graph(struct writer *w)
{
    const struct graph *g = w->g;
    size_t opened = proto_open(w->out, MODEL_GRAPH);
    int64_t size = g->image_size, outputs = g->values[g->logits].c;
    proto_text(w->out, GRAPH_NAME, g->backbone);
    proto_text(w->out, GRAPH_DOC, w->source->notice);
    value_info(w, GRAPH_INPUT, "pixels", (int64_t[]){3, size, size}, 3);
    value_info(w, GRAPH_OUTPUT, "logits", &outputs, 1);
    for (int i = 0; i < g->node_count; i++) any_node(w, i);
    if (all_constants(w)) return -1;
    proto_end(w->out, opened);
    return 0;
}

static void pair(struct text *out, int field, const char *key, const char *text)
{
    size_t opened = proto_open(out, field);
    proto_text(out, 1, key);
    proto_text(out, 2, text);
    proto_end(out, opened);
}

int onnx_build(struct text *out, const struct graph *g, const struct onnx_source *source, struct error *err)
{
    struct writer w = {.out = out, .g = g, .source = source, .alias = NEW_ARRAY(int, g->value_count), .joined = NEW_ARRAY(bool, g->value_count), .err = err};
    for (int v = 0; v < g->value_count; v++) w.alias[v] = v;
    proto_int(out, MODEL_IR, IR_VERSION);
    proto_text(out, MODEL_PRODUCER, "ladnn");
    proto_text(out, MODEL_PRODUCER_VERSION, LADNN_VERSION);
    proto_text(out, MODEL_DOC, source->notice);
    int status = whole_graph(&w);
    size_t opset = proto_open(out, MODEL_OPSET);
    proto_text(out, 1, "");
    proto_int(out, 2, OPSET);
    proto_end(out, opset);
    for (int i = 0; i < source->metadata_count; i++) pair(out, MODEL_METADATA, source->metadata[i].key, source->metadata[i].text);
    mem_free(w.alias);
    mem_free(w.joined);
    return status;
}
