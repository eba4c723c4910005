/* test_cuda_card.c - the CUDA backend on a real card does what ops_ref defines: all cases of tests/tools/ops_cases_*.h, f32 (exact) and bf16, and a
 * recorded step gives the bits of a plain one, again and again; products whose ways were kept as text have their bits again. Without a card it
 * says why and ends with status 77 (skipped).
 *
 * The cases are written for the host's memory: here that is managed memory, and every launch is waited for. Arguments: "tf32" runs the f32 cases
 * with TF32 instead, and only tells how far off they are; "tune" lets the clock choose between four plans; "describe FILE" only writes what cuDNN says of the card, for
 * tests/gpu/h200-deviceprop.json. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "ops/cuda/backend.h"
#include "ops/cuda/choices.h"
#include "ops/cuda/dnn_graph.h"
#include "ops/cuda/matmul_choices.h"
#include "ops/cuda/plan_cache.h"
#include "tests/cuda/emulator.h"
#include "tests/tools/cuda_steps.h"
#include "tests/tools/fake_cuda.h"
#include "tests/tools/managed_memory.h"
#include "tests/tools/ops_cases_kernels.h"
#include "tests/tools/ops_cases_layers.h"
#include "tests/tools/ops_cases_sums.h"

enum { SKIPPED = 77 };
static const struct ops *ops;

/* ---- what may end with something else than a kernel is waited for ---- */

static void conv_forward(struct conv *c, const struct tensor *y, const struct tensor *x, const float *w, const float *b, int shards)
{
    ops->conv_forward(c, y, x, w, b, shards);
    device_wait();
}
static void conv_backward_data(struct conv *c, const struct tensor *dx, const struct tensor *dy, const float *w, int shards)
{
    ops->conv_backward_data(c, dx, dy, w, shards);
    device_wait();
}
static void conv_backward_weights(struct conv *c, float *dw, float *db, const struct tensor *x, const struct tensor *dy, int shards)
{
    ops->conv_backward_weights(c, dw, db, x, dy, shards);
    device_wait();
}
static void linear_forward(struct linear *l, const struct tensor *y, const struct tensor *x, const float *w, const float *b, int shards)
{
    ops->linear_forward(l, y, x, w, b, shards);
    device_wait();
}
static void linear_backward_data(struct linear *l, const struct tensor *dx, const struct tensor *dy, const float *w, int shards)
{
    ops->linear_backward_data(l, dx, dy, w, shards);
    device_wait();
}
static void linear_backward_weights(struct linear *l, float *dw, float *db, const struct tensor *x, const struct tensor *dy, int shards)
{
    ops->linear_backward_weights(l, dw, db, x, dy, shards);
    device_wait();
}
static void norm_sums(double *sum, double *squares, const struct tensor *x)
{
    ops->norm_sums(sum, squares, x);
    device_wait();
}
static void norm_backward_sums(double *sum_g, double *sum_gx, const struct tensor *dy, const struct tensor *dy2, const struct tensor *x, const struct tensor *y,
                               const float *mean, const float *inv_std, const float *scale, const float *shift, const float *row_scale, enum activation act)
{
    ops->norm_backward_sums(sum_g, sum_gx, dy, dy2, x, y, mean, inv_std, scale, shift, row_scale, act);
    device_wait();
}

static void compare(enum dtype dtype)
{
    struct ops waiting = *ops;
    waiting.conv_forward = conv_forward, waiting.conv_backward_data = conv_backward_data, waiting.conv_backward_weights = conv_backward_weights;
    waiting.linear_forward = linear_forward, waiting.linear_backward_data = linear_backward_data;
    waiting.linear_backward_weights = linear_backward_weights;
    waiting.norm_sums = norm_sums, waiting.norm_backward_sums = norm_backward_sums;
    struct backend b = {.name = "cuda", .ops = &waiting, .dtype = dtype, .layout = LAYOUT_NHWC, .first_layout = LAYOUT_NHWC, .threads = 1};
    double start = clock_s();
    tally = (struct tally){0};
    conv_cases_run(&b);
    printf("%s convolution: %ld compared, %ld failed, %.1f s\n", dtype == DTYPE_F32 ? "f32" : "bf16", tally.compared, tally.failed, clock_s() - start);
    sums_cases_run(&b);
    printf("%s with sums: %ld compared, %ld failed, %.1f s\n", dtype == DTYPE_F32 ? "f32" : "bf16", tally.compared, tally.failed, clock_s() - start);
    linear_cases_run(&b);
    printf("%s and linear: %ld compared, %ld failed\n", dtype == DTYPE_F32 ? "f32" : "bf16", tally.compared, tally.failed);
    kernel_cases_run(&b);
    printf("%s and kernels: %ld compared, %ld failed, %.1f s\n", dtype == DTYPE_F32 ? "f32" : "bf16", tally.compared, tally.failed, clock_s() - start);
    fflush(stdout);
    EXPECT(tally.compared > 1000 && (tally.failed == 0 || device_tf32()), "%ld comparisons, %ld failed", tally.compared, tally.failed);
}

static void test_recording(void)
{
    enum { STEPS = 6 };
    const size_t bytes = sizeof(float) * STEP_WEIGHTS;
    int bodies;
    float *plain = steps(ops, STEPS, true, false, &bodies), *recorded = steps(ops, STEPS, true, true, &bodies);
    EXPECT(bodies == 2 && !memcmp(plain, recorded, bytes), "a recorded step gives other bits (%d bodies)", bodies);
    for (int i = 0; i < 3; i++) {
        float *again = steps(ops, STEPS, true, true, &bodies), *without = steps(ops, STEPS, false, true, &bodies);
        EXPECT(!memcmp(plain, again, bytes), "the same steps gave other bits, time %d", i);
        EXPECT(!memcmp(plain, without, bytes), "without the bf16 twin other bits");
        mem_free(again), mem_free(without);
    }
    mem_free(plain), mem_free(recorded);
}

/* ---- ways of products as text, and back ---- */

static const struct matmul_spec products[] = {
    {.rows = 6, .columns = 32, .inner = 512, .a_transposed = true, .in = DTYPE_BF16, .bias = true},
    {.rows = 512, .columns = 6, .inner = 32, .b_transposed = true, .in = DTYPE_BF16},
    {.rows = 512, .columns = 32, .inner = 6, .in = DTYPE_BF16, .out = DTYPE_BF16},
    {.rows = 4096, .columns = 32, .inner = 512, .a_transposed = true, .in = DTYPE_BF16, .out = DTYPE_BF16, .bias = true, .relu = true},
    {.rows = 64, .columns = 32, .inner = 25088, .a_transposed = true, .in = DTYPE_BF16},
    {.rows = 6, .columns = 32, .inner = 512, .a_transposed = true, .bias = true},
    {.rows = 64, .columns = 32, .inner = 25088, .a_transposed = true},
};
enum { PRODUCTS = sizeof products / sizeof *products, PRODUCT_IN = 4096 * 512, PRODUCT_OUT = 4096 * 32 };

/* The results of all, one behind the other (mem_free). */
static char *multiply(const void *in)
{
    struct error err;
    const size_t bytes = sizeof(float) * PRODUCT_OUT;
    char *results = mem_zero(PRODUCTS * bytes);
    void *out = ops->alloc(bytes);
    for (int i = 0; i < PRODUCTS; i++) {
        const struct matmul_spec *s = &products[i];
        struct matmul *m = matmul_open(s, &err);
        if (!m) die_error(&err);
        matmul_run(m, out, in, in, s->bias ? in : NULL);
        ops->download(results + (size_t)i * bytes, out, dtype_bytes(s->out) * (size_t)(s->rows * s->columns));
        matmul_close(m);
    }
    ops->free(out);
    return results;
}

static void test_kept_ways(void)
{
    struct text kept = {0};
    struct error err = {0};
    char *other;
    float *values = values_normal(PRODUCT_IN, 0, 1, DTYPE_BF16); /* of bf16, two are numbers as good as any: 0 and a value */
    void *in = ops->alloc(sizeof *values * PRODUCT_IN);
    ops->upload(in, values, sizeof *values * PRODUCT_IN);
    char *first = multiply(in);
    matmul_choices_give(&kept);
    printf("%s", kept.data);
    matmul_choices_clear();
    EXPECT(choices_take(kept.data, kept.length, &other, &err) == 0 && !other, "%s", err.message);
    char *again = multiply(in);
    struct matmul_counts n = matmul_counts();
    EXPECT(n.products == PRODUCTS && n.taken == PRODUCTS, "%d products, %d the kept way", n.products, n.taken);
    EXPECT(!memcmp(first, again, PRODUCTS * sizeof(float) * PRODUCT_OUT), "the kept ways give other bits");
    mem_free(values), mem_free(first), mem_free(again);
    ops->free(in);
    text_free(&kept);
}

static void worst_errors(void)
{
    for (size_t i = 0; i < sizeof tolerances / sizeof *tolerances; i++)
        if (tolerances[i].compared)
            printf("  %-14s limit %4.1f, worst f32 %.2f bf16 %.2f\n", tolerances[i].name, tolerances[i].k, tolerances[i].worst[0], tolerances[i].worst[1]);
}

/* The card as cuDNN describes it. */
static int describe(const char *path)
{
    struct error err;
    struct dnn_target *t = dnn_target_from_device(device_facts()->index, &err);
    char *json = t ? dnn_target_json(t, &err) : NULL;
    CHECK(json && !file_write_atomic(path, json, strlen(json), &err), "%s", err.message);
    printf("%s\n", json);
    mem_free(json);
    dnn_target_close(t);
    return 0;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    bool tf32 = argc > 1 && !strcmp(argv[1], "tf32"), tune = argc > 1 && !strcmp(argv[1], "tune");
#ifdef CARD_EMULATED /* the test itself, tried without a card */
    fake_cuda_install();
    emulator_queue(fake_queue);
#endif
    setenv("CUDA_LAUNCH_BLOCKING", "1", 1); /* before CUDA is first called */
    ops = ops_cuda();
    if (ops->attach(0, &err)) {
        printf("skipped: %s\n", err.message);
        return SKIPPED;
    }
    printf("%s, compute capability %d.%d, driver %d, runtime %d\n", device_facts()->name, device_facts()->major, device_facts()->minor, device_facts()->driver,
           device_facts()->runtime);
    if (argc > 2 && !strcmp(argv[1], "describe")) return describe(argv[2]);
    plan_cache_open(&(struct plan_cache_options){.folder = "", .candidates = tune ? 4 : 1});
    device_set_tf32(tf32);
    test_recording(); /* in the card's own memory */
    test_kept_ways();
    managed_memory_start();
    compare(DTYPE_BF16);
    compare(DTYPE_F32);
    worst_errors();
    struct plan_cache_counts counts = plan_cache_counts();
    printf("%d plans\n", counts.made);
    cuda_close();
    return check_verdict();
}
