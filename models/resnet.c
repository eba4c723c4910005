/* resnet.c - ResNet-18 and ResNet-50 (He et al. 2016, table 1). As in torchvision, a bottleneck's stride is on its 3x3
 * convolution ("v1.5"), not on the first 1x1 as in the paper. */
#include "models/builders.h"

enum { BOTTLENECK_EXPANSION = 4 };

/* Projection shortcut where the shape changes, else x itself. */
static int shortcut(struct graph *g, const char *block, int x, int out_c, int stride)
{
    if (stride == 1 && g->values[x].c == out_c) return x;
    x = graph_conv(g, PATH("%s.downsample.0", block), x, out_c, 1, stride, 0, 1, false, ACT_NONE);
    return graph_norm(g, PATH("%s.downsample.1", block), x, ACT_NONE);
}

static int basic_block(struct graph *g, const char *block, int x, int width, int stride)
{
    int y = graph_conv(g, PATH("%s.conv1", block), x, width, 3, stride, 1, 1, false, ACT_NONE);
    y = graph_norm(g, PATH("%s.bn1", block), y, ACT_RELU);
    y = graph_conv(g, PATH("%s.conv2", block), y, width, 3, 1, 1, 1, false, ACT_NONE);
    graph_declare_norm(g, PATH("%s.bn2", block), width);
    return graph_norm_add(g, PATH("%s.bn2", block), y, shortcut(g, block, x, width, stride), ACT_RELU, 0);
}

static int bottleneck(struct graph *g, const char *block, int x, int width, int stride)
{
    int out_c = width * BOTTLENECK_EXPANSION;
    int y = graph_conv(g, PATH("%s.conv1", block), x, width, 1, 1, 0, 1, false, ACT_NONE);
    y = graph_norm(g, PATH("%s.bn1", block), y, ACT_RELU);
    y = graph_conv(g, PATH("%s.conv2", block), y, width, 3, stride, 1, 1, false, ACT_NONE);
    y = graph_norm(g, PATH("%s.bn2", block), y, ACT_RELU);
    y = graph_conv(g, PATH("%s.conv3", block), y, out_c, 1, 1, 0, 1, false, ACT_NONE);
    graph_declare_norm(g, PATH("%s.bn3", block), out_c);
    return graph_norm_add(g, PATH("%s.bn3", block), y, shortcut(g, block, x, out_c, stride), ACT_RELU, 0);
}

static void build_resnet(struct graph *g, int (*block)(struct graph *g, const char *name, int x, int width, int stride),
                         const int blocks[4], int logits)
{
    int x = graph_conv(g, "conv1", g->input, 64, 7, 2, 3, 1, false, ACT_NONE);
    x = graph_norm(g, "bn1", x, ACT_RELU);
    x = graph_maxpool(g, "maxpool", x, 3, 2, 1);
    for (int stage = 0; stage < 4; stage++) {
        graph_next_stage(g);
        for (int b = 0; b < blocks[stage]; b++)
            x = block(g, PATH("layer%d.%d", stage + 1, b), x, 64 << stage, stage > 0 && b == 0 ? 2 : 1);
    }
    g->last_map = x;
    x = graph_adaptive_pool(g, "avgpool", x, 1, 1);
    graph_next_stage(g);
    g->logits = graph_linear(g, "fc", x, logits, ACT_NONE);
}

void build_resnet18(struct graph *g, int logits, bool dropout)
{
    (void)dropout; /* has none */
    build_resnet(g, basic_block, (const int[]){2, 2, 2, 2}, logits);
}

void build_resnet50(struct graph *g, int logits, bool dropout)
{
    (void)dropout;
    build_resnet(g, bottleneck, (const int[]){3, 4, 6, 3}, logits);
}
