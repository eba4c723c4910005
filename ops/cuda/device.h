/* device.h - what the kernels share: loads and stores of a thread's channels, views of tensors as matrices, how work is cut into blocks.
 *
 * All activations are LAYOUT_NHWC: a matrix of n*h*w rows by c channels, whose rows lie c_total elements apart. A thread takes `N` channels
 * of a row: 8, moved as 16 bytes of bf16 or 32 of f32, when every tensor of the call allows it (`wide`), else 1. Arithmetic is in float.
 */
#ifndef OPS_CUDA_DEVICE_H
#define OPS_CUDA_DEVICE_H
#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#define UNROLL _Pragma("unroll")
/* Kernel in brackets: (name<T, 8>). */
#define LAUNCH(kernel, grid, block, stream, ...)                                                                  \
    do {                                                                                                          \
        auto launched = kernel;                                                                                   \
        launched<<<grid, block, 0, (cudaStream_t)(stream)>>>(__VA_ARGS__);                                        \
        cudaError_t status = cudaGetLastError();                                                                  \
        CHECK(status == cudaSuccess, "launch of %s: %s", #kernel, cudaGetErrorString(status));                    \
    } while (0)
#else
#include "ops/cuda/cuda_host.h"
#endif
#include "ops/cuda/kernels.h"

typedef uint16_t bf16;
#define FULL_WARP 0xffffffffu
enum { WIDE = 8, THREADS = 256, MULTIPROCESSORS = 132 }; /* of an H200; only speed depends on it */

/* ---- a thread's channels ---- */

static __device__ __forceinline__ float low_half(unsigned pair) { return __uint_as_float(pair << 16); }
static __device__ __forceinline__ float high_half(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }
static __device__ __forceinline__ unsigned half_pair(float low, float high)
{
#ifdef __CUDACC__
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *(unsigned *)&pair;
#else
    return bf16_from_float(low) | (unsigned)bf16_from_float(high) << 16;
#endif
}

static __device__ __forceinline__ void halves_get(float *v, uint4 q)
{
    v[0] = low_half(q.x), v[1] = high_half(q.x), v[2] = low_half(q.y), v[3] = high_half(q.y);
    v[4] = low_half(q.z), v[5] = high_half(q.z), v[6] = low_half(q.w), v[7] = high_half(q.w);
}

template <int N> static __device__ __forceinline__ void lanes_load(float *v, const float *p)
{
    if constexpr (N == WIDE) {
        float4 a = ((const float4 *)p)[0], b = ((const float4 *)p)[1];
        v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
    } else {
        v[0] = p[0];
    }
}
template <int N> static __device__ __forceinline__ void lanes_load(float *v, const bf16 *p)
{
    if constexpr (N == WIDE) halves_get(v, *(const uint4 *)p);
    else v[0] = low_half(p[0]);
}
template <int N> static __device__ __forceinline__ void lanes_store(float *p, const float *v)
{
    if constexpr (N == WIDE) {
        ((float4 *)p)[0] = float4{v[0], v[1], v[2], v[3]};
        ((float4 *)p)[1] = float4{v[4], v[5], v[6], v[7]};
    } else {
        p[0] = v[0];
    }
}
template <int N> static __device__ __forceinline__ void lanes_store(bf16 *p, const float *v)
{
    if constexpr (N == WIDE) *(uint4 *)p = uint4{half_pair(v[0], v[1]), half_pair(v[2], v[3]), half_pair(v[4], v[5]), half_pair(v[6], v[7])};
    else p[0] = (bf16)half_pair(v[0], 0);
}

/* 1 / (1 + exp(-z)): two units in the last place for f32, the card's quick functions where bf16 is stored. */
template <class T> static __device__ __forceinline__ float sigmoid(float z)
{
    if constexpr (sizeof(T) == 2) return __fdividef(1.0f, 1.0f + __expf(-z));
    else return 1.0f / (1.0f + expf(-z));
}

/* ---- tensors as matrices ---- */

template <class T> struct rows { /* of a tensor: row i, channel c is at[i * step + c] */
    T *at;
    int64_t step;
    __device__ __forceinline__ T *operator()(int row, int channel) const { return at + row * step + channel; }
};
template <class T> static inline struct rows<T> rows_of(const struct tensor *t) /* NULL: no rows */
{
    struct rows<T> none = {NULL, 0}, r = {t ? (T *)t->data + t->c_offset : NULL, t ? t->c_total : 0};
    return t ? r : none;
}
static inline int row_count(const struct tensor *t)
{
    int64_t rows = (int64_t)t->n * t->h * t->w;
    ASSERT(t->layout == LAYOUT_NHWC || t->h * t->w == 1);
    CHECK(rows < INT32_MAX / 2, "%lld pixels in a tensor", (long long)rows);
    return (int)rows;
}

static inline bool aligned(const void *p) { return (uintptr_t)p % 16 == 0; }
/* May a thread take 8 channels? NULL is fine. */
static inline bool wide(const struct tensor *t) { return !t || (t->c % WIDE == 0 && t->c_offset % WIDE == 0 && t->c_total % WIDE == 0 && aligned(t->data)); }

/* body is compiled for both dtypes as T and for 8 and 1 channels a thread as N. */
#define FOR_TYPE_AND_LANES(dtype, is_wide, ...)                     \
    do {                                                            \
        if ((dtype) == DTYPE_F32 && (is_wide)) {                    \
            typedef float T; constexpr int N = WIDE; __VA_ARGS__;   \
        } else if ((dtype) == DTYPE_F32) {                          \
            typedef float T; constexpr int N = 1; __VA_ARGS__;      \
        } else if (is_wide) {                                       \
            typedef bf16 T; constexpr int N = WIDE; __VA_ARGS__;    \
        } else {                                                    \
            typedef bf16 T; constexpr int N = 1; __VA_ARGS__;       \
        }                                                           \
    } while (0)

/* ---- work into blocks ---- */

static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int clamp(int64_t value, int low, int high) { return value < low ? low : value > high ? high : (int)value; }

/* A matrix cut into tiles of neighbouring channels: block (x, y) takes tile x, and from the rows y, y + parts ... of blockDim.y each. */
struct tiling {
    int tiles, parts;
    dim3 grid, block;
};
/* `each`: rows that a thread should have at least; `most`: groups of lanes in a tile at most. */
static inline struct tiling tiling_of(int64_t row_total, int channels, int lanes, int each, int most, int blocks)
{
    struct tiling t;
    int groups = (int)ceil_div(channels, lanes);
    t.tiles = (int)ceil_div(groups, most);
    int x = (int)ceil_div(groups, t.tiles), y = THREADS / x;
    t.parts = clamp(ceil_div(row_total, (int64_t)y * each), 1, clamp(blocks / t.tiles, 1, 65535));
    t.block = dim3((unsigned)x, (unsigned)y);
    t.grid = dim3((unsigned)t.tiles, (unsigned)t.parts);
    return t;
}
static __device__ __forceinline__ int tile_channel(int lanes) { return (int)(blockIdx.x * blockDim.x + threadIdx.x) * lanes; }
static __device__ __forceinline__ int tile_row(void) { return (int)(blockIdx.y * blockDim.y + threadIdx.y); }
static __device__ __forceinline__ int tile_step(void) { return (int)(gridDim.y * blockDim.y); }
/* For kernels that treat all elements alike: 16 channels x rows, four rows or more a thread. */
static inline struct tiling tiling_plain(int row_total, int channels, int lanes)
{
    return tiling_of(row_total, channels, lanes, 4, lanes == 1 ? 32 : 16, 16 * MULTIPROCESSORS);
}

/* Flat work: `items` for threads in a line, each taking several when there are many. */
static inline dim3 line_blocks(int64_t items) { return dim3((unsigned)clamp(ceil_div(items, THREADS), 1, 32 * MULTIPROCESSORS)); }
static __device__ __forceinline__ int64_t line_first(void) { return (int64_t)blockIdx.x * blockDim.x + threadIdx.x; }
static __device__ __forceinline__ int64_t line_step(void) { return (int64_t)gridDim.x * blockDim.x; }
#endif
