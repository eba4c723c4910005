/* elementwise.c - the operations that touch each element alone. */
#include <string.h>

#include "base/random.h"
#include "ops/ref/ref.h"

static size_t image_elements(const struct tensor *t) { return (size_t)t->c * ref_pixels(t); }

void ref_relu_backward(const struct tensor *dy, const struct tensor *y)
{
    for (int n = 0; n < y->n; n++)
        for (int c = 0; c < y->c; c++)
            for (size_t i = 0; i < ref_pixels(y); i++)
                if (!(ref_plane(y, n, c)[i] > 0)) ref_plane(dy, n, c)[i] = 0;
}

void ref_dropout(const struct tensor *y, const struct tensor *x, double p, const uint64_t *row_key, uint64_t layer)
{
    for (int n = 0; n < x->n; n++) {
        const float *in = ref_plane(x, n, 0);
        float *out = ref_plane(y, n, 0);
        if (p <= 0) {
            memmove(out, in, sizeof(float) * image_elements(x));
            continue;
        }
        struct random r = random_stream(row_key[n], RANDOM_DROPOUT, layer, 0);
        for (size_t e = 0; e < image_elements(x); e++)
            out[e] = random_u32_at(&r, e) < p * 4294967296.0 ? 0 : (float)(in[e] / (1 - p));
    }
}

void ref_add(const struct tensor *y, const struct tensor *x)
{
    for (int n = 0; n < x->n; n++)
        for (size_t e = 0; e < image_elements(x); e++) ref_plane(y, n, 0)[e] += ref_plane(x, n, 0)[e];
}

void ref_input(const struct tensor *x, const float *nchw) { tensor_from_nchw(x, nchw); }
