/* se.c - squeeze and excitation (Hu et al. 2018). Per image, save holds: p = mean(x) (c), u = W1 p + b1 (s), a = silu(u) (s),
 * e = sigmoid(W2 a + b2) (c). */
#include <math.h>

#include "ops/ref/ref.h"

struct saved {
    float *p, *u, *a, *e;
};

static struct saved saved_of(const float *save, int n, int c, int s)
{
    float *at = (float *)save + (size_t)n * (size_t)(2 * (c + s));
    return (struct saved){at, at + c, at + c + s, at + c + 2 * s};
}

static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

static void excite(struct saved v, const float *w1, const float *b1, const float *w2, const float *b2, int c, int s)
{
    for (int j = 0; j < s; j++) {
        double u = b1[j];
        for (int k = 0; k < c; k++) u += (double)w1[j * c + k] * v.p[k];
        v.u[j] = (float)u;
        v.a[j] = (float)(u * sigmoid(u));
    }
    for (int k = 0; k < c; k++) {
        double t = b2[k];
        for (int j = 0; j < s; j++) t += (double)w2[k * s + j] * v.a[j];
        v.e[k] = (float)sigmoid(t);
    }
}

void ref_se_forward(const struct tensor *y, float *save, const struct tensor *x, const float *w1, const float *b1, const float *w2,
                    const float *b2, int squeeze)
{
    for (int n = 0; n < x->n; n++) {
        struct saved v = saved_of(save, n, x->c, squeeze);
        for (int c = 0; c < x->c; c++) {
            double sum = 0;
            for (size_t i = 0; i < ref_pixels(x); i++) sum += ref_plane(x, n, c)[i];
            v.p[c] = (float)(sum / (double)ref_pixels(x));
        }
        excite(v, w1, b1, w2, b2, x->c, squeeze);
        for (int c = 0; c < x->c; c++)
            for (size_t i = 0; i < ref_pixels(x); i++) ref_plane(y, n, c)[i] = ref_plane(x, n, c)[i] * v.e[c];
    }
}

/* Backward of one image: dt (c) and du (s) into scratch, parameter gradients added, dp returned over dt. */
static void excite_backward(struct saved v, float *dt, float *du, float *dw1, float *db1, float *dw2, float *db2, const float *w1,
                            const float *w2, int c, int s)
{
    for (int j = 0; j < s; j++) {
        double da = 0, g = sigmoid(v.u[j]);
        for (int k = 0; k < c; k++) da += (double)w2[k * s + j] * dt[k];
        du[j] = (float)(da * g * (1 + v.u[j] * (1 - g)));
        db1[j] += du[j];
        for (int k = 0; k < c; k++) dw1[j * c + k] += du[j] * v.p[k];
    }
    for (int k = 0; k < c; k++) {
        double dp = 0;
        db2[k] += dt[k];
        for (int j = 0; j < s; j++) {
            dw2[k * s + j] += dt[k] * v.a[j];
            dp += (double)w1[j * c + k] * du[j];
        }
        dt[k] = (float)dp;
    }
}

static void zero(float *values, int count)
{
    for (int i = 0; i < count; i++) values[i] = 0;
}

void ref_se_backward(const struct tensor *dx, float *dw1, float *db1, float *dw2, float *db2, const struct tensor *x,
                     const struct tensor *dy, const float *save, const float *w1, const float *w2, int squeeze, float *scratch)
{
    int c = x->c;
    zero(dw1, squeeze * c), zero(db1, squeeze), zero(dw2, c * squeeze), zero(db2, c);
    for (int n = 0; n < x->n; n++) {
        struct saved v = saved_of(save, n, c, squeeze);
        float *dt = scratch, *du = scratch + c;
        for (int k = 0; k < c; k++) {
            double de = 0;
            for (size_t i = 0; i < ref_pixels(x); i++) de += (double)ref_plane(dy, n, k)[i] * ref_plane(x, n, k)[i];
            dt[k] = (float)(de * v.e[k] * (1 - v.e[k]));
        }
        excite_backward(v, dt, du, dw1, db1, dw2, db2, w1, w2, c, squeeze);
        for (int k = 0; k < c; k++)
            for (size_t i = 0; i < ref_pixels(x); i++)
                ref_plane(dx, n, k)[i] = ref_plane(dy, n, k)[i] * v.e[k] + dt[k] / (float)ref_pixels(x);
    }
}
