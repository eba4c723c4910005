/* kernels_depthwise_weights.cu - depthwise convolution, gradient of the weights: dw[ky][kx][c] = sum of dy * x at that tap.
 *
 * DESIGN: a thread holds the sums of one kernel row, 8 channels each, and takes strips of dy with the columns of x they meet. The threads of
 * a block that hold the other kernel rows read the same dy and, one row later, the same x: from the first cache. A block adds its threads
 * up in shared memory and writes one row of partial sums; columns_finish adds the rows, in double.
 *
 * Bytes at least, for X elements of x and Y of y, of b bytes: (X+Y)*b. */
#include "ops/cuda/depthwise.h"

enum { PART_BLOCKS = 3 * MULTIPROCESSORS, PLAIN_PARTS = 64 };

template <class T, int S> static __host__ __device__ constexpr int strip_length(void) { return sizeof(T) == 4 ? 4 / S : S == 2 ? 4 : 7; }
static int strip_length_of(enum dtype dtype, int stride)
{
    return dtype == DTYPE_F32 ? (stride == 2 ? strip_length<float, 2>() : strip_length<float, 1>()) : stride == 2 ? strip_length<bf16, 2>() : strip_length<bf16, 1>();
}

/* Blocks of (channels, kernel rows, strips at a time); block y takes strips y * chunk onward. */
struct weights_tiling {
    int strips, places, parts, chunk;
    dim3 grid, block;
};
static struct weights_tiling weights_tiling_of(const struct tensor *dy, const struct depthwise_spec *d)
{
    struct weights_tiling t;
    int groups = (int)ceil_div(dy->c, WIDE), tiles = (int)ceil_div(groups, 8), x = (int)ceil_div(groups, tiles), z = THREADS / (x * d->kernel);
    z = clamp(z, 1, 64); /* the card takes no more */
    t.strips = (int)ceil_div(dy->w, strip_length_of(dy->dtype, d->stride));
    t.places = dy->n * dy->h * t.strips;
    t.parts = clamp(ceil_div(t.places, (int64_t)z * 4), 1, clamp(PART_BLOCKS / tiles, 1, 65535));
    t.chunk = (int)ceil_div(t.places, t.parts);
    t.grid = dim3((unsigned)tiles, (unsigned)t.parts);
    t.block = dim3((unsigned)x, (unsigned)d->kernel, (unsigned)z);
    return t;
}
static int plain_parts(const struct tensor *dy) { return clamp(row_count(dy) / 64, 1, PLAIN_PARTS); }

/* A strip of dy, a row of the kernel: sum[kx] += dy * x. */
template <class T, int K, int S, int W>
static __device__ __forceinline__ void strip_products(float (&sum)[K][WIDE], rows<const T> x, rows<const T> dy, struct depthwise_shape s, int place, int strips, int ky, int channel)
{
    constexpr int COLUMNS = (W - 1) * S + K;
    int out_row = place / strips, w0 = place % strips * W, image = out_row / s.out_h, row = out_row % s.out_h * S - s.padding + ky;
    if (row < 0 || row >= s.h) return;
    raw<T> g[W], column[COLUMNS];
    strip_load<T, W>(g, dy, out_row * s.out_w, w0, s.out_w, channel);
    strip_load<T, COLUMNS>(column, x, (image * s.h + row) * s.w, w0 * S - s.padding, s.w, channel);
    UNROLL for (int t = 0; t < W; t++) {
        float d[WIDE];
        g[t].get(d);
        UNROLL for (int kx = 0; kx < K; kx++) {
            float v[WIDE];
            column[t * S + kx].get(v);
            UNROLL for (int c = 0; c < WIDE; c++) sum[kx][c] += d[c] * v[c];
        }
    }
}

/* partial (parts, K*K, channels). */
template <class T, int K, int S>
static __global__ void __launch_bounds__(THREADS) weights_kernel(float *partial, rows<const T> x, rows<const T> dy, struct depthwise_shape s, int strips, int places, int chunk)
{
    constexpr int W = strip_length<T, S>();
    __shared__ float cell[K * WIDE][THREADS];
    int channel = tile_channel(WIDE), ky = (int)threadIdx.y, width = (int)blockDim.x, layer = width * K, layers = (int)blockDim.z;
    int thread = (int)threadIdx.z * layer + ky * width + (int)threadIdx.x, end = min((int)(blockIdx.y + 1) * chunk, places);
    float sum[K][WIDE] = {};
    if (channel < s.channels)
        ROLLED for (int place = (int)blockIdx.y * chunk + (int)threadIdx.z; place < end; place += layers)
            strip_products<T, K, S, W>(sum, x, dy, s, place, strips, ky, channel);
    UNROLL for (int kx = 0; kx < K; kx++)
        UNROLL for (int c = 0; c < WIDE; c++) cell[kx * WIDE + c][thread] = sum[kx][c];
    __syncthreads();
    for (int at = thread; at < layer * K * WIDE; at += layer * layers) {
        int of_layer = at % layer, value = at / layer, c = ((int)blockIdx.x * width + of_layer % width) * WIDE + value % WIDE, tap = of_layer / width * K + value / WIDE;
        double total = 0;
        for (int z = 0; z < layers; z++) total += (double)cell[value][z * layer + of_layer];
        if (c < s.channels) partial[((int64_t)blockIdx.y * K * K + tap) * s.channels + c] = (float)total;
    }
}

/* Any kernel, stride and channel count: a thread a weight and part of the rows. */
template <class T> static __global__ void __launch_bounds__(THREADS) plain_weights_kernel(float *partial, rows<const T> x, rows<const T> dy, struct depthwise_shape s)
{
    int taps = s.kernel * s.kernel, at = (int)line_first(), pixels = s.images * s.out_h * s.out_w;
    if (at >= taps * s.channels) return;
    int c = at % s.channels, ky = at / s.channels / s.kernel, kx = at / s.channels % s.kernel;
    double sum = 0;
    for (int pixel = (int)blockIdx.y; pixel < pixels; pixel += (int)gridDim.y) {
        int ow = pixel % s.out_w, oh = pixel / s.out_w % s.out_h, image = pixel / s.out_w / s.out_h, h = oh * s.stride - s.padding + ky, w = ow * s.stride - s.padding + kx;
        float v, d;
        if (h < 0 || h >= s.h || w < 0 || w >= s.w) continue;
        lanes_load<1>(&d, dy(pixel, c)), lanes_load<1>(&v, x((image * s.h + h) * s.w + w, c));
        sum += (double)d * v;
    }
    partial[(int64_t)blockIdx.y * taps * s.channels + at] = (float)sum;
}

size_t depthwise_weights_scratch(const struct tensor *dy, const struct depthwise_spec *spec)
{
    int parts = weights_tiling_of(dy, spec).parts, plain = plain_parts(dy);
    return sizeof(float) * (size_t)(parts > plain ? parts : plain) * (size_t)(spec->kernel * spec->kernel) * (size_t)dy->c;
}

template <class T>
static void backward_weights(float *dweights, const struct tensor *x, const struct tensor *dy, const struct depthwise_spec *spec, float *partial, cuda_stream stream)
{
    struct depthwise_shape s = depthwise_shape_of(x, dy, spec);
    int weights = spec->kernel * spec->kernel * x->c, parts = plain_parts(dy);
    if (depthwise_special(spec) && wide(x) && wide(dy)) {
        struct weights_tiling t = weights_tiling_of(dy, spec);
        parts = t.parts;
        FOR_KERNEL_AND_STRIDE(spec, LAUNCH((weights_kernel<T, K, S>), t.grid, t.block, stream, partial, rows_of<const T>(x), rows_of<const T>(dy), s, t.strips, t.places, t.chunk));
    } else {
        dim3 grid((unsigned)ceil_div(weights, THREADS), (unsigned)parts);
        LAUNCH((plain_weights_kernel<T>), grid, THREADS, stream, partial, rows_of<const T>(x), rows_of<const T>(dy), s);
    }
    columns_finish(dweights, (float *)NULL, (const float *)partial, parts, 1, weights, stream);
}

void launch_depthwise_backward_weights(float *dweights, const struct tensor *x, const struct tensor *dy, const struct depthwise_spec *spec,
                                       void *scratch, cuda_stream stream)
{
    if (x->dtype == DTYPE_F32) backward_weights<float>(dweights, x, dy, spec, (float *)scratch, stream);
    else backward_weights<bf16>(dweights, x, dy, spec, (float *)scratch, stream);
}
