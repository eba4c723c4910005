/* conv.c - convolution by its definition (cross-correlation, as torch.nn.Conv2d). Weights are stored as PyTorch has them:
 * (out_c, in_c/groups, k, k). */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "ops/ref/ref.h"

struct conv {
    struct conv_spec s;
    int out_h, out_w;
};

struct conv *ref_conv_create(const struct conv_spec *spec, int n, bool training, const struct conv *like, struct error *err)
{
    (void)n, (void)training, (void)like;
    if (spec->dtype != DTYPE_F32) {
        error_set(err, "the reference backend computes in f32 only");
        return NULL;
    }
    struct conv *c = NEW(struct conv);
    c->s = *spec;
    c->out_h = conv_out_size(spec->in_h, spec->kernel, spec->stride, spec->padding);
    c->out_w = conv_out_size(spec->in_w, spec->kernel, spec->stride, spec->padding);
    return c;
}

void ref_conv_close(struct conv *c) { mem_free(c); }

size_t ref_conv_weight_count(const struct conv *c)
{
    return (size_t)c->s.out_c * (size_t)(c->s.in_c / c->s.groups) * (size_t)(c->s.kernel * c->s.kernel);
}

void ref_conv_weight_import(const struct conv *c, float *stored, const float *oihw)
{
    memcpy(stored, oihw, sizeof(float) * ref_conv_weight_count(c));
}

void ref_conv_weight_export(const struct conv *c, float *oihw, const float *stored)
{
    memcpy(oihw, stored, sizeof(float) * ref_conv_weight_count(c));
}

void ref_conv_describe(const struct conv *c, char *text, size_t bytes)
{
    (void)c;
    snprintf(text, bytes, "plain loops");
}

/* Outputs o for which the input row (or column) o*stride + k - padding exists: [first, end). */
static void valid(int *first, int *end, int k, int in, int out, const struct conv_spec *s)
{
    int low = s->padding - k, high = in - 1 + s->padding - k;
    *first = low > 0 ? (low + s->stride - 1) / s->stride : 0;
    *end = high < 0 ? 0 : high / s->stride + 1;
    if (*end > out) *end = out;
}

/* For weight (kh, kw) of a pair of planes: calls for each output row with the matching rows and columns. */
struct window {
    int h_first, h_end, w_first, w_end;
};
static struct window window_of(const struct conv *c, int kh, int kw)
{
    struct window v;
    valid(&v.h_first, &v.h_end, kh, c->s.in_h, c->out_h, &c->s);
    valid(&v.w_first, &v.w_end, kw, c->s.in_w, c->out_w, &c->s);
    return v;
}

/* First input plane of the group that output channel o belongs to. */
static int group_start(const struct conv *c, int o) { return o / (c->s.out_c / c->s.groups) * (c->s.in_c / c->s.groups); }

static void forward_plane(const struct conv *c, double *sum, const struct tensor *x, int n, int o, const float *w)
{
    int k = c->s.kernel, per_group = c->s.in_c / c->s.groups;
    for (int i = 0; i < per_group; i++) {
        const float *plane = ref_plane(x, n, group_start(c, o) + i);
        for (int kh = 0; kh < k; kh++)
            for (int kw = 0; kw < k; kw++) {
                struct window v = window_of(c, kh, kw);
                double weight = *w++;
                for (int oh = v.h_first; oh < v.h_end; oh++) {
                    const float *row = plane + (oh * c->s.stride + kh - c->s.padding) * c->s.in_w + kw - c->s.padding;
                    for (int ow = v.w_first; ow < v.w_end; ow++) sum[oh * c->out_w + ow] += weight * row[ow * c->s.stride];
                }
            }
    }
}

void ref_conv_forward(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights, const float *bias, int shards)
{
    int pixels = c->out_h * c->out_w;
    size_t row = ref_conv_weight_count(c) / (size_t)c->s.out_c;
    for (int s = 0; s < shards; s++) {
#pragma omp parallel for collapse(2) schedule(static)
        for (int n = 0; n < x[s].n; n++)
            for (int o = 0; o < c->s.out_c; o++) {
                double *sum = NEW_ARRAY(double, pixels);
                float *out = ref_plane(&y[s], n, o);
                for (int p = 0; p < pixels; p++) sum[p] = bias ? bias[o] : 0;
                forward_plane(c, sum, &x[s], n, o, weights + (size_t)o * row);
                for (int p = 0; p < pixels; p++) out[p] = c->s.relu && sum[p] < 0 ? 0 : (float)sum[p];
                mem_free(sum);
            }
    }
}

/* dx of one input plane: every output channel of its group that saw it. */
static void backward_plane(const struct conv *c, double *sum, const struct tensor *dy, int n, int i, const float *weights)
{
    int k = c->s.kernel, in_group = c->s.in_c / c->s.groups, out_group = c->s.out_c / c->s.groups, group = i / in_group;
    for (int o = group * out_group; o < (group + 1) * out_group; o++) {
        const float *plane = ref_plane(dy, n, o), *w = weights + ((size_t)o * (size_t)in_group + (size_t)(i % in_group)) * (size_t)(k * k);
        for (int kh = 0; kh < k; kh++)
            for (int kw = 0; kw < k; kw++) {
                struct window v = window_of(c, kh, kw);
                double weight = *w++;
                for (int oh = v.h_first; oh < v.h_end; oh++) {
                    double *row = sum + (oh * c->s.stride + kh - c->s.padding) * c->s.in_w + kw - c->s.padding;
                    for (int ow = v.w_first; ow < v.w_end; ow++) row[ow * c->s.stride] += weight * plane[oh * c->out_w + ow];
                }
            }
    }
}

void ref_conv_backward_data(struct conv *c, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards)
{
    int pixels = c->s.in_h * c->s.in_w;
    for (int s = 0; s < shards; s++) {
#pragma omp parallel for collapse(2) schedule(static)
        for (int n = 0; n < dy[s].n; n++)
            for (int i = 0; i < c->s.in_c; i++) {
                double *sum = NEW_ARRAY(double, pixels);
                float *out = ref_plane(&dx[s], n, i);
                backward_plane(c, sum, &dy[s], n, i, weights);
                for (int p = 0; p < pixels; p++) out[p] = (float)sum[p];
                mem_free(sum);
            }
    }
}

static double weight_gradient(const struct conv *c, const struct tensor *x, const struct tensor *dy, int o, int i, int kh, int kw)
{
    struct window v = window_of(c, kh, kw);
    double sum = 0;
    for (int n = 0; n < x->n; n++) {
        const float *in = ref_plane(x, n, group_start(c, o) + i), *out = ref_plane(dy, n, o);
        for (int oh = v.h_first; oh < v.h_end; oh++) {
            const float *row = in + (oh * c->s.stride + kh - c->s.padding) * c->s.in_w + kw - c->s.padding;
            for (int ow = v.w_first; ow < v.w_end; ow++) sum += (double)out[oh * c->out_w + ow] * row[ow * c->s.stride];
        }
    }
    return sum;
}

static void shard_weight_gradients(const struct conv *c, float *dw, float *db, const struct tensor *x, const struct tensor *dy)
{
    int k = c->s.kernel, per_group = c->s.in_c / c->s.groups;
#pragma omp parallel for schedule(static)
    for (int o = 0; o < c->s.out_c; o++) {
        float *out = dw + (size_t)o * (size_t)(per_group * k * k);
        for (int i = 0; i < per_group; i++)
            for (int kh = 0; kh < k; kh++)
                for (int kw = 0; kw < k; kw++) *out++ = (float)weight_gradient(c, x, dy, o, i, kh, kw);
        if (!db) continue;
        double sum = 0;
        for (int n = 0; n < dy->n; n++)
            for (size_t p = 0; p < ref_pixels(dy); p++) sum += ref_plane(dy, n, o)[p];
        db[o] = (float)sum;
    }
}

void ref_conv_backward_weights(struct conv *c, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy, int shards)
{
    size_t count = ref_conv_weight_count(c), bias = dbias ? (size_t)c->s.out_c : 0;
    float *parts = NEW_ARRAY(float, (count + bias) * (size_t)shards), *part[shards];
    for (int s = 0; s < shards; s++) {
        part[s] = parts + (size_t)s * (count + bias);
        shard_weight_gradients(c, part[s], dbias ? part[s] + count : NULL, &x[s], &dy[s]);
    }
    shard_tree_sum(part, shards, count + bias);
    memcpy(dweights, part[0], sizeof(float) * count);
    if (dbias) memcpy(dbias, part[0] + count, sizeof(float) * bias);
    mem_free(parts);
}
