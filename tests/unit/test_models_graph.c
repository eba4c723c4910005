/* test_models_graph.c - every backbone has torchvision's parameters (name, shape, order; tests/reference/shapes.txt), the
 * published counts of parameters and multiply-adds, and a graph whose bookkeeping holds together. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "models/graph.h"
#include "tests/unit/check.h"

static struct graph *build(const char *backbone, int size, int logits, bool dropout)
{
    struct error err;
    struct graph *g = graph_build(backbone, size, logits, dropout, &err);
    if (!g) die_error(&err);
    return g;
}

/* ---- names, shapes, order ---- */

/* "BACKBONE name dims..." against parameter p. */
static void check_line(const struct graph *g, int p, char *line)
{
    char *rest = NULL, *name = strtok_r(line, " \n", &rest), *dim;
    int ndim = 0;
    EXPECT(p < g->param_count, "%s: no parameter for %s", g->backbone, name);
    if (p >= g->param_count) return;
    const struct param *param = &g->params[p];
    EXPECT(!strcmp(name, param->name), "%s %d: '%s', torchvision has '%s'", g->backbone, p, param->name, name);
    for (; (dim = strtok_r(NULL, " \n", &rest)); ndim++)
        EXPECT(ndim < 4 && param->dims[ndim] == atoll(dim), "%s dimension %d: torchvision has %s", name, ndim, dim);
    EXPECT(ndim == param->ndim, "%s has %d dimensions, torchvision's %d", name, param->ndim, ndim);
    EXPECT(param->node >= 0 && param->node < g->node_count, "%s belongs to no node", name);
}

static void test_shapes(const char *folder)
{
    char path[1024], line[256], backbone[32];
    struct graph *g = NULL;
    int p = 0, graphs = 0;
    snprintf(path, sizeof path, "%s/reference/shapes.txt", folder);
    FILE *f = fopen(path, "r");
    CHECK(f, "%s: cannot open", path);
    while (fgets(line, sizeof line, f)) {
        int64_t total;
        if (line[0] == '#') continue;
        if (sscanf(line, "total %31s %" SCNd64, backbone, &total) == 2) {
            if (g) EXPECT(p == g->param_count, "%s: %d of %d parameters", g->backbone, p, g->param_count);
            graph_close(g);
            g = build(backbone, 224, 6, true);
            EXPECT(graph_parameter_count(g) == total, "%s: %" PRId64 " parameters, torchvision's %" PRId64, backbone,
                   graph_parameter_count(g), total);
            p = 0;
            graphs++;
            continue;
        }
        CHECK(g && !strncmp(line, backbone, strlen(backbone)), "%s: unexpected line: %s", path, line);
        check_line(g, p++, line + strlen(backbone));
    }
    EXPECT(g && p == g->param_count, "the last backbone: %d parameters", p);
    EXPECT(graphs == 7, "%d", graphs);
    graph_close(g);
    fclose(f);
}

/* ---- sizes ---- */

static void test_sizes(void)
{
    /* With 1000 outputs at 224x224: multiply-adds as torchvision's weights list them, parameters of the six-output nets. */
    static const struct { const char *backbone; double gmac, parameters_m; int map_c, map_size; } known[] = {
        {"vgg16", 15.470, 134.3, 512, 14},      {"resnet18", 1.814, 11.2, 512, 7},       {"resnet50", 4.089, 23.5, 2048, 7},
        {"densenet121", 2.834, 7.0, 1024, 7},   {"densenet169", 3.360, 12.5, 1664, 7},   {"efficientnet_b0", 0.386, 4.0, 1280, 7},
        {"efficientnet_b1", 0.570, 6.5, 1280, 7}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct graph *big = build(known[i].backbone, 224, 1000, true), *g = build(known[i].backbone, 224, 6, true);
        printf("%-16s %8.4f GMAC with 1000 outputs, %8.4f with 6, %10" PRId64 " parameters, %3d nodes\n", g->backbone,
               graph_macs(big) / 1e9, graph_macs(g) / 1e9, graph_parameter_count(g), g->node_count);
        EXPECT_NEAR(graph_macs(big) / 1e9, known[i].gmac, known[i].gmac * 0.003);
        EXPECT_NEAR((double)graph_parameter_count(g) / 1e6, known[i].parameters_m, 0.05);
        const struct value *map = &g->values[g->last_map], *y = &g->values[g->logits];
        EXPECT(map->c == known[i].map_c && map->h == known[i].map_size && map->w == known[i].map_size, "%s: last map %d %d %d",
               g->backbone, map->c, map->h, map->w);
        EXPECT(y->c == 6 && y->h == 1 && y->w == 1, "%s", g->backbone);
        graph_close(big);
        graph_close(g);
    }
}

/* ---- bookkeeping ---- */

/* Everything a node reads has been written before: by a node, or (a buffer's channels) by nodes that write its slices. */
static void check_order(const struct graph *g)
{
    int *written = NEW_ARRAY(int, g->value_count); /* channels, contiguous from 0 for buffers */
    written[g->input] = 3;
    for (int i = 0; i < g->node_count; i++) {
        const struct node *node = &g->nodes[i];
        const struct value *x = &g->values[node->x], *y = &g->values[node->y];
        int from = x->buffer < 0 ? node->x : x->buffer, to = y->buffer < 0 ? node->y : y->buffer;
        EXPECT(written[from] >= x->c_offset + x->c, "%s %s reads what is not there yet", g->backbone, node->name);
        if (node->residual >= 0) EXPECT(written[node->residual] == y->c, "%s: %s", g->backbone, node->name);
        EXPECT(written[to] == y->c_offset, "%s: %s writes out of order", g->backbone, node->name);
        EXPECT(y->producer == i, "%s: %s", g->backbone, node->name);
        written[to] += y->c;
    }
    for (int v = 0; v < g->value_count; v++)
        EXPECT(g->values[v].buffer >= 0 || written[v] == g->values[v].c, "%s: value %d is not filled", g->backbone, v);
    mem_free(written);
}

/* Every parameter belongs to the one node that names it; running statistics and random layers are numbered without gaps. */
static void check_numbers(const struct graph *g)
{
    int owned = 0, norms = 0, layers = 0;
    for (int i = 0; i < g->node_count; i++) {
        const struct node *node = &g->nodes[i];
        for (int k = 0; k < 4; k++) {
            EXPECT((node->param[k] >= 0) == (k < node->param_count), "%s", node->name);
            if (node->param[k] < 0) continue;
            const struct param *p = &g->params[node->param[k]];
            EXPECT(p->node == i && !strncmp(p->name, node->name, strlen(node->name)), "%s has %s", node->name, p->name);
            owned++;
        }
        if (node->kind == NODE_NORM) EXPECT(node->buffers == norms++, "%s", node->name);
        if (node->drop > 0) EXPECT(node->random_layer == layers++, "%s", node->name);
    }
    EXPECT(owned == g->param_count && norms == g->norm_count, "%s", g->backbone);
}

static void test_bookkeeping(void)
{
    static const int sizes[] = {32, 64, 95, 224};
    for (int b = 0; backbone_names[b]; b++)
        for (int s = 0; s < 4; s++) {
            struct graph *g = build(backbone_names[b], sizes[s], 6, s % 2);
            check_order(g);
            check_numbers(g);
            graph_close(g);
        }
}

static const struct node *find(const struct graph *g, const char *name)
{
    for (int i = 0; i < g->node_count; i++)
        if (!strcmp(g->nodes[i].name, name)) return &g->nodes[i];
    return NULL;
}

/* Torchvision's: 0.2 * (block's number, counted from 0) / blocks. */
static void test_dropping(void)
{
    struct graph *g = build("efficientnet_b0", 224, 6, true), *plain = build("efficientnet_b0", 224, 6, false);
    const struct node *last = find(g, "features.6.3.block.3.1"), *first = find(g, "features.2.1.block.3.1");
    EXPECT_NEAR(last->drop, 0.2 * 14 / 16, 1e-12);
    EXPECT_NEAR(first->drop, 0.2 * 2 / 16, 1e-12);
    EXPECT(find(g, "classifier.0") && !find(plain, "classifier.0"), "dropout where it should not be");
    for (int i = 0; i < plain->node_count; i++) EXPECT(plain->nodes[i].drop == 0, "%s drops", plain->nodes[i].name);
    graph_close(g);
    graph_close(plain);
    g = build("vgg16", 224, 6, true);
    EXPECT_NEAR(find(g, "classifier.2")->drop, 0.5, 0);
    EXPECT_NEAR(find(g, "classifier.5")->random_layer, 1, 0);
    EXPECT(!find(g, "avgpool"), "224 / 32 is 7 already");
    graph_close(g);
}

static void test_errors(void)
{
    struct error err;
    EXPECT(!graph_build("resnet19", 224, 6, true, &err), "unknown name");
    EXPECT_TEXT(err.message, "resnet19");
    EXPECT_TEXT(err.hint, "resnet18");
    EXPECT(!graph_build("resnet18", 31, 6, true, &err), "too small");
    EXPECT_TEXT(err.message, "31");
    graph_close(NULL);
}

int main(int argc, char **argv)
{
    CHECK(argc > 1, "usage: %s TESTS-FOLDER", argv[0]);
    test_shapes(argv[1]);
    test_sizes();
    test_bookkeeping();
    test_dropping();
    test_errors();
    return check_verdict();
}
