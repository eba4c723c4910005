/* test_models_init.c - initial weights have the mean, deviation and bounds of torchvision's constructors, one parameter of
 * every kind and family; and the formula shared with tests/reference/networks.py gives Python's bits. */
#include <stdlib.h>

#include "base/memory.h"
#include "models/init.h"
#include "tests/unit/check.h"

static int find(const struct graph *g, const char *name)
{
    for (int p = 0; p < g->param_count; p++)
        if (!strcmp(g->params[p].name, name)) return p;
    die("no parameter %s", name);
}

/* Standard errors: deviation/sqrt(n) of the mean, about deviation/sqrt(2n) (normal; less for uniform) of the deviation. */
static void check_random(const char *label, const float *v, int64_t n, double deviation, double bound)
{
    double sum = 0, squares = 0, largest = 0, cubes = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += v[i];
        squares += (double)v[i] * v[i];
        cubes += (double)v[i] * v[i] * v[i];
        largest = fmax(largest, fabs(v[i]));
    }
    double root = sqrt((double)n);
    EXPECT(fabs(sum / (double)n) <= 4.5 * deviation / root, "%s: mean %g of %lld", label, sum / (double)n, (long long)n);
    EXPECT(fabs(sqrt(squares / (double)n) / deviation - 1) <= 4.5 / (root * sqrt(2)), "%s: deviation %g, torchvision's %g", label,
           sqrt(squares / (double)n), deviation);
    EXPECT(fabs(cubes / (double)n) <= 4.5 * sqrt(15) * pow(deviation, 3) / root, "%s: skew", label);
    EXPECT(largest <= bound, "%s: largest %g, bound %g", label, largest, bound);
    if (n > 2000) EXPECT(largest >= deviation * 1.7, "%s: largest %g", label, largest);
}

static void test_distributions(void)
{
    enum shape { ONES, ZEROS, NORMAL, UNIFORM };
    /* size: the normal's deviation or the uniform's bound, written out from torchvision's constructors */
    static const struct { const char *backbone, *name; enum shape shape; double square; } rows[] = {
        {"vgg16", "features.2.weight", NORMAL, 2.0 / (64 * 9)},
        {"vgg16", "features.2.bias", ZEROS, 0},
        {"vgg16", "classifier.3.weight", NORMAL, 1e-4},
        {"vgg16", "classifier.6.bias", ZEROS, 0},
        {"resnet18", "conv1.weight", NORMAL, 2.0 / (64 * 49)},
        {"resnet18", "layer2.0.downsample.0.weight", NORMAL, 2.0 / 128},
        {"resnet18", "layer1.0.bn2.weight", ONES, 0},
        {"resnet18", "layer1.0.bn2.bias", ZEROS, 0},
        {"resnet18", "fc.weight", UNIFORM, 1.0 / 512},
        {"resnet18", "fc.bias", UNIFORM, 1.0 / 512},
        {"resnet50", "layer3.0.conv3.weight", NORMAL, 2.0 / 1024},
        {"resnet50", "fc.weight", UNIFORM, 1.0 / 2048},
        {"densenet121", "features.denseblock2.denselayer2.conv1.weight", NORMAL, 2.0 / 160},
        {"densenet121", "features.denseblock2.denselayer2.conv2.weight", NORMAL, 2.0 / (128 * 9)},
        {"densenet169", "features.transition1.norm.weight", ONES, 0},
        {"densenet169", "classifier.weight", UNIFORM, 1.0 / 1664},
        {"densenet169", "classifier.bias", ZEROS, 0},
        {"efficientnet_b0", "features.6.0.block.1.0.weight", NORMAL, 2.0 / (672 * 25)}, /* depthwise: fan_out counts all channels */
        {"efficientnet_b0", "features.6.0.block.2.fc1.weight", NORMAL, 2.0 / 28},
        {"efficientnet_b0", "features.6.0.block.2.fc2.bias", ZEROS, 0},
        {"efficientnet_b1", "features.8.0.weight", NORMAL, 2.0 / 1280},
        {"efficientnet_b1", "classifier.1.weight", UNIFORM, 1.0 / 6},
        {"efficientnet_b1", "classifier.1.bias", ZEROS, 0},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct error err;
        struct graph *g = graph_build(rows[r].backbone, 224, 6, true, &err);
        if (!g) die_error(&err);
        int p = find(g, rows[r].name);
        int64_t n = param_elements(&g->params[p]);
        float *v = NEW_ARRAY(float, n);
        init_param(v, g, p, 1234);
        if (rows[r].shape == NORMAL) check_random(rows[r].name, v, n, sqrt(rows[r].square), HUGE_VAL);
        if (rows[r].shape == UNIFORM) check_random(rows[r].name, v, n, sqrt(rows[r].square / 3), sqrt(rows[r].square));
        for (int64_t i = 0; i < n && rows[r].shape <= ZEROS; i++)
            EXPECT(v[i] == (rows[r].shape == ONES ? 1 : 0), "%s %g", rows[r].name, (double)v[i]);
        mem_free(v);
        graph_close(g);
    }
}

static void test_seeds(void)
{
    struct graph *g = graph_build("resnet18", 64, 6, true, NULL);
    int p = find(g, "layer1.0.conv1.weight"), q = find(g, "layer1.0.conv2.weight");
    int64_t n = param_elements(&g->params[p]);
    float *a = NEW_ARRAY(float, n), *b = NEW_ARRAY(float, n);
    init_param(a, g, p, 1);
    init_param(b, g, p, 1);
    EXPECT(!memcmp(a, b, sizeof(float) * (size_t)n), "one seed, two results");
    init_param(b, g, p, 2);
    EXPECT(memcmp(a, b, sizeof(float) * (size_t)n), "two seeds, one result");
    init_param(b, g, q, 1);
    EXPECT(memcmp(a, b, sizeof(float) * (size_t)n), "two parameters, one result");
    mem_free(a);
    mem_free(b);
    graph_close(g);
}

/* The right-hand sides were printed by Python (networks.formula, networks.fill_parameters). */
static void test_formula(void)
{
    struct graph *g = graph_build("resnet18", 64, 6, true, NULL);
    float v[64 * 3 * 49];
    EXPECT(init_formula(0, 0) == 6430888.0f / (1 << 23), "%a", (double)init_formula(0, 0));
    EXPECT(init_formula(0, 1) == -5435608.0f / (1 << 23), "%a", (double)init_formula(0, 1));
    EXPECT(init_formula(7, 123456) == 4800906.0f / (1 << 23), "%a", (double)init_formula(7, 123456));
    EXPECT(init_formula(1000003, 100000) == -302925.0f / (1 << 23), "%a", (double)init_formula(1000003, 100000));
    init_param_formula(v, g, find(g, "conv1.weight"));
    EXPECT(v[0] == 0x1.3d323ap-3f && v[1] == -0x1.0c1aeap-3f && v[2] == -0x1.b54f6cp-4f, "conv1.weight %a", (double)v[0]);
    init_param_formula(v, g, find(g, "bn1.weight"));
    EXPECT(v[0] == 0x1.dcf13cp-1f && v[1] == 0x1.eb0adep-1f && v[2] == 0x1.b43ca2p-1f, "bn1.weight %a", (double)v[0]);
    init_param_formula(v, g, find(g, "bn1.bias"));
    EXPECT(v[0] == 0x1.c3622ep-1f && v[1] == 0x1.019d2ep0f && v[2] == 0x1.cd10bp-1f, "bn1.bias %a", (double)v[0]);
    graph_close(g);
}

int main(void)
{
    test_distributions();
    test_seeds();
    test_formula();
    return check_verdict();
}
