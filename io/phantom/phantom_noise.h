/* phantom_noise.h - lattice noise for the phantom: values at whole-numbered points come from a hash of (key, x, y), where
 * the key is drawn from base/random, and are smoothly interpolated. Not a random generator: a texture. */
#ifndef IO_PHANTOM_PHANTOM_NOISE_H
#define IO_PHANTOM_PHANTOM_NOISE_H
#include <math.h>
#include <stdint.h>

static inline uint32_t noise_hash(uint32_t key, int x, int y)
{
    uint32_t h = key ^ ((uint32_t)x * 0x8da6b343u) ^ ((uint32_t)y * 0xd8163841u);
    h = (h ^ (h >> 15)) * 0x2c1b3c6du;
    h = (h ^ (h >> 12)) * 0x297a2d39u;
    return h ^ (h >> 15);
}

/* Uniform in [-1, 1). */
static inline float noise_at(uint32_t key, int x, int y)
{
    return (float)(noise_hash(key, x, y) >> 8) * (2.0f / 16777216.0f) - 1;
}

static inline int noise_floor(float v)
{
    int i = (int)v;
    return i - (v < (float)i);
}

/* One octave in [-1, 1], features of size 1. */
static inline float noise_value(uint32_t key, float x, float y)
{
    int ix = noise_floor(x), iy = noise_floor(y);
    float u = x - (float)ix, v = y - (float)iy;
    u = u * u * (3 - 2 * u);
    v = v * v * (3 - 2 * v);
    float top = noise_at(key, ix, iy) + u * (noise_at(key, ix + 1, iy) - noise_at(key, ix, iy));
    float bottom = noise_at(key, ix, iy + 1) + u * (noise_at(key, ix + 1, iy + 1) - noise_at(key, ix, iy + 1));
    return top + v * (bottom - top);
}

/* Octaves of half the size and half the strength each; about [-1, 1]. */
static inline float noise_fractal(uint32_t key, float x, float y, int octaves)
{
    float sum = 0, strength = 0.6f;
    for (int i = 0; i < octaves; i++, x *= 2, y *= 2, strength *= 0.5f) {
        sum += strength * noise_value(key + (uint32_t)i, x, y);
    }
    return sum;
}

/* Distance to the nearest border between the cells of a random polygon mesh with cells of size about 1 (F2 - F1 of
 * Worley's cellular noise). */
static inline float noise_mesh(uint32_t key, float x, float y)
{
    int ix = noise_floor(x), iy = noise_floor(y);
    float first = 9, second = 9;
    for (int j = iy - 1; j <= iy + 1; j++) {
        for (int i = ix - 1; i <= ix + 1; i++) {
            float dx = (float)i + 0.5f + 0.45f * noise_at(key, i, j) - x;
            float dy = (float)j + 0.5f + 0.45f * noise_at(key + 1, i, j) - y;
            float d = dx * dx + dy * dy;
            second = d < first ? first : (d < second ? d : second);
            first = d < first ? d : first;
        }
    }
    return sqrtf(second) - sqrtf(first);
}

static inline float noise_step(float low, float high, float v) /* 0 below low, 1 above high, smooth between */
{
    float t = (v - low) / (high - low);
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return t * t * (3 - 2 * t);
}
#endif
