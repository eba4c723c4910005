/* test_cuda_layers.c - convolution and linear layers of ops_cuda on an emulated card (tests/tools/fake_cuda.h) do what ops_ref defines: the cases
 * of tests/tools/ops_cases_*.h, f32 and bf16; parameters in an arena; recordings; what is left behind. With the tests folder as its argument
 * cuDNN is asked for a plan of every graph met, on an H200; with "compiled" behind it also for one in four of those that need its compiler (which
 * needs the driver or its stub). */
#include "base/file.h"
#include "ops/cuda/backend.h"
#include "ops/cuda/cuda_device.h"
#include "ops/cuda/dnn_graph.h"
#include "ops/cuda/plan_cache.h"
#include "tests/cuda/emulator.h"
#include "tests/tools/cuda_steps.h"
#include "tests/tools/fake_cuda.h"
#include "tests/tools/ops_cases_kernels.h"
#include "tests/tools/ops_cases_layers.h"
#include "tests/tools/ops_cases_sums.h"
#include "tests/unit/check.h"

static const struct ops *ops;

static struct backend backend_of(enum dtype dtype)
{
    return (struct backend){.name = "cuda, emulated", .ops = ops, .dtype = dtype, .layout = ops->layout(dtype),
                            .first_layout = ops->input_layout(dtype), .threads = 1};
}

static void compare(enum dtype dtype)
{
    const struct backend b = backend_of(dtype);
    conv_cases_run(&b);
    sums_cases_run(&b);
    linear_cases_run(&b);
    kernel_cases_run(&b); /* the table's way to the kernels; they have tests of their own */
}

static void test_the_cases(void)
{
    tally = (struct tally){0};
    compare(DTYPE_F32);
    EXPECT(fake_cuda.statistics == 0, "%ld sums taken by convolutions of f32", fake_cuda.statistics);
    compare(DTYPE_BF16);
    EXPECT(fake_cuda.statistics > 3 * 2 * SUMS_CASES_FUSED, "%ld sums taken by convolutions", fake_cuda.statistics);
    EXPECT(tally.compared > 1000 && tally.failed == 0, "%ld comparisons, %ld failed", tally.compared, tally.failed);
    EXPECT(fake_cuda.runs > 1000 && fake_cuda.products > 100, "%ld runs of plans, %ld products", fake_cuda.runs, fake_cuda.products);
    printf("%ld comparisons, %ld runs of %d plans, %ld products\n", tally.compared, fake_cuda.runs, plan_cache_counts().made, fake_cuda.products);
    fake_cuda.wrong = true;
    tally = (struct tally){.quiet = true, .one_is_enough = true};
    compare(DTYPE_BF16);
    EXPECT(tally.failed > 0, "wrong convolutions passed the comparison");
    fake_cuda.wrong = false, fake_cuda.rough = true;
    tally = (struct tally){.quiet = true};
    const struct backend b = backend_of(DTYPE_BF16);
    sums_cases_run(&b);
    EXPECT(tally.failed >= SUMS_CASES_FUSED, "rough sums passed the comparison: %ld failed", tally.failed);
    fake_cuda.rough = false;
}

/* ---- recordings ---- */

static void test_recording(void)
{
    enum { STEPS = 5, COUNT = STEP_WEIGHTS };
    int bodies;
    long captures = fake_cuda.captures, launches = fake_cuda.launches;
    float *plain = steps(ops, STEPS, true, false, &bodies);
    EXPECT(bodies == STEPS && fake_cuda.captures == captures, "captured although it is off");
    float *recorded = steps(ops, STEPS, true, true, &bodies);
    EXPECT(bodies == 2 && fake_cuda.captures == captures + 1 && fake_cuda.launches == launches + STEPS - 1, "%d bodies, %ld captures, %ld launches",
           bodies, fake_cuda.captures - captures, fake_cuda.launches - launches);
    float *without = steps(ops, STEPS, false, true, &bodies), *less = steps(ops, STEPS - 1, true, true, &bodies);
    EXPECT(!memcmp(plain, recorded, sizeof(float) * COUNT), "a recorded step does other things");
    EXPECT(!memcmp(plain, without, sizeof(float) * COUNT), "the bf16 twin is not what rounding gives");
    EXPECT(memcmp(plain, less, sizeof(float) * COUNT), "the last step did nothing");
    EXPECT(fake_cuda.graphs == 0, "%ld graphs are left", fake_cuda.graphs);
    mem_free(plain), mem_free(recorded), mem_free(without), mem_free(less);
}

static int bumps;
static void grow_body(void *context)
{
    float *where = *(float **)context;
    bumps++;
    ops->copy(where + 1, where, sizeof *where);
}

/* What a recording uses stays where it is when shared buffers grow. */
static void test_growing(void)
{
    struct recording *r = NULL;
    float *buffer = device_scratch(SCRATCH_Y, 1 << 20), *grown = buffer;
    for (int i = 0; i < 2; i++) ops->replay(&r, grow_body, &buffer);
    for (size_t mib = 2; grown == buffer; mib *= 2) grown = device_scratch(SCRATCH_Y, mib << 20);
    buffer[0] = 3;
    ops->replay(&r, grow_body, &buffer);
    EXPECT(bumps == 2 && buffer[1] == 3, "%d bodies, %g", bumps, buffer[1]);
    ops->recording_free(r);
    ops->recording_free(NULL);
}

static void test_memory(void)
{
    enum { BYTES = 20 << 20 };
    char *host = mem_alloc(BYTES), *back = mem_zero(BYTES), *there = ops->alloc(BYTES);
    int dirty = 0;
    for (int i = 0; i < BYTES; i++) dirty += there[i] != 0;
    EXPECT(dirty == 0, "fresh memory is not zero");
    for (int i = 0; i < BYTES; i++) host[i] = (char)(i * 7 + i / 4096);
    ops->upload(there, host, BYTES);
    ops->download(back, there, BYTES);
    EXPECT(!memcmp(host, back, BYTES), "upload and download");
    device_zero(there + 5, 100);
    ops->download(back, there, 200);
    EXPECT(back[4] == host[4] && back[5] == 0 && back[104] == 0 && back[105] == host[105], "zero");
    EXPECT(ops->alloc((size_t)1 << 40) == NULL && ops->room() > 0, "more than there is");
    ops->free(there), ops->free(NULL);
    mem_free(host), mem_free(back);
}

static void test_describe(void)
{
    const struct conv_spec spec = {.in_c = 16, .out_c = 8, .in_h = 4, .in_w = 4, .kernel = 1, .stride = 1, .groups = 1, .dtype = DTYPE_BF16};
    struct error err = {0};
    char text[100];
    struct conv *c = ops->conv_create(&spec, 2, true, NULL, &err);
    ops->conv_describe(c, text, sizeof text);
    EXPECT(!strcmp(text, "cuDNN 7t / dx 7t / dw 7t"), "%s", text);
    struct conv_spec summed = spec;
    summed.sums_c_total = 32;
    struct conv *with_sums = ops->conv_create(&summed, 2, true, c, &err), *later = ops->conv_create(&summed, 2, false, c, &err);
    ops->conv_describe(with_sums, text, sizeof text);
    EXPECT(!strcmp(text, "cuDNN 7t / sums 7t / dx 7t / dw 7t"), "%s", text);
    ops->conv_describe(later, text, sizeof text);
    EXPECT(!strcmp(text, "cuDNN 7t"), "%s", text);
    ops->conv_close(with_sums), ops->conv_close(later);
    ops->conv_describe(c, text, 8);
    EXPECT(strlen(text) == 7 || !strcmp(text, "cuDNN 7"), "%s", text);
    ops->conv_close(c), ops->conv_close(NULL), ops->linear_close(NULL);
    EXPECT(!ops->conv_create(&(struct conv_spec){.in_c = 8, .out_c = 8, .groups = 2, .kernel = 1, .stride = 1}, 1, true, NULL, &err), "two groups");
}

/* The network's input may be stored with its channels rounded up already. */
static void test_input_lanes(void)
{
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        const struct conv_spec spec = {.in_c = 3, .out_c = 16, .in_h = 8, .in_w = 6, .kernel = 3, .stride = 2, .padding = 1, .groups = 1, .first = true, .dtype = (enum dtype)dtype};
        struct error err = {0};
        int lanes = dtype == DTYPE_BF16 ? 8 : 4;
        struct conv *c = ops->conv_create(&spec, 2, true, NULL, &err);
        size_t count = ops->conv_weight_count(c);
        EXPECT(count == (size_t)(16 * 9 * lanes), "%zu weights", count);
        float *x = values_normal(2 * 3 * 8 * 6, 0, 1, DTYPE_BF16), *outside = values_normal(16 * 3 * 9, 0, 1, DTYPE_BF16), *w = NEW_ARRAY(float, count);
        float *dw[2] = {NEW_ARRAY(float, count), NEW_ARRAY(float, count)};
        struct tensor narrow = tensor_filled(x, (struct shape){2, 3, 8, 6}, spec.dtype, LAYOUT_NHWC, 0, 0), wide = narrow, y[2];
        wide.c_total = lanes;
        wide.data = mem_zero(tensor_buffer_bytes(&wide));
        tensor_from_nchw(&wide, x);
        ops->conv_weight_import(c, w, outside);
        for (int i = 0; i < 2; i++) {
            y[i] = tensor_new((struct shape){2, 16, 4, 3}, spec.dtype, LAYOUT_NHWC, 0, 0);
            ops->conv_forward(c, &y[i], i ? &wide : &narrow, w, NULL, 1);
            ops->conv_backward_weights(c, dw[i], NULL, i ? &wide : &narrow, &y[i], 1);
        }
        EXPECT(!memcmp(y[0].data, y[1].data, tensor_buffer_bytes(&y[0])) && !memcmp(dw[0], dw[1], sizeof(float) * count), "rounded input gives other results");
        EXPECT(ops->layout(spec.dtype) == LAYOUT_NHWC, "layout");
        ops->conv_close(c);
        tensor_delete(&narrow), tensor_delete(&wide), tensor_delete(&y[0]), tensor_delete(&y[1]);
        mem_free(x), mem_free(outside), mem_free(w), mem_free(dw[0]), mem_free(dw[1]);
    }
}

/* Of an image count that is met later, only what runs is asked for. */
static void test_other_counts(void)
{
    const struct conv_spec spec = {.in_c = 24, .out_c = 40, .in_h = 5, .in_w = 5, .kernel = 1, .stride = 1, .groups = 1, .dtype = DTYPE_BF16};
    struct error err = {0};
    int before = plan_cache_counts().asked;
    struct conv *c = ops->conv_create(&spec, 2, true, NULL, &err), *same = ops->conv_create(&spec, 2, true, c, &err);
    EXPECT(plan_cache_counts().asked == before + 3, "%d plans", plan_cache_counts().asked - before);
    struct tensor x = tensor_new((struct shape){3, 24, 5, 5}, DTYPE_BF16, LAYOUT_NHWC, 0, 0), y = tensor_new((struct shape){3, 40, 5, 5}, DTYPE_BF16, LAYOUT_NHWC, 0, 0);
    float *w = NEW_ARRAY(float, ops->conv_weight_count(c));
    ops->conv_forward(c, &y, &x, w, NULL, 1);
    EXPECT(plan_cache_counts().asked == before + 4, "%d plans", plan_cache_counts().asked - before);
    ops->conv_close(c), ops->conv_close(same);
    tensor_delete(&x), tensor_delete(&y);
    mem_free(w);
}

static void refused(const char *words, const char *hint)
{
    struct error err = {0};
    EXPECT(ops_cuda()->attach(0, &err) && strstr(err.message, words) && strstr(err.hint, hint) && !cuda_is_open(), "'%s', hint '%s'", err.message, err.hint);
}

static void test_refusals(void)
{
    fake_cuda.driver = 0;
    refused("no NVIDIA driver", "--gres");
    fake_cuda.driver = 12040;
    refused("too old: it runs CUDA 12.4", "newer driver");
    fake_cuda.driver = 13000, fake_cuda.cards = 0;
    refused("shows this process none", "CUDA_VISIBLE_DEVICES");
    fake_cuda.cards = 1, fake_cuda.major = 7;
    refused("compute capability 7.0", "A100");
    fake_cuda.major = 9, fake_cuda.room = 1 << 20;
    refused("out of memory", "another process");
    fake_cuda.room = (size_t)4 << 30;
    struct error err = {0};
    EXPECT(cuda_open(1, &err) && strstr(err.message, "GPU 1 is asked for, this process sees 1"), "%s", err.message);
}

/* The real runtime on a machine without a driver: an answer, not a crash. */
static void test_this_machine(void)
{
    struct error err = {0};
    if (!ops_cuda()->attach(0, &err)) {
        printf("this machine has a GPU: %s\n", device_facts()->name);
        cuda_close();
        return;
    }
    printf("this machine: %s\n  hint: %s\n", err.message, err.hint);
    EXPECT(strstr(err.message, "no GPU") || strstr(err.message, "driver"), "%s", err.message);
}

static void ask_for_plans(const char *tests_folder)
{
    struct error err = {0};
    uint8_t *json;
    size_t bytes;
    char *name = path_join(tests_folder, "gpu/h200-deviceprop.json");
    CHECK(file_read(&json, &bytes, name, &err) == 0, "%s", err.message);
    fake_cuda.target = dnn_target_from_json((char *)json, &err);
    CHECK(fake_cuda.target, "%s", err.message);
    mem_free(json);
    mem_free(name);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    test_this_machine();
    fake_cuda_install();
    emulator_queue(fake_queue);
    if (argc > 1) ask_for_plans(argv[1]);
    fake_cuda.compile = argc > 2;
    test_refusals();
    ops = ops_cuda();
    EXPECT(!ops->attach(0, &err), "%s", err.message);
    if (!cuda_is_open()) return check_verdict();
    EXPECT(cuda_open(0, &err) == 0 && cuda_open(1, &err) == -1, "opening again");
    test_memory();
    test_describe();
    test_input_lanes();
    test_other_counts();
    test_recording();
    test_growing();
    test_the_cases();
    cuda_close();
    cuda_close();
    if (fake_cuda.target) {
        printf("H200: %ld graphs served by the library, %ld asked of the compiler, %ld not served\n", fake_cuda.served, fake_cuda.compiled, fake_cuda.unserved);
        EXPECT(fake_cuda.unserved == 0 && fake_cuda.served > 100, "%ld graphs have no plan", fake_cuda.unserved);
        dnn_target_close(fake_cuda.target);
    }
    EXPECT(fake_cuda.blocks == 0 && fake_cuda.pinned == 0, "%ld blocks, %ld pinned are left", fake_cuda.blocks, fake_cuda.pinned);
    EXPECT(!ops->conv_create(&(struct conv_spec){.in_c = 8, .out_c = 8, .groups = 1, .kernel = 1, .stride = 1}, 1, true, NULL, &err), "on a closed card");
    return check_verdict();
}
