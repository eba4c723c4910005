/* ops_compare.h - a backend of the operations against their definition (ops_ref).
 *
 * A case is a function that makes its input from values_stream, calls operations of run->ops and adds their results. It is
 * run for ops_ref and for the backend with the same seed, so both meet the same numbers, already rounded to the backend's
 * dtype. A backend's tensors may have any layout and dtype: results are compared as plain floats.
 *
 * The limit of a result is  k * (eps(dtype) + eps(f32) * sqrt(length)) * rms(reference):  the first term is for storing it
 * in its dtype, the second for a sum of `length` terms in f32, which is what all backends sum in. The factors k stand in
 * tolerances[]; tests/tools/measure_tolerance.c measures them.
 */
#ifndef TESTS_OPS_COMPARE_H
#define TESTS_OPS_COMPARE_H
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "ops/cpu/cpu.h"
#include "tests/tools/ops_values.h"

/* ---- tolerances ---- */

struct tolerance {
    const char *name;
    double k;        /* limit */
    double worst[2]; /* seen so far, by dtype of the backend */
    long compared;
};
/* About twice the largest error measured with the kernels of every instruction set and with oneDNN under AVX2, AVX-512 and
 * AMX; plain sums in f32 need 1.4, storing as bf16 2.5. Exponentials are good to 2 units in the last place. 0: equality. */
static struct tolerance tolerances[] = {
    {.name = "conv y", .k = 6},           {.name = "conv dx", .k = 6},          {.name = "conv dweights", .k = 6},
    {.name = "conv sums", .k = 6},        {.name = "conv squares", .k = 6},     {.name = "conv variance", .k = 6},
    {.name = "conv dbias", .k = 6},       {.name = "conv weights", .k = 0},     {.name = "depthwise dw", .k = 6},
    {.name = "linear y", .k = 6},         {.name = "linear dx", .k = 6},        {.name = "linear dweights", .k = 6},
    {.name = "linear dbias", .k = 6},     {.name = "linear weights", .k = 0},   {.name = "norm sums", .k = 1},
    {.name = "norm y", .k = 10},          {.name = "norm g", .k = 6},           {.name = "silu y", .k = 20},
    {.name = "silu g", .k = 20},          {.name = "norm sum_g", .k = 8},       {.name = "norm sum_gx", .k = 12},
    {.name = "norm dx", .k = 8},          {.name = "maxpool y", .k = 0},        {.name = "maxpool dx", .k = 8},
    {.name = "avgpool y", .k = 4},        {.name = "avgpool dx", .k = 4},       {.name = "se y", .k = 6},
    {.name = "se save", .k = 4},          {.name = "se dx", .k = 6},            {.name = "se dw1", .k = 6},
    {.name = "se db1", .k = 6},           {.name = "se dw2", .k = 6},           {.name = "se db2", .k = 6},
    {.name = "relu dy", .k = 0},          {.name = "dropout y", .k = 4},        {.name = "add y", .k = 4},
    {.name = "input x", .k = 0},          {.name = "copy", .k = 0},
};

static inline struct tolerance *tolerance_of(const char *name)
{
    for (size_t i = 0; i < sizeof tolerances / sizeof *tolerances; i++)
        if (!strcmp(tolerances[i].name, name)) return &tolerances[i];
    die_at(__FILE__, __LINE__, NULL, "no tolerance for '%s'", name);
}

static inline double dtype_epsilon(enum dtype dtype) { return dtype == DTYPE_BF16 ? 0x1p-7 : FLT_EPSILON; }

/* ---- the count ---- */

struct tally {
    long compared, failed;
    bool quiet, one_is_enough; /* prints nothing; after a failure runs no more cases */
};
static struct tally tally;

/* ---- runs and their results ---- */

struct result {
    const char *name;
    double *values, *unit; /* unit: error = ratio * unit, for each value */
    size_t count;
};

enum { MAX_RESULTS = 64, MAX_SHARDS = 6 };
struct run {
    const struct ops *ops;
    const struct kernels *kernels; /* for what is not in struct ops; NULL in the reference */
    enum dtype dtype, values;      /* of its tensors; what input is rounded to */
    enum layout layout, first_layout;
    bool alone;                    /* shards run one by one */
    char text[240];                /* the case */
    struct result results[MAX_RESULTS];
    int count, strays;
};

static inline void run_text(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void run_text(struct run *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->text, sizeof r->text, format, args);
    va_end(args);
}

static inline struct result *result_new(struct run *r, const char *name, size_t count)
{
    ASSERT(r->count < MAX_RESULTS);
    struct result *result = &r->results[r->count++];
    *result = (struct result){name, NEW_ARRAY(double, count), NEW_ARRAY(double, count), count};
    return result;
}

/* Values stored as `stored`, each a sum of `length` terms. */
static inline void result_add(struct run *r, const char *name, const float *values, size_t count, enum dtype stored, double length)
{
    struct result *result = result_new(r, name, count);
    double squares = 0;
    for (size_t i = 0; i < count; i++) squares += (double)values[i] * values[i];
    double unit = (dtype_epsilon(stored) + FLT_EPSILON * sqrt(length)) * sqrt(squares / (double)(count ? count : 1));
    for (size_t i = 0; i < count; i++) result->values[i] = values[i], result->unit[i] = unit;
}
/* Padding lanes must be zero and channels beside a slice as they were. */
static inline void stray_check(struct run *r, const char *name, const struct tensor *t)
{
    if (!padding_is_zero(t)) {
        r->strays++;
        if (!tally.quiet) printf("%s: padding lanes are not zero: %s\n", name, r->text);
    }
    if (!neighbours_are_kept(t)) {
        r->strays++;
        if (!tally.quiet) printf("%s: wrote beside the slice: %s\n", name, r->text);
    }
}
/* `stored`: the dtype it has in the backend, in general r->values. */
static inline void result_tensor(struct run *r, const char *name, const struct tensor *t, enum dtype stored, double length)
{
    float *v = tensor_values(t);
    result_add(r, name, v, shape_count(shape_of(t)), stored, length);
    stray_check(r, name, t);
    mem_free(v);
}

static inline void run_end(struct run *r)
{
    for (int i = 0; i < r->count; i++) mem_free(r->results[i].values), mem_free(r->results[i].unit);
    r->count = 0;
}

/* ---- the comparison ---- */

struct backend {
    const char *name;
    const struct ops *ops;
    const struct kernels *kernels;
    enum dtype dtype;
    enum layout layout, first_layout;
    int threads; /* of the backend; the reference takes one: the cases are small */
    int also;    /* another number of threads, which must give the same bits; 0: none */
};
typedef void case_function(struct run *r, const void *spec);

static inline void compare_fail(const struct backend *b, const struct run *r, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static inline void compare_fail(const struct backend *b, const struct run *r, const char *what, const char *format, ...)
{
    static const char *const layouts[] = {"NCHW", "NHWC", "NCHW16C"};
    va_list args;
    tally.failed++;
    if (tally.quiet) return;
    printf("FAILED %s %s %s, %s of %s: ", b->name, b->dtype == DTYPE_F32 ? "f32" : "bf16", layouts[b->layout], what, r->text);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

static inline void compare_result(const struct backend *b, const struct run *r, const struct result *got, const struct result *want)
{
    struct tolerance *t = tolerance_of(want->name);
    size_t at = 0;
    double worst = 0;
    ASSERT(got->count == want->count && !strcmp(got->name, want->name));
    for (size_t i = 0; i < want->count; i++) {
        double error = fabs(got->values[i] - want->values[i]), ratio = error == 0 ? 0 : error / want->unit[i];
        if (!(ratio <= worst)) worst = isnan(ratio) ? INFINITY : ratio, at = i;
    }
    tally.compared++, t->compared++;
    t->worst[b->dtype] = fmax(t->worst[b->dtype], worst);
    if (worst > t->k)
        compare_fail(b, r, want->name, "[%zu of %zu] got %.9g, want %.9g, error %.3g is %.3g units, limit %.3g", at, want->count,
                     got->values[at], want->values[at], fabs(got->values[at] - want->values[at]), worst, t->k);
}

static inline void compare_bits(const struct backend *b, const struct run *r, const struct result *alone, const struct result *together,
                                const char *when)
{
    size_t differ = 0;
    for (size_t i = 0; i < together->count; i++) differ += memcmp(&alone->values[i], &together->values[i], sizeof(double)) != 0;
    tally.compared++;
    if (differ) compare_fail(b, r, together->name, "%zu of %zu values have other bits %s", differ, together->count, when);
}

/* One case: the backend against the reference, its shards together against each alone, and numbers of threads against each other. */
static inline void compare_case(const struct backend *b, case_function *f, const void *spec)
{
    struct run want = {.ops = &ops_ref, .dtype = DTYPE_F32, .values = b->dtype, .layout = LAYOUT_NCHW, .first_layout = LAYOUT_NCHW};
    struct run got = {.ops = b->ops, .kernels = b->kernels, .dtype = b->dtype, .values = b->dtype, .layout = b->layout, .first_layout = b->first_layout};
    struct run alone = got;
    alone.alone = true;
    struct run also = got;
    struct run *const runs[] = {&want, &got, &alone, &also};
    const int threads[] = {1, b->threads, b->threads, b->also};
    int count = b->also ? 4 : 3;
    static uint64_t seed;
    if (tally.one_is_enough && tally.failed) return;
    seed++;
    for (int i = 0; i < count; i++) {
        values_seed(seed);
        runs[i]->ops->open(threads[i]);
        f(runs[i], spec);
    }
    ASSERT(got.count == want.count && alone.count == want.count);
    for (int i = 0; i < want.count; i++) {
        compare_result(b, &got, &got.results[i], &want.results[i]);
        compare_bits(b, &got, &alone.results[i], &got.results[i], "when each shard runs alone");
        if (b->also) compare_bits(b, &got, &also.results[i], &got.results[i], "with another number of threads");
    }
    int strays = want.strays + got.strays + alone.strays + also.strays;
    if (strays) compare_fail(b, &got, "memory", "%d stray writes", strays);
    for (int i = 0; i < count; i++) run_end(runs[i]);
}
#endif
