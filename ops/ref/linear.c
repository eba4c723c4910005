/* linear.c - fully connected layer: y = W x + b, weights (out_c, in) as PyTorch has them; an image's (C, H, W) is already
 * the flattened vector in LAYOUT_NCHW. */
#include <string.h>

#include "base/memory.h"
#include "ops/ref/ref.h"

struct linear {
    struct linear_spec s;
    int in;
};

struct linear *ref_linear_create(const struct linear_spec *spec, int n, bool training, const struct linear *like, struct error *err)
{
    (void)n, (void)training, (void)like;
    if (spec->x_dtype != DTYPE_F32 || spec->y_dtype != DTYPE_F32) {
        error_set(err, "the reference backend computes in f32 only");
        return NULL;
    }
    struct linear *l = NEW(struct linear);
    l->s = *spec;
    l->in = spec->in_c * spec->in_h * spec->in_w;
    return l;
}

void ref_linear_close(struct linear *l) { mem_free(l); }
size_t ref_linear_weight_count(const struct linear *l) { return (size_t)l->s.out_c * (size_t)l->in; }

void ref_linear_weight_import(const struct linear *l, float *stored, const float *torch_order)
{
    memcpy(stored, torch_order, sizeof(float) * ref_linear_weight_count(l));
}

void ref_linear_weight_export(const struct linear *l, float *torch_order, const float *stored)
{
    memcpy(torch_order, stored, sizeof(float) * ref_linear_weight_count(l));
}

static const float *row(const struct tensor *t, int n) { return ref_plane(t, n, 0); }

void ref_linear_forward(struct linear *l, const struct tensor *y, const struct tensor *x, const float *weights, const float *bias, int shards)
{
    for (int s = 0; s < shards; s++)
        for (int n = 0; n < x[s].n; n++) {
            const float *in = row(&x[s], n);
            float *out = ref_plane(&y[s], n, 0);
#pragma omp parallel for schedule(static)
            for (int o = 0; o < l->s.out_c; o++) {
                double sum = bias ? bias[o] : 0;
                for (int i = 0; i < l->in; i++) sum += (double)weights[(size_t)o * (size_t)l->in + (size_t)i] * in[i];
                out[o] = l->s.relu && sum < 0 ? 0 : (float)sum;
            }
        }
}

void ref_linear_backward_data(struct linear *l, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards)
{
    for (int s = 0; s < shards; s++)
        for (int n = 0; n < dy[s].n; n++) {
            const float *out = row(&dy[s], n);
            float *in = ref_plane(&dx[s], n, 0);
#pragma omp parallel for schedule(static)
            for (int i = 0; i < l->in; i++) {
                double sum = 0;
                for (int o = 0; o < l->s.out_c; o++) sum += (double)weights[(size_t)o * (size_t)l->in + (size_t)i] * out[o];
                in[i] = (float)sum;
            }
        }
}

static void shard_gradients(const struct linear *l, float *dw, float *db, const struct tensor *x, const struct tensor *dy)
{
#pragma omp parallel for schedule(static)
    for (int o = 0; o < l->s.out_c; o++) {
        double bias = 0;
        for (int i = 0; i < l->in; i++) {
            double sum = 0;
            for (int n = 0; n < x->n; n++) sum += (double)row(dy, n)[o] * row(x, n)[i];
            dw[(size_t)o * (size_t)l->in + (size_t)i] = (float)sum;
        }
        for (int n = 0; n < dy->n; n++) bias += row(dy, n)[o];
        db[o] = (float)bias;
    }
}

void ref_linear_backward_weights(struct linear *l, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy, int shards)
{
    size_t count = ref_linear_weight_count(l), out = (size_t)l->s.out_c;
    float *parts = NEW_ARRAY(float, (count + out) * (size_t)shards), *part[shards];
    for (int s = 0; s < shards; s++) {
        part[s] = parts + (size_t)s * (count + out);
        shard_gradients(l, part[s], part[s] + count, &x[s], &dy[s]);
    }
    shard_tree_sum(part, shards, count + out);
    memcpy(dweights, part[0], sizeof(float) * count);
    if (dbias) memcpy(dbias, part[0] + count, sizeof(float) * out);
    mem_free(parts);
}
