/* graph.h - a network as data: typed nodes over values with shapes, parameters with torchvision's names and layouts. The
 * graph knows nothing of backends, batches or precision; network.h makes a plan of it and runs it.
 *
 * Nodes are written at the level of the papers' tables and already carry what is computed in one pass: a convolution with
 * its bias and ReLU (VGG), a normalisation with its activation, residual and stochastic depth (ResNet, EfficientNet).
 * A value may be a channel slice of a bigger one (`graph_buffer`): DenseNet's concatenation is writing into slices.
 */
#ifndef MODELS_GRAPH_H
#define MODELS_GRAPH_H
#include <stdbool.h>
#include <stdint.h>
#include "ops/ops.h"

enum node_kind { NODE_CONV, NODE_NORM, NODE_MAXPOOL, NODE_AVGPOOL, NODE_LINEAR, NODE_SE, NODE_DROPOUT };
extern const char *const node_kind_names[];

struct value {
    int c, h, w;
    int buffer;     /* value whose memory this is a slice of, or -1: own memory */
    int c_offset;
    int producer;   /* node; -1: the input, or a buffer filled through slices */
};
enum param_role { PARAM_WEIGHT, PARAM_BIAS, PARAM_GAMMA, PARAM_BETA };
struct param {
    char name[96];  /* torchvision's state_dict key: "layer1.0.conv1.weight" */
    enum param_role role;
    int ndim;
    int64_t dims[4];/* torchvision's shape */
    int node;
    int fan_in, fan_out; /* as torch.nn.init counts them */
};
struct node {
    enum node_kind kind;
    char name[80];  /* torchvision's module path: "layer1.0.conv1" */
    int stage;      /* consecutive parts of the network, from 0 (the stem) to stage_count - 1 (the last layer, the head) */
    int x, y;
    int residual;   /* NODE_NORM: value added before the activation, or -1 */
    int param[4];   /* conv, linear: weight, bias; norm: gamma, beta; se: w1 b1 w2 b2; -1: none */
    int param_count;
    enum activation act;       /* conv: none or relu; linear: none or relu; norm: any */
    int kernel, stride, padding, groups;
    bool adaptive;             /* NODE_AVGPOOL: y's shape decides */
    int squeeze;               /* NODE_SE: hidden width */
    double drop;               /* NODE_DROPOUT: p; NODE_NORM: stochastic depth's p (0: none) */
    int random_layer;          /* distinguishes the random streams of dropping nodes */
    double eps, momentum;      /* NODE_NORM: 1e-5, 0.1 */
    int buffers;               /* NODE_NORM: index of its running mean and variance, else -1 */
};
struct graph {
    char backbone[32];
    int image_size;
    struct value *values;
    struct node *nodes;        /* in forward order */
    struct param *params;      /* in torchvision's state_dict order */
    int value_count, node_count, param_count, norm_count;
    int stage_count;           /* resnet: stem, layer1 .. layer4, head; the others likewise, as their papers' tables have them */
    int input, logits;         /* values: (3, S, S) and (LOGITS, 1, 1) */
    int last_map;              /* the last convolutional feature map, after its activation: Grad-CAM's (models/cam.h) */
};

/* Builds "resnet18" ... for size x size pictures and `logits` outputs (6 here; 1000 for weight import tests). `dropout`
 * false leaves dropout and stochastic depth out of the graph (reference tests). NULL with err for an unknown name. */
struct graph *graph_build(const char *backbone, int size, int logits, bool dropout, struct error *err);
void graph_close(struct graph *g); /* NULL is fine */
int64_t param_elements(const struct param *p); /* product of dims */
bool graph_is_head(const struct graph *g, int p); /* parameter p is the last layer's: of the task, not of the pictures */
extern const char *const backbone_names[]; /* the seven, NULL-ended */
extern const char *const backbone_titles[]; /* "VGG-16" ..., as the paper's Table 2 writes them */

/* ---- for the builders in models/<family>.c: each returns the id of the new value ---- */
struct graph *graph_open(const char *backbone, int size);
void graph_next_stage(struct graph *g); /* nodes added from here on are of the next stage */
int graph_conv(struct graph *g, const char *name, int x, int out_c, int kernel, int stride, int padding, int groups,
               bool bias, enum activation act);
/* The same, into channels [c_offset, +out_c) of a buffer value; returns the slice. */
int graph_conv_into(struct graph *g, const char *name, int x, int buffer, int c_offset, int out_c, int kernel, int stride,
                    int padding);
int graph_norm(struct graph *g, const char *name, int x, enum activation act);
int graph_norm_add(struct graph *g, const char *name, int x, int residual, enum activation act, double drop_path);
int graph_maxpool(struct graph *g, const char *name, int x, int kernel, int stride, int padding);
int graph_maxpool_into(struct graph *g, const char *name, int x, int buffer, int kernel, int stride, int padding);
int graph_avgpool(struct graph *g, const char *name, int x, int kernel, int stride);
int graph_avgpool_into(struct graph *g, const char *name, int x, int buffer, int kernel, int stride);
int graph_adaptive_pool(struct graph *g, const char *name, int x, int h, int w); /* x itself when it has that size */
int graph_se(struct graph *g, const char *name, int x, int squeeze); /* params NAME.fc1.weight, .fc1.bias, .fc2... */
int graph_dropout(struct graph *g, const char *name, int x, double p);
int graph_linear(struct graph *g, const char *name, int x, int out_c, enum activation act);
int graph_buffer(struct graph *g, int c, int h, int w);
int graph_slice(struct graph *g, int buffer, int c_offset, int c);
int64_t graph_parameter_count(const struct graph *g);
double graph_macs(const struct graph *g); /* multiply-adds of one image, convolutions and linear layers */
#endif
