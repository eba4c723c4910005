/* onnx.h - a graph in evaluation as an ONNX model (opset 13): input "pixels" (N, 3, S, S) f32, already normalised, any N; output "logits"
 * (N, LOGITS). Normalisations stay nodes of their own; dropout and stochastic depth, which do nothing in evaluation, are left out. */
#ifndef MODELS_ONNX_H
#define MODELS_ONNX_H
#include "base/text.h"
#include "models/graph.h"

struct onnx_metadata { const char *key, *text; };
struct onnx_source {
    /* A parameter, or NORM.running_mean and NORM.running_var, in torchvision's order; -1 with err. */
    int (*values)(void *context, const char *name, int64_t elements, float *to, struct error *err);
    void *context;
    const struct onnx_metadata *metadata;
    int metadata_count;
    const char *notice; /* the model's documentation */
};
int onnx_build(struct text *out, const struct graph *g, const struct onnx_source *source, struct error *err);
#endif
