/* ops_values.h - tensors for the tests of the operations: random values, buffers that show who wrote or read where he
 * should not, and what a view holds as plain floats. */
#ifndef TESTS_OPS_VALUES_H
#define TESTS_OPS_VALUES_H
#include <stdbool.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "ops/ops.h"

struct shape {
    int n, c, h, w;
};
static inline size_t shape_count(struct shape s) { return (size_t)s.n * (size_t)s.c * (size_t)s.h * (size_t)s.w; }
static inline struct shape shape_of(const struct tensor *t) { return (struct shape){t->n, t->c, t->h, t->w}; }

/* ---- plain values; all come from one stream, so a case that is seeded again meets the same ---- */

static struct random values_stream;
static inline void values_seed(uint64_t seed) { values_stream = random_stream(seed, RANDOM_TEST, 0, 0); }

/* What dtype can hold of f. */
static inline float value_round(float f, enum dtype dtype) { return dtype == DTYPE_BF16 ? bf16_to_float(bf16_from_float(f)) : f; }

/* Nearly normal, mean 0 and deviation 1: the sum of four 16-bit numbers. random_normal would take most of a test's time. */
static inline double value_normal(void)
{
    uint64_t r = random_u64(&values_stream);
    int64_t sum = (int64_t)((r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48));
    return (double)(sum - 2 * 0xffff) * (1.7320508075688772 / 0x1p16);
}
static inline float *values_normal(size_t count, double mean, double deviation, enum dtype dtype)
{
    float *v = mem_alloc(sizeof(float) * count);
    for (size_t i = 0; i < count; i++) v[i] = value_round((float)(mean + deviation * value_normal()), dtype);
    return v;
}
/* Uniform in [low, high). */
static inline float *values_range(size_t count, double low, double high)
{
    float *v = mem_alloc(sizeof(float) * count);
    for (size_t i = 0; i < count; i++) v[i] = (float)random_range(&values_stream, low, high);
    return v;
}
/* Whole numbers -limit..limit, plus `add`: sums of their products are exact, so a test may ask for equality. */
static inline float *values_whole(size_t count, int limit, float add)
{
    float *v = mem_alloc(sizeof(float) * count);
    for (size_t i = 0; i < count; i++) v[i] = (float)(random_below(&values_stream, 2 * limit + 1) - limit) + add;
    return v;
}
/* 0 .. count-1, shuffled: all different. */
static inline float *values_different(size_t count)
{
    int64_t *order = NEW_ARRAY(int64_t, count);
    float *v = NEW_ARRAY(float, count);
    for (size_t i = 0; i < count; i++) order[i] = (int64_t)i;
    random_shuffle(&values_stream, order, (int64_t)count);
    for (size_t i = 0; i < count; i++) v[i] = (float)order[i];
    mem_free(order);
    return v;
}

/* ---- tensors with their memory ---- */

enum { OUTSIDE = 768 }; /* what the channels beside a slice hold; bf16 has it exactly */

static inline struct tensor whole_of(struct tensor t)
{
    t.c_offset = 0;
    t.c = t.c_total;
    return t;
}
/* A view of s.c channels with `before` and `after` others beside it (0, 0: whole). A whole one is full of NaN, padding lanes
 * too: who reads what he has not written finds it. Of a slice the neighbours are OUTSIDE and the padding lanes 0. */
static inline struct tensor tensor_new(struct shape s, enum dtype dtype, enum layout layout, int before, int after)
{
    struct tensor t = tensor_make(NULL, s.n, before + s.c + after, s.h, s.w, dtype, layout);
    t.data = mem_alloc(tensor_buffer_bytes(&t));
    memset(t.data, 0xff, tensor_buffer_bytes(&t));
    t.c = s.c;
    t.c_offset = before;
    if (s.c == t.c_total) return t;
    struct tensor whole = whole_of(t);
    size_t count = shape_count(shape_of(&whole));
    float *outside = NEW_ARRAY(float, count);
    for (size_t i = 0; i < count; i++) outside[i] = OUTSIDE;
    tensor_from_nchw(&whole, outside);
    mem_free(outside);
    return t;
}
/* The same, with values. */
static inline struct tensor tensor_filled(const float *nchw, struct shape s, enum dtype dtype, enum layout layout, int before, int after)
{
    struct tensor t = tensor_new(s, dtype, layout, before, after);
    tensor_from_nchw(&t, nchw);
    return t;
}
static inline void tensor_delete(struct tensor *t)
{
    mem_free(t->data);
    t->data = NULL;
}
/* Image range [first, first + n) of a tensor. */
static inline struct tensor tensor_images(const struct tensor *t, int first, int n)
{
    struct tensor part = *t, one = *t;
    one.n = 1;
    part.n = n;
    part.data = (char *)t->data + (size_t)first * tensor_buffer_bytes(&one);
    return part;
}
static inline float *tensor_values(const struct tensor *t)
{
    float *v = NEW_ARRAY(float, shape_count(shape_of(t)));
    tensor_to_nchw(v, t);
    return v;
}

/* Are the lanes past c_total of LAYOUT_NCHW16C zero? */
static inline bool padding_is_zero(const struct tensor *t)
{
    if (t->layout != LAYOUT_NCHW16C) return true;
    struct tensor padded = whole_of(*t); /* the same memory, seen with the padding as channels */
    padded.c = padded.c_total = (t->c_total + 15) / 16 * 16;
    float *v = tensor_values(&padded);
    size_t pixels = (size_t)t->h * (size_t)t->w, bad = 0;
    for (int n = 0; n < t->n; n++)
        for (int c = t->c_total; c < padded.c; c++)
            for (size_t p = 0; p < pixels; p++) bad += v[((size_t)n * (size_t)padded.c + (size_t)c) * pixels + p] != 0;
    mem_free(v);
    return bad == 0;
}
/* Do the channels beside the view still hold OUTSIDE? */
static inline bool neighbours_are_kept(const struct tensor *t)
{
    struct tensor whole = whole_of(*t);
    float *v = tensor_values(&whole);
    size_t pixels = (size_t)t->h * (size_t)t->w, bad = 0;
    for (int n = 0; n < t->n; n++)
        for (int c = 0; c < t->c_total; c++)
            for (size_t p = 0; p < pixels; p++)
                if (c < t->c_offset || c >= t->c_offset + t->c)
                    bad += v[((size_t)n * (size_t)whole.c + (size_t)c) * pixels + p] != OUTSIDE;
    mem_free(v);
    return bad == 0;
}
#endif
