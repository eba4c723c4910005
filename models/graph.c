/* graph.c - finds a backbone by name and builds it; counts parameters and multiply-adds. */
#include "models/graph.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "models/builders.h"

enum { NONE = -1, SMALLEST_SIZE = 32 }; /* all seven halve the picture five times */

const char *const node_kind_names[] = {"conv", "norm", "maxpool", "avgpool", "linear", "se", "dropout"};
const char *const backbone_names[] = {"vgg16", "resnet18", "resnet50", "densenet121", "densenet169", "efficientnet_b0",
                                      "efficientnet_b1", NULL};
const char *const backbone_titles[] = {"VGG-16", "ResNet-18", "ResNet-50", "DenseNet-121", "DenseNet-169",
                                       "EfficientNet-b0", "EfficientNet-b1", NULL};
static void (*const builders[])(struct graph *g, int logits, bool dropout) = {
    build_vgg16, build_resnet18, build_resnet50, build_densenet121, build_densenet169, build_efficientnet_b0,
    build_efficientnet_b1};

struct graph *graph_open(const char *backbone, int size)
{
    struct graph *g = NEW(struct graph);
    snprintf(g->backbone, sizeof g->backbone, "%s", backbone);
    g->image_size = size;
    g->input = graph_buffer(g, 3, size, size);
    g->logits = g->last_map = NONE;
    g->stage_count = 1;
    return g;
}

void graph_next_stage(struct graph *g) { g->stage_count++; }

bool graph_is_head(const struct graph *g, int p) { return g->nodes[g->params[p].node].stage == g->stage_count - 1; }

int64_t param_elements(const struct param *p)
{
    int64_t count = 1;
    for (int d = 0; d < p->ndim; d++) count *= p->dims[d];
    return count;
}

void graph_close(struct graph *g)
{
    if (!g) return;
    mem_free(g->values);
    mem_free(g->nodes);
    mem_free(g->params);
    mem_free(g);
}

struct graph *graph_build(const char *backbone, int size, int logits, bool dropout, struct error *err)
{
    int b = 0;
    while (backbone_names[b] && strcmp(backbone_names[b], backbone)) b++;
    if (!backbone_names[b]) {
        error_set(err, "unknown backbone '%s'", backbone);
        error_hint(err, "one of vgg16 resnet18 resnet50 densenet121 densenet169 efficientnet_b0 efficientnet_b1");
        return NULL;
    }
    if (size < SMALLEST_SIZE) {
        error_set(err, "%s needs pictures of %d pixels at least, not %d", backbone, SMALLEST_SIZE, size);
        return NULL;
    }
    struct graph *g = graph_open(backbone, size);
    builders[b](g, logits, dropout);
    ASSERT(g->logits != NONE && g->last_map != NONE);
    return g;
}

int64_t graph_parameter_count(const struct graph *g)
{
    int64_t count = 0;
    for (int p = 0; p < g->param_count; p++) {
        int64_t elements = 1;
        for (int d = 0; d < g->params[p].ndim; d++) elements *= g->params[p].dims[d];
        count += elements;
    }
    return count;
}

double graph_macs(const struct graph *g)
{
    double macs = 0;
    for (int p = 0; p < g->param_count; p++) {
        const struct param *param = &g->params[p];
        if (param->role != PARAM_WEIGHT) continue;
        const struct node *node = &g->nodes[param->node];
        const struct value *y = &g->values[node->y];
        double places = node->kind == NODE_CONV ? (double)y->h * y->w : 1; /* where the weights are applied */
        macs += (double)param->dims[0] * param->fan_in * places;
    }
    return macs;
}
