/* pool.c - max and average pooling by their definitions. */
#include <math.h>
#include <string.h>

#include "ops/ref/ref.h"

/* Window of output o along one axis: [first, end) of the input, clipped. */
static void window_of(int *first, int *end, int o, int in, int out, const struct pool_spec *s)
{
    if (s->kernel == 0) { /* adaptive */
        *first = o * in / out;
        *end = ((o + 1) * in + out - 1) / out;
        return;
    }
    *first = o * s->stride - s->padding;
    *end = *first + s->kernel < in ? *first + s->kernel : in;
    if (*first < 0) *first = 0;
}

/* Position in the whole window (padding included) of the first maximum in row-major order. */
static int first_maximum(const float *in, const struct tensor *x, int oh, int ow, const struct tensor *y, const struct pool_spec *s)
{
    int h0, h1, w0, w1, best_h = -1, best_w = -1;
    window_of(&h0, &h1, oh, x->h, y->h, s);
    window_of(&w0, &w1, ow, x->w, y->w, s);
    for (int h = h0; h < h1; h++)
        for (int w = w0; w < w1; w++)
            if (best_h < 0 || in[h * x->w + w] > in[best_h * x->w + best_w]) best_h = h, best_w = w;
    return (best_h - (oh * s->stride - s->padding)) * s->kernel + best_w - (ow * s->stride - s->padding);
}

/* Input element that window position k of output (oh, ow) stands for. */
static size_t element(int k, int oh, int ow, int width, const struct pool_spec *s)
{
    int h = oh * s->stride - s->padding + k / s->kernel, w = ow * s->stride - s->padding + k % s->kernel;
    return (size_t)(h * width + w);
}

void ref_maxpool_forward(const struct tensor *y, uint8_t *index, const struct tensor *x, const struct pool_spec *spec)
{
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < x->n; n++)
        for (int c = 0; c < x->c; c++) {
            const float *in = ref_plane(x, n, c);
            float *out = ref_plane(y, n, c);
            uint8_t *k = index + ((size_t)n * (size_t)y->c + (size_t)c) * ref_pixels(y);
            for (int oh = 0; oh < y->h; oh++)
                for (int ow = 0; ow < y->w; ow++, k++) {
                    *k = (uint8_t)first_maximum(in, x, oh, ow, y, spec);
                    out[oh * y->w + ow] = in[element(*k, oh, ow, x->w, spec)];
                }
        }
}

void ref_maxpool_backward(const struct tensor *dx, const struct tensor *dy, const uint8_t *index, const struct pool_spec *spec)
{
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < dx->n; n++)
        for (int c = 0; c < dx->c; c++) {
            const float *out = ref_plane(dy, n, c);
            float *in = ref_plane(dx, n, c);
            const uint8_t *k = index + ((size_t)n * (size_t)dy->c + (size_t)c) * ref_pixels(dy);
            memset(in, 0, sizeof(float) * ref_pixels(dx));
            for (int oh = 0; oh < dy->h; oh++)
                for (int ow = 0; ow < dy->w; ow++) in[element(*k++, oh, ow, dx->w, spec)] += out[oh * dy->w + ow];
        }
}

void ref_avgpool_forward(const struct tensor *y, const struct tensor *x, const struct pool_spec *spec)
{
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < x->n; n++)
        for (int c = 0; c < x->c; c++) {
            const float *in = ref_plane(x, n, c);
            float *out = ref_plane(y, n, c);
            for (int oh = 0; oh < y->h; oh++)
                for (int ow = 0; ow < y->w; ow++) {
                    int h0, h1, w0, w1;
                    double sum = 0;
                    window_of(&h0, &h1, oh, x->h, y->h, spec);
                    window_of(&w0, &w1, ow, x->w, y->w, spec);
                    for (int h = h0; h < h1; h++)
                        for (int w = w0; w < w1; w++) sum += in[h * x->w + w];
                    out[oh * y->w + ow] = (float)(sum / ((h1 - h0) * (w1 - w0)));
                }
        }
}

void ref_avgpool_backward(const struct tensor *dx, const struct tensor *dy, const struct pool_spec *spec)
{
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < dx->n; n++)
        for (int c = 0; c < dx->c; c++) {
            const float *out = ref_plane(dy, n, c);
            float *in = ref_plane(dx, n, c);
            memset(in, 0, sizeof(float) * ref_pixels(dx));
            for (int oh = 0; oh < dy->h; oh++)
                for (int ow = 0; ow < dy->w; ow++) {
                    int h0, h1, w0, w1;
                    window_of(&h0, &h1, oh, dx->h, dy->h, spec);
                    window_of(&w0, &w1, ow, dx->w, dy->w, spec);
                    float share = out[oh * dy->w + ow] / (float)((h1 - h0) * (w1 - w0));
                    for (int h = h0; h < h1; h++)
                        for (int w = w0; w < w1; w++) in[h * dx->w + w] += share;
                }
        }
}
