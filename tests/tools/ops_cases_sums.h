/* ops_cases_sums.h - cases of ops_compare.h for convolutions that take the sums of what they write (conv_forward_sums, conv_forward_batch), against
 * conv_forward and norm_sums of ops_ref. Some have outputs whose mean is up to a hundred times their deviation: what the variance loses there. */
#ifndef TESTS_OPS_CASES_SUMS_H
#define TESTS_OPS_CASES_SUMS_H
#include "tests/tools/ops_cases_layers.h"

struct sums_case {
    struct conv_case conv;
    double mean; /* of x, whose deviation is 1: that of y's channels is as many times their deviation, times a normal number */
};
struct sums_operands {
    struct conv *conv;
    struct tensor x[MAX_SHARDS], y[MAX_SHARDS];
    float *weights;
    double *sums[MAX_SHARDS]; /* (2, out_c) */
};

/* Waits: what is there is the host's to read. */
static inline void forward_sums(const struct ops *ops, struct sums_operands *o, int first, int shards, int c)
{
    if (ops->conv_forward_sums) {
        ops->conv_forward_sums(o->conv, o->y + first, o->x + first, o->weights, o->sums + first, shards);
        ops->download(NULL, NULL, 0);
        return;
    }
    ops->conv_forward(o->conv, o->y + first, o->x + first, o->weights, NULL, shards);
    for (int s = first; s < first + shards; s++) ops->norm_sums(o->sums[s], o->sums[s] + c, &o->y[s]);
}

/* Of a shard: the two sums, and the variance that follows. Units: an error of 1e-6 of the sum, and what storing y in its dtype does to it, where each
 * value is off by up to eps / 2 of itself, independently: eps / sqrt(12) in the mean square. */
static inline void sums_results(struct run *r, const struct tensor *y, const double *sums)
{
    int channels = y->c, pixels = y->h * y->w, count = y->n * pixels;
    float *v = tensor_values(y);
    double eps = dtype_epsilon(r->values) / sqrt(12);
    struct result *sum = result_new(r, "conv sums", (size_t)channels), *squares = result_new(r, "conv squares", (size_t)channels);
    struct result *variance = result_new(r, "conv variance", (size_t)channels);
    for (int c = 0; c < channels; c++) {
        double absolute = 0, two = 0, four = 0, cross = 0, mean = count ? sums[c] / count : 0;
        for (int i = 0; i < count; i++) {
            double value = v[((size_t)(i / pixels) * (size_t)channels + (size_t)c) * (size_t)pixels + (size_t)(i % pixels)], square = value * value;
            absolute += fabs(value), two += square, four += square * square, cross += (value - mean) * (value - mean) * square;
        }
        sum->values[c] = sums[c], sum->unit[c] = 1e-6 * absolute + eps * sqrt(two);
        squares->values[c] = sums[channels + c], squares->unit[c] = 1e-6 * two + 2 * eps * sqrt(four);
        if (!count) continue;
        variance->values[c] = sums[channels + c] / count - mean * mean;
        variance->unit[c] = (1e-6 + eps * eps) * two / count + 2 * eps * sqrt(cross) / count;
    }
    mem_free(v);
}

/* conv_forward_batch is conv_forward_sums and norm_statistics. Channels before those of the convolution have sums already, as in DenseNet. */
static inline void batch_check(struct run *r, struct sums_operands *o, int c)
{
    enum { VALUES = 8, OLD = 3 };
    const int all = OLD + c;
    const double count = (double)o->y[0].n * o->y[0].h * o->y[0].w;
    double *sum[2];
    float *value[2], *y[2];
    for (int batch = 0; batch < 2; batch++) {
        float *at = value[batch] = NEW_ARRAY(float, VALUES * all);
        for (int i = 0; i < VALUES * all; i++) at[i] = 0.25F + (float)(i % 7);
        const struct norm_memory m = {at, at + all, at + 2 * all, at + 3 * all, at + 4 * all, at + 5 * all, at + 6 * all, at + 7 * all};
        const struct norm_spec spec = {all, 1e-5, 0.1};
        sum[batch] = NEW_ARRAY(double, 2 * all);
        for (int i = 0; i < OLD; i++) sum[batch][i] = i, sum[batch][all + i] = 50 * count;
        if (batch) {
            r->ops->conv_forward_batch(o->conv, o->y, o->x, o->weights, &m, &spec, sum[batch], sum[batch] + all, count);
        } else {
            forward_sums(r->ops, o, 0, 1, c);
            memcpy(sum[batch] + OLD, o->sums[0], sizeof(double) * (size_t)c);
            memcpy(sum[batch] + all + OLD, o->sums[0] + c, sizeof(double) * (size_t)c);
            r->ops->norm_statistics(&m, &spec, sum[batch], sum[batch] + all, count);
        }
        r->ops->download(NULL, NULL, 0);
        y[batch] = tensor_values(&o->y[0]);
    }
    bool same = !memcmp(sum[0], sum[1], sizeof(double) * 2 * (size_t)all) && !memcmp(value[0], value[1], sizeof(float) * VALUES * (size_t)all) &&
                !memcmp(y[0], y[1], sizeof(float) * shape_count(shape_of(&o->y[0])));
    if (!same) r->strays++;
    if (!same && !tally.quiet) printf("conv_forward_batch has other bits than conv_forward_sums: %s\n", r->text);
    for (int batch = 0; batch < 2; batch++) mem_free(sum[batch]), mem_free(value[batch]), mem_free(y[batch]);
}

static inline void sums_case_run(struct run *r, const void *spec)
{
    const struct sums_case *c = spec;
    const struct shards *shards = c->conv.shards;
    struct conv_spec s = c->conv.s;
    struct error err;
    struct sums_operands o;
    int count = shard_count(shards), taps = s.in_c / s.groups * s.kernel * s.kernel;
    s.dtype = r->dtype, s.sums_c_total = c->conv.before + s.out_c + c->conv.after;
    run_text(r, "conv with sums %d->%d %dx%d k%d s%d p%d g%d%s, %d images in %d shards, y at %d of %d, mean %g", s.in_c, s.out_c, s.in_h, s.in_w,
             s.kernel, s.stride, s.padding, s.groups, s.first ? " first" : "", image_count(shards), count, c->conv.before, s.sums_c_total, c->mean);
    if (!(o.conv = r->ops->conv_create(&s, shards->n[0] > 0 ? shards->n[0] : 2, true, NULL, &err))) die_error(&err);
    struct shape y = {0, s.out_c, conv_out_size(s.in_h, s.kernel, s.stride, s.padding), conv_out_size(s.in_w, s.kernel, s.stride, s.padding)};
    shards_new(o.x, shards, (struct shape){0, s.in_c, s.in_h, s.in_w}, r->dtype, s.first ? r->first_layout : r->layout, 0, 0);
    shards_new(o.y, shards, y, r->dtype, r->layout, c->conv.before, c->conv.after);
    for (int i = 0; i < count; i++) {
        float *v = values_normal(shape_count(shape_of(&o.x[i])), c->mean, 1, r->values);
        tensor_from_nchw(&o.x[i], v);
        mem_free(v);
        o.sums[i] = NEW_ARRAY(double, 2 * s.out_c);
        for (int k = 0; k < 2 * s.out_c; k++) o.sums[i][k] = 1e9; /* overwritten */
    }
    float *outside = values_normal((size_t)(s.out_c * taps), 0, 1 / sqrt(taps), r->values);
    o.weights = NEW_ARRAY(float, r->ops->conv_weight_count(o.conv));
    r->ops->conv_weight_import(o.conv, o.weights, outside);
    int calls = r->alone ? count : 1, each = r->alone ? 1 : count;
    for (int i = 0; i < calls; i++) forward_sums(r->ops, &o, i, each, s.out_c);
    shards_result(r, "conv y", o.y, shards, r->values, taps);
    for (int i = 0; i < count; i++) sums_results(r, &o.y[i], o.sums[i]);
    if (count == 1 && r->ops->conv_forward_batch) batch_check(r, &o, s.out_c);
    for (int i = 0; i < count; i++) mem_free(o.sums[i]);
    shards_delete(o.x, shards), shards_delete(o.y, shards);
    mem_free(outside), mem_free(o.weights);
    r->ops->conv_close(o.conv);
}

/* How many of these have channels that cuDNN takes as they are (a multiple of 8): the last two have not. */
enum { SUMS_CASES = 9, SUMS_CASES_FUSED = 7 };
static const struct conv_case sums_cases[SUMS_CASES] = {
    {CONV(64, 128, 14, 14, 1, 1, 0), &one_shard, 0, 0},   {CONV(64, 128, 14, 14, 1, 1, 0), &four_shards, 0, 0},
    {CONV(128, 32, 9, 7, 3, 1, 1), &four_shards, 64, 32}, {CONV(128, 32, 9, 7, 3, 1, 1), &one_shard, 32, 0},
    {CONV(32, 64, 11, 8, 1, 2, 0), &five_shards, 0, 0},   {CONV(16, 24, 56, 56, 1, 1, 0), &one_shard, 0, 0},
    {CONV(8, 16, 112, 112, 3, 2, 1), &one_image, 0, 0},   {CONV(40, 17, 7, 9, 1, 2, 0), &four_shards, 0, 0},
    {DEPTHWISE(40, 6, 7, 5, 1, 2), &four_shards, 0, 0},
};
static inline void sums_cases_run(const struct backend *b)
{
    static const double means[] = {0, 3, 100};
    const struct sums_case first = {{CONV(3, 64, 22, 30, 7, 2, 3), &one_shard, 0, 0}, 0.5};
    for (int i = 0; i < SUMS_CASES; i++)
        for (int k = 0; k < 3; k++) compare_case(b, sums_case_run, &(struct sums_case){sums_cases[i], means[k]});
    struct sums_case c = first;
    c.conv.s.first = true;
    compare_case(b, sums_case_run, &c);
    c.conv.shards = &no_images;
    compare_case(b, sums_case_run, &c);
}
#endif
