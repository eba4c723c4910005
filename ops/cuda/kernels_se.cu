/* kernels_se.cu - squeeze and excitation (Hu et al. 2018); ops/ops.h has the formulas. Three steps: sums over the pixels of an image, cut
 * into parts; the two small layers, one block an image; the product.
 *
 * Bytes at least, for E elements of b bytes: forward 3*E*b (x is read for the mean and for the product), backward 5*E*b (x, dy; dy again,
 * dx) of which a late reader may find E*b in the L2 cache; the layers read 8*c*s of weights for each image, from L2. */
#include "ops/cuda/columns.h"

enum { GATE_THREADS = 512, GATE_LANES = 8 }; /* lanes that share a channel in the second layer: one 32-byte sector of w2 */

struct se_shape { int pixels, channels, squeeze, parts; };
static __device__ __forceinline__ int save_step(struct se_shape s) { return 2 * (s.channels + s.squeeze); }

/* ---- sums over an image's pixels ---- */

static struct tiling tiling_image(int pixels, int channels, int lanes)
{
    return tiling_of(pixels, channels, lanes, FLUSH, lanes == 1 ? 32 : 16, 2 * MULTIPROCESSORS);
}
static int image_parts(const struct tensor *x)
{
    int narrow = tiling_image(x->h * x->w, x->c, 1).parts, broad = tiling_image(x->h * x->w, x->c, WIDE).parts;
    return narrow > broad ? narrow : broad;
}
/* (N, parts, c) doubles of partial sums, then (N, c) floats: the gradient of the mean. */
size_t se_scratch(const struct tensor *x)
{
    size_t channels = (size_t)x->n * (size_t)x->c;
    return sizeof(double) * channels * (size_t)image_parts(x) + sizeof(float) * channels;
}

/* partial (N, parts, c): sums of x, or of x * dy. blockIdx.z = image. */
template <class T, int N> static __global__ void __launch_bounds__(THREADS) image_sums_kernel(double *partial, rows<const T> x, rows<const T> dy, struct se_shape s)
{
    int channel = tile_channel(N), step = tile_step(), first = (int)blockIdx.z * s.pixels;
    float total[1][N] = {};
    for (int pixel = tile_row(); pixel < s.pixels && channel < s.channels;) {
        float sum[N] = {};
        for (int k = 0; k < FLUSH && pixel < s.pixels; k++, pixel += step) {
            float v[N], d[N];
            lanes_load<N>(v, x(first + pixel, channel));
            if (dy.at) lanes_load<N>(d, dy(first + pixel, channel));
            UNROLL for (int i = 0; i < N; i++) sum[i] += dy.at ? v[i] * d[i] : v[i];
        }
        UNROLL for (int i = 0; i < N; i++) total[0][i] += sum[i];
    }
    columns_reduce<N, 1>(partial + ((int64_t)blockIdx.z * s.parts + blockIdx.y) * s.channels, total, s.channels);
}

/* to = from * gate[image] + plus[image], gates lying gate_step apart. plus: NULL or (N, c). */
template <class T, int N>
static __global__ void __launch_bounds__(THREADS) gate_kernel(rows<T> to, rows<const T> from, const float *gate, int gate_step, const float *plus, struct se_shape s)
{
    int channel = tile_channel(N), first = (int)blockIdx.z * s.pixels;
    if (channel >= s.channels) return;
    float g[N], p[N] = {};
    UNROLL for (int i = 0; i < N; i++) g[i] = gate[(int64_t)blockIdx.z * gate_step + channel + i];
    if (plus) UNROLL for (int i = 0; i < N; i++) p[i] = plus[(int64_t)blockIdx.z * s.channels + channel + i];
    for (int pixel = tile_row(); pixel < s.pixels; pixel += tile_step()) {
        float v[N];
        lanes_load<N>(v, from(first + pixel, channel));
        UNROLL for (int i = 0; i < N; i++) v[i] = v[i] * g[i] + p[i];
        lanes_store<N>(to(first + pixel, channel), v);
    }
}

static struct tiling tiling_gate(int pixels, int channels, int lanes) { return tiling_of(pixels, channels, lanes, 4, lanes == 1 ? 32 : 16, 2 * MULTIPROCESSORS); }

static __device__ __forceinline__ float partial_total(const double *partial, int image, int channel, struct se_shape s)
{
    double sum = 0;
    for (int p = 0; p < s.parts; p++) sum += partial[((int64_t)image * s.parts + p) * s.channels + channel];
    return (float)sum;
}

/* ---- forward ---- */

/* From the sums to save: pooled, W1 p + b1, its silu, the sigmoid. A block an image; a warp an output of the first layer. */
static __global__ void __launch_bounds__(GATE_THREADS)
    excite_kernel(float *save, const double *partial, const float *w1, const float *b1, const float *w2, const float *b2, struct se_shape s)
{
    int image = (int)blockIdx.x, thread = (int)threadIdx.x, c = s.channels, q = s.squeeze;
    float *pooled = save + (int64_t)image * save_step(s), *before = pooled + c, *hidden = before + q, *gate = hidden + q;
    for (int k = thread; k < c; k += GATE_THREADS) pooled[k] = partial_total(partial, image, k, s) / (float)s.pixels;
    __syncthreads();
    for (int j = thread / 32; j < q; j += GATE_THREADS / 32) {
        float sum = 0;
        for (int k = thread % 32; k < c; k += 32) sum += w1[(int64_t)j * c + k] * pooled[k];
        for (int half = 16; half > 0; half /= 2) sum += __shfl_xor_sync(FULL_WARP, sum, half);
        if (thread % 32 == 0) {
            float u = sum + b1[j];
            before[j] = u, hidden[j] = u * sigmoid<float>(u);
        }
    }
    __syncthreads();
    for (int first = 0; first < c; first += GATE_THREADS / GATE_LANES) {
        int k = first + thread / GATE_LANES, lane = thread % GATE_LANES;
        float sum = 0;
        for (int j = lane; j < q && k < c; j += GATE_LANES) sum += w2[(int64_t)k * q + j] * hidden[j];
        for (int half = GATE_LANES / 2; half > 0; half /= 2) sum += __shfl_xor_sync(FULL_WARP, sum, half);
        if (lane == 0 && k < c) gate[k] = sigmoid<float>(sum + b2[k]);
    }
}

void launch_se_forward(const struct tensor *y, float *save, const struct tensor *x, const float *w1, const float *b1, const float *w2,
                       const float *b2, int squeeze, void *work, cuda_stream stream)
{
    double *partial = (double *)work;
    if (row_count(x) == 0) return;
    FOR_TYPE_AND_LANES(x->dtype, wide(x) && wide(y), {
        struct tiling sums = tiling_image(x->h * x->w, x->c, N), all = tiling_gate(x->h * x->w, x->c, N);
        struct se_shape s = {x->h * x->w, x->c, squeeze, sums.parts};
        rows<const T> none = {NULL, 0};
        sums.grid.z = all.grid.z = (unsigned)x->n;
        LAUNCH((image_sums_kernel<T, N>), sums.grid, sums.block, stream, partial, rows_of<const T>(x), none, s);
        LAUNCH(excite_kernel, (unsigned)x->n, GATE_THREADS, stream, save, partial, w1, b1, w2, b2, s);
        LAUNCH((gate_kernel<T, N>), all.grid, all.block, stream, rows_of<T>(y), rows_of<const T>(x), save + x->c + 2 * squeeze,
               2 * (x->c + squeeze), (const float *)NULL, s);
    });
}

/* ---- backward ---- */

/* Gradients of an image before the sigmoid (c) and before the silu (s) to scratch, of the mean over its pixels to plus. */
static __global__ void __launch_bounds__(GATE_THREADS)
    excite_backward_kernel(float *scratch, float *plus, const double *partial, const float *save, const float *w1, const float *w2, struct se_shape s)
{
    __shared__ float part[GATE_THREADS];
    int image = (int)blockIdx.x, thread = (int)threadIdx.x, c = s.channels, q = s.squeeze, ways = GATE_THREADS / q;
    const float *before = save + (int64_t)image * save_step(s) + c, *gate = before + 2 * q;
    float *d_gate = scratch + (int64_t)image * (c + q), *d_before = d_gate + c, sum = 0;
    for (int k = thread; k < c; k += GATE_THREADS) d_gate[k] = partial_total(partial, image, k, s) * gate[k] * (1 - gate[k]);
    __syncthreads();
    if (thread < ways * q) /* w2 is read in one line: thread t takes column t % q of every `ways`th row */
        for (int k = thread / q; k < c; k += ways) sum += w2[(int64_t)k * q + thread % q] * d_gate[k];
    part[thread] = sum;
    __syncthreads();
    if (thread < q) {
        float u = before[thread], e = sigmoid<float>(u);
        for (int way = 1; way < ways; way++) sum += part[way * q + thread];
        d_before[thread] = sum * e * (1 + u * (1 - e));
    }
    __syncthreads();
    for (int k = thread; k < c; k += GATE_THREADS) {
        float d = 0;
        for (int j = 0; j < q; j++) d += w1[(int64_t)j * c + k] * d_before[j];
        plus[(int64_t)image * c + k] = d / (float)s.pixels;
    }
}

/* A thread a parameter: sums over the images in their order. Parameters lie in the order dw1, dw2, db1, db2. */
static __global__ void __launch_bounds__(THREADS)
    se_parameters_kernel(float *dw1, float *db1, float *dw2, float *db2, const float *scratch, const float *save, int images, struct se_shape s)
{
    int c = s.channels, q = s.squeeze, weights = c * q;
    for (int at = (int)line_first(); at < 2 * weights + q + c; at += (int)line_step()) {
        bool first = at < weights, bias = at >= 2 * weights, first_bias = bias && at < 2 * weights + q;
        int i = first ? at : at - weights, left = first ? c + i / c : i / q, right = first ? i % c : c + q + i % q; /* into scratch, into save */
        float *to = first ? dw1 + i : dw2 + i;
        if (bias) left = first_bias ? c + at - 2 * weights : at - 2 * weights - q, to = first_bias ? db1 + at - 2 * weights : db2 + left;
        double sum = 0;
        for (int n = 0; n < images; n++)
            sum += (double)scratch[(int64_t)n * (c + q) + left] * (bias ? 1.0 : (double)save[(int64_t)n * save_step(s) + right]);
        *to = (float)sum;
    }
}

void launch_se_backward(const struct tensor *dx, float *dw1, float *db1, float *dw2, float *db2, const struct tensor *x,
                        const struct tensor *dy, const float *save, const float *w1, const float *w2, int squeeze, float *scratch,
                        void *work, cuda_stream stream)
{
    double *partial = (double *)work;
    float *plus = (float *)(partial + (size_t)x->n * (size_t)x->c * (size_t)image_parts(x));
    struct se_shape s = {x->h * x->w, x->c, squeeze, 0};
    CHECK(squeeze <= GATE_THREADS, "squeeze and excitation with %d hidden values", squeeze);
    if (row_count(x)) FOR_TYPE_AND_LANES(x->dtype, wide(x) && wide(dy) && wide(dx), {
        struct tiling sums = tiling_image(s.pixels, x->c, N), all = tiling_gate(s.pixels, x->c, N);
        s.parts = sums.parts;
        sums.grid.z = all.grid.z = (unsigned)x->n;
        LAUNCH((image_sums_kernel<T, N>), sums.grid, sums.block, stream, partial, rows_of<const T>(x), rows_of<const T>(dy), s);
        LAUNCH(excite_backward_kernel, (unsigned)x->n, GATE_THREADS, stream, scratch, plus, partial, save, w1, w2, s);
        LAUNCH((gate_kernel<T, N>), all.grid, all.block, stream, rows_of<T>(dx), rows_of<const T>(dy), save + x->c + 2 * squeeze,
               2 * (x->c + squeeze), (const float *)plus, s);
    });
    LAUNCH(se_parameters_kernel, line_blocks((int64_t)2 * x->c * squeeze + x->c + squeeze), THREADS, stream, dw1, db1, dw2, db2, (const float *)scratch, save, x->n, s);
}
