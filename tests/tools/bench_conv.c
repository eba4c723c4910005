/* bench_conv.c - what a training step's convolutions and linear layers cost, network by network, without a graph.
 *
 *   gcc -std=c11 -D_GNU_SOURCE -O2 -fopenmp -I. tests/tools/bench_conv.c build/libladnn_core.a -ldnnl -lm -o bench_conv
 *   ./bench_conv [f32|bf16] [batch] [network|all] [slowest layers to list] [threads]
 *
 * Every distinct layer of the network runs alone on operands of its own, in all three directions, through ops_cpu; the
 * time counted is the best of several runs times the number of such layers. The sum bounds a training step from below.
 * With one thread it is the thread's CPU time, which a busy machine disturbs less.
 * `bound` is that sum measured on another machine (2 cores of an AMD EPYC with AVX-512, batch 8, f32).
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/memory.h"
#include "ops/ops.h"

struct layer {
    struct conv_spec conv; /* kernel 0: a linear layer */
    bool slice;            /* y is a slice of a dense block's buffer */
    int count;
    double seconds[3];     /* forward, backward data, backward weights; one layer */
    char implementation[160];
};
struct list {
    struct layer layer[400];
    int count;
    enum dtype dtype;
};

/* ---- networks ---- */

static void list_add(struct list *l, struct conv_spec spec, bool slice)
{
    for (int i = 0; i < l->count; i++) {
        struct layer *at = &l->layer[i];
        if (memcmp(&at->conv, &spec, sizeof spec) == 0 && at->slice == slice) {
            at->count++;
            return;
        }
    }
    l->layer[l->count++] = (struct layer){.conv = spec, .slice = slice, .count = 1};
}

/* Adds a square "same" convolution; returns the output's size. */
static int conv(struct list *l, int in_c, int out_c, int size, int kernel, int stride, bool depthwise, bool bias)
{
    struct conv_spec s;
    memset(&s, 0, sizeof s); /* padding bytes too: specs are compared as bytes */
    s.in_c = in_c;
    s.out_c = out_c;
    s.in_h = s.in_w = size;
    s.kernel = kernel;
    s.stride = stride;
    s.padding = kernel / 2;
    s.groups = depthwise ? in_c : 1;
    s.bias = s.relu = bias;
    s.first = in_c == 3;
    s.dtype = l->dtype;
    list_add(l, s, in_c == 128 && out_c == 32); /* DenseNet's growth */
    return conv_out_size(size, kernel, stride, kernel / 2);
}

static void linear(struct list *l, int in_c, int size, int out_c)
{
    struct conv_spec s;
    memset(&s, 0, sizeof s);
    s.in_c = in_c;
    s.out_c = out_c;
    s.in_h = s.in_w = size;
    s.dtype = l->dtype;
    list_add(l, s, false);
}

static void vgg16(struct list *l)
{
    static const int widths[] = {64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0};
    int c = 3, size = 224;
    for (int i = 0; i < 18; i++) {
        if (widths[i] == 0) {
            size /= 2;
            continue;
        }
        conv(l, c, widths[i], size, 3, 1, false, true);
        c = widths[i];
    }
    linear(l, 512, 7, 4096);
    linear(l, 4096, 1, 4096);
    linear(l, 4096, 1, 6);
}

static void resnet18(struct list *l)
{
    int c = 64, size = conv(l, 3, 64, 224, 7, 2, false, false) / 2;
    for (int block = 0; block < 8; block++) {
        int out = 64 << block / 2, stride = block % 2 == 0 && block > 0 ? 2 : 1;
        if (stride == 2) conv(l, c, out, size, 1, 2, false, false);
        size = conv(l, c, out, size, 3, stride, false, false);
        conv(l, out, out, size, 3, 1, false, false);
        c = out;
    }
    linear(l, 512, 1, 6);
}

static void resnet50(struct list *l)
{
    static const int blocks[] = {3, 4, 6, 3};
    int c = 64, size = conv(l, 3, 64, 224, 7, 2, false, false) / 2;
    for (int stage = 0; stage < 4; stage++)
        for (int b = 0; b < blocks[stage]; b++) {
            int width = 64 << stage, stride = b == 0 && stage > 0 ? 2 : 1;
            conv(l, c, width, size, 1, 1, false, false);
            if (b == 0) conv(l, c, 4 * width, size, 1, stride, false, false);
            size = conv(l, width, width, size, 3, stride, false, false);
            conv(l, width, 4 * width, size, 1, 1, false, false);
            c = 4 * width;
        }
    linear(l, 2048, 1, 6);
}

static void densenet(struct list *l, const int *blocks)
{
    int c = 64, size = conv(l, 3, 64, 224, 7, 2, false, false) / 2;
    for (int stage = 0; stage < 4; stage++) {
        for (int b = 0; b < blocks[stage]; b++, c += 32) {
            conv(l, c, 128, size, 1, 1, false, false);
            conv(l, 128, 32, size, 3, 1, false, false);
        }
        if (stage == 3) break;
        conv(l, c, c / 2, size, 1, 1, false, false);
        c /= 2;
        size /= 2;
    }
    linear(l, c, 1, 6);
}

static void densenet121(struct list *l) { densenet(l, (const int[]){6, 12, 24, 16}); }
static void densenet169(struct list *l) { densenet(l, (const int[]){6, 12, 32, 32}); }

static void efficientnet(struct list *l, const int *blocks)
{
    static const struct { int expand, kernel, stride, out; } stages[] = {
        {1, 3, 1, 16}, {6, 3, 2, 24}, {6, 5, 2, 40}, {6, 3, 2, 80}, {6, 5, 1, 112}, {6, 5, 2, 192}, {6, 3, 1, 320},
    };
    int c = 32, size = conv(l, 3, 32, 224, 3, 2, false, false);
    for (int s = 0; s < 7; s++)
        for (int b = 0; b < blocks[s]; b++) {
            int wide = c * stages[s].expand;
            if (wide != c) conv(l, c, wide, size, 1, 1, false, false);
            size = conv(l, wide, wide, size, stages[s].kernel, b == 0 ? stages[s].stride : 1, true, false);
            conv(l, wide, stages[s].out, size, 1, 1, false, false);
            c = stages[s].out;
        }
    conv(l, c, 1280, size, 1, 1, false, false);
    linear(l, 1280, 1, 6);
}

static void efficientnet_b0(struct list *l) { efficientnet(l, (const int[]){1, 2, 2, 3, 3, 4, 1}); }
static void efficientnet_b1(struct list *l) { efficientnet(l, (const int[]){2, 3, 3, 4, 4, 5, 2}); }

static const struct { const char *name; void (*add)(struct list *l); double bound; } networks[] = {
    {"vgg16", vgg16, 2.34},
    {"resnet18", resnet18, 20.4},
    {"resnet50", resnet50, 8.8},
    {"densenet121", densenet121, 12.3},
    {"densenet169", densenet169, 10.2},
    {"efficientnet_b0", efficientnet_b0, 50},
    {"efficientnet_b1", efficientnet_b1, 37.7},
};

/* ---- measurement ---- */

struct bench { /* one layer's operands */
    struct tensor x, y, dx, dy;
    float *weights, *dweights, *bias, *dbias;
    struct conv *conv;
    struct linear *linear;
};

static struct tensor operand(int n, int c, int h, int w, enum dtype dtype, enum layout layout, bool slice)
{
    struct tensor t = tensor_make(NULL, n, c, h, w, dtype, layout);
    if (slice) {
        t.c_total = c + 96;
        t.c_offset = 32;
    }
    t.data = mem_zero(tensor_buffer_bytes(&t));
    return t;
}

static void bench_open(struct bench *b, struct layer *l, int n)
{
    const struct conv_spec *s = &l->conv;
    enum layout layout = ops_cpu()->layout(s->dtype);
    struct error err;
    size_t count;
    memset(b, 0, sizeof *b);
    if (s->kernel == 0) {
        enum dtype out = s->out_c == 6 ? DTYPE_F32 : s->dtype;
        enum layout in = s->in_h == 1 ? LAYOUT_NHWC : layout;
        struct linear_spec spec = {s->in_c, s->in_h, s->in_w, s->out_c, s->out_c > 6, s->dtype, out, in};
        b->linear = ops_cpu()->linear_create(&spec, n, true, NULL, &err);
        if (b->linear == NULL) die_error(&err);
        count = ops_cpu()->linear_weight_count(b->linear);
        b->x = operand(n, s->in_c, s->in_h, s->in_w, s->dtype, in, false);
        b->y = operand(n, s->out_c, 1, 1, out, LAYOUT_NHWC, false);
    } else {
        b->conv = ops_cpu()->conv_create(s, n, true, NULL, &err);
        if (b->conv == NULL) die_error(&err);
        ops_cpu()->conv_describe(b->conv, l->implementation, sizeof l->implementation);
        count = ops_cpu()->conv_weight_count(b->conv);
        int h = conv_out_size(s->in_h, s->kernel, s->stride, s->padding);
        b->x = operand(n, s->in_c, s->in_h, s->in_w, s->dtype, s->first ? ops_cpu()->input_layout(s->dtype) : layout, false);
        b->y = operand(n, s->out_c, h, h, s->dtype, layout, l->slice);
    }
    b->dx = b->x;
    b->dx.data = mem_zero(tensor_buffer_bytes(&b->x));
    b->dy = b->y;
    b->weights = NEW_ARRAY(float, count);
    b->dweights = NEW_ARRAY(float, count);
    b->bias = NEW_ARRAY(float, s->out_c);
    b->dbias = NEW_ARRAY(float, s->out_c);
}

static void bench_close(struct bench *b)
{
    ops_cpu()->conv_close(b->conv);
    ops_cpu()->linear_close(b->linear);
    void *owned[] = {b->x.data, b->y.data, b->dx.data, b->weights, b->dweights, b->bias, b->dbias};
    for (int i = 0; i < 7; i++) mem_free(owned[i]);
}

static void bench_run(struct bench *b, int direction, bool bias)
{
    if (b->linear != NULL) {
        if (direction == 0) ops_cpu()->linear_forward(b->linear, &b->y, &b->x, b->weights, b->bias, 1);
        if (direction == 1) ops_cpu()->linear_backward_data(b->linear, &b->dx, &b->dy, b->weights, 1);
        if (direction == 2) ops_cpu()->linear_backward_weights(b->linear, b->dweights, b->dbias, &b->x, &b->dy, 1);
        return;
    }
    if (direction == 0) ops_cpu()->conv_forward(b->conv, &b->y, &b->x, b->weights, bias ? b->bias : NULL, 1);
    if (direction == 1) ops_cpu()->conv_backward_data(b->conv, &b->dx, &b->dy, b->weights, 1);
    if (direction == 2) ops_cpu()->conv_backward_weights(b->conv, b->dweights, bias ? b->dbias : NULL, &b->x, &b->dy, 1);
}

static double now_s(void)
{
    struct timespec t;
    if (omp_get_max_threads() > 1) return clock_s();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void measure(struct layer *l, int n)
{
    struct bench b;
    bench_open(&b, l, n);
    for (int direction = 0; direction < 3; direction++) {
        if (direction == 1 && l->conv.first) continue;
        double best = 1e9, spent = 0;
        for (int i = 0; i < 3 || (i < 15 && spent < 0.1); i++) {
            double start = now_s();
            bench_run(&b, direction, l->conv.bias);
            double took = now_s() - start;
            spent += took;
            if (took < best) best = took;
        }
        l->seconds[direction] = best;
    }
    bench_close(&b);
}

/* ---- report ---- */

static double layer_seconds(const struct layer *l) { return l->count * (l->seconds[0] + l->seconds[1] + l->seconds[2]); }

static int by_time(const void *a, const void *b)
{
    double d = layer_seconds(b) - layer_seconds(a);
    return (d > 0) - (d < 0);
}

static double layer_gflop(const struct conv_spec *s, int n) /* of one direction */
{
    if (s->kernel == 0) return 2e-9 * n * s->in_c * s->in_h * s->in_w * s->out_c;
    double h = conv_out_size(s->in_h, s->kernel, s->stride, s->padding);
    return 2e-9 * n * s->out_c * (s->in_c / s->groups) * s->kernel * s->kernel * h * h;
}

static void layer_print(const struct layer *l, int n)
{
    const struct conv_spec *s = &l->conv;
    double gflop = layer_gflop(s, n);
    printf("  %2dx %4d -> %4d  %3dx%-3d k%d s%d%s ", l->count, s->in_c, s->out_c, s->in_h, s->in_w, s->kernel, s->stride,
           s->groups > 1 ? " dw" : l->slice ? " sl" : "   ");
    for (int i = 0; i < 3; i++)
        printf(" %8.3f ms %5.0f GF/s", l->seconds[i] * 1e3, l->seconds[i] > 0 ? gflop / l->seconds[i] : 0);
    printf("  %s\n", l->implementation);
}

static bool slow_kind(const struct layer *l)
{
    return strstr(l->implementation, "ref") != NULL || strstr(l->implementation, "gemm") != NULL;
}

static void report(const char *name, double bound, struct list *l, int n, int slowest)
{
    double sum[3] = {0};
    for (int i = 0; i < l->count; i++)
        for (int d = 0; d < 3; d++) sum[d] += l->layer[i].count * l->layer[i].seconds[d];
    double total = sum[0] + sum[1] + sum[2];
    printf("%-16s %4s batch %d: forward %8.1f  backward data %8.1f  weights %8.1f  sum %8.1f ms = %6.1f images/s (bound %.1f)\n",
           name, l->dtype == DTYPE_F32 ? "f32" : "bf16", n, sum[0] * 1e3, sum[1] * 1e3, sum[2] * 1e3, total * 1e3, n / total,
           bound);
    qsort(l->layer, (size_t)l->count, sizeof l->layer[0], by_time);
    for (int i = 0; i < l->count; i++)
        if (i < slowest || slow_kind(&l->layer[i])) layer_print(&l->layer[i], n);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct list l;
    bool bf16 = argc > 1 && strcmp(argv[1], "bf16") == 0;
    int n = argc > 2 ? atoi(argv[2]) : 16, slowest = argc > 4 ? atoi(argv[4]) : 0;
    const char *which = argc > 3 ? argv[3] : "all";
    ops_cpu()->open(argc > 5 ? atoi(argv[5]) : 2);
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        if (strcmp(which, "all") != 0 && strcmp(which, networks[i].name) != 0) continue;
        l.count = 0;
        l.dtype = bf16 ? DTYPE_BF16 : DTYPE_F32;
        networks[i].add(&l);
        for (int k = 0; k < l.count; k++) measure(&l.layer[k], n);
        report(networks[i].name, networks[i].bound, &l, n, slowest);
    }
    return 0;
}
