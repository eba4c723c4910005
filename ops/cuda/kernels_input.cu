/* kernels_input.cu - pictures as the network reads them: NHWC, three channels and zeros up to 16 bytes.
 *
 * Bytes at least, for P pixels: 12*P in, 16*P out. */
#include "ops/cuda/input.h"

int input_channels(enum dtype dtype) { return dtype == DTYPE_BF16 ? 8 : 4; }

struct tensor input_tensor(void *data, int n, int h, int w, enum dtype dtype)
{
    int total = input_channels(dtype);
    struct tensor t = {data, n, 3, h, w, 0, total, dtype, LAYOUT_NHWC};
    return t;
}

/* A thread a pixel: planes are read along rows, a pixel's channels are written at once. */
template <class T> static __global__ void __launch_bounds__(THREADS) input_kernel(rows<T> x, const float *nchw, int channels, int pixels, int64_t pixel_total)
{
    for (int64_t at = line_first(); at < pixel_total; at += line_step()) {
        int64_t image = at / pixels;
        const float *from = nchw + image * channels * pixels + at % pixels;
        if (channels == 3 && x.step * (int)sizeof(T) == 16) {
            pixel_store(x((int)at, 0), from[0], from[pixels], from[2 * (int64_t)pixels]);
            continue;
        }
        for (int c = 0; c < x.step; c++) {
            float v = c < channels ? from[(int64_t)c * pixels] : 0;
            lanes_store<1>(x((int)at, c), &v);
        }
    }
}

void launch_input(const struct tensor *x, const float *nchw, cuda_stream stream)
{
    int pixels = x->h * x->w, pixel_total = row_count(x);
    CHECK(x->c_offset == 0 && aligned(x->data), "the network's input is no slice");
    if (pixel_total == 0) return;
    if (x->dtype == DTYPE_F32) LAUNCH((input_kernel<float>), line_blocks(pixel_total), THREADS, stream, rows_of<float>(x), nchw, x->c, pixels, pixel_total);
    else LAUNCH((input_kernel<bf16>), line_blocks(pixel_total), THREADS, stream, rows_of<bf16>(x), nchw, x->c, pixels, pixel_total);
}
