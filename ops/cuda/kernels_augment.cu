/* kernels_augment.cu - stored pictures to the network's input, as io/load/augment.c makes them (read its DESIGN): per output row a vertical
 * filter of a few stored rows, along it a horizontal filter whose position is rounded to a table of phases. Positions are computed by the
 * same operations on double, none fused, so that both sample the same points; a weight may differ in its last place.
 *
 * DESIGN: a block an output row; its vertical weights are made once, in shared memory. A thread makes one pixel and filters just the stored
 * columns it needs, in the order of the other: vertical sums first.
 *
 * Bytes at least, for P stored bytes that the maps show and O output pixels: P + 16*O. What costs is reading each stored pixel once for each
 * output pixel that it touches, from the first cache. */
#include "ops/cuda/input.h"

enum { PHASE_BITS = 9, FRACTION_BITS = 20, KEPT_ROWS = 64 };

static __device__ __forceinline__ double plus(double a, double b) { return __dadd_rn(a, b); }
static __device__ __forceinline__ double times(double a, double b) { return __dmul_rn(a, b); }

/* Triangle filter: share of the pixel whose centre lies `distance` from the point. */
static __device__ __forceinline__ float triangle(double distance, double support)
{
    double w = plus(1, -__ddiv_rn(fabs(distance), support));
    return w > 0 ? (float)w : 0;
}

struct span { int begin, end; };
/* Columns whose point x0 + step * (column + .5) lies inside [0, width). */
static __device__ struct span inside_columns(double x0, double step, int width, int size)
{
    double a = plus(__ddiv_rn(-x0, step), -0.5), b = plus(__ddiv_rn(plus(width, -x0), step), -0.5);
    double low = step > 0 ? ceil(a) : floor(b) + 1, high = step > 0 ? ceil(b) : floor(a) + 1;
    struct span s;
    s.begin = (int)fmax(0.0, fmin((double)size, low));
    s.end = (int)fmax((double)s.begin, fmin((double)size, high));
    return s;
}

struct vertical { /* rows first .. first + taps - 1 around y; `whole`: the sum of their weights */
    int first, taps, height;
    double y, support;
    float whole;
};
/* Weight of row first + t before all are divided by their sum; rows outside the picture get nothing. */
static __device__ __forceinline__ float vertical_weight(const struct vertical *v, int t)
{
    int row = v->first + t;
    return row >= 0 && row < v->height ? triangle(plus(row + 0.5, -v->y), v->support) : 0;
}
/* The first KEPT_ROWS weights, divided, go to shared memory; more than that is rare and done on the way. All threads call it. */
static __device__ struct vertical vertical_open(float *kept, double y, double y_row, int height)
{
    double support = fmax(1.0, fabs(y_row)), whole = 0;
    struct vertical v = {(int)floor(plus(y, -support)), 2 * (int)ceil(support) + 1, height, y, support, 0};
    for (int t = 0; t < v.taps; t++) whole += (double)vertical_weight(&v, t);
    v.whole = (float)whole;
    for (int t = (int)threadIdx.x; t < v.taps && t < KEPT_ROWS; t += (int)blockDim.x) kept[t] = vertical_weight(&v, t) / v.whole;
    __syncthreads();
    return v;
}

/* sum[c] = stored column at `at` (of row v->first) under the vertical filter. */
static __device__ __forceinline__ void vertical_sum(float (&sum)[3], const uint8_t *at, int64_t row_step, int channels, const struct vertical *v, const float *kept)
{
    sum[0] = sum[1] = sum[2] = 0;
    for (int r = 0; r < v->taps; r++, at += row_step) {
        float w = r < KEPT_ROWS ? kept[r] : vertical_weight(v, r) / v->whole;
        if (!(w > 0)) continue;
        UNROLL for (int c = 0; c < 3; c++)
            if (c < channels) sum[c] += w * (float)at[c];
    }
}

/* The filtered value of a point of the row, channel by channel, 0..255. */
static __device__ __forceinline__ void sample(float (&out)[3], const uint8_t *pixels, const struct picture *p, const struct vertical *v,
                                              const float *kept, double x0, int begin, int column)
{
    double support = fmax(1.0, fabs(p->x_column));
    int taps = 2 * (int)ceil(support), bits = PHASE_BITS - (int)fmin((double)PHASE_BITS, floor(log2(support)));
    double left = plus(plus(plus(plus(x0, -0.5), -(taps / 2 - 1)), taps), 0.5 / (1 << bits)); /* `taps` pixels keep it above 0 */
    int64_t position = llrint(times(plus(left, times(p->x_column, begin + 0.5)), (double)(1 << FRACTION_BITS)));
    position += (column - begin) * llrint(times(p->x_column, (double)(1 << FRACTION_BITS)));
    int first = (int)(position >> FRACTION_BITS) - taps, phase = (int)(position >> (FRACTION_BITS - bits)) & ((1 << bits) - 1);
    double centre = plus(taps / 2 - 0.5, (double)phase / (1 << bits)), whole = 0;
    for (int t = 0; t < taps; t++) whole += (double)triangle(plus(t + 0.5, -centre), support);
    for (int t = 0; t < taps; t++) {
        int x = first + t < 0 ? 0 : first + t >= p->width ? p->width - 1 : first + t;
        float w = triangle(plus(t + 0.5, -centre), support) / (float)whole, sum[3];
        vertical_sum(sum, pixels + ((int64_t)v->first * p->width + x) * p->channels, (int64_t)p->width * p->channels, p->channels, v, kept);
        UNROLL for (int c = 0; c < 3; c++) out[c] += w * sum[c];
    }
    if (p->channels == 1) out[1] = out[2] = out[0];
}

struct normalisation { float factor[3], shift[3]; };

/* Block (row, image). */
template <class T>
static __global__ void __launch_bounds__(THREADS)
    augment_kernel(rows<T> to, const uint8_t *pool, const struct picture *pictures, struct normalisation n, int size)
{
    __shared__ float kept[KEPT_ROWS];
    int row = (int)blockIdx.x, image = (int)blockIdx.y;
    struct picture p = pictures[image];
    double y = plus(p.y0, times(p.y_row, row + 0.5)), x0 = plus(p.x0, times(p.x_row, row + 0.5));
    struct vertical v = vertical_open(kept, y, p.y_row, p.height);
    struct span inside = {0, 0};
    if (y >= 0 && y < p.height) inside = inside_columns(x0, p.x_column, p.width, size);
    for (int column = (int)threadIdx.x; column < size; column += (int)blockDim.x) {
        float value[3] = {0, 0, 0};
        if (column >= inside.begin && column < inside.end) sample(value, pool + p.offset, &p, &v, kept, x0, inside.begin, column);
        UNROLL for (int c = 0; c < 3; c++) value[c] = value[c] * n.factor[c] + n.shift[c];
        T *at = to((image * size + row) * size + column, 0);
        if (to.step * (int)sizeof(T) == 16) {
            pixel_store(at, value[0], value[1], value[2]);
            continue;
        }
        for (int c = 0; c < to.step; c++) {
            float one = c == 0 ? value[0] : c == 1 ? value[1] : c == 2 ? value[2] : 0;
            lanes_store<1>(at + c, &one);
        }
    }
}

void launch_augment(const struct tensor *x, const uint8_t *pool, const struct picture *pictures, const float mean[3],
                    const float deviation[3], cuda_stream stream)
{
    struct normalisation n;
    for (int c = 0; c < 3; c++) n.factor[c] = 1 / (255 * deviation[c]), n.shift[c] = -mean[c] / deviation[c];
    CHECK(x->c == 3 && x->h == x->w && x->c_offset == 0 && aligned(x->data), "pictures become square tensors of 3 channels, no slices");
    if (row_count(x) == 0) return;
    dim3 grid((unsigned)x->h, (unsigned)x->n);
    if (x->dtype == DTYPE_F32) LAUNCH((augment_kernel<float>), grid, THREADS, stream, rows_of<float>(x), pool, pictures, n, x->h);
    else LAUNCH((augment_kernel<bf16>), grid, THREADS, stream, rows_of<bf16>(x), pool, pictures, n, x->h);
}
