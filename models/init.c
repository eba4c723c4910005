/* init.c - initial weights: torchvision's random distributions, and a formula that Python repeats bit for bit. */
#include "models/init.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

struct distribution {
    enum { CONSTANT, NORMAL, UNIFORM } shape;
    double size; /* the value, the deviation, the bound */
};

static bool is_family(const struct graph *g, const char *prefix)
{
    return !strncmp(g->backbone, prefix, strlen(prefix));
}

/* Weight of a fully connected layer. */
static struct distribution linear_weight(const struct graph *g, const struct param *p)
{
    if (is_family(g, "vgg")) return (struct distribution){NORMAL, 0.01};
    if (is_family(g, "efficientnet")) return (struct distribution){UNIFORM, 1 / sqrt(p->fan_out)};
    return (struct distribution){UNIFORM, 1 / sqrt(p->fan_in)}; /* PyTorch's default, densenet's too */
}

/* He et al. 2015: deviation sqrt(2 / fan). Squeeze and excitation's layers count as convolutions. */
static struct distribution conv_weight(const struct graph *g, const struct param *p)
{
    return (struct distribution){NORMAL, sqrt(2.0 / (is_family(g, "densenet") ? p->fan_in : p->fan_out))};
}

static struct distribution distribution_of(const struct graph *g, const struct param *p)
{
    bool linear = g->nodes[p->node].kind == NODE_LINEAR;
    switch (p->role) {
    case PARAM_WEIGHT: return linear ? linear_weight(g, p) : conv_weight(g, p);
    case PARAM_GAMMA: return (struct distribution){CONSTANT, 1};
    case PARAM_BIAS:
        if (linear && is_family(g, "resnet")) return (struct distribution){UNIFORM, 1 / sqrt(p->fan_in)};
        return (struct distribution){CONSTANT, 0};
    case PARAM_BETA: break;
    }
    return (struct distribution){CONSTANT, 0};
}

/* VGG-16 draws 138 million: by pieces, which any thread can take. */
static void fill_normal(float *values, int64_t count, double deviation, const struct random *r)
{
    const int64_t piece = 1 << 14;
#pragma omp parallel for
    for (int64_t i = 0; i < count; i += piece)
        random_normals(values + i, count - i < piece ? count - i : piece, deviation, r, (uint64_t)i / 2);
}

void init_param(float *values, const struct graph *g, int p, uint64_t seed)
{
    struct distribution d = distribution_of(g, &g->params[p]);
    struct random r = random_stream(seed, RANDOM_INIT, (uint64_t)p, 0);
    int64_t count = param_elements(&g->params[p]);
    if (d.shape == NORMAL) {
        fill_normal(values, count, d.size, &r);
        return;
    }
    for (int64_t i = 0; i < count; i++) values[i] = (float)(d.shape == CONSTANT ? d.size : random_range(&r, -d.size, d.size));
}

void init_network(struct network *n, const struct graph *g, uint64_t seed)
{
    for (int p = 0; p < g->param_count; p++) {
        float *values = mem_alloc(sizeof(float) * (size_t)param_elements(&g->params[p]));
        init_param(values, g, p, seed);
        network_param_set(n, p, values);
        mem_free(values);
    }
}

float init_formula(uint64_t stream, uint64_t element)
{
    uint64_t z = (stream + 1) * 0x9e3779b97f4a7c15u + element * 0xd1b54a32d192ed03u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u; /* splitmix64's finaliser */
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (float)((int64_t)(z >> 40) - (1 << 23)) / (float)(1 << 23); /* 24 bits: exact in a float */
}

/* Where reference networks' betas lie: with most ReLU inputs well above 0, another program's rounding hardly ever moves one
 * across 0, and gradients can be compared to many digits. SiLU has no such corner. */
static float formula_beta(const struct graph *g)
{
    if (is_family(g, "efficientnet")) return 0;
    return is_family(g, "resnet18") ? 1 : 3;
}

void init_param_formula(float *values, const struct graph *g, int p)
{
    const struct param *param = &g->params[p];
    int64_t count = param_elements(param);
    float bound = (float)sqrt(6.0 / param->fan_in); /* variance 2 / fan_in, rounded to float once, as Python does */
    for (int64_t i = 0; i < count; i++) {
        float u = init_formula((uint64_t)p, (uint64_t)i);
        switch (param->role) {
        case PARAM_WEIGHT: values[i] = bound * u; break;
        case PARAM_GAMMA: values[i] = 1.0f + 0.5f * u; break;
        case PARAM_BETA: values[i] = formula_beta(g) + 0.125f * u; break;
        case PARAM_BIAS: values[i] = 0.125f * u; break;
        }
    }
}
