/* efficientnet.c - EfficientNet-b0 and -b1 (Tan & Le 2019, table 1). b1 has b0's widths and more blocks per stage (depth
 * multiplier 1.1); the width multiplier is 1 for both, so it does not appear. */
#include <math.h>

#include "models/builders.h"

enum { STAGES = 7, STEM = 32, HEAD = 1280 };
static const struct stage {
    int expand, kernel, stride, out_c, blocks;
} stages[STAGES] = {
    {1, 3, 1, 16, 1}, {6, 3, 2, 24, 2}, {6, 5, 2, 40, 2}, {6, 3, 2, 80, 3}, {6, 5, 1, 112, 3}, {6, 5, 2, 192, 4}, {6, 3, 1, 320, 1},
};
static const double last_drop_path = 0.2, classifier_dropout = 0.2;

static int conv_norm(struct graph *g, const char *name, int x, int out_c, int kernel, int stride, int groups)
{
    x = graph_conv(g, PATH("%s.0", name), x, out_c, kernel, stride, kernel / 2, groups, false, ACT_NONE);
    return graph_norm(g, PATH("%s.1", name), x, ACT_SILU);
}

/* Mobile inverted bottleneck: expand 1x1, depthwise, squeeze and excite, project 1x1, and the shortcut where the shape
 * stays. The squeeze is a quarter of the block's input, before expansion. */
static int mbconv(struct graph *g, const char *name, int x, const struct stage *stage, int stride, double drop_path)
{
    int in = x, in_c = g->values[x].c, c = in_c * stage->expand, module = 0;
    if (stage->expand > 1) x = conv_norm(g, PATH("%s.block.%d", name, module++), x, c, 1, 1, 1);
    x = conv_norm(g, PATH("%s.block.%d", name, module++), x, c, stage->kernel, stride, c);
    x = graph_se(g, PATH("%s.block.%d", name, module++), x, in_c / 4 > 1 ? in_c / 4 : 1);
    x = graph_conv(g, PATH("%s.block.%d.0", name, module), x, stage->out_c, 1, 1, 0, 1, false, ACT_NONE);
    if (stride > 1 || in_c != stage->out_c) return graph_norm(g, PATH("%s.block.%d.1", name, module), x, ACT_NONE);
    return graph_norm_add(g, PATH("%s.block.%d.1", name, module), x, in, ACT_NONE, drop_path);
}

static int stage_blocks(const struct stage *stage, double depth) { return (int)ceil(stage->blocks * depth); }

static void build_efficientnet(struct graph *g, double depth, int logits, bool dropout)
{
    int all = 0, done = 0, x = conv_norm(g, "features.0", g->input, STEM, 3, 2, 1);
    for (int s = 0; s < STAGES; s++) all += stage_blocks(&stages[s], depth);
    for (int s = 0; s < STAGES; s++) {
        graph_next_stage(g);
        for (int b = 0; b < stage_blocks(&stages[s], depth); b++, done++) {
            double drop_path = dropout ? last_drop_path * done / all : 0; /* rises linearly with depth */
            x = mbconv(g, PATH("features.%d.%d", s + 1, b), x, &stages[s], b == 0 ? stages[s].stride : 1, drop_path);
        }
    }
    graph_next_stage(g);
    x = g->last_map = conv_norm(g, "features.8", x, HEAD, 1, 1, 1);
    x = graph_adaptive_pool(g, "avgpool", x, 1, 1);
    if (dropout) x = graph_dropout(g, "classifier.0", x, classifier_dropout);
    graph_next_stage(g);
    g->logits = graph_linear(g, "classifier.1", x, logits, ACT_NONE);
}

void build_efficientnet_b0(struct graph *g, int logits, bool dropout) { build_efficientnet(g, 1.0, logits, dropout); }
void build_efficientnet_b1(struct graph *g, int logits, bool dropout) { build_efficientnet(g, 1.1, logits, dropout); }
