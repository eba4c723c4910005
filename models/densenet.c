/* densenet.c - DenseNet-121 and DenseNet-169 (Huang et al. 2017, table 1), without concatenation: a dense block is one
 * buffer, each layer's output is a slice of it and each layer's input the slice before. */
#include "models/builders.h"

enum { GROWTH = 32, BOTTLENECK = 4 * GROWTH, STEM = 64, BLOCKS = 4 };

/* Reads channels [0, c) of the buffer, writes [c, c + GROWTH). */
static void dense_layer(struct graph *g, const char *layer, int buffer, int c)
{
    int x = graph_slice(g, buffer, 0, c);
    x = graph_norm(g, PATH("%s.norm1", layer), x, ACT_RELU);
    x = graph_conv(g, PATH("%s.conv1", layer), x, BOTTLENECK, 1, 1, 0, 1, false, ACT_NONE);
    x = graph_norm(g, PATH("%s.norm2", layer), x, ACT_RELU);
    graph_conv_into(g, PATH("%s.conv2", layer), x, buffer, c, GROWTH, 3, 1, 1);
}

/* Halves channels and size, into the next block's buffer. */
static int transition(struct graph *g, const char *name, int x, int next_layers)
{
    int c = g->values[x].c / 2;
    x = graph_norm(g, PATH("%s.norm", name), x, ACT_RELU);
    x = graph_conv(g, PATH("%s.conv", name), x, c, 1, 1, 0, 1, false, ACT_NONE);
    int buffer = graph_buffer(g, c + GROWTH * next_layers, g->values[x].h / 2, g->values[x].w / 2);
    graph_avgpool_into(g, PATH("%s.pool", name), x, buffer, 2, 2);
    return buffer;
}

static int stem(struct graph *g, int next_layers)
{
    int x = graph_conv(g, "features.conv0", g->input, STEM, 7, 2, 3, 1, false, ACT_NONE);
    x = graph_norm(g, "features.norm0", x, ACT_RELU);
    int h = conv_out_size(g->values[x].h, 3, 2, 1), w = conv_out_size(g->values[x].w, 3, 2, 1);
    int buffer = graph_buffer(g, STEM + GROWTH * next_layers, h, w);
    graph_maxpool_into(g, "features.pool0", x, buffer, 3, 2, 1);
    return buffer;
}

static void build_densenet(struct graph *g, const int layers[BLOCKS], int logits)
{
    int buffer = stem(g, layers[0]), x = -1;
    for (int block = 0; block < BLOCKS; block++) {
        graph_next_stage(g); /* a block with its transition: all normalisations of its buffer */
        int all = g->values[buffer].c, c = all - GROWTH * layers[block];
        for (int l = 0; l < layers[block]; l++, c += GROWTH)
            dense_layer(g, PATH("features.denseblock%d.denselayer%d", block + 1, l + 1), buffer, c);
        x = graph_slice(g, buffer, 0, all);
        if (block + 1 < BLOCKS) buffer = transition(g, PATH("features.transition%d", block + 1), x, layers[block + 1]);
    }
    x = graph_norm(g, "features.norm5", x, ACT_RELU);
    g->last_map = x;
    x = graph_adaptive_pool(g, "avgpool", x, 1, 1);
    graph_next_stage(g);
    g->logits = graph_linear(g, "classifier", x, logits, ACT_NONE);
}

void build_densenet121(struct graph *g, int logits, bool dropout)
{
    (void)dropout; /* torchvision's has none */
    build_densenet(g, (const int[]){6, 12, 24, 16}, logits);
}

void build_densenet169(struct graph *g, int logits, bool dropout)
{
    (void)dropout;
    build_densenet(g, (const int[]){6, 12, 32, 32}, logits);
}
