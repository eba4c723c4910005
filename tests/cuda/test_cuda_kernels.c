/* test_cuda_kernels.c - the CUDA kernels, compiled for the host (ops/cuda/cuda_host.h), do what ops_ref defines: the cases that every backend
 * meets, f32 and bf16, with threads and blocks in either order and the same bits. What the table of operations lacks is in
 * test_cuda_kernels_rest.c. Before that: the emulator refuses kernels that are wrong, and the comparison sees wrong results. */
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cuda/kernels_table.h"
#include "tests/tools/ops_cases_kernels.h"
#include "tests/tools/ops_cases_layers.h"
#include "tests/unit/check.h"

/* ---- the emulator ---- */

/* Does the probe end the process with an error? */
static bool dies(enum probe which)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int value;
        if (!freopen("/dev/null", "w", stderr)) _exit(0);
        probe_wrong(which, &value);
        _exit(0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static void check_the_emulator(void)
{
    for (int reverse = 0; reverse < 2; reverse++) {
        float sums[65] = {0};
        emulator_reverse(reverse);
        probe_sums(sums);
        for (int i = 0; i < 64; i++) EXPECT(sums[i] == (i < 32 ? 496 : 1520), "lane %d has %g", i, (double)sums[i]);
        EXPECT(sums[64] == 2016, "all threads have %g", (double)sums[64]);
    }
    EXPECT(dies(PROBE_ABSENT), "a thread that ends before a barrier was not noticed");
    EXPECT(dies(PROBE_TWO_BARRIERS), "threads at two barriers were not noticed");
    EXPECT(dies(PROBE_SHUFFLE), "a lane that misses a shuffle was not noticed");
    int forward = -1, backward = -1;
    emulator_reverse(false), probe_wrong(PROBE_RACE, &forward);
    emulator_reverse(true), probe_wrong(PROBE_RACE, &backward);
    EXPECT(forward == 63 && backward == 0, "the orders gave %d and %d", forward, backward);
}

/* ---- the comparison ---- */

/* One addition too many, in one thread of many. */
static void wrong_norm_sums(double *sum, double *sum_squares, const struct tensor *x)
{
    table_norm_sums(sum, sum_squares, x);
    sum[x->c - 1] += fabs(sum[x->c - 1]) * 1e-3;
}
/* What the order of threads decides. */
static void racing_add(const struct tensor *y, const struct tensor *x)
{
    int winner = 0;
    table_add(y, x);
    probe_wrong(PROBE_RACE, &winner);
    if (y->dtype == DTYPE_F32 && y->n) ((float *)y->data)[0] += (float)winner * 1e-7F;
}

static void check_the_comparison(void)
{
    struct ops wrong = table_ops;
    const struct backend b = {.name = "wrong", .ops = &wrong, .layout = LAYOUT_NHWC, .first_layout = LAYOUT_NHWC};
    wrong.norm_sums = wrong_norm_sums;
    tally = (struct tally){.quiet = true, .one_is_enough = true};
    norm_cases_run(&b);
    EXPECT(tally.failed > 0, "a wrong sum passed the comparison");
    wrong.add = racing_add;
    tally = (struct tally){.quiet = true, .one_is_enough = true};
    element_cases_run(&b);
    EXPECT(tally.failed > 0, "a race passed the comparison");
}

/* ---- depthwise convolution: the cases of all layers, and more with 8 channels a thread ---- */

static void depthwise_cases_run(const struct backend *b)
{
    static const struct conv_case more[] = {
        {DEPTHWISE(8, 15, 16, 3, 1, 1), &four_shards, 0, 0},  {DEPTHWISE(16, 16, 15, 3, 2, 1), &four_shards, 0, 0},
        {DEPTHWISE(24, 9, 17, 5, 1, 2), &four_shards, 8, 16}, {DEPTHWISE(40, 13, 14, 5, 2, 2), &four_shards, 0, 8},
        {DEPTHWISE(72, 1, 2, 5, 2, 2), &five_shards, 0, 0},   {DEPTHWISE(72, 2, 1, 3, 2, 1), &five_shards, 0, 0},
        {DEPTHWISE(8, 6, 5, 3, 1, 0), &one_shard, 0, 0},      {DEPTHWISE(8, 7, 6, 5, 2, 1), &one_shard, 0, 0},
        {DEPTHWISE(16, 112, 112, 3, 1, 1), &one_image, 0, 0},
    };
    size_t given = sizeof conv_cases / sizeof *conv_cases;
    for (size_t i = 0; i < given + sizeof more / sizeof *more; i++) {
        struct conv_case c = i < given ? conv_cases[i] : more[i - given];
        if (c.s.groups != c.s.in_c || c.s.in_c == 1) continue;
        compare_case(b, conv_case_run, &c);
        c.s.bias = true, c.s.relu = i % 2;
        compare_case(b, conv_case_run, &c);
    }
}

int main(void)
{
    check_the_emulator();
    check_the_comparison();
    tally = (struct tally){0};
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        const struct backend b = {.name = "kernels", .ops = &table_ops, .dtype = dtype, .layout = LAYOUT_NHWC, .first_layout = LAYOUT_NHWC};
        kernel_cases_run(&b);
        depthwise_cases_run(&b);
    }
    EXPECT(tally.compared > 1500 && tally.failed == 0, "%ld comparisons, %ld failed", tally.compared, tally.failed);
    printf("%ld comparisons\n", tally.compared);
    return check_verdict();
}
