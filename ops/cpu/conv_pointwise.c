/* conv_pointwise.c - backward of 1x1 convolutions on channels-last bf16.
 *
 * Channels last, a 1x1 convolution is a matrix product over pixels: the weight gradient is dy' x with n*h*w rows. oneDNN's
 * AMX convolution kernel for it runs at a quarter of the speed of its bf16 matrix product (measured on one core of a
 * Sapphire Rapids class CPU, ResNet-50's layers: 250 against 850 GFLOP/s), so the gradient is asked for as a product.
 * With a stride only every stride-th pixel of x takes part: x is thinned to those, and backward data writes the thin dx
 * that is then spread between zeros.
 */
#include <string.h>
#include "ops/cpu/conv_primitives.h"

static dnnl_memory_desc_t matrix_md(int rows, int columns, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t md;
    DNNL_CHECK(dnnl_memory_desc_init_by_tag(&md, 2, (dnnl_dims_t){rows, columns}, type, tag));
    return md;
}

int pointwise_gradient_open(struct primitive *p, const struct conv_shape *s, int n, struct error *err)
{
    static const int ids[] = {DNNL_ARG_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_SRC}; /* as a convolution's: dw, x, dy */
    int pixels = n * s->out_h * s->out_w;
    dnnl_memory_desc_t dy = matrix_md(s->out_c, pixels, dnnl_bf16, dnnl_ba); /* its transpose is what lies in memory */
    dnnl_memory_desc_t x = matrix_md(pixels, s->in_c, dnnl_bf16, dnnl_ab);
    dnnl_memory_desc_t gradient = matrix_md(s->out_c, s->in_c, dnnl_f32, dnnl_ab); /* = stored: PyTorch's order */
    dnnl_matmul_desc_t d;
    dnnl_primitive_attr_t attributes = primitive_attributes(false);
    DNNL_CHECK(dnnl_matmul_desc_init(&d, &dy, &x, NULL, &gradient));
    int status = primitive_open(p, &d, attributes, NULL, ids, 3, err);
    DNNL_CHECK(dnnl_primitive_attr_destroy(attributes));
    return status;
}

void pixels_thin(const struct tensor *thin, const struct tensor *whole, int stride)
{
    size_t pixel = (size_t)whole->c * dtype_bytes(whole->dtype);
    int rows = thin->n * thin->h;
#pragma omp parallel for
    for (int r = 0; r < rows; r++) {
        char *to = (char *)thin->data + (size_t)r * thin->w * pixel;
        size_t row = (size_t)(r / thin->h) * whole->h + (size_t)(r % thin->h) * stride;
        const char *from = (const char *)whole->data + row * whole->w * pixel;
        for (int x = 0; x < thin->w; x++) memcpy(to + x * pixel, from + x * stride * pixel, pixel);
    }
}

void pixels_spread(const struct tensor *whole, const struct tensor *thin, int stride)
{
    size_t pixel = (size_t)whole->c * dtype_bytes(whole->dtype);
    int rows = whole->n * whole->h;
#pragma omp parallel for
    for (int r = 0; r < rows; r++) {
        int y = r % whole->h;
        char *to = (char *)whole->data + (size_t)r * whole->w * pixel;
        memset(to, 0, whole->w * pixel);
        if (y % stride != 0) continue;
        size_t row = (size_t)(r / whole->h) * thin->h + y / stride;
        const char *from = (const char *)thin->data + row * thin->w * pixel;
        for (int x = 0; x < thin->w; x++) memcpy(to + x * stride * pixel, from + x * pixel, pixel);
    }
}
