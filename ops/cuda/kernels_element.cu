/* kernels_element.cu - operations that touch each element alone, and the random numbers of two of them.
 *
 * Bytes at least, for E elements of b bytes: relu_backward 3*E*b, add 3*E*b, copy 2*E*b, dropout 2*E*b. Dropout draws a Philox block an
 * element, about 60 integer operations: it is for (N, C) matrices. */
#include "ops/cuda/device.h"
extern "C" {
#include "base/random_private.h"
}

/* What the kernels of this file take: `to` and `from` may be the same memory. */
template <class T> struct element_operands {
    rows<T> to;
    rows<const T> from;
    int row_total, channels;
};
template <class T> static element_operands<T> operands_of(const struct tensor *to, const struct tensor *from)
{
    element_operands<T> o = {rows_of<T>(to), rows_of<const T>(from), row_count(from), from->c};
    return o;
}

template <class T, int N> static __global__ void __launch_bounds__(THREADS) relu_backward_kernel(element_operands<T> o)
{
    int channel = tile_channel(N);
    for (int row = tile_row(); row < o.row_total && channel < o.channels; row += tile_step()) {
        float d[N], y[N];
        lanes_load<N>(d, o.to(row, channel)), lanes_load<N>(y, o.from(row, channel));
        UNROLL for (int i = 0; i < N; i++) d[i] = y[i] > 0 ? d[i] : 0;
        lanes_store<N>(o.to(row, channel), d);
    }
}

template <class T, int N> static __global__ void __launch_bounds__(THREADS) add_kernel(element_operands<T> o)
{
    int channel = tile_channel(N);
    for (int row = tile_row(); row < o.row_total && channel < o.channels; row += tile_step()) {
        float y[N], x[N];
        lanes_load<N>(y, o.to(row, channel)), lanes_load<N>(x, o.from(row, channel));
        UNROLL for (int i = 0; i < N; i++) y[i] += x[i];
        lanes_store<N>(o.to(row, channel), y);
    }
}

template <class T, int N> static __global__ void __launch_bounds__(THREADS) copy_kernel(element_operands<T> o)
{
    int channel = tile_channel(N);
    for (int row = tile_row(); row < o.row_total && channel < o.channels; row += tile_step()) {
        float v[N];
        lanes_load<N>(v, o.from(row, channel));
        lanes_store<N>(o.to(row, channel), v);
    }
}

#define LAUNCH_ELEMENTS(kernel, to, from, stream, ...)                                                                     \
    do {                                                                                                                   \
        if (row_count(from) == 0) return;                                                                                  \
        FOR_TYPE_AND_LANES((from)->dtype, wide(to) && wide(from), {                                                        \
            struct tiling t = tiling_plain(row_count(from), (from)->c, N);                                                 \
            LAUNCH((kernel<T, N>), t.grid, t.block, stream, operands_of<T>(to, from) __VA_ARGS__);                         \
        });                                                                                                                \
    } while (0)
#define AND , /* before further arguments */

void launch_relu_backward(const struct tensor *dy, const struct tensor *y, cuda_stream stream) { LAUNCH_ELEMENTS(relu_backward_kernel, dy, y, stream, ); }
void launch_add(const struct tensor *y, const struct tensor *x, cuda_stream stream) { LAUNCH_ELEMENTS(add_kernel, y, x, stream, ); }
void launch_copy(const struct tensor *to, const struct tensor *from, cuda_stream stream) { LAUNCH_ELEMENTS(copy_kernel, to, from, stream, ); }

/* ---- random numbers ---- */

/* random_u32_at(random_stream(seed, purpose, a, 0), index) of base/random.c. */
static __device__ unsigned random_at(uint64_t seed, unsigned purpose, uint64_t a, uint64_t index)
{
    uint64_t block = index / 2;
    unsigned x0 = (unsigned)block, x1 = (unsigned)(block >> 32), x2 = (unsigned)a, x3 = (unsigned)(a >> 32);
    unsigned k0 = (unsigned)seed, k1 = (unsigned)(seed >> 32) ^ (purpose * PHILOX_WEYL_0);
    UNROLL for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_MULTIPLIER_0 * x0, p1 = (uint64_t)PHILOX_MULTIPLIER_1 * x2;
        x0 = (unsigned)(p1 >> 32) ^ x1 ^ k0;
        x2 = (unsigned)(p0 >> 32) ^ x3 ^ k1;
        x1 = (unsigned)p1;
        x3 = (unsigned)p0;
        k0 += PHILOX_WEYL_0;
        k1 += PHILOX_WEYL_1;
    }
    return index % 2 ? x3 : x1; /* the upper half of the 64-bit number */
}

/* A number below this is below p * 2^32. */
static uint64_t threshold_of(double p) { return p > 0 ? (uint64_t)ceil(p * 4294967296.0) : 0; }

struct dropping {
    uint64_t threshold, layer;
    const uint64_t *row_key;
    int pixels;
    float factor;
};

template <class T, int N> static __global__ void __launch_bounds__(THREADS) dropout_kernel(element_operands<T> o, struct dropping d)
{
    int channel = tile_channel(N);
    for (int row = tile_row(); row < o.row_total && channel < o.channels; row += tile_step()) {
        int image = row / d.pixels, pixel = row % d.pixels;
        float v[N];
        lanes_load<N>(v, o.from(row, channel));
        UNROLL for (int i = 0; i < N; i++) {
            uint64_t element = (uint64_t)(channel + i) * (unsigned)d.pixels + (unsigned)pixel;
            bool dropped = random_at(d.row_key[image], RANDOM_DROPOUT, d.layer, element) < d.threshold;
            v[i] = dropped ? 0 : v[i] * d.factor;
        }
        lanes_store<N>(o.to(row, channel), v);
    }
}

void launch_dropout(const struct tensor *y, const struct tensor *x, double p, const uint64_t *row_key, uint64_t layer, cuda_stream stream)
{
    struct dropping d = {threshold_of(p), layer, row_key, x->h * x->w, (float)(1 / (1 - p))};
    if (p > 0) LAUNCH_ELEMENTS(dropout_kernel, y, x, stream, AND d);
    else if (y->data != x->data) launch_copy(y, x, stream);
}

static __global__ void drop_rows_kernel(float *row_scale, int images, struct dropping d)
{
    int i = (int)line_first();
    if (i < images) row_scale[i] = random_at(d.row_key[i], RANDOM_DROP_PATH, d.layer, 0) < d.threshold ? 0 : d.factor;
}

void launch_drop_rows(float *row_scale, const uint64_t *row_key, int images, double p, uint64_t layer, cuda_stream stream)
{
    struct dropping d = {threshold_of(p), layer, row_key, 1, (float)(1 / (1 - p))};
    if (images) LAUNCH(drop_rows_kernel, line_blocks(images), THREADS, stream, row_scale, images, d);
}
