/* formula_network.h - a network, a batch and labels made by the formula of models/init.h, and one step of training on them without an update;
 * tests/reference/networks.py has the same numbers, bit for bit. */
#ifndef TESTS_FORMULA_NETWORK_H
#define TESTS_FORMULA_NETWORK_H
#include <math.h>

#include "base/memory.h"
#include "models/init.h"
#include "models/network.h"

enum { FORMULA_OUTPUTS = 6, FORMULA_IMAGES_MAX = 64, FORMULA_SHARDS_MAX = 4 };
enum { MEAN_STREAM = 10000, VAR_STREAM = 20000, PIXEL_STREAM = 30000, PATCH = 16 };

struct formula_case {
    struct graph *g;
    struct network *n;
    const struct ops *ops;
    int batch;
    float eval[FORMULA_IMAGES_MAX * FORMULA_OUTPUTS], train[FORMULA_IMAGES_MAX * FORMULA_OUTPUTS], dlogits[FORMULA_IMAGES_MAX * FORMULA_OUTPUTS];
    double loss;
};

/* Pixel noise, patches, a level for each picture and channel; (batch, 3, size, size), mem_free. */
static inline float *formula_pictures(int batch, int size, int salt)
{
    float *pixels = mem_alloc(sizeof(float) * (size_t)batch * 3 * (size_t)size * (size_t)size);
    uint64_t stream = PIXEL_STREAM + 3 * (uint64_t)salt;
    int64_t coarse = (size + PATCH - 1) / PATCH;
    for (int64_t plane = 0; plane < batch * 3; plane++)
        for (int64_t y = 0; y < size; y++)
            for (int64_t x = 0; x < size; x++) {
                int64_t i = (plane * size + y) * size + x;
                int64_t patch = (plane * coarse + y / PATCH) * coarse + x / PATCH;
                float fine = init_formula(stream, (uint64_t)i) + init_formula(stream + 1, (uint64_t)patch);
                pixels[i] = fine + init_formula(stream + 2, (uint64_t)plane);
            }
    return pixels;
}

static inline void formula_fill(struct network *n, const struct graph *g)
{
    for (int p = 0; p < g->param_count; p++) {
        const struct param *param = &g->params[p];
        int64_t count = param_elements(param);
        float *values = mem_alloc(sizeof(float) * (size_t)count);
        init_param_formula(values, g, p);
        network_param_set(n, p, values);
        mem_free(values);
        if (param->role != PARAM_GAMMA) continue;
        float *mean = mem_alloc(sizeof(float) * 2 * (size_t)count), *var = mean + count;
        for (int64_t c = 0; c < count; c++) {
            mean[c] = 0.25f * init_formula(MEAN_STREAM + (uint64_t)p, (uint64_t)c);
            var[c] = 1.0f + 0.5f * init_formula(VAR_STREAM + (uint64_t)p, (uint64_t)c);
        }
        network_running_set(n, g->nodes[param->node].buffers, mean, var);
        mem_free(mean);
    }
}

static inline double formula_label(int image, int output)
{
    if (output == 0) return (image + image / 2) % 2;
    return image % 2 == 1 && (image + output - 1) % 3 == 0;
}

/* Masked, weighted binary cross-entropy: lesions count where one is positive, COVID five times, mean over batch x 6. */
static inline double formula_loss(float *dlogits, const float *logits, int batch)
{
    double sum = 0;
    for (int i = 0; i < batch; i++) {
        bool lesions = false;
        for (int k = 1; k < FORMULA_OUTPUTS; k++) lesions |= formula_label(i, k) > 0;
        for (int k = 0; k < FORMULA_OUTPUTS; k++) {
            double weight = (k == 0 ? 5.0 : lesions) / (batch * FORMULA_OUTPUTS), z = logits[i * FORMULA_OUTPUTS + k], y = formula_label(i, k);
            sum += weight * (fmax(z, 0) - z * y + log1p(exp(-fabs(z))));
            dlogits[i * FORMULA_OUTPUTS + k] = (float)(weight * (1 / (1 + exp(-z)) - y));
        }
    }
    return sum;
}

static inline void formula_train(struct formula_case *c, const float *pixels, const int *images, int shards, bool gradients)
{
    static const uint64_t row_key[FORMULA_IMAGES_MAX];
    struct network_shard shard[FORMULA_SHARDS_MAX];
    struct network_pass pass = {.shard = shard, .total_images = c->batch};
    int64_t picture = 3 * (int64_t)c->g->image_size * c->g->image_size;
    for (int s = 0, first = 0; s < shards; first += images[s], s++)
        shard[s] = (struct network_shard){.images = images[s], .pixels = pixels + first * picture, .row_key = row_key};
    network_load(c->n, &pass);
    network_forward(c->n, &pass);
    for (int s = 0, first = 0; s < shards; first += images[s], s++)
        c->ops->download(c->train + first * FORMULA_OUTPUTS, network_logits(c->n, s), sizeof(float) * (size_t)(images[s] * FORMULA_OUTPUTS));
    c->loss = formula_loss(c->dlogits, c->train, c->batch);
    for (int s = 0, first = 0; s < shards; first += images[s], s++)
        c->ops->upload(network_dlogits(c->n, s), c->dlogits + first * FORMULA_OUTPUTS, sizeof(float) * (size_t)(images[s] * FORMULA_OUTPUTS));
    if (gradients) network_backward(c->n, &pass);
}

/* Evaluation, then training with the batch in shards. Without dropout and stochastic depth. */
static inline void formula_run(struct formula_case *c, const char *backbone, int size, int salt, enum dtype dtype, const int *images,
                               int shards, bool gradients)
{
    struct error err;
    int largest = 0;
    ASSERT(c->batch <= FORMULA_IMAGES_MAX && shards <= FORMULA_SHARDS_MAX);
    for (int s = 0; s < shards; s++) largest = images[s] > largest ? images[s] : largest;
    struct network_options options = {.ops = c->ops, .dtype = dtype, .max_images = largest, .max_eval_images = c->batch, .shards = shards};
    c->g = graph_build(backbone, size, FORMULA_OUTPUTS, false, &err);
    c->n = c->g ? network_open(c->g, &options, &err) : NULL;
    if (!c->n) die_error(&err);
    float *pixels = formula_pictures(c->batch, size, salt);
    formula_fill(c->n, c->g);
    network_infer(c->n, pixels, c->batch, c->eval);
    formula_train(c, pixels, images, shards, gradients);
    mem_free(pixels);
}

static inline void formula_close(struct formula_case *c)
{
    network_close(c->n);
    graph_close(c->g);
}
#endif
