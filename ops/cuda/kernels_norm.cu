/* kernels_norm.cu - batch normalisation: its sums, its statistics, the forward pass. See ops/ops.h for the formulas.
 *
 * Bytes at least, for E elements of b bytes: sums E*b; forward 2*E*b, and E*b more with a residual. */
#include "ops/cuda/columns.h"

/* ---- sums ---- */

/* partial (parts, SUMS, channels): sums of x, and of x^2. Reads x once. */
template <class T, int N, int SUMS>
static __global__ void __launch_bounds__(THREADS) sums_kernel(double *partial, rows<const T> x, int row_total, int channels)
{
    enum { AHEAD = 4 }; /* rows whose loads are under way together */
    int channel = tile_channel(N), step = tile_step();
    float total[SUMS][N] = {};
    for (int row = tile_row(); row < row_total && channel < channels;) {
        float sum[SUMS][N] = {};
        for (int k = 0; k < FLUSH / AHEAD && row < row_total; k++, row += AHEAD * step) {
            float v[AHEAD][N] = {};
            UNROLL for (int u = 0; u < AHEAD; u++)
                if (row + u * step < row_total) lanes_load<N>(v[u], x(row + u * step, channel));
            UNROLL for (int u = 0; u < AHEAD; u++)
                UNROLL for (int i = 0; i < N; i++) {
                    sum[0][i] += v[u][i];
                    if constexpr (SUMS == 2) sum[1][i] += v[u][i] * v[u][i];
                }
        }
        UNROLL for (int s = 0; s < SUMS; s++)
            UNROLL for (int i = 0; i < N; i++) total[s][i] += sum[s][i];
    }
    columns_reduce<N, SUMS>(partial + (int64_t)blockIdx.y * SUMS * channels, total, channels);
}

template <int SUMS, class OUT> static void channel_sums(OUT *sum, OUT *squares, const struct tensor *x, double *partial, cuda_stream stream)
{
    int row_total = row_count(x);
    FOR_TYPE_AND_LANES(x->dtype, wide(x), {
        struct tiling t = tiling_sums(row_total, x->c, N);
        LAUNCH((sums_kernel<T, N, SUMS>), t.grid, t.block, stream, partial, rows_of<const T>(x), row_total, x->c);
        columns_finish(sum, squares, partial, t.parts, SUMS, x->c, stream);
    });
}

size_t channel_sums_scratch(const struct tensor *x)
{
    return sizeof(double) * 2 * (size_t)x->c * (size_t)tiling_sums_parts(row_count(x), x->c);
}

void launch_norm_sums(double *sum, double *sum_squares, const struct tensor *x, void *scratch, cuda_stream stream)
{
    channel_sums<2>(sum, sum_squares, x, (double *)scratch, stream);
}

void launch_norm_sums_taken(double *sum, double *sum_squares, const float *taken, int c, cuda_stream stream)
{
    columns_finish(sum, sum_squares, taken, 1, 2, c, stream);
}

void launch_channel_sum(float *sum, const struct tensor *t, void *scratch, cuda_stream stream)
{
    channel_sums<1>(sum, (float *)NULL, t, (double *)scratch, stream);
}

/* ---- statistics: a thread a channel, 40 to 60 bytes each ---- */

static __device__ void scale_and_shift(const struct norm_memory *m, int c, float mean, float inv_std)
{
    float scale = m->gamma[c] * inv_std;
    m->mean[c] = mean, m->inv_std[c] = inv_std;
    m->scale[c] = scale, m->shift[c] = m->beta[c] - mean * scale;
}

static __device__ void statistics_of(const struct norm_memory *m, const struct norm_spec *spec, int c, double sum, double squares, double count)
{
    double mean = sum / count, variance = squares / count - mean * mean;
    if (variance < 0) variance = 0;
    double unbiased = count > 1 ? variance * count / (count - 1) : variance;
    scale_and_shift(m, c, (float)mean, (float)(1 / sqrt(variance + spec->eps)));
    m->running_mean[c] = (float)((1 - spec->momentum) * m->running_mean[c] + spec->momentum * mean);
    m->running_var[c] = (float)((1 - spec->momentum) * m->running_var[c] + spec->momentum * unbiased);
}

static __global__ void statistics_kernel(struct norm_memory m, struct norm_spec spec, const double *sum, const double *squares, double count)
{
    int c = (int)line_first();
    if (c < spec.c) statistics_of(&m, &spec, c, sum[c], squares[c], count);
}

/* Of channels whose sums were taken before, and of fresh ones, which are kept for later normalisations. */
struct statistics_tail {
    struct norm_memory m;
    struct norm_spec spec;
    double *sum, *squares, count;
    __device__ void operator()(int c, bool fresh, double fresh_sum, double fresh_squares) const
    {
        if (fresh) sum[c] = fresh_sum, squares[c] = fresh_squares;
        statistics_of(&m, &spec, c, sum[c], squares[c], count);
    }
};

static __global__ void frozen_kernel(struct norm_memory m, struct norm_spec spec)
{
    int c = (int)line_first();
    if (c < spec.c) scale_and_shift(&m, c, m.running_mean[c], (float)(1 / sqrt((double)m.running_var[c] + spec.eps)));
}

void launch_norm_statistics(const struct norm_memory *m, const struct norm_spec *spec, const double *sum, const double *sum_squares,
                            double count, cuda_stream stream)
{
    if (count > 0) LAUNCH(statistics_kernel, line_blocks(spec->c), THREADS, stream, *m, *spec, sum, sum_squares, count);
}

void launch_norm_batch(const struct norm_memory *m, const struct norm_spec *spec, double *sum, double *sum_squares, const struct tensor *fresh,
                       double count, void *scratch, cuda_stream stream)
{
    int row_total = row_count(fresh);
    if (count <= 0) return;
    if (fresh->c == 0) {
        launch_norm_statistics(m, spec, sum, sum_squares, count, stream);
        return;
    }
    FOR_TYPE_AND_LANES(fresh->dtype, wide(fresh), {
        struct tiling t = tiling_sums(row_total, fresh->c, N);
        LAUNCH((sums_kernel<T, N, 2>), t.grid, t.block, stream, (double *)scratch, rows_of<const T>(fresh), row_total, fresh->c);
        struct statistics_tail tail = {*m, *spec, sum, sum_squares, count};
        columns_finish_with(tail, (const double *)scratch, t.parts, spec->c - fresh->c, fresh->c, stream);
    });
}

void launch_norm_batch_taken(const struct norm_memory *m, const struct norm_spec *spec, double *sum, double *sum_squares, const float *taken, int c,
                             double count, cuda_stream stream)
{
    struct statistics_tail tail = {*m, *spec, sum, sum_squares, count};
    if (count > 0) columns_finish_with(tail, taken, 1, spec->c - c, c, stream);
}

void launch_norm_frozen(const struct norm_memory *m, const struct norm_spec *spec, cuda_stream stream)
{
    LAUNCH(frozen_kernel, line_blocks(spec->c), THREADS, stream, *m, *spec);
}

/* ---- forward ---- */

template <class T> static __device__ __forceinline__ float activate(float z, enum activation act)
{
    return act == ACT_RELU ? (z > 0 ? z : 0) : act == ACT_SILU ? z * sigmoid<T>(z) : z;
}

struct forward_channels { const float *scale, *shift; };
/* Reads x and residual once, writes y once. pixels: rows of an image. */
template <class T, int N>
static __global__ void __launch_bounds__(THREADS)
    forward_kernel(rows<T> y, rows<const T> x, rows<const T> residual, struct forward_channels p, const float *row_scale, int pixels, int row_total, int channels,
                   enum activation act)
{
    enum { AHEAD = 2 };
    int channel = tile_channel(N), step = tile_step();
    if (channel >= channels) return;
    float scale[N], shift[N];
    lanes_load<N>(scale, p.scale + channel), lanes_load<N>(shift, p.shift + channel);
    for (int first = tile_row(); first < row_total; first += AHEAD * step) {
        float v[AHEAD][N], r[AHEAD][N] = {};
        UNROLL for (int u = 0; u < AHEAD; u++)
            if (first + u * step < row_total) {
                lanes_load<N>(v[u], x(first + u * step, channel));
                if (residual.at) lanes_load<N>(r[u], residual(first + u * step, channel));
            }
        UNROLL for (int u = 0; u < AHEAD; u++) {
            int row = first + u * step;
            if (row >= row_total) break;
            float factor = row_scale ? row_scale[(unsigned)row / (unsigned)pixels] : 1;
            UNROLL for (int i = 0; i < N; i++) v[u][i] = activate<T>((v[u][i] * scale[i] + shift[i]) * factor + r[u][i], act);
            lanes_store<N>(y(row, channel), v[u]);
        }
    }
}

void launch_norm_forward(const struct tensor *y, const struct tensor *x, const struct tensor *residual, const float *scale,
                         const float *shift, const float *row_scale, enum activation act, cuda_stream stream)
{
    int row_total = row_count(x);
    struct forward_channels p = {scale, shift};
    if (row_total == 0) return;
    FOR_TYPE_AND_LANES(x->dtype, wide(y) && wide(x) && wide(residual) && aligned(scale) && aligned(shift), {
        struct tiling t = tiling_plain(row_total, x->c, N);
        LAUNCH((forward_kernel<T, N>), t.grid, t.block, stream, rows_of<T>(y), rows_of<const T>(x), rows_of<const T>(residual), p, row_scale,
               x->h * x->w, row_total, x->c, act);
    });
}
