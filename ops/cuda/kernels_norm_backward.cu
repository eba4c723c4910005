/* kernels_norm_backward.cu - batch normalisation backward, cut at its two sums. See ops/ops.h for the formulas.
 *
 * Bytes at least, for E elements of b bytes: sums 3*E*b (dy, x in; g out), E*b more for each of dy2 and y; without an activation and
 * without dy2 g is dy and is not written: 2*E*b. dx 3*E*b, and E*b more with `add`. */
#include "ops/cuda/columns.h"

/* Derivative of the activation at z. */
template <class T> static __device__ __forceinline__ float slope(float z, enum activation act)
{
    if (act == ACT_RELU) return z > 0 ? 1 : 0;
    float s = sigmoid<T>(z);
    return s * (1 + z * (1 - s));
}

template <class T> struct gradient_operands {
    rows<T> dy;
    rows<const T> dy2, x, y;
    const float *mean, *inv_std, *scale, *shift, *row_scale;
    int pixels, row_total, channels;
    enum activation act;
};

/* partial (parts, 2, channels): sums of g * row_scale and of g * row_scale * xhat, of g before it is rounded. */
template <class T, int N> static __global__ void __launch_bounds__(THREADS, 2) gradient_kernel(double *partial, gradient_operands<T> o)
{
    int channel = tile_channel(N), step = tile_step();
    float total[2][N] = {}, mean[N] = {}, scale[N] = {}, shift[N] = {};
    if (channel < o.channels) {
        lanes_load<N>(mean, o.mean + channel), lanes_load<N>(scale, o.scale + channel), lanes_load<N>(shift, o.shift + channel);
    }
    bool changes = o.act != ACT_NONE || o.dy2.at;
    for (int row = tile_row(); row < o.row_total && channel < o.channels;) {
        float sum[2][N] = {};
        for (int k = 0; k < FLUSH && row < o.row_total; k++, row += step) {
            float g[N], x[N], y[N], second[N] = {};
            lanes_load<N>(g, o.dy(row, channel)), lanes_load<N>(x, o.x(row, channel));
            if (o.dy2.at) lanes_load<N>(second, o.dy2(row, channel));
            if (o.y.at) lanes_load<N>(y, o.y(row, channel));
            float factor = o.row_scale ? o.row_scale[(unsigned)row / (unsigned)o.pixels] : 1;
            UNROLL for (int i = 0; i < N; i++) {
                float z = o.y.at ? y[i] : (x[i] * scale[i] + shift[i]) * factor; /* y > 0 just when its argument is */
                g[i] += second[i];
                if (o.act != ACT_NONE) g[i] *= slope<T>(z, o.act);
                sum[0][i] += g[i] * factor;
                sum[1][i] += g[i] * factor * (x[i] - mean[i]);
            }
            if (changes) lanes_store<N>(o.dy(row, channel), g);
        }
        UNROLL for (int i = 0; i < N; i++) total[0][i] += sum[0][i], total[1][i] += sum[1][i];
    }
    UNROLL for (int i = 0; i < N; i++) total[1][i] *= channel < o.channels ? o.inv_std[channel + i] : 0;
    columns_reduce<N, 2>(partial + (int64_t)blockIdx.y * 2 * o.channels, total, o.channels);
}

/* Stage one into scratch; returns the rows of partial sums there. */
static int gradient_partials(const struct tensor *dy, const struct tensor *dy2, const struct tensor *x, const struct tensor *y, const float *mean,
                             const float *inv_std, const float *scale, const float *shift, const float *row_scale, enum activation act,
                             void *scratch, cuda_stream stream)
{
    int row_total = row_count(x), parts = 0;
    bool is_wide = wide(dy) && wide(dy2) && wide(x) && wide(y) && aligned(mean) && aligned(scale) && aligned(shift);
    FOR_TYPE_AND_LANES(x->dtype, is_wide, {
        struct tiling t = tiling_sums(row_total, x->c, N);
        gradient_operands<T> o = {rows_of<T>(dy), rows_of<const T>(dy2), rows_of<const T>(x), rows_of<const T>(y), mean, inv_std, scale, shift,
                                  row_scale, x->h * x->w, row_total, x->c, act};
        LAUNCH((gradient_kernel<T, N>), t.grid, t.block, stream, (double *)scratch, o);
        parts = t.parts;
    });
    return parts;
}

void launch_norm_backward_sums(double *sum_g, double *sum_gx, const struct tensor *dy, const struct tensor *dy2, const struct tensor *x,
                               const struct tensor *y, const float *mean, const float *inv_std, const float *scale, const float *shift,
                               const float *row_scale, enum activation act, void *scratch, cuda_stream stream)
{
    int parts = gradient_partials(dy, dy2, x, y, mean, inv_std, scale, shift, row_scale, act, scratch, stream);
    columns_finish(sum_g, sum_gx, (const double *)scratch, parts, 2, x->c, stream);
}

struct gradient_tail {
    float *dgamma, *dbeta, *mean_g, *mean_gx;
    double count;
    __device__ void operator()(int c, bool, double sum_g, double sum_gx) const
    {
        dgamma[c] = (float)sum_gx, dbeta[c] = (float)sum_g;
        mean_g[c] = (float)(sum_g / count), mean_gx[c] = (float)(sum_gx / count);
    }
};

void launch_norm_backward_batch(float *dgamma, float *dbeta, float *mean_g, float *mean_gx, const struct tensor *dy, const struct tensor *dy2,
                                const struct tensor *x, const struct tensor *y, const struct norm_memory *m, const float *row_scale,
                                enum activation act, double count, void *scratch, cuda_stream stream)
{
    int parts = gradient_partials(dy, dy2, x, y, m->mean, m->inv_std, m->scale, m->shift, row_scale, act, scratch, stream);
    struct gradient_tail tail = {dgamma, dbeta, mean_g, mean_gx, count};
    columns_finish_with(tail, (const double *)scratch, parts, 0, x->c, stream);
}

static __global__ void means_kernel(float *mean_g, float *mean_gx, const double *sum_g, const double *sum_gx, int c, double count)
{
    int i = (int)line_first();
    if (i < c) mean_g[i] = (float)(sum_g[i] / count), mean_gx[i] = (float)(sum_gx[i] / count);
}

void launch_norm_means(float *mean_g, float *mean_gx, const double *sum_g, const double *sum_gx, int c, double count, cuda_stream stream)
{
    LAUNCH(means_kernel, line_blocks(c), THREADS, stream, mean_g, mean_gx, sum_g, sum_gx, c, count);
}

struct backward_channels { const float *mean, *inv_std, *scale, *mean_g, *mean_gx; };
/* dx may be g: each element is read before it is written, by the same thread. */
template <class T, int N>
static __global__ void __launch_bounds__(THREADS)
    backward_kernel(rows<T> dx, rows<const T> g, rows<const T> x, struct backward_channels p, const float *row_scale, int pixels, int row_total, int channels, bool add)
{
    enum { AHEAD = 2 };
    int channel = tile_channel(N), step = tile_step();
    if (channel >= channels) return;
    float scale[N], mean[N], base[N], slant[N]; /* dx = scale * g * row_scale - base - (x - mean) * slant */
    lanes_load<N>(scale, p.scale + channel), lanes_load<N>(mean, p.mean + channel);
    lanes_load<N>(base, p.mean_g + channel), lanes_load<N>(slant, p.mean_gx + channel);
    UNROLL for (int i = 0; i < N; i++) base[i] *= scale[i], slant[i] *= scale[i] * p.inv_std[channel + i];
    for (int first = tile_row(); first < row_total; first += AHEAD * step) {
        float gradient[AHEAD][N], in[AHEAD][N], old[AHEAD][N] = {};
        UNROLL for (int u = 0; u < AHEAD; u++)
            if (first + u * step < row_total) {
                lanes_load<N>(gradient[u], g(first + u * step, channel));
                lanes_load<N>(in[u], x(first + u * step, channel));
                if (add) lanes_load<N>(old[u], dx(first + u * step, channel));
            }
        UNROLL for (int u = 0; u < AHEAD; u++) {
            int row = first + u * step;
            if (row >= row_total) break;
            float factor = row_scale ? row_scale[(unsigned)row / (unsigned)pixels] : 1;
            UNROLL for (int i = 0; i < N; i++)
                old[u][i] += gradient[u][i] * factor * scale[i] - base[i] - (in[u][i] - mean[i]) * slant[i];
            lanes_store<N>(dx(row, channel), old[u]);
        }
    }
}

void launch_norm_backward(const struct tensor *dx, const struct tensor *g, const struct tensor *x, const float *mean,
                          const float *inv_std, const float *scale, const float *mean_g, const float *mean_gx, const float *row_scale,
                          bool add, cuda_stream stream)
{
    int row_total = row_count(x);
    struct backward_channels p = {mean, inv_std, scale, mean_g, mean_gx};
    bool is_wide = wide(dx) && wide(g) && wide(x) && aligned(mean) && aligned(scale) && aligned(mean_g) && aligned(mean_gx);
    if (row_total == 0) return;
    FOR_TYPE_AND_LANES(x->dtype, is_wide, {
        struct tiling t = tiling_plain(row_total, x->c, N);
        LAUNCH((backward_kernel<T, N>), t.grid, t.block, stream, rows_of<T>(dx), rows_of<const T>(g), rows_of<const T>(x), p, row_scale, x->h * x->w,
               row_total, x->c, add);
    });
}
