/* ctest: label=ops timeout=900 */
/* test_ops_cpu.c - the CPU backend does what ops_ref defines: every operation, odd shapes, f32 and bf16, all own kernels
 * that this CPU can run, and oneDNN once more as on a CPU without AVX-512 (other layout, other kernels). The cases are in
 * tests/tools/ops_cases_*.h; how far results may differ and why is said in tests/tools/ops_compare.h.
 *
 * Before that, ops_ref is compared with copies of itself that are a little wrong in one operation each: every comparison
 * must be able to fail.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tools/ops_backends.h"
#include "tests/unit/check.h"

/* ---- wrong operations ---- */

/* One value, in the middle, off by a thousandth of a usual value. */
static void nudge(float *values, size_t count)
{
    if (count) values[count / 2] += 1e-3F;
}
static void nudge_tensor(const struct tensor *t)
{
    float *v = tensor_values(t);
    nudge(v, shape_count(shape_of(t)));
    tensor_from_nchw(t, v);
    mem_free(v);
}

static void wrong_conv_forward(struct conv *c, const struct tensor *y, const struct tensor *x, const float *w, const float *b, int shards)
{
    ops_ref.conv_forward(c, y, x, w, b, shards);
    nudge_tensor(&y[0]);
}
static void wrong_conv_backward_data(struct conv *c, const struct tensor *dx, const struct tensor *dy, const float *w, int shards)
{
    ops_ref.conv_backward_data(c, dx, dy, w, shards);
    nudge_tensor(&dx[shards - 1]);
}
static void wrong_conv_backward_weights(struct conv *c, float *dw, float *db, const struct tensor *x, const struct tensor *dy, int shards)
{
    ops_ref.conv_backward_weights(c, dw, db, x, dy, shards);
    nudge(db ? db : dw, 1);
}
static void wrong_linear_forward(struct linear *l, const struct tensor *y, const struct tensor *x, const float *w, const float *b, int shards)
{
    ops_ref.linear_forward(l, y, x, w, b, shards);
    nudge_tensor(&y[0]);
}
static void wrong_linear_backward_data(struct linear *l, const struct tensor *dx, const struct tensor *dy, const float *w, int shards)
{
    ops_ref.linear_backward_data(l, dx, dy, w, shards);
    nudge_tensor(&dx[0]);
}
static void wrong_linear_backward_weights(struct linear *l, float *dw, float *db, const struct tensor *x, const struct tensor *dy, int shards)
{
    ops_ref.linear_backward_weights(l, dw, db, x, dy, shards);
    nudge(dw, 1);
}
/* Right but for the order of the sum: in turn instead of by the tree. */
static void in_turn_conv_backward_weights(struct conv *c, float *dw, float *db, const struct tensor *x, const struct tensor *dy, int shards)
{
    size_t count = ops_ref.conv_weight_count(c);
    float *part = NEW_ARRAY(float, count);
    ops_ref.conv_backward_weights(c, dw, db, x, dy, shards);
    memset(dw, 0, sizeof(float) * count);
    for (int s = 0; s < shards; s++) {
        ops_ref.conv_backward_weights(c, part, NULL, &x[s], &dy[s], 1);
        for (size_t i = 0; i < count; i++) dw[i] += part[i];
    }
    mem_free(part);
}
static void wrong_norm_sums(double *sum, double *squares, const struct tensor *x)
{
    ops_ref.norm_sums(sum, squares, x);
    squares[0] *= 1 + 4e-6;
}
static void wrong_norm_forward(const struct tensor *y, const struct tensor *x, const struct tensor *residual, const float *scale,
                               const float *shift, const float *row_scale, enum activation act)
{
    ops_ref.norm_forward(y, x, residual, scale, shift, NULL, act == ACT_SILU ? ACT_NONE : act);
    (void)row_scale;
}
static void wrong_norm_backward_sums(double *sum_g, double *sum_gx, const struct tensor *dy, const struct tensor *dy2, const struct tensor *x,
                                     const struct tensor *y, const float *mean, const float *inv_std, const float *scale, const float *shift,
                                     const float *row_scale, enum activation act)
{
    ops_ref.norm_backward_sums(sum_g, sum_gx, dy, NULL, x, y, mean, inv_std, scale, shift, row_scale, act);
    (void)dy2;
}
static void wrong_norm_backward(const struct tensor *dx, const struct tensor *g, const struct tensor *x, const float *mean, const float *inv_std,
                                const float *scale, const float *mean_g, const float *mean_gx, const float *row_scale, bool add)
{
    ops_ref.norm_backward(dx, g, x, mean, inv_std, scale, mean_g, mean_gx, row_scale, false);
    (void)add;
}
static void wrong_maxpool_forward(const struct tensor *y, uint8_t *index, const struct tensor *x, const struct pool_spec *spec)
{
    ops_ref.maxpool_forward(y, index, x, spec);
    nudge_tensor(y);
}
static void wrong_maxpool_backward(const struct tensor *dx, const struct tensor *dy, const uint8_t *index, const struct pool_spec *spec)
{
    ops_ref.maxpool_backward(dx, dy, index, spec);
    nudge_tensor(dx);
}
static void wrong_avgpool_forward(const struct tensor *y, const struct tensor *x, const struct pool_spec *spec)
{
    ops_ref.avgpool_forward(y, x, spec);
    nudge_tensor(y);
}
static void wrong_avgpool_backward(const struct tensor *dx, const struct tensor *dy, const struct pool_spec *spec)
{
    ops_ref.avgpool_backward(dx, dy, spec);
    nudge_tensor(dx);
}
static void wrong_se_forward(const struct tensor *y, float *save, const struct tensor *x, const float *w1, const float *b1, const float *w2,
                             const float *b2, int squeeze)
{
    ops_ref.se_forward(y, save, x, w1, b1, w2, b2, squeeze);
    nudge(save, x->n > 0);
}
static void wrong_se_backward(const struct tensor *dx, float *dw1, float *db1, float *dw2, float *db2, const struct tensor *x,
                              const struct tensor *dy, const float *save, const float *w1, const float *w2, int squeeze, float *scratch)
{
    ops_ref.se_backward(dx, dw1, db1, dw2, db2, x, dy, save, w1, w2, squeeze, scratch);
    nudge(db2, 1);
}
static void wrong_relu_backward(const struct tensor *dy, const struct tensor *y)
{
    ops_ref.relu_backward(dy, y);
    nudge_tensor(dy);
}
static void wrong_dropout(const struct tensor *y, const struct tensor *x, double p, const uint64_t *row_key, uint64_t layer)
{
    ops_ref.dropout(y, x, p, row_key, layer + 1);
}
static void wrong_add(const struct tensor *y, const struct tensor *x)
{
    ops_ref.add(y, x);
    nudge_tensor(y);
}
static void wrong_input(const struct tensor *x, const float *nchw)
{
    ops_ref.input(x, nchw);
    nudge_tensor(x);
}
/* Writes what the network never reads, but a neighbour does. */
static void stray_relu_backward(const struct tensor *dy, const struct tensor *y)
{
    ops_ref.relu_backward(dy, y);
    if (dy->c_offset && dy->n) *(float *)dy->data = 0;
}

/* ---- the comparison can fail ---- */

typedef void cases_function(const struct backend *b);

/* Comparisons of ops_ref with `ops` that failed. */
static long failures_of(const struct ops *ops, cases_function *cases, bool quiet)
{
    const struct backend b = {.name = "copy of ref", .ops = ops, .layout = LAYOUT_NCHW, .first_layout = LAYOUT_NCHW, .threads = 1};
    tally = (struct tally){.quiet = quiet, .one_is_enough = quiet};
    cases(&b);
    return tally.failed;
}

static void check_the_comparison(void)
{
    struct ops wrong = ops_ref;
    cases_function *const all[] = {conv_cases_run, linear_cases_run, norm_cases_run, pool_cases_run, se_cases_run, element_cases_run};
    for (int i = 0; i < 6; i++)
        EXPECT(failures_of(&ops_ref, all[i], false) == 0 && tally.compared > 50, "ref against itself, family %d: %ld of %ld failed", i,
               tally.failed, tally.compared);
#define CHECK_WRONG(family, entry, function)                                                                   \
    do {                                                                                                       \
        wrong.entry = function;                                                                                \
        EXPECT(failures_of(&wrong, family##_cases_run, true) > 0, #function " passed the comparison");         \
        wrong.entry = ops_ref.entry;                                                                           \
    } while (0)
    CHECK_WRONG(conv, conv_forward, wrong_conv_forward);
    CHECK_WRONG(conv, conv_backward_data, wrong_conv_backward_data);
    CHECK_WRONG(conv, conv_backward_weights, wrong_conv_backward_weights);
    CHECK_WRONG(conv, conv_backward_weights, in_turn_conv_backward_weights);
    CHECK_WRONG(linear, linear_forward, wrong_linear_forward);
    CHECK_WRONG(linear, linear_backward_data, wrong_linear_backward_data);
    CHECK_WRONG(linear, linear_backward_weights, wrong_linear_backward_weights);
    CHECK_WRONG(norm, norm_sums, wrong_norm_sums);
    CHECK_WRONG(norm, norm_forward, wrong_norm_forward);
    CHECK_WRONG(norm, norm_backward_sums, wrong_norm_backward_sums);
    CHECK_WRONG(norm, norm_backward, wrong_norm_backward);
    CHECK_WRONG(pool, maxpool_forward, wrong_maxpool_forward);
    CHECK_WRONG(pool, maxpool_backward, wrong_maxpool_backward);
    CHECK_WRONG(pool, avgpool_forward, wrong_avgpool_forward);
    CHECK_WRONG(pool, avgpool_backward, wrong_avgpool_backward);
    CHECK_WRONG(se, se_forward, wrong_se_forward);
    CHECK_WRONG(se, se_backward, wrong_se_backward);
    CHECK_WRONG(element, relu_backward, wrong_relu_backward);
    CHECK_WRONG(element, relu_backward, stray_relu_backward);
    CHECK_WRONG(element, dropout, wrong_dropout);
    CHECK_WRONG(element, add, wrong_add);
    CHECK_WRONG(element, input, wrong_input);
}

/* ---- the CPU backend ---- */

/* Deterministic: cut by the shape, and the same bits on any number of threads. */
static void compare_deterministic(int threads)
{
    ops_cpu()->tune(&(struct ops_tuning){.candidates = 1, .deterministic = true});
    compare_table_also(DTYPE_F32, threads, 1);
    if (ops_cpu()->has(DTYPE_BF16)) compare_table_also(DTYPE_BF16, threads, 1);
    ops_cpu()->tune(&(struct ops_tuning){.candidates = 1});
}

/* As on a CPU with AVX2 only: oneDNN reads its limit once, so it takes a process of its own. */
static void check_avx2_layers(void)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1);
        compare_table(DTYPE_F32, 2);
        compare_deterministic(2);
        printf("oneDNN with AVX2: %ld compared, %ld failed\n", tally.compared, tally.failed);
        fflush(stdout);
        _exit(tally.failed != 0 || tally.compared == 0);
    }
    int status = -1;
    EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0, "oneDNN with AVX2: status %d", status);
}

/* Threads that wait must sleep: there are thousands of small calls, and test machines have few cores. OpenMP reads this once,
 * when the program is loaded. */
static void wait_asleep(char **argv)
{
    if (getenv("OMP_WAIT_POLICY")) return;
    setenv("OMP_WAIT_POLICY", "passive", 1);
    execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    (void)argc;
    wait_asleep(argv);
    check_avx2_layers(); /* before this process has threads */
    check_the_comparison();
    tally = (struct tally){0};
    compare_everything(2);
    compare_table(DTYPE_F32, 3);
    compare_kernels(kernels_pick(), DTYPE_F32, ops_cpu()->layout(DTYPE_F32), 1);
    compare_deterministic(3);
    EXPECT(tally.compared > 10000 && tally.failed == 0, "%ld comparisons, %ld failed", tally.compared, tally.failed);
    printf("%ld comparisons\n", tally.compared);
    return check_verdict();
}
