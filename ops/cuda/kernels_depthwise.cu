/* kernels_depthwise.cu - depthwise convolution, forward and backward data.
 *
 * DESIGN: a thread makes a strip of neighbouring pixels of one row, 8 channels each. For each row of the kernel it fetches the columns that
 * the strip needs once, all under way together, keeps the row's weights in registers, and slides over the columns. Rows are fetched again
 * for the next kernel row: by neighbours in the block, which covers few channels (128 bytes) of many strips so that the first cache has
 * them. Backward data is the same walk with taps in the other direction; at stride 2 a pixel meets every second tap, which one is
 * known when compiling since strips begin at even columns.
 *
 * Bytes at least, for X elements of x and Y of y, of b bytes: (X+Y)*b, both directions. */
#include "ops/cuda/depthwise.h"

enum { STRIP_THREADS = 128 };

/* What is gathered: `to` (h, w) from `from` (from_h, from_w). */
struct gather_shape {
    int h, w, from_h, from_w, channels, padding, strips, places, passes;
    bool relu;
};

/* At S = 2 strips are of even length. */
template <class T, int S, bool BACKWARD> static __host__ __device__ constexpr int strip_length(void) { return sizeof(T) == 4 ? 4 : BACKWARD && S == 2 ? 8 : 7; }

/* The strip at row h, first column w0, of one image (whose rows of `from` begin at from_row). */
template <class T, int K, int S, bool BACKWARD, int W>
static __device__ __forceinline__ void strip_gather(float (&sum)[W][WIDE], rows<const T> from, const float *weights, struct gather_shape s, int from_row, int h,
                                                    int w0, int channel)
{
    /* Forward: output t takes tap i - S t from column base + i. Backward: output t takes tap A + t - S i; A is the largest tap that
     * output 0 meets, given that w0 is a multiple of S and that the padding is K / 2. */
    constexpr int Q = K / 2 % S, J = (K - 1 - Q) / S, A = Q + S * J, COLUMNS = BACKWARD ? (A + W - 1) / S + 1 : (W - 1) * S + K;
    int base = BACKWARD ? (w0 + s.padding - Q) / S - J : w0 * S - s.padding;
    ROLLED for (int ky = 0; ky < K; ky++) {
        int row = BACKWARD ? h + s.padding - ky : h * S - s.padding + ky;
        if (BACKWARD && (row < 0 || row % S)) continue;
        if (BACKWARD) row /= S;
        if (row < 0 || row >= s.from_h) continue;
        raw<T> column[COLUMNS];
        float w[K][WIDE];
        strip_load<T, COLUMNS>(column, from, from_row + row * s.from_w, base, s.from_w, channel);
        UNROLL for (int kx = 0; kx < K; kx++) lanes_load<WIDE>(w[kx], weights + (int64_t)(ky * K + kx) * s.channels + channel);
        UNROLL for (int i = 0; i < COLUMNS; i++) {
            float v[WIDE];
            column[i].get(v);
            UNROLL for (int t = 0; t < W; t++) {
                const int kx = BACKWARD ? A + t - S * i : i - S * t;
                if (kx >= 0 && kx < K) UNROLL for (int c = 0; c < WIDE; c++) sum[t][c] += v[c] * w[kx][c];
            }
        }
    }
}

/* Block (x, y): channels of tile x, strips y * passes * blockDim.y onward. */
template <class T, int K, int S, bool BACKWARD>
static __global__ void __launch_bounds__(STRIP_THREADS)
    gather_kernel(rows<T> to, rows<const T> from, const float *weights, const float *bias, struct gather_shape s)
{
    constexpr int W = strip_length<T, S, BACKWARD>();
    int channel = tile_channel(WIDE);
    if (channel >= s.channels) return;
    ROLLED for (int pass = 0; pass < s.passes; pass++) {
        int at = (int)((blockIdx.y * s.passes + pass) * blockDim.y + threadIdx.y);
        if (at >= s.places) return;
        int row = at / s.strips, w0 = at % s.strips * W, image = row / s.h;
        float sum[W][WIDE];
        UNROLL for (int c = 0; c < WIDE; c++) {
            float start = bias ? bias[channel + c] : 0;
            UNROLL for (int t = 0; t < W; t++) sum[t][c] = start;
        }
        strip_gather<T, K, S, BACKWARD, W>(sum, from, weights, s, image * s.from_h * s.from_w, row % s.h, w0, channel);
        UNROLL for (int t = 0; t < W; t++) {
            if (w0 + t >= s.w) break;
            UNROLL for (int c = 0; c < WIDE; c++)
                if (s.relu && !(sum[t][c] > 0)) sum[t][c] = 0;
            lanes_store<WIDE>(to(row * s.w + w0 + t, channel), sum[t]);
        }
    }
}

template <class T, int K, int S, bool BACKWARD>
static void gather(const struct tensor *to, const struct tensor *from, const float *weights, const float *bias, const struct depthwise_spec *d, cuda_stream stream)
{
    constexpr int W = strip_length<T, S, BACKWARD>();
    struct gather_shape s = {to->h, to->w, from->h, from->w, to->c, d->padding, (int)ceil_div(to->w, W), 0, 1, d->relu && !BACKWARD};
    int groups = to->c / WIDE, tiles = (int)ceil_div(groups, 8), x = (int)ceil_div(groups, tiles), y = STRIP_THREADS / x;
    s.places = to->n * to->h * s.strips;
    s.passes = clamp((int64_t)s.places * tiles / y / (6 * MULTIPROCESSORS), 1, 8); /* neighbouring rows in one block, when there are blocks enough */
    dim3 grid((unsigned)tiles, (unsigned)ceil_div(s.places, (int64_t)y * s.passes)), block((unsigned)x, (unsigned)y);
    CHECK(grid.y < 65536, "%d strips in a depthwise convolution", s.places);
    LAUNCH((gather_kernel<T, K, S, BACKWARD>), grid, block, stream, rows_of<T>(to), rows_of<const T>(from), weights, bias, s);
}

/* ---- any kernel, stride and channel count: a thread an element ---- */

template <class T>
static __global__ void __launch_bounds__(THREADS) plain_forward_kernel(rows<T> y, rows<const T> x, const float *weights, const float *bias, struct depthwise_shape s, bool relu)
{
    int64_t items = (int64_t)s.images * s.out_h * s.out_w * s.channels;
    for (int64_t at = line_first(); at < items; at += line_step()) {
        int c = (int)(at % s.channels), pixel = (int)(at / s.channels), ow = pixel % s.out_w, oh = pixel / s.out_w % s.out_h, image = pixel / s.out_w / s.out_h;
        float sum = bias ? bias[c] : 0;
        for (int k = 0; k < s.kernel * s.kernel; k++) {
            int h = oh * s.stride - s.padding + k / s.kernel, w = ow * s.stride - s.padding + k % s.kernel;
            float v;
            if (h < 0 || h >= s.h || w < 0 || w >= s.w) continue;
            lanes_load<1>(&v, x((image * s.h + h) * s.w + w, c));
            sum += v * weights[(int64_t)k * s.channels + c];
        }
        if (relu && !(sum > 0)) sum = 0;
        lanes_store<1>(y(pixel, c), &sum);
    }
}

template <class T>
static __global__ void __launch_bounds__(THREADS) plain_backward_kernel(rows<T> dx, rows<const T> dy, const float *weights, struct depthwise_shape s)
{
    int64_t items = (int64_t)s.images * s.h * s.w * s.channels;
    for (int64_t at = line_first(); at < items; at += line_step()) {
        int c = (int)(at % s.channels), pixel = (int)(at / s.channels), w = pixel % s.w, h = pixel / s.w % s.h, image = pixel / s.w / s.h;
        float sum = 0;
        for (int k = 0; k < s.kernel * s.kernel; k++) {
            int down = h + s.padding - k / s.kernel, right = w + s.padding - k % s.kernel;
            float v;
            if (down < 0 || right < 0 || down % s.stride || right % s.stride || down / s.stride >= s.out_h || right / s.stride >= s.out_w) continue;
            lanes_load<1>(&v, dy((image * s.out_h + down / s.stride) * s.out_w + right / s.stride, c));
            sum += v * weights[(int64_t)k * s.channels + c];
        }
        lanes_store<1>(dx(pixel, c), &sum);
    }
}

/* ---- launches ---- */

template <class T> static void forward(const struct tensor *y, const struct tensor *x, const float *weights, const float *bias, const struct depthwise_spec *d, cuda_stream stream)
{
    if (depthwise_special(d) && wide(x) && wide(y) && aligned(weights)) FOR_KERNEL_AND_STRIDE(d, gather<T, K, S, false>(y, x, weights, bias, d, stream));
    else LAUNCH((plain_forward_kernel<T>), line_blocks((int64_t)row_count(y) * y->c), THREADS, stream, rows_of<T>(y), rows_of<const T>(x), weights, bias, depthwise_shape_of(x, y, d), d->relu);
}
template <class T> static void backward(const struct tensor *dx, const struct tensor *dy, const float *weights, const struct depthwise_spec *d, cuda_stream stream)
{
    if (depthwise_special(d) && wide(dx) && wide(dy) && aligned(weights)) FOR_KERNEL_AND_STRIDE(d, gather<T, K, S, true>(dx, dy, weights, NULL, d, stream));
    else LAUNCH((plain_backward_kernel<T>), line_blocks((int64_t)row_count(dx) * dx->c), THREADS, stream, rows_of<T>(dx), rows_of<const T>(dy), weights, depthwise_shape_of(dx, dy, d));
}

void launch_depthwise_forward(const struct tensor *y, const struct tensor *x, const float *weights, const float *bias,
                              const struct depthwise_spec *spec, cuda_stream stream)
{
    if (row_count(y) == 0) return;
    if (x->dtype == DTYPE_F32) forward<float>(y, x, weights, bias, spec, stream);
    else forward<bf16>(y, x, weights, bias, spec, stream);
}

void launch_depthwise_backward_data(const struct tensor *dx, const struct tensor *dy, const float *weights,
                                    const struct depthwise_spec *spec, cuda_stream stream)
{
    if (row_count(dx) == 0) return;
    if (dx->dtype == DTYPE_F32) backward<float>(dx, dy, weights, spec, stream);
    else backward<bf16>(dx, dy, weights, spec, stream);
}

/* Once per run and file, and small: no tiles. */
static __global__ void transpose_kernel(float *to, const float *from, int rows, int columns)
{
    for (int64_t at = line_first(); at < (int64_t)rows * columns; at += line_step()) to[at] = from[at % rows * columns + at / rows];
}
void launch_transpose(float *to, const float *from, int rows, int columns, cuda_stream stream)
{
    LAUNCH(transpose_kernel, line_blocks((int64_t)rows * columns), THREADS, stream, to, from, rows, columns);
}
