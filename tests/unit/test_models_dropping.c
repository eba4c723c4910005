/* ctest: timeout=300 label=parity */
/* test_models_dropping.c - networks with dropout and stochastic depth, which have no reference outside (torch draws other
 * numbers): what is dropped depends on an image's key alone, not on shards or backend; evaluation drops nothing; and the
 * gradient is the loss's slope along itself, measured by two more forward passes. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "models/init.h"
#include "models/network.h"
#include "tests/unit/check.h"

enum { IMAGES = 4, OUTPUTS = 6, SIZE = 64, PIXEL_STREAM = 30000 };

struct trial {
    struct graph *g;
    struct network *n;
    int shards;
    float *pixels;
    uint64_t row_key[IMAGES];
    float logits[IMAGES * OUTPUTS];
};

static struct trial trial_open(const char *backbone, const char *backend, int shards, bool dropout)
{
    struct error err;
    struct trial t = {.g = graph_build(backbone, SIZE, OUTPUTS, dropout, &err), .shards = shards};
    struct network_options options = {.ops = ops_find(backend, &err), .max_images = IMAGES / shards, .max_eval_images = IMAGES, .shards = shards};
    t.n = t.g ? network_open(t.g, &options, &err) : NULL;
    if (!t.n) die_error(&err);
    float *values = mem_alloc(sizeof(float) * (size_t)graph_parameter_count(t.g));
    for (int p = 0; p < t.g->param_count; p++) {
        init_param_formula(values, t.g, p);
        network_param_set(t.n, p, values);
    }
    mem_free(values);
    int64_t count = (int64_t)IMAGES * 3 * SIZE * SIZE, picture = count / IMAGES;
    t.pixels = NEW_ARRAY(float, count);
    for (int64_t i = 0; i < count; i++)
        t.pixels[i] = init_formula(PIXEL_STREAM, (uint64_t)i) +
                      init_formula(PIXEL_STREAM + 1, (uint64_t)(i / picture * SIZE + i % SIZE)); /* columns, so pictures differ */
    struct random keys = random_stream(5, RANDOM_ROW_KEY, 0, 0);
    for (int i = 0; i < IMAGES; i++) t.row_key[i] = random_u64_at(&keys, (uint64_t)i);
    return t;
}

static void trial_close(struct trial *t)
{
    network_close(t->n);
    graph_close(t->g);
    mem_free(t->pixels);
}

/* Loss: half the sum of squared logits over all, so that d(loss)/d(logit) is the logit. */
static double trial_run(struct trial *t, bool backward)
{
    struct network_shard shard[IMAGES];
    struct network_pass pass = {.shard = shard, .total_images = IMAGES};
    int each = IMAGES / t->shards;
    double loss = 0;
    for (int s = 0; s < t->shards; s++)
        shard[s] = (struct network_shard){
            .images = each, .pixels = t->pixels + (int64_t)s * each * 3 * SIZE * SIZE, .row_key = t->row_key + s * each};
    network_load(t->n, &pass);
    network_forward(t->n, &pass);
    for (int s = 0; s < t->shards; s++) {
        memcpy(t->logits + s * each * OUTPUTS, network_logits(t->n, s), sizeof(float) * (size_t)(each * OUTPUTS));
        memcpy(network_dlogits(t->n, s), network_logits(t->n, s), sizeof(float) * (size_t)(each * OUTPUTS));
    }
    for (int i = 0; i < IMAGES * OUTPUTS; i++) loss += 0.5 * (double)t->logits[i] * t->logits[i];
    if (backward) network_backward(t->n, &pass);
    return loss;
}

static double distance(const float *a, const float *b)
{
    double difference = 0, size = 0;
    for (int i = 0; i < IMAGES * OUTPUTS; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return sqrt(difference / size);
}

static void test_keys(const char *backbone)
{
    struct trial one = trial_open(backbone, "cpu", 1, true), four = trial_open(backbone, "cpu", 4, true);
    struct trial plain = trial_open(backbone, "cpu", 1, false), ref = trial_open(backbone, "ref", 2, true);
    network_infer(one.n, one.pixels, IMAGES, one.logits);
    network_infer(plain.n, plain.pixels, IMAGES, plain.logits);
    EXPECT(distance(one.logits, plain.logits) < 1e-6, "%s: evaluation drops something", backbone);
    trial_run(&one, false);
    trial_run(&four, false);
    trial_run(&plain, false);
    trial_run(&ref, false);
    printf("%s: training logits differ by %.2g without dropping, %.2g in four shards, %.2g in ref\n", backbone,
           distance(plain.logits, one.logits), distance(four.logits, one.logits), distance(ref.logits, one.logits));
    EXPECT(distance(plain.logits, one.logits) > 0.01, "%s: nothing is dropped", backbone);
    EXPECT(distance(four.logits, one.logits) < 1e-4, "%s: shards change what is dropped", backbone);
    EXPECT(distance(ref.logits, one.logits) < 1e-4, "%s: backends drop differently", backbone);
    for (int i = 0; i < IMAGES; i++) four.row_key[i] ^= 1;
    trial_run(&four, false);
    EXPECT(distance(four.logits, one.logits) > 0.01, "%s: other keys, same result", backbone);
    trial_close(&one);
    trial_close(&four);
    trial_close(&plain);
    trial_close(&ref);
}

static void move(struct trial *t, double step)
{
    float *parameters = network_parameters(t->n);
    const float *gradients = network_gradients(t->n);
    for (int64_t i = 0; i < network_arena_count(t->n); i++) parameters[i] += (float)(step * gradients[i]);
}

/* The loss falls by about one percent to either side: central difference against the gradient's square. */
static void test_slope(const char *backbone, int shards)
{
    struct trial t = trial_open(backbone, "cpu", shards, true);
    double loss = trial_run(&t, true), square = 0;
    const float *gradients = network_gradients(t.n);
    for (int64_t i = 0; i < network_arena_count(t.n); i++) square += (double)gradients[i] * gradients[i];
    double step = 0.01 * loss / square;
    move(&t, step);
    double above = trial_run(&t, false);
    move(&t, -2 * step);
    double below = trial_run(&t, false), slope = (above - below) / (2 * step);
    printf("%s: loss %.5g, slope along the gradient %.6g, gradient squared %.6g\n", backbone, loss, slope, square);
    EXPECT_NEAR(slope / square, 1, 0.005);
    trial_close(&t);
}

int main(void)
{
    ops_ref.open(0);
    ops_cpu()->open(0);
    test_keys("efficientnet_b0");
    test_slope("efficientnet_b0", 1);
    test_slope("efficientnet_b1", 2);
    test_slope("vgg16", 2);
    return check_verdict();
}
