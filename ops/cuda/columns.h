/* columns.h - sums over the rows of a matrix, in two stages of fixed order.
 *
 * Stage one: the block of a tiling adds up its rows, thread by thread in float (16 rows, then the sums of 16: their errors stay near one
 * unit in the last place of the sum of absolute values), then over its threads in double, and writes one row of partial sums. Stage two adds the partial rows: 32 threads a column take every 32nd each, and
 * their sums are added in turn. Nothing depends on which block ends first.
 */
#ifndef OPS_CUDA_COLUMNS_H
#define OPS_CUDA_COLUMNS_H
#include "ops/cuda/device.h"

enum { FLUSH = 16, FINISH_COLUMNS = 8, FINISH_SLICES = 32 };

static inline struct tiling tiling_sums(int64_t row_total, int channels, int lanes)
{
    return tiling_of(row_total, channels, lanes, FLUSH / 2, lanes == 1 ? 32 : 16, 8 * MULTIPROCESSORS);
}
/* Rows of partial sums, whatever the lanes. */
static inline int tiling_sums_parts(int64_t row_total, int channels)
{
    int narrow = tiling_sums(row_total, channels, 1).parts, broad = tiling_sums(row_total, channels, WIDE).parts;
    return narrow > broad ? narrow : broad;
}

/* partial (K, channels) of this block's rows = sum of `value` over its threads. All threads of the block call it. */
template <int N, int K> static __device__ __forceinline__ void columns_reduce(double *partial, const float (&value)[K][N], int channels)
{
    __shared__ float cell[K * N][THREADS];
    int thread = (int)(threadIdx.y * blockDim.x + threadIdx.x), width = (int)blockDim.x, threads = width * (int)blockDim.y;
    UNROLL for (int k = 0; k < K; k++)
        UNROLL for (int i = 0; i < N; i++) cell[k * N + i][thread] = value[k][i];
    __syncthreads();
    for (int at = thread; at < K * N * width; at += threads) {
        int group = at % width, lane = at / width, channel = ((int)blockIdx.x * width + group) * N + lane % N;
        double sum = 0;
        for (int y = group; y < threads; y += width) sum += (double)cell[lane][y];
        if (channel < channels) partial[(int64_t)(lane / N) * channels + channel] = sum;
    }
}

/* out[k][column] = sum over the parts of partial (parts, K, columns). Reads partial once; blockIdx.y = k. */
template <class P, class OUT>
static __global__ void columns_finish_kernel(OUT *out0, OUT *out1, const P *partial, int parts, int sums, int columns)
{
    __shared__ double slice[FINISH_SLICES][FINISH_COLUMNS];
    int column = (int)(blockIdx.x * FINISH_COLUMNS + threadIdx.x);
    double sum = 0;
    if (column < columns)
        for (int p = (int)threadIdx.y; p < parts; p += FINISH_SLICES) sum += (double)partial[((int64_t)p * sums + blockIdx.y) * columns + column];
    slice[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y || column >= columns) return;
    for (int s = 1; s < FINISH_SLICES; s++) sum += slice[s][threadIdx.x];
    (blockIdx.y ? out1 : out0)[column] = (OUT)sum;
}

/* The same for two sums of each column, which are handed to tail(channel, fresh, sum0, sum1) instead of being written: one launch less where more
 * is done with them. Channels [0, first) have no column: fresh is false then. */
template <class P, class TAIL>
static __global__ void columns_finish_with_kernel(TAIL tail, const P *partial, int parts, int first, int columns)
{
    __shared__ double slice[2][FINISH_SLICES][FINISH_COLUMNS];
    int channel = (int)(blockIdx.x * FINISH_COLUMNS + threadIdx.x), column = channel - first;
    bool fresh = column >= 0 && column < columns;
    double sum[2] = {0, 0};
    for (int p = (int)threadIdx.y; p < parts && fresh; p += FINISH_SLICES)
        UNROLL for (int k = 0; k < 2; k++) sum[k] += (double)partial[((int64_t)p * 2 + k) * columns + column];
    UNROLL for (int k = 0; k < 2; k++) slice[k][threadIdx.y][threadIdx.x] = sum[k];
    __syncthreads();
    if (threadIdx.y || channel >= first + columns) return;
    for (int s = 1; s < FINISH_SLICES; s++)
        UNROLL for (int k = 0; k < 2; k++) sum[k] += slice[k][s][threadIdx.x];
    tail(channel, fresh, sum[0], sum[1]);
}

template <class P, class TAIL> static void columns_finish_with(TAIL tail, const P *partial, int parts, int first, int columns, cuda_stream stream)
{
    if (first + columns == 0) return;
    dim3 grid((unsigned)ceil_div(first + columns, FINISH_COLUMNS)), block(FINISH_COLUMNS, FINISH_SLICES);
    LAUNCH((columns_finish_with_kernel<P, TAIL>), grid, block, stream, tail, partial, parts, first, columns);
}

template <class P, class OUT>
static void columns_finish(OUT *out0, OUT *out1, const P *partial, int parts, int sums, int columns, cuda_stream stream)
{
    if (columns == 0) return;
    dim3 grid((unsigned)ceil_div(columns, FINISH_COLUMNS), (unsigned)sums), block(FINISH_COLUMNS, FINISH_SLICES);
    LAUNCH((columns_finish_kernel<P, OUT>), grid, block, stream, out0, out1, partial, parts, sums, columns);
}
#endif
