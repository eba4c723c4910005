/* depthwise.h - what the depthwise kernels share: raw channels that wait in registers, and how the work is cut. */
#ifndef OPS_CUDA_DEPTHWISE_H
#define OPS_CUDA_DEPTHWISE_H
#include "ops/cuda/columns.h"

#ifdef __CUDACC__
#define ROLLED _Pragma("unroll 1") /* the body is long already */
#else
#define ROLLED
#endif

/* 8 channels as they lie in memory: loads can be under way for a whole strip without taking 8 registers each. */
template <class T> struct raw;
template <> struct raw<bf16> {
    uint4 q;
    __device__ __forceinline__ void load(const bf16 *p) { q = *(const uint4 *)p; }
    __device__ __forceinline__ void clear(void) { q = uint4{0, 0, 0, 0}; }
    __device__ __forceinline__ void get(float *v) const { halves_get(v, q); }
};
template <> struct raw<float> {
    float value[WIDE];
    __device__ __forceinline__ void load(const float *p) { lanes_load<WIDE>(value, p); }
    __device__ __forceinline__ void clear(void) { UNROLL for (int i = 0; i < WIDE; i++) value[i] = 0; }
    __device__ __forceinline__ void get(float *v) const { UNROLL for (int i = 0; i < WIDE; i++) v[i] = value[i]; }
};

/* Columns first .. first + COUNT - 1 of row `row` (of the whole matrix; its first pixel); 0 outside 0 .. width - 1. */
template <class T, int COUNT>
static __device__ __forceinline__ void strip_load(raw<T> *v, rows<const T> t, int row, int first, int width, int channel)
{
    UNROLL for (int i = 0; i < COUNT; i++) {
        v[i].clear();
        if (first + i >= 0 && first + i < width) v[i].load(t(row + first + i, channel));
    }
}

struct depthwise_shape { /* of the convolution; x (h, w), y (out_h, out_w) */
    int images, h, w, out_h, out_w, channels, kernel, stride, padding;
};
static inline struct depthwise_shape depthwise_shape_of(const struct tensor *x, const struct tensor *y, const struct depthwise_spec *d)
{
    struct depthwise_shape s = {x->n, x->h, x->w, y->h, y->w, x->c, d->kernel, d->stride, d->padding};
    return s;
}
/* Have the kernels that are made for one kernel size and stride been made for this one? */
static inline bool depthwise_special(const struct depthwise_spec *d)
{
    return (d->kernel == 3 || d->kernel == 5) && (d->stride == 1 || d->stride == 2) && d->padding == d->kernel / 2;
}

/* CALL is compiled with the constants K and S. */
#define FOR_KERNEL_AND_STRIDE(spec, ...)                                  \
    do {                                                                  \
        if ((spec)->kernel == 3 && (spec)->stride == 1) {                 \
            constexpr int K = 3, S = 1; __VA_ARGS__;                      \
        } else if ((spec)->kernel == 3) {                                 \
            constexpr int K = 3, S = 2; __VA_ARGS__;                      \
        } else if ((spec)->stride == 1) {                                 \
            constexpr int K = 5, S = 1; __VA_ARGS__;                      \
        } else {                                                          \
            constexpr int K = 5, S = 2; __VA_ARGS__;                      \
        }                                                                 \
    } while (0)
#endif
