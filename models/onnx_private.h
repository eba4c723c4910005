/* onnx_private.h - what onnx.c and onnx_nodes.c share. Numbers of fields are those of onnx.proto. */
#ifndef MODELS_ONNX_PRIVATE_H
#define MODELS_ONNX_PRIVATE_H
#include "base/protobuf.h"
#include "models/onnx.h"

enum { NAME = 120 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INITIALIZER = 5, GRAPH_DOC = 10, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { ELEMENT_FLOAT = 1 };

struct onnx_writer {
    struct text *out;
    const struct graph *g;
    const struct onnx_source *source;
    int *alias;     /* [value] the value that it is another name of: dropout's input */
    bool *joined;   /* [value] its concatenation was written */
    size_t node;    /* the node that is open */
    struct error *err;
};

void onnx_node(struct onnx_writer *w, int i); /* what node i of the graph is there */
void onnx_constant(struct onnx_writer *w, const char *name, int ndim, const int64_t *dims, const float *values);
#endif
