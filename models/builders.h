/* builders.h - what graph.c, graph_nodes.c and the family builders (vgg.c, resnet.c, densenet.c, efficientnet.c) share. */
#ifndef MODELS_BUILDERS_H
#define MODELS_BUILDERS_H
#include "models/graph.h"

/* Each adds all nodes from the input to the logits and sets g->logits and g->last_map. */
void build_vgg16(struct graph *g, int logits, bool dropout);
void build_resnet18(struct graph *g, int logits, bool dropout);
void build_resnet50(struct graph *g, int logits, bool dropout);
void build_densenet121(struct graph *g, int logits, bool dropout);
void build_densenet169(struct graph *g, int logits, bool dropout);
void build_efficientnet_b0(struct graph *g, int logits, bool dropout);
void build_efficientnet_b1(struct graph *g, int logits, bool dropout);

/* Gives a normalisation of c channels its place among the parameters before its node is added: torchvision lists a
 * block's last normalisation before the shortcut that has to run first. */
void graph_declare_norm(struct graph *g, const char *name, int c);

/* A module path, printed: PATH("%s.conv%d", block, 1). Lives until the end of the full expression. */
struct path { char text[80]; };
struct path path_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define PATH(...) (path_print(__VA_ARGS__).text)
#endif
