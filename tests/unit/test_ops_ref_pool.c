/* test_ops_ref_pool.c - pooling and the operations element by element of the reference backend, against the plainest
 * definition and, for pooling, against slopes. Values are whole numbers, all different where a maximum is taken. */
#include <stdio.h>

#include "tests/tools/ops_gradient.h"

/* ---- pooling ---- */

struct pool_case {
    struct shape s;
    struct pool_spec p;
    int y_before, y_after;
    int out_h, out_w; /* of adaptive pooling */
};
static const struct pool_case max_cases[] = {
    {{3, 3, 6, 8}, {2, 2, 0}, 0, 0, 0, 0},  {{1, 17, 7, 5}, {3, 2, 1}, 0, 0, 0, 0}, {{1, 1, 4, 9}, {3, 1, 1}, 0, 0, 0, 0},
    {{3, 5, 5, 6}, {3, 2, 1}, 3, 2, 0, 0},  {{1, 40, 5, 7}, {2, 2, 0}, 0, 0, 0, 0}, {{2, 2, 11, 12}, {11, 1, 5}, 0, 1, 0, 0},
    {{0, 3, 6, 6}, {2, 2, 0}, 0, 0, 0, 0},  {{1, 1, 1, 1}, {3, 2, 1}, 0, 0, 0, 0},
};
static const struct pool_case average_cases[] = {
    {{3, 3, 6, 8}, {2, 2, 0}, 0, 0, 0, 0},   {{1, 17, 5, 7}, {2, 2, 0}, 4, 3, 0, 0}, {{2, 3, 7, 9}, {4, 1, 0}, 0, 0, 0, 0},
    {{3, 2, 2, 2}, {0, 0, 0}, 0, 0, 7, 7},   {{1, 3, 9, 5}, {0, 0, 0}, 0, 0, 7, 7},  {{2, 17, 7, 7}, {0, 0, 0}, 0, 2, 7, 7},
    {{3, 40, 4, 3}, {0, 0, 0}, 0, 0, 1, 1},  {{1, 2, 14, 14}, {0, 0, 0}, 0, 0, 7, 7}, {{1, 2, 5, 8}, {0, 0, 0}, 0, 0, 3, 2},
    {{0, 2, 5, 8}, {0, 0, 0}, 0, 0, 1, 1},
};

struct pool {
    const struct pool_case *c;
    bool max;
    struct tensor x, y;
    uint8_t *index;
    float *values, *r;
    size_t count, y_count;
};

static double pool_loss(void *context)
{
    struct pool *p = context;
    tensor_from_nchw(&p->x, p->values);
    if (p->max) ops_ref.maxpool_forward(&p->y, p->index, &p->x, &p->c->p);
    else ops_ref.avgpool_forward(&p->y, &p->x, &p->c->p);
    float *y = tensor_values(&p->y);
    double sum = weighted_sum(y, p->r, p->y_count);
    mem_free(y);
    return sum;
}

/* Is input position `in` inside the window of output `out`? torch.nn.AdaptiveAvgPool2d: [floor(o*I/O), ceil((o+1)*I/O)). */
static bool in_window(const struct pool_spec *p, int in, int out, int in_size, int out_size)
{
    if (p->kernel) return in >= out * p->stride - p->padding && in < out * p->stride - p->padding + p->kernel;
    return in >= floor((double)out * in_size / out_size) && in < ceil((out + 1.0) * in_size / out_size);
}

static void check_pool_forward(const char *name, const struct pool *p)
{
    const struct tensor *x = &p->x, *y = &p->y;
    size_t bad = 0, at = 0, plane = (size_t)(x->h * x->w);
    float *got = tensor_values(y);
    for (int i = 0; i < y->n * y->c; i++)
        for (int oh = 0; oh < y->h; oh++)
            for (int ow = 0; ow < y->w; ow++, at++) {
                double sum = 0, largest = -1e30, count = 0;
                for (int h = 0; h < x->h; h++)
                    for (int w = 0; w < x->w; w++) {
                        if (!in_window(&p->c->p, h, oh, x->h, y->h) || !in_window(&p->c->p, w, ow, x->w, y->w)) continue;
                        double v = p->values[(size_t)i * plane + (size_t)(h * x->w + w)];
                        sum += v, count++, largest = fmax(largest, v);
                    }
                bad += got[at] != (p->max ? (float)largest : (float)(sum / count));
            }
    EXPECT(bad == 0, "%s: %zu of %zu outputs differ from the definition", name, bad, p->y_count);
    EXPECT(neighbours_are_kept(y), "%s: wrote beside the slice", name);
    mem_free(got);
}

static void check_pool(const struct pool_case *c, bool max)
{
    char name[120];
    snprintf(name, sizeof name, "%s pool n%d c%d %dx%d k%d s%d p%d out %dx%d", max ? "max" : "average", c->s.n, c->s.c, c->s.h, c->s.w,
             c->p.kernel, c->p.stride, c->p.padding, c->out_h, c->out_w);
    struct shape out = {c->s.n, c->s.c, c->out_h, c->out_w};
    if (c->p.kernel) {
        out.h = conv_out_size(c->s.h, c->p.kernel, c->p.stride, c->p.padding);
        out.w = conv_out_size(c->s.w, c->p.kernel, c->p.stride, c->p.padding);
    }
    struct pool p = {.c = c, .max = max, .count = shape_count(c->s), .y_count = shape_count(out)};
    p.x = tensor_new(c->s, DTYPE_F32, LAYOUT_NCHW, 0, 0), p.y = tensor_new(out, DTYPE_F32, LAYOUT_NCHW, c->y_before, c->y_after);
    p.index = NEW_ARRAY(uint8_t, p.y_count);
    p.values = max ? values_different(p.count) : values_whole(p.count, 9, 0), p.r = values_whole(p.y_count, 3, 0);
    pool_loss(&p);
    check_pool_forward(name, &p);
    struct tensor dy = tensor_filled(p.r, out, DTYPE_F32, LAYOUT_NCHW, c->y_before, c->y_after);
    struct tensor dx = tensor_new(c->s, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    if (max) ops_ref.maxpool_backward(&dx, &dy, p.index, &c->p);
    else ops_ref.avgpool_backward(&dx, &dy, &c->p);
    /* A maximum is linear while no other value is reached: the step is 1/8. Means are rounded. */
    const struct loss loss = {pool_loss, &p, max ? 1.0 / 8 : 1, max ? 0 : 1e-4};
    check_gradient(name, &loss, p.values, dx.data, p.count);
    tensor_delete(&p.x), tensor_delete(&p.y), tensor_delete(&dx), tensor_delete(&dy);
    mem_free(p.index), mem_free(p.values), mem_free(p.r);
}

/* Of equal values the first in row-major order wins and gets all of the sensitivity. */
static void check_ties(void)
{
    const float ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const float want[16] = {2, 0, 2, 0, 0, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0, 0}, want_padded[16] = {2, 2, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    const float two[4] = {2, 2, 2, 2};
    const struct pool_spec halves = {2, 2, 0}, padded = {3, 2, 1};
    uint8_t index[4];
    struct tensor x = tensor_filled(ones, (struct shape){1, 1, 4, 4}, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    struct tensor y = tensor_new((struct shape){1, 1, 2, 2}, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    struct tensor dy = tensor_filled(two, (struct shape){1, 1, 2, 2}, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    ops_ref.maxpool_forward(&y, index, &x, &halves);
    ops_ref.maxpool_backward(&x, &dy, index, &halves);
    EXPECT(memcmp(x.data, want, sizeof want) == 0, "ties in 2x2 windows");
    tensor_from_nchw(&x, ones);
    ops_ref.maxpool_forward(&y, index, &x, &padded);
    EXPECT(index[0] == 4 && index[1] == 3 && index[2] == 1 && index[3] == 0, "positions in padded windows: %d %d %d %d", index[0], index[1],
           index[2], index[3]);
    ops_ref.maxpool_backward(&x, &dy, index, &padded);
    EXPECT(memcmp(x.data, want_padded, sizeof want_padded) == 0, "ties in padded 3x3 windows");
    tensor_delete(&x), tensor_delete(&y), tensor_delete(&dy);
}

/* ---- element by element ---- */

static void check_relu_and_add(struct shape s)
{
    size_t count = shape_count(s), bad = 0;
    float *a = values_whole(count, 2, 0), *b = values_whole(count, 2, 0);
    struct tensor ta = tensor_filled(a, s, DTYPE_F32, LAYOUT_NCHW, 0, 0), tb = tensor_filled(b, s, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    ops_ref.relu_backward(&ta, &tb);
    for (size_t i = 0; i < count; i++) bad += ((float *)ta.data)[i] != (b[i] > 0 ? a[i] : 0);
    EXPECT(bad == 0, "relu_backward: %zu of %zu differ", bad, count);
    tensor_from_nchw(&ta, a);
    ops_ref.add(&ta, &tb);
    for (size_t i = 0; i < count; i++) bad += ((float *)ta.data)[i] != a[i] + b[i];
    EXPECT(bad == 0, "add: %zu of %zu differ", bad, count);
    ops_ref.input(&ta, b);
    EXPECT(memcmp(ta.data, b, sizeof(float) * count) == 0, "input");
    tensor_delete(&ta), tensor_delete(&tb);
    mem_free(a), mem_free(b);
}

static void check_dropout(double p)
{
    enum { N = 3, IMAGE = 5000 };
    const struct shape s = {N, 50, 10, 10};
    const uint64_t key[N] = {7, 1ULL << 60, 7}, layer = 5;
    float *v = values_whole(N * IMAGE, 100, 0.5F);
    size_t bad = 0, dropped = 0;
    struct tensor x = tensor_filled(v, s, DTYPE_F32, LAYOUT_NCHW, 0, 0), y = tensor_new(s, DTYPE_F32, LAYOUT_NCHW, 0, 0);
    ops_ref.dropout(&y, &x, p, key, layer);
    for (int n = 0; n < N; n++) {
        struct random r = random_stream(key[n], RANDOM_DROPOUT, layer, 0);
        for (int e = 0; e < IMAGE; e++) {
            bool drop = random_u32_at(&r, (uint64_t)e) < p * 4294967296.0;
            bad += ((float *)y.data)[n * IMAGE + e] != (drop ? 0 : (float)(v[n * IMAGE + e] / (1 - p)));
            dropped += drop;
        }
    }
    EXPECT(bad == 0, "dropout %g: %zu differ", p, bad);
    EXPECT_NEAR((double)dropped / (N * IMAGE), p, 0.02);
    ops_ref.dropout(&x, &x, p, key, layer);
    EXPECT(memcmp(x.data, y.data, tensor_buffer_bytes(&x)) == 0, "dropout %g in place differs", p);
    tensor_delete(&x), tensor_delete(&y);
    mem_free(v);
}

int main(void)
{
    values_seed(4);
    ops_ref.open(1); /* thousands of tiny calls: waking threads would take longer than the sums */
    for (size_t i = 0; i < sizeof max_cases / sizeof *max_cases; i++) check_pool(&max_cases[i], true);
    for (size_t i = 0; i < sizeof average_cases / sizeof *average_cases; i++) check_pool(&average_cases[i], false);
    check_ties();
    check_relu_and_add((struct shape){3, 17, 5, 4});
    check_relu_and_add((struct shape){0, 3, 5, 4});
    check_dropout(0);
    check_dropout(0.2);
    check_dropout(0.5);
    return check_verdict();
}
