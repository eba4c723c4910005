/* test_cuda_sums.c - convolutions that sum what they write, on an emulated card: where no plan does so the bits are those of the calls that they
 * stand for, per number of images; networks take the sums of every dense convolution before a normalisation so, and of no other, never in
 * evaluation; what cuDNN does not have leaves a network's bits as they were. That the sums are right is in test_cuda_layers.c. */
#include "base/log.h"
#include "models/init.h"
#include "models/network.h"
#include "ops/cuda/backend.h"
#include "ops/cuda/cuda_device.h"
#include "tests/cuda/emulator.h"
#include "tests/tools/fake_cuda.h"
#include "tests/tools/ops_values.h"
#include "tests/unit/check.h"

static const struct ops *ops;

/* ---- one convolution ---- */

enum { IMAGES = 6, CHANNELS = 24, SIDE = 5, PARTS = 3 };
static const int part_images[PARTS] = {1, 3, 2}, part_first[PARTS] = {0, 1, 4};
struct outcome {
    float y[IMAGES * CHANNELS * SIDE * SIDE];
    double sums[PARTS][2 * CHANNELS];
    char how[100];
};

/* The three shards in one call; `refused`: as in struct fake_cuda; `apart`: conv_forward and norm_sums instead. */
static void run_conv(struct outcome *o, int refused, bool apart)
{
    const struct conv_spec spec = {.in_c = 16, .out_c = CHANNELS, .in_h = SIDE, .in_w = SIDE, .kernel = 3, .stride = 1, .padding = 1, .groups = 1,
                                   .dtype = DTYPE_BF16, .sums_c_total = CHANNELS};
    struct error err = {0};
    memset(o, 0, sizeof *o);
    fake_cuda.no_statistics = refused;
    ops->open(1); /* forgets plans */
    values_seed(3);
    struct conv *c = ops->conv_create(&spec, 2, true, NULL, &err);
    CHECK(c, "%s", err.message);
    float *w = values_normal(ops->conv_weight_count(c), 0, 0.1, DTYPE_BF16), *v = values_normal(IMAGES * 16 * SIDE * SIDE, 1, 1, DTYPE_BF16);
    struct tensor all = tensor_filled(v, (struct shape){IMAGES, 16, SIDE, SIDE}, DTYPE_BF16, LAYOUT_NHWC, 0, 0), x[PARTS], y[PARTS];
    struct tensor out = tensor_new((struct shape){IMAGES, CHANNELS, SIDE, SIDE}, DTYPE_BF16, LAYOUT_NHWC, 0, 0);
    double *sums[PARTS];
    for (int s = 0; s < PARTS; s++) {
        x[s] = tensor_images(&all, part_first[s], part_images[s]), y[s] = tensor_images(&out, part_first[s], part_images[s]);
        sums[s] = o->sums[s];
    }
    if (!apart) ops->conv_forward_sums(c, y, x, w, sums, PARTS);
    if (apart) ops->conv_forward(c, y, x, w, NULL, PARTS);
    for (int s = 0; apart && s < PARTS; s++) ops->norm_sums(sums[s], sums[s] + CHANNELS, &y[s]);
    tensor_to_nchw(o->y, &out);
    ops->conv_describe(c, o->how, sizeof o->how);
    ops->conv_close(c);
    tensor_delete(&all), tensor_delete(&out);
    mem_free(w), mem_free(v);
    fake_cuda.no_statistics = 0;
}

static void test_refused(void)
{
    static struct outcome apart, fused, none, some;
    long before = fake_cuda.statistics;
    run_conv(&apart, 0, true), run_conv(&none, -1, false);
    EXPECT(fake_cuda.statistics == before, "sums were taken");
    EXPECT(!memcmp(apart.y, none.y, sizeof none.y) && !memcmp(apart.sums, none.sums, sizeof none.sums), "without plans, other bits than apart");
    EXPECT(strstr(none.how, "/ sums by an own kernel /"), "%s", none.how);
    run_conv(&fused, 0, false);
    EXPECT(fake_cuda.statistics == before + PARTS && strstr(fused.how, "/ sums 7t /"), "%ld sums, %s", fake_cuda.statistics - before, fused.how);
    run_conv(&some, 3, false);
    EXPECT(fake_cuda.statistics == before + 2 * PARTS - 1, "%ld sums", fake_cuda.statistics - before);
    for (int s = 0; s < PARTS; s++) {
        const struct outcome *like = part_images[s] == 3 ? &apart : &fused;
        EXPECT(!memcmp(some.sums[s], like->sums[s], sizeof *some.sums), "shard %d depends on what the others have", s);
        EXPECT(memcmp(fused.sums[s], apart.sums[s], sizeof *some.sums), "sums in f32 have the bits of those in double: shard %d", s);
    }
}

/* ---- whole networks ---- */

enum { SIZE = 32, PICTURES = 3, OUTPUTS = 6, SHARDS_MAX = 2, RUNNING_MAX = 8192 };
struct run {
    const char *backbone;
    enum dtype dtype;
    int shards, frozen; /* shards: 1, or 2 of 1 and 2 pictures; frozen stages */
};
struct end {
    float logits[PICTURES * OUTPUTS], running[RUNNING_MAX];
    long forward, inference; /* convolutions that took sums */
};

static void fill(struct network *n, const struct graph *g)
{
    for (int p = 0; p < g->param_count; p++) {
        float *values = NEW_ARRAY(float, param_elements(&g->params[p]));
        init_param_formula(values, g, p);
        network_param_set(n, p, values);
        mem_free(values);
    }
}

static struct end run_network(const struct ops *table, const struct run *r, int refused)
{
    static uint64_t keys[PICTURES];
    struct error err = {0};
    struct end end = {{0}, {0}, 0, 0};
    const struct network_options options = {.ops = table, .dtype = r->dtype, .max_images = PICTURES, .max_eval_images = PICTURES,
                                            .shards = r->shards};
    fake_cuda.no_statistics = refused;
    ops->open(1);
    struct graph *g = graph_build(r->backbone, SIZE, OUTPUTS, false, &err);
    struct network *n = g ? network_open(g, &options, &err) : NULL;
    CHECK(n, "%s", err.message);
    fill(n, g);
    network_freeze(n, r->frozen);
    values_seed(11);
    float *pixels = values_normal((size_t)PICTURES * 3 * SIZE * SIZE, 0, 1, DTYPE_F32), *logits = NEW_ARRAY(float, PICTURES *OUTPUTS);
    int first = r->shards == 1 ? PICTURES : 1;
    struct network_shard shard[SHARDS_MAX] = {{.images = first, .pixels = pixels, .row_key = keys},
                                              {.images = PICTURES - first, .pixels = pixels + (size_t)first * 3 * SIZE * SIZE, .row_key = keys}};
    const struct network_pass pass = {.shard = shard, .total_images = PICTURES};
    long before = fake_cuda.statistics;
    network_load(n, &pass);
    network_forward(n, &pass);
    end.forward = fake_cuda.statistics - before;
    for (int s = 0; s < r->shards; s++)
        ops->download(end.logits + s * first * OUTPUTS, network_logits(n, s), sizeof(float) * OUTPUTS * (size_t)shard[s].images);
    for (int b = 0, at = 0, c; b < g->norm_count; b++, at += 2 * c) {
        int node = 0;
        while (g->nodes[node].kind != NODE_NORM || g->nodes[node].buffers != b) node++;
        c = g->values[g->nodes[node].x].c;
        if (at + 2 * c > RUNNING_MAX) break;
        network_running_get(n, b, end.running + at, end.running + at + c);
    }
    network_infer(n, pixels, PICTURES, logits);
    end.inference = fake_cuda.statistics - before - end.forward;
    network_close(n);
    graph_close(g);
    mem_free(pixels), mem_free(logits);
    fake_cuda.no_statistics = 0;
    return end;
}

static bool same(const struct end *a, const struct end *b)
{
    return !memcmp(a->logits, b->logits, sizeof a->logits) && !memcmp(a->running, b->running, sizeof a->running);
}

/* `sums`: convolutions that take sums, counted by hand in the papers' tables; a shard each. */
static void check_network(const struct run *r, long sums)
{
    static struct end apart, refused, fused;
    struct ops without = *ops;
    without.conv_forward_sums = NULL, without.conv_forward_batch = NULL;
    apart = run_network(&without, r, 0), refused = run_network(ops, r, -1), fused = run_network(ops, r, 0);
    EXPECT(apart.forward == 0 && refused.forward == 0, "%s: sums were taken", r->backbone);
    EXPECT(fused.forward == sums * r->shards && fused.inference == 0, "%s, %d shards: sums of %ld convolutions, %ld in evaluation", r->backbone,
           r->shards, fused.forward, fused.inference);
    EXPECT(same(&apart, &refused), "%s, %d shards: convolutions with sums that nothing takes give other bits", r->backbone, r->shards);
    EXPECT(same(&apart, &fused) == (sums == 0), "%s, %d shards: sums in f32 %s bits", r->backbone, r->shards, sums ? "change no" : "change");
}

int main(void)
{
    struct error err = {0};
    log_level_set(LOG_ERROR);
    fake_cuda_install();
    emulator_queue(fake_queue);
    ops = ops_cuda();
    CHECK(!ops->attach(0, &err), "%s", err.message);
    test_refused();
    check_network(&(struct run){"resnet18", DTYPE_BF16, 1, 0}, 20);
    check_network(&(struct run){"resnet18", DTYPE_BF16, 2, 0}, 20);
    check_network(&(struct run){"resnet18", DTYPE_BF16, 1, 1}, 19); /* not the stem's */
    check_network(&(struct run){"resnet18", DTYPE_F32, 1, 0}, 0);
    check_network(&(struct run){"densenet121", DTYPE_BF16, 1, 0}, 121 - 4); /* not after the pools before the blocks */
    check_network(&(struct run){"densenet121", DTYPE_BF16, 2, 0}, 121 - 4);
    check_network(&(struct run){"efficientnet_b0", DTYPE_BF16, 2, 0}, 49 - 16); /* not depthwise */
    check_network(&(struct run){"vgg16", DTYPE_BF16, 1, 0}, 0);
    cuda_close();
    EXPECT(fake_cuda.blocks == 0 && fake_cuda.pinned == 0, "%ld blocks, %ld pinned are left", fake_cuda.blocks, fake_cuda.pinned);
    return check_verdict();
}
