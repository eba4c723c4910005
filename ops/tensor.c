/* tensor.c - where element (n, c, h, w) of a view lies, for the layouts that exist. */
#include "ops/tensor.h"

#include <string.h>

enum { BLOCK = 16 };

static int blocks(int channels) { return (channels + BLOCK - 1) / BLOCK; }

struct tensor tensor_make(void *data, int n, int c, int h, int w, enum dtype dtype, enum layout layout)
{
    return (struct tensor){.data = data, .n = n, .c = c, .h = h, .w = w, .c_offset = 0, .c_total = c, .dtype = dtype, .layout = layout};
}

size_t tensor_buffer_bytes(const struct tensor *t)
{
    size_t channels = t->layout == LAYOUT_NCHW16C ? (size_t)blocks(t->c_total) * BLOCK : (size_t)t->c_total;
    return (size_t)t->n * channels * (size_t)t->h * (size_t)t->w * dtype_bytes(t->dtype);
}

/* Element index in the buffer of pixel p = h*W + w of channel c of the view. */
static size_t element(const struct tensor *t, int n, int c, size_t p)
{
    size_t pixels = (size_t)t->h * (size_t)t->w, channel = (size_t)(t->c_offset + c), total = (size_t)t->c_total, i = (size_t)n;
    switch (t->layout) {
    case LAYOUT_NCHW: return (i * total + channel) * pixels + p;
    case LAYOUT_NHWC: return (i * pixels + p) * total + channel;
    default: return ((i * (size_t)blocks(t->c_total) + channel / BLOCK) * pixels + p) * BLOCK + channel % BLOCK;
    }
}

void tensor_to_nchw(float *nchw, const struct tensor *t)
{
    size_t pixels = (size_t)t->h * (size_t)t->w;
    for (int n = 0; n < t->n; n++)
        for (int c = 0; c < t->c; c++)
            for (size_t p = 0; p < pixels; p++) {
                size_t e = element(t, n, c, p);
                *nchw++ = t->dtype == DTYPE_F32 ? ((const float *)t->data)[e] : bf16_to_float(((const uint16_t *)t->data)[e]);
            }
}

void tensor_from_nchw(const struct tensor *t, const float *nchw)
{
    size_t pixels = (size_t)t->h * (size_t)t->w;
    if (t->c == t->c_total && t->n) memset(t->data, 0, tensor_buffer_bytes(t));
    for (int n = 0; n < t->n; n++)
        for (int c = 0; c < t->c; c++)
            for (size_t p = 0; p < pixels; p++, nchw++) {
                size_t e = element(t, n, c, p);
                if (t->dtype == DTYPE_F32)
                    ((float *)t->data)[e] = *nchw;
                else
                    ((uint16_t *)t->data)[e] = bf16_from_float(*nchw);
            }
}
