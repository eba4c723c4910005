/* bench_kernels.c - how fast the own CPU kernels (ops/cpu/kernels.c) are, beside memcpy.
 *
 *   gcc -std=gnu11 -O2 -fopenmp -I. tests/tools/bench_kernels.c build/libladnn_core.a -ldnnl -lm -o bench_kernels
 *   ./bench_kernels [batch 16] [f32|bf16|all] [kernel name or all] [avx512|avx2|baseline|best]
 *
 * For each kernel, shape and thread count: ms, best of several runs; GB/s, where each operand counts once for each time it
 * must be read or written; the GB/s of memcpy on the same bytes (half read, half written) by the same threads between the
 * same runs; their ratio; and for depthwise weight gradients GFLOP/s. f32 is NCHW16C, bf16 is NHWC, as in training.
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/memory.h"
#include "ops/cpu/cpu.h"

static const struct kernels *k;
static struct pool_spec pool3 = {3, 2, 1}, pool2 = {2, 2, 0}, adaptive = {0, 0, 0};

struct bench {
    struct tensor x, y, dy, dx;         /* of one shape */
    struct tensor x_slice, dx_slice;    /* their channels in a buffer with 32 more */
    struct tensor half, d_half, global; /* of pooling's or a stride's output */
    float *p[6];                        /* of the channels */
    double *sum[2];
    uint8_t *index;
    float *picture, *w1, *w2, *dw, *save, *scratch;
    int squeeze;
};

static void run_norm_sums(struct bench *b) { k->ops.norm_sums(b->sum[0], b->sum[1], &b->x); }
static void run_forward(struct bench *b) { k->ops.norm_forward(&b->y, &b->x, NULL, b->p[0], b->p[1], NULL, ACT_RELU); }
static void run_forward_residual(struct bench *b) { k->ops.norm_forward(&b->y, &b->x, &b->dy, b->p[0], b->p[1], NULL, ACT_RELU); }
static void run_forward_silu(struct bench *b) { k->ops.norm_forward(&b->y, &b->x, NULL, b->p[0], b->p[1], NULL, ACT_SILU); }
static void run_forward_slice(struct bench *b) { k->ops.norm_forward(&b->y, &b->x_slice, NULL, b->p[0], b->p[1], NULL, ACT_RELU); }
static void backward_sums(struct bench *b, const struct tensor *dy2, const struct tensor *y, enum activation act)
{
    k->ops.norm_backward_sums(b->sum[0], b->sum[1], &b->dy, dy2, &b->x, y, b->p[2], b->p[3], b->p[0], b->p[1], NULL, act);
}
static void run_backward_sums(struct bench *b) { backward_sums(b, NULL, NULL, ACT_RELU); }
static void run_backward_sums_residual(struct bench *b) { backward_sums(b, &b->dx, &b->y, ACT_RELU); }
static void run_backward_sums_silu(struct bench *b) { backward_sums(b, NULL, NULL, ACT_SILU); }
static void run_backward(struct bench *b)
{
    k->ops.norm_backward(&b->dy, &b->dy, &b->x, b->p[2], b->p[3], b->p[0], b->p[4], b->p[5], NULL, false);
}
static void run_backward_slice(struct bench *b)
{
    k->ops.norm_backward(&b->dx_slice, &b->dy, &b->x_slice, b->p[2], b->p[3], b->p[0], b->p[4], b->p[5], NULL, true);
}
static void run_relu_backward(struct bench *b) { k->ops.relu_backward(&b->dy, &b->y); }
static void run_add(struct bench *b) { k->ops.add(&b->dy, &b->x); }
static void run_copy(struct bench *b) { k->copy(&b->x_slice, &b->y); }
static void run_maxpool(struct bench *b) { k->ops.maxpool_forward(&b->half, b->index, &b->x, b->x.w == 112 ? &pool3 : &pool2); }
static void run_maxpool_backward(struct bench *b)
{
    k->ops.maxpool_backward(&b->dx, &b->d_half, b->index, b->x.w == 112 ? &pool3 : &pool2);
}
static void run_avgpool(struct bench *b) { k->ops.avgpool_forward(&b->half, &b->x, &pool2); }
static void run_avgpool_backward(struct bench *b) { k->ops.avgpool_backward(&b->dx, &b->d_half, &pool2); }
static void run_global(struct bench *b) { k->ops.avgpool_forward(&b->global, &b->x, &adaptive); }
static void run_global_backward(struct bench *b) { k->ops.avgpool_backward(&b->dx, &b->global, &adaptive); }
static void run_se(struct bench *b) { k->ops.se_forward(&b->y, b->save, &b->x, b->w1, b->p[1], b->w2, b->p[2], b->squeeze); }
static void run_se_backward(struct bench *b)
{
    float *d = b->dw;
    size_t count = (size_t)b->x.c * (size_t)b->squeeze;
    float *db1 = d + count, *dw2 = db1 + b->squeeze, *db2 = dw2 + count;
    k->ops.se_backward(&b->dx, d, db1, dw2, db2, &b->x, &b->dy, b->save, b->w1, b->w2, b->squeeze, b->scratch);
}
static void run_depthwise_3(struct bench *b) { k->depthwise_backward_weights(b->dw, &b->x, &b->dy, 3, 1, 1); }
static void run_depthwise_5(struct bench *b) { k->depthwise_backward_weights(b->dw, &b->x, &b->dy, 5, 1, 2); }
static void run_depthwise_3s2(struct bench *b) { k->depthwise_backward_weights(b->dw, &b->x, &b->d_half, 3, 2, 1); }
static void run_depthwise_5s2(struct bench *b) { k->depthwise_backward_weights(b->dw, &b->x, &b->d_half, 5, 2, 2); }
static void run_dropout(struct bench *b)
{
    static const uint64_t keys[1024];
    k->ops.dropout(&b->global, &b->global, 0.5, keys, 1);
}
static void run_input(struct bench *b) { k->ops.input(&b->x, b->picture); }

/* ---- what is measured ---- */

enum { RESNET = 1, DENSENET = 2, EFFICIENTNET = 4, PICTURE = 8, STEM = 16, EVEN = 32, LAST = 64 };
static const struct shape { int c, h, w, tags; } shapes[] = {
    {64, 112, 112, RESNET | STEM}, {256, 56, 56, RESNET}, {512, 28, 28, RESNET}, {1024, 14, 14, RESNET}, {2048, 7, 7, RESNET | LAST},
    {128, 56, 56, DENSENET | EVEN}, {512, 28, 28, DENSENET | EVEN}, {1024, 7, 7, DENSENET},
    {32, 112, 112, EFFICIENTNET}, {96, 112, 112, EFFICIENTNET}, {144, 56, 56, EFFICIENTNET}, {240, 28, 28, EFFICIENTNET},
    {672, 14, 14, EFFICIENTNET}, {1152, 7, 7, EFFICIENTNET}, {1280, 7, 7, EFFICIENTNET | LAST}, {3, 224, 224, PICTURE},
};
static const struct item {
    const char *name;
    void (*run)(struct bench *b);
    int tags;           /* shapes that have any of them */
    double whole, half; /* tensors of x's shape and of a quarter that must be moved */
    int taps;           /* of a depthwise convolution; negative: stride 2 */
} items[] = {
    {"norm_sums", run_norm_sums, RESNET | EFFICIENTNET, 1, 0, 0},
    {"norm_forward_relu", run_forward, RESNET, 2, 0, 0},
    {"norm_forward_residual", run_forward_residual, RESNET, 3, 0, 0},
    {"norm_forward_silu", run_forward_silu, EFFICIENTNET, 2, 0, 0},
    {"norm_forward_slice", run_forward_slice, DENSENET, 2, 0, 0},
    {"norm_backward_sums_relu", run_backward_sums, RESNET, 3, 0, 0},
    {"norm_backward_sums_residual", run_backward_sums_residual, RESNET, 5, 0, 0},
    {"norm_backward_sums_silu", run_backward_sums_silu, EFFICIENTNET, 3, 0, 0},
    {"norm_backward", run_backward, RESNET | EFFICIENTNET, 3, 0, 0},
    {"norm_backward_slice_add", run_backward_slice, DENSENET, 4, 0, 0},
    {"maxpool", run_maxpool, STEM | EVEN, 1, 1, 0}, /* and the index, counted below */
    {"maxpool_backward", run_maxpool_backward, STEM | EVEN, 1, 1, 0},
    {"avgpool", run_avgpool, EVEN, 1, 1, 0},
    {"avgpool_backward", run_avgpool_backward, EVEN, 1, 1, 0},
    {"avgpool_global", run_global, LAST, 1, 0, 0},
    {"avgpool_global_backward", run_global_backward, LAST, 1, 0, 0},
    {"se_forward", run_se, EFFICIENTNET, 2, 0, 0}, /* a second read of x should come from a cache */
    {"se_backward", run_se_backward, EFFICIENTNET, 3, 0, 0},
    {"relu_backward", run_relu_backward, RESNET, 3, 0, 0},
    {"add", run_add, RESNET, 3, 0, 0},
    {"copy_to_slice", run_copy, DENSENET, 2, 0, 0},
    {"dropout", run_dropout, LAST, 0, 0, 0},
    {"input", run_input, PICTURE, 1, 0, 0},
    {"depthwise_3x3", run_depthwise_3, EFFICIENTNET, 2, 0, 9},
    {"depthwise_5x5", run_depthwise_5, EFFICIENTNET, 2, 0, 25},
    {"depthwise_3x3_s2", run_depthwise_3s2, EFFICIENTNET, 1, 1, -9},
    {"depthwise_5x5_s2", run_depthwise_5s2, EFFICIENTNET, 1, 1, -25},
};

/* ---- memory ---- */

static size_t buffers_count;
static void *buffers[64];

static void *buffer(size_t bytes)
{
    void *p = mem_alloc(bytes);
    buffers[buffers_count++] = p;
    memset(p, 0, bytes);
    return p;
}

static float *floats(size_t count, float low, float step)
{
    float *f = buffer(count * sizeof *f);
    for (size_t i = 0; i < count; i++) f[i] = low + step * (float)(i * 7919 % 97);
    return f;
}

static struct tensor filled(int n, int c, int h, int w, enum dtype dtype)
{
    struct tensor t = tensor_make(NULL, n, c, h, w, dtype, dtype == DTYPE_F32 ? LAYOUT_NCHW16C : LAYOUT_NHWC);
    size_t bytes = tensor_buffer_bytes(&t);
    t.data = buffer(bytes);
    for (size_t i = 0; i < bytes / dtype_bytes(dtype); i++) {
        float f = (float)(i * 7919 % 997) / 498.5f - 1;
        if (dtype == DTYPE_F32) ((float *)t.data)[i] = f;
        else ((uint16_t *)t.data)[i] = bf16_from_float(f);
    }
    return t;
}

static struct bench bench_open(const struct shape *s, int n, enum dtype dtype)
{
    struct bench b = {.squeeze = s->c / 24 + 1};
    struct tensor *same[] = {&b.x, &b.y, &b.dy, &b.dx};
    for (int i = 0; i < 4; i++) *same[i] = filled(n, s->c, s->h, s->w, dtype);
    struct tensor *slice[] = {&b.x_slice, &b.dx_slice};
    for (int i = 0; i < 2; i++) {
        *slice[i] = filled(n, s->c + 32, s->h, s->w, dtype);
        slice[i]->c = s->c;
    }
    b.half = filled(n, s->c, (s->h + 1) / 2, (s->w + 1) / 2, dtype);
    b.d_half = filled(n, s->c, (s->h + 1) / 2, (s->w + 1) / 2, dtype);
    b.global = tensor_make(buffer((size_t)n * (size_t)s->c * 4), n, s->c, 1, 1, dtype, LAYOUT_NHWC);
    size_t c = (size_t)s->c + 16, weights = c * 32 > c * (size_t)b.squeeze * 2 ? c * 32 : c * (size_t)b.squeeze * 3;
    for (int i = 0; i < 6; i++) b.p[i] = floats(c, 0.5f, i < 4 ? 1e-3f : 1e-6f);
    for (int i = 0; i < 2; i++) b.sum[i] = buffer(c * sizeof(double));
    b.index = buffer(tensor_buffer_bytes(&b.half));
    b.picture = floats((size_t)n * 3 * (size_t)s->h * (size_t)s->w, 0, 1e-2f);
    b.w1 = floats(weights, -1e-3f, 2e-5f);
    b.w2 = floats(weights, -1e-3f, 2e-5f);
    b.dw = buffer(weights * sizeof(float));
    b.save = buffer((size_t)n * 3 * c * sizeof(float));
    b.scratch = buffer((size_t)n * 2 * c * sizeof(float));
    return b;
}

static void bench_close(void)
{
    while (buffers_count > 0) mem_free(buffers[--buffers_count]);
}

/* ---- measuring ---- */

static double copy_s(char *to, const char *from, size_t bytes)
{
    double start = clock_s();
#pragma omp parallel
    {
        size_t t = (size_t)omp_get_thread_num(), threads = (size_t)omp_get_num_threads(), part = bytes / threads;
        memcpy(to + t * part, from + t * part, part);
    }
    return clock_s() - start;
}

static void measure(const struct item *item, struct bench *b, int threads)
{
    double elements = (double)b->x.n * b->x.c * b->x.h * b->x.w, small = (double)b->half.n * b->half.c * b->half.h * b->half.w;
    double bytes = (item->whole * elements + item->half * small) * (double)dtype_bytes(b->x.dtype);
    if (strncmp(item->name, "maxpool", 7) == 0) bytes += small;
    if (item->run == run_input) bytes += elements * 4;
    char *to = mem_alloc((size_t)(bytes / 2) + 64), *from = mem_alloc((size_t)(bytes / 2) + 64);
    memset(from, 1, (size_t)(bytes / 2) + 64);
    memset(to, 1, (size_t)(bytes / 2) + 64);
    omp_set_num_threads(threads);
    double best = 1e9, best_copy = 1e9, spent = 0;
    for (int i = 0; i < 5 || (spent < 0.15 && i < 200); i++) {
        double start = clock_s();
        item->run(b);
        double s = clock_s() - start, copy = copy_s(to, from, (size_t)(bytes / 2));
        if (s < best) best = s;
        if (copy < best_copy) best_copy = copy;
        spent += s + copy;
    }
    mem_free(to);
    mem_free(from);
    printf("%-28s %4d x %3d x %3d  %s  %d threads %8.3f ms", item->name, b->x.c, b->x.h, b->x.w,
           b->x.dtype == DTYPE_F32 ? "f32 " : "bf16", threads, best * 1e3);
    if (bytes > 0)
        printf(" %6.1f GB/s, memcpy %6.1f, ratio %4.2f", bytes / best / 1e9, bytes / best_copy / 1e9, best_copy / best);
    if (item->taps) printf(" %6.1f GFLOP/s", 2 * abs(item->taps) * (item->taps < 0 ? small : elements) / best / 1e9);
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 16;
    const char *dtypes = argc > 2 ? argv[2] : "all", *name = argc > 3 ? argv[3] : "all", *isa = argc > 4 ? argv[4] : "best";
    k = strcmp(isa, "avx2") == 0 ? &kernels_avx2 : strcmp(isa, "baseline") == 0 ? &kernels_baseline
        : strcmp(isa, "avx512") == 0 ? &kernels_avx512 : kernels_pick();
    printf("%s, batch %d\n", k->isa, n);
    for (int d = 0; d < 2; d++) {
        enum dtype dtype = d == 0 ? DTYPE_F32 : DTYPE_BF16;
        if (strcmp(dtypes, d == 0 ? "bf16" : "f32") == 0) continue;
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            struct bench b = bench_open(&shapes[s], n, dtype);
            for (size_t i = 0; i < sizeof items / sizeof *items; i++)
                if (items[i].tags & shapes[s].tags && (strcmp(name, "all") == 0 || strstr(items[i].name, name)))
                    for (int threads = 1; threads <= 2; threads++) measure(&items[i], &b, threads);
            bench_close();
        }
    }
    return 0;
}
