/* kernels_pool.cu - max and average pooling. A thread makes 8 channels of one pixel: of y forward, of dx backward, where it gathers from all
 * windows that hold its pixel, in their order. Windows that overlap read x again, from the caches.
 *
 * Bytes at least, for X elements of x and Y of y, of b bytes: maximum forward X*b + Y*(b+1), backward the same; average (X+Y)*b. */
#include "ops/cuda/device.h"

struct pool_shape {
    int h, w, out_h, out_w, channels, kernel, stride, padding; /* kernel 0: adaptive */
};
static struct pool_shape pool_shape_of(const struct tensor *x, const struct tensor *y, const struct pool_spec *p)
{
    struct pool_shape s = {x->h, x->w, y->h, y->w, x->c, p->kernel, p->stride, p->padding};
    return s;
}

struct span { int first, end; };
/* Inputs of output o along one axis, clipped. */
static __device__ __forceinline__ struct span window_of(int o, int in, int out, struct pool_shape s)
{
    struct span v;
    if (s.kernel == 0) {
        v.first = o * in / out, v.end = ((o + 1) * in + out - 1) / out;
        return v;
    }
    int first = o * s.stride - s.padding;
    v.first = first > 0 ? first : 0;
    v.end = first + s.kernel < in ? first + s.kernel : in;
    return v;
}
/* Outputs whose windows hold input i. */
static __device__ __forceinline__ struct span holders_of(int i, int in, int out, struct pool_shape s)
{
    struct span v;
    if (s.kernel == 0) {
        v.first = i * out / in, v.end = ((i + 1) * out + in - 1) / in;
        return v;
    }
    int low = i + s.padding - s.kernel + 1;
    v.first = low > 0 ? (low + s.stride - 1) / s.stride : 0;
    v.end = (i + s.padding) / s.stride + 1;
    if (v.end > out) v.end = out;
    return v;
}

struct place { int image, h, w, channel; };
static unsigned item_count(const struct tensor *t, int lanes)
{
    int64_t items = (int64_t)row_count(t) * (t->c / lanes);
    CHECK(items < INT32_MAX, "%lld pieces of work in a pooling", (long long)items);
    return (unsigned)items;
}
/* Thread `at` of all groups of N channels of all pixels. */
template <int N> static __device__ __forceinline__ struct place place_of(unsigned at, int h, int w, int channels)
{
    unsigned groups = (unsigned)(channels / N), pixel = at / groups;
    struct place p = {(int)(pixel / (unsigned)(h * w)), (int)(pixel / (unsigned)w % (unsigned)h), (int)(pixel % (unsigned)w), (int)(at % groups) * N};
    return p;
}

/* ---- maximum ---- */

template <int N> static __device__ __forceinline__ void bytes_store(uint8_t *p, const int *v)
{
    if constexpr (N == WIDE)
        *(uint2 *)p = uint2{(unsigned)(v[0] | v[1] << 8 | v[2] << 16) | (unsigned)v[3] << 24, (unsigned)(v[4] | v[5] << 8 | v[6] << 16) | (unsigned)v[7] << 24};
    else p[0] = (uint8_t)v[0];
}
template <int N> static __device__ __forceinline__ void bytes_load(int *v, const uint8_t *p)
{
    if constexpr (N == WIDE) {
        uint2 q = *(const uint2 *)p;
        UNROLL for (int i = 0; i < 4; i++) v[i] = (int)(q.x >> 8 * i & 0xff), v[4 + i] = (int)(q.y >> 8 * i & 0xff);
    } else v[0] = p[0];
}

template <class T, int N>
static __global__ void __launch_bounds__(THREADS) maxpool_kernel(rows<T> y, uint8_t *index, rows<const T> x, struct pool_shape s, unsigned items)
{
    for (unsigned at = (unsigned)line_first(); at < items; at += (unsigned)line_step()) {
        struct place p = place_of<N>(at, s.out_h, s.out_w, s.channels);
        struct span h = window_of(p.h, s.h, s.out_h, s), w = window_of(p.w, s.w, s.out_w, s);
        int out = (p.image * s.out_h + p.h) * s.out_w + p.w, best[N] = {};
        float most[N] = {};
        for (int i = h.first; i < h.end; i++)
            for (int k = w.first; k < w.end; k++) {
                float v[N];
                int position = (i - (p.h * s.stride - s.padding)) * s.kernel + k - (p.w * s.stride - s.padding);
                bool first = i == h.first && k == w.first;
                lanes_load<N>(v, x((p.image * s.h + i) * s.w + k, p.channel));
                UNROLL for (int lane = 0; lane < N; lane++)
                    if (first || v[lane] > most[lane]) most[lane] = v[lane], best[lane] = position;
            }
        lanes_store<N>(y(out, p.channel), most);
        bytes_store<N>(index + (int64_t)out * s.channels + p.channel, best);
    }
}

void launch_maxpool_forward(const struct tensor *y, uint8_t *index, const struct tensor *x, const struct pool_spec *spec, cuda_stream stream)
{
    struct pool_shape s = pool_shape_of(x, y, spec);
    if (row_count(x) == 0 || row_count(y) == 0) return;
    FOR_TYPE_AND_LANES(x->dtype, wide(x) && wide(y) && aligned(index), {
        unsigned items = item_count(y, N);
        LAUNCH((maxpool_kernel<T, N>), line_blocks(items), THREADS, stream, rows_of<T>(y), index, rows_of<const T>(x), s, items);
    });
}

template <class T, int N>
static __global__ void __launch_bounds__(THREADS) maxpool_backward_kernel(rows<T> dx, rows<const T> dy, const uint8_t *index, struct pool_shape s, unsigned items)
{
    for (unsigned at = (unsigned)line_first(); at < items; at += (unsigned)line_step()) {
        struct place p = place_of<N>(at, s.h, s.w, s.channels);
        struct span h = holders_of(p.h, s.h, s.out_h, s), w = holders_of(p.w, s.w, s.out_w, s);
        float sum[N] = {};
        for (int i = h.first; i < h.end; i++)
            for (int k = w.first; k < w.end; k++) {
                int out = (p.image * s.out_h + i) * s.out_w + k, best[N];
                int mine = (p.h - (i * s.stride - s.padding)) * s.kernel + p.w - (k * s.stride - s.padding);
                float v[N];
                bytes_load<N>(best, index + (int64_t)out * s.channels + p.channel);
                lanes_load<N>(v, dy(out, p.channel));
                UNROLL for (int lane = 0; lane < N; lane++) sum[lane] += best[lane] == mine ? v[lane] : 0;
            }
        lanes_store<N>(dx((p.image * s.h + p.h) * s.w + p.w, p.channel), sum);
    }
}

void launch_maxpool_backward(const struct tensor *dx, const struct tensor *dy, const uint8_t *index, const struct pool_spec *spec, cuda_stream stream)
{
    struct pool_shape s = pool_shape_of(dx, dy, spec);
    if (row_count(dx) == 0) return;
    FOR_TYPE_AND_LANES(dx->dtype, wide(dx) && wide(dy) && aligned(index), {
        unsigned items = item_count(dx, N);
        LAUNCH((maxpool_backward_kernel<T, N>), line_blocks(items), THREADS, stream, rows_of<T>(dx), rows_of<const T>(dy), index, s, items);
    });
}

/* ---- average ---- */

template <class T, int N> static __global__ void __launch_bounds__(THREADS) avgpool_kernel(rows<T> y, rows<const T> x, struct pool_shape s, unsigned items)
{
    for (unsigned at = (unsigned)line_first(); at < items; at += (unsigned)line_step()) {
        struct place p = place_of<N>(at, s.out_h, s.out_w, s.channels);
        struct span h = window_of(p.h, s.h, s.out_h, s), w = window_of(p.w, s.w, s.out_w, s);
        float sum[N] = {}, area = (float)((h.end - h.first) * (w.end - w.first));
        for (int i = h.first; i < h.end; i++)
            for (int k = w.first; k < w.end; k++) {
                float v[N];
                lanes_load<N>(v, x((p.image * s.h + i) * s.w + k, p.channel));
                UNROLL for (int lane = 0; lane < N; lane++) sum[lane] += v[lane];
            }
        UNROLL for (int lane = 0; lane < N; lane++) sum[lane] /= area;
        lanes_store<N>(y((p.image * s.out_h + p.h) * s.out_w + p.w, p.channel), sum);
    }
}

void launch_avgpool_forward(const struct tensor *y, const struct tensor *x, const struct pool_spec *spec, cuda_stream stream)
{
    struct pool_shape s = pool_shape_of(x, y, spec);
    if (row_count(x) == 0 || row_count(y) == 0) return;
    FOR_TYPE_AND_LANES(x->dtype, wide(x) && wide(y), {
        unsigned items = item_count(y, N);
        LAUNCH((avgpool_kernel<T, N>), line_blocks(items), THREADS, stream, rows_of<T>(y), rows_of<const T>(x), s, items);
    });
}

template <class T, int N> static __global__ void __launch_bounds__(THREADS) avgpool_backward_kernel(rows<T> dx, rows<const T> dy, struct pool_shape s, unsigned items)
{
    for (unsigned at = (unsigned)line_first(); at < items; at += (unsigned)line_step()) {
        struct place p = place_of<N>(at, s.h, s.w, s.channels);
        struct span h = holders_of(p.h, s.h, s.out_h, s), w = holders_of(p.w, s.w, s.out_w, s);
        float sum[N] = {};
        for (int i = h.first; i < h.end; i++)
            for (int k = w.first; k < w.end; k++) {
                struct span high = window_of(i, s.h, s.out_h, s), broad = window_of(k, s.w, s.out_w, s);
                float v[N], share = 1 / (float)((high.end - high.first) * (broad.end - broad.first));
                lanes_load<N>(v, dy((p.image * s.out_h + i) * s.out_w + k, p.channel));
                UNROLL for (int lane = 0; lane < N; lane++) sum[lane] += v[lane] * share;
            }
        lanes_store<N>(dx((p.image * s.h + p.h) * s.w + p.w, p.channel), sum);
    }
}

void launch_avgpool_backward(const struct tensor *dx, const struct tensor *dy, const struct pool_spec *spec, cuda_stream stream)
{
    struct pool_shape s = pool_shape_of(dx, dy, spec);
    if (row_count(dx) == 0) return;
    FOR_TYPE_AND_LANES(dx->dtype, wide(dx) && wide(dy), {
        unsigned items = item_count(dx, N);
        LAUNCH((avgpool_backward_kernel<T, N>), line_blocks(items), THREADS, stream, rows_of<T>(dx), rows_of<const T>(dy), s, items);
    });
}
