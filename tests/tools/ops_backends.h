/* ops_backends.h - which CPU backends can be compared on this machine: the table ops_cpu as it is, and the own kernels of
 * each instruction set in both layouts and both dtypes, whether ops_cpu would choose them here or not. */
#ifndef TESTS_OPS_BACKENDS_H
#define TESTS_OPS_BACKENDS_H
#include "tests/tools/ops_cases_kernels.h"
#include "tests/tools/ops_cases_layers.h"

/* The tables that this CPU can run: those up to the best. */
static inline int kernels_runnable(const struct kernels *all[3])
{
    static const struct kernels *const tables[3] = {&kernels_baseline, &kernels_avx2, &kernels_avx512};
    const struct kernels *best = kernels_pick();
    int count = 0;
    do all[count] = tables[count];
    while (all[count++] != best);
    return count;
}

/* All operations of the table ops_cpu, in its own layout. With `also` threads the bits must be the same. */
static inline void compare_table_also(enum dtype dtype, int threads, int also)
{
    struct backend b = {.name = "cpu", .ops = ops_cpu(), .kernels = kernels_pick(), .dtype = dtype, .layout = ops_cpu()->layout(dtype),
                        .first_layout = ops_cpu()->input_layout(dtype), .threads = threads, .also = also};
    conv_cases_run(&b);
    linear_cases_run(&b);
    kernel_cases_run(&b);
}
static inline void compare_table(enum dtype dtype, int threads) { compare_table_also(dtype, threads, 0); }

/* The kernels alone, where ops_cpu would not meet them: their bits never depend on the number of threads. */
static inline void compare_kernels(const struct kernels *k, enum dtype dtype, enum layout layout, int threads)
{
    struct ops ops = k->ops;
    ops.open = ops_cpu()->open;
    struct backend b = {.name = k->isa, .ops = &ops, .kernels = k, .dtype = dtype, .layout = layout, .first_layout = layout, .threads = threads, .also = 5};
    if (layout == LAYOUT_NCHW16C && dtype == DTYPE_F32) b.first_layout = LAYOUT_NCHW;
    kernel_cases_run(&b);
}

static inline void compare_everything(int threads)
{
    const struct kernels *all[3];
    int count = kernels_runnable(all);
    compare_table(DTYPE_F32, threads);
    if (ops_cpu()->has(DTYPE_BF16)) compare_table(DTYPE_BF16, threads);
    for (int i = 0; i < count; i++)
        for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
            compare_kernels(all[i], dtype, LAYOUT_NHWC, threads);
            compare_kernels(all[i], dtype, LAYOUT_NCHW16C, threads);
        }
}
#endif
