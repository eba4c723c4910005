/* vgg.c - VGG-16 (Simonyan & Zisserman 2015, table 1, column D), without batch normalisation as in torchvision's vgg16. */
#include "models/builders.h"

enum { POOL = 0 };
static const int vgg16_rows[] = {64, 64, POOL, 128, 128, POOL, 256, 256, 256, POOL, 512, 512, 512, POOL, 512, 512, 512, POOL};

void build_vgg16(struct graph *g, int logits, bool dropout)
{
    int x = g->input, module = 0; /* place in torchvision's `features`, where each ReLU has one of its own */
    for (size_t row = 0; row < sizeof vgg16_rows / sizeof *vgg16_rows; row++) {
        if (vgg16_rows[row] == POOL) {
            g->last_map = x;
            x = graph_maxpool(g, PATH("features.%d", module), x, 2, 2, 0);
            module += 1;
            graph_next_stage(g);
        } else {
            x = graph_conv(g, PATH("features.%d", module), x, vgg16_rows[row], 3, 1, 1, 1, true, ACT_RELU);
            module += 2;
        }
    }
    x = graph_adaptive_pool(g, "avgpool", x, 7, 7);
    x = graph_linear(g, "classifier.0", x, 4096, ACT_RELU);
    if (dropout) x = graph_dropout(g, "classifier.2", x, 0.5);
    x = graph_linear(g, "classifier.3", x, 4096, ACT_RELU);
    if (dropout) x = graph_dropout(g, "classifier.5", x, 0.5);
    graph_next_stage(g);
    g->logits = graph_linear(g, "classifier.6", x, logits, ACT_NONE);
}
