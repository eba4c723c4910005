/* onnx.c - see onnx.h. The file: constants, the graph's input and output, and what is said about it. */
#include "models/onnx.h"

#include <stdio.h>

#include "base/memory.h"
#include "models/onnx_private.h"

enum { OPSET = 13, IR_VERSION = 7 };
enum { MODEL_IR = 1, MODEL_PRODUCER = 2, MODEL_PRODUCER_VERSION = 3, MODEL_DOC = 6, MODEL_GRAPH = 7, MODEL_OPSET = 8, MODEL_METADATA = 14 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9 };

/* ---- constants ---- */

void onnx_constant(struct onnx_writer *w, const char *name, int ndim, const int64_t *dims, const float *values)
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

static int constant_from_source(struct onnx_writer *w, const char *name, int ndim, const int64_t *dims)
{
    int64_t count = 1;
    for (int d = 0; d < ndim; d++) count *= dims[d];
    float *values = mem_alloc(sizeof(float) * (size_t)count);
    int status = w->source->values(w->source->context, name, count, values, w->err);
    if (!status) onnx_constant(w, name, ndim, dims, values);
    mem_free(values);
    return status;
}

static int all_constants(struct onnx_writer *w)
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

/* ---- the model ---- */

/* ValueInfoProto: name, type (tensor of floats), shape whose first dimension is any number "N". */
static void value_info(struct onnx_writer *w, int field, const char *name, const int64_t *dims, int count)
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

static int whole_graph(struct onnx_writer *w)
{
    const struct graph *g = w->g;
    size_t opened = proto_open(w->out, MODEL_GRAPH);
    int64_t size = g->image_size, outputs = g->values[g->logits].c;
    proto_text(w->out, GRAPH_NAME, g->backbone);
    proto_text(w->out, GRAPH_DOC, w->source->notice);
    value_info(w, GRAPH_INPUT, "pixels", (int64_t[]){3, size, size}, 3);
    value_info(w, GRAPH_OUTPUT, "logits", &outputs, 1);
    for (int i = 0; i < g->node_count; i++) onnx_node(w, i);
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
    struct onnx_writer w = {.out = out, .g = g, .source = source, .alias = NEW_ARRAY(int, g->value_count), .joined = NEW_ARRAY(bool, g->value_count), .err = err};
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
