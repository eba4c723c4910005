/* norm.c - batch normalisation cut at its sums; the formulas are those of ops.h, line by line. */
#include <math.h>

#include "ops/ref/ref.h"

void ref_norm_sums(double *sum, double *sum_squares, const struct tensor *x)
{
#pragma omp parallel for schedule(static)
    for (int c = 0; c < x->c; c++) {
        sum[c] = sum_squares[c] = 0;
        for (int n = 0; n < x->n; n++) {
            const float *p = ref_plane(x, n, c);
            for (size_t i = 0; i < ref_pixels(x); i++) {
                sum[c] += p[i];
                sum_squares[c] += (double)p[i] * p[i];
            }
        }
    }
}

static float activate(float z, enum activation act)
{
    switch (act) {
    case ACT_RELU: return z > 0 ? z : 0;
    case ACT_SILU: return (float)(z / (1 + exp(-(double)z)));
    default: return z;
    }
}

/* Derivative of the activation at its argument z. */
static double slope(double z, enum activation act)
{
    double s = 1 / (1 + exp(-z));
    switch (act) {
    case ACT_RELU: return z > 0;
    case ACT_SILU: return s * (1 + z * (1 - s));
    default: return 1;
    }
}

static float row_factor(const float *row_scale, int n) { return row_scale ? row_scale[n] : 1; }

void ref_norm_forward(const struct tensor *y, const struct tensor *x, const struct tensor *residual, const float *scale,
                      const float *shift, const float *row_scale, enum activation act)
{
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < x->n; n++)
        for (int c = 0; c < x->c; c++) {
            const float *in = ref_plane(x, n, c), *r = residual ? ref_plane(residual, n, c) : NULL;
            float *out = ref_plane(y, n, c);
            for (size_t i = 0; i < ref_pixels(x); i++)
                out[i] = activate((in[i] * scale[c] + shift[c]) * row_factor(row_scale, n) + (r ? r[i] : 0), act);
        }
}

void ref_norm_backward_sums(double *sum_g, double *sum_gx, const struct tensor *dy, const struct tensor *dy2, const struct tensor *x,
                            const struct tensor *y, const float *mean, const float *inv_std, const float *scale, const float *shift,
                            const float *row_scale, enum activation act)
{
#pragma omp parallel for schedule(static)
    for (int c = 0; c < x->c; c++) {
        sum_g[c] = sum_gx[c] = 0;
        for (int n = 0; n < x->n; n++) {
            const float *in = ref_plane(x, n, c), *second = dy2 ? ref_plane(dy2, n, c) : NULL, *out = y ? ref_plane(y, n, c) : NULL;
            float *g = ref_plane(dy, n, c), factor = row_factor(row_scale, n);
            for (size_t i = 0; i < ref_pixels(x); i++) {
                double z = out ? out[i] : (in[i] * scale[c] + shift[c]) * factor; /* y > 0 just when its argument is */
                g[i] = (float)(((double)g[i] + (second ? second[i] : 0)) * slope(z, act));
                sum_g[c] += (double)g[i] * factor;
                sum_gx[c] += (double)g[i] * factor * ((double)in[i] - mean[c]) * inv_std[c];
            }
        }
    }
}

void ref_norm_backward(const struct tensor *dx, const struct tensor *g, const struct tensor *x, const float *mean, const float *inv_std,
                       const float *scale, const float *mean_g, const float *mean_gx, const float *row_scale, bool add)
{
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < x->n; n++)
        for (int c = 0; c < x->c; c++) {
            const float *in = ref_plane(x, n, c), *gradient = ref_plane(g, n, c);
            float *out = ref_plane(dx, n, c);
            for (size_t i = 0; i < ref_pixels(x); i++) {
                double xhat = ((double)in[i] - mean[c]) * inv_std[c];
                double d = scale[c] * ((double)gradient[i] * row_factor(row_scale, n) - mean_g[c] - xhat * mean_gx[c]);
                out[i] = (float)(add ? out[i] + d : d);
            }
        }
}
