/* cam.c - see cam.h. Sums in double: maps are small. */
#include "models/cam.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/memory.h"

const char *const cam_state_names[] = {"fine", "flat", "all_negative", "not_finite"};

static bool all_finite(const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i])) return false;
    return true;
}

static double weight_grad(const float *g, int places)
{
    double sum = 0;
    for (int i = 0; i < places; i++) sum += g[i];
    return sum / places;
}

/* The denominator can be 0 only where S_k g_k is -2, which a map with negative numbers may reach. */
static double weight_grad_plus(const float *a, const float *g, int places, double eps)
{
    double sum_a = 0, weight = 0;
    for (int i = 0; i < places; i++) sum_a += a[i];
    for (int i = 0; i < places; i++) {
        double g2 = (double)g[i] * g[i], below = 2 * g2 + sum_a * g2 * g[i] + eps;
        if (g[i] > 0 && below != 0) weight += g2 / below * g[i];
    }
    return weight;
}

static enum cam_state judge(float *map, int places)
{
    float least = map[0], most = map[0];
    for (int i = 0; i < places; i++) {
        least = fminf(least, map[i]);
        most = fmaxf(most, map[i]);
    }
    if (all_finite(map, places) && most > 0) return least < most ? CAM_FINE : CAM_FLAT;
    bool negative = all_finite(map, places);
    memset(map, 0, sizeof *map * (size_t)places);
    return negative ? CAM_ALL_NEGATIVE : CAM_NOT_FINITE;
}

enum cam_state cam_map(float *map, const float *activation, const float *gradient, int c, int h, int w, enum cam_method method, double eps)
{
    int places = h * w;
    memset(map, 0, sizeof *map * (size_t)places);
    if (!all_finite(activation, (int64_t)c * places) || !all_finite(gradient, (int64_t)c * places)) return CAM_NOT_FINITE;
    double *sum = NEW_ARRAY(double, places);
    for (int k = 0; k < c; k++) {
        const float *a = activation + (ptrdiff_t)k * places, *g = gradient + (ptrdiff_t)k * places;
        double weight = method == CAM_GRAD ? weight_grad(g, places) : weight_grad_plus(a, g, places, eps);
        for (int i = 0; i < places; i++) sum[i] += weight * a[i];
    }
    for (int i = 0; i < places; i++) map[i] = sum[i] < 0 ? 0 : (float)sum[i];
    mem_free(sum);
    return judge(map, places);
}

/* Output place o of `out` lies between input places *low and *high of `in`. */
static float between(int *low, int *high, int o, int in, int out)
{
    float at = ((float)o + 0.5f) * (float)in / (float)out - 0.5f, below = floorf(at);
    *low = below < 0 ? 0 : (int)below;
    *high = (int)below + 1 < in ? (int)below + 1 : in - 1;
    return at - below;
}

/* To 0 .. 1. */
static void stretch(float *heat, int64_t count)
{
    float least = heat[0], most = heat[0];
    for (int64_t i = 0; i < count; i++) {
        least = fminf(least, heat[i]);
        most = fmaxf(most, heat[i]);
    }
    for (int64_t i = 0; i < count; i++) heat[i] = most > least ? (heat[i] - least) / (most - least) : 0;
}

void cam_heat(float *heat, int height, int width, const float *map, int h, int w)
{
    for (int y = 0; y < height; y++) {
        int y0, y1, x0, x1;
        float dy = between(&y0, &y1, y, h, height);
        for (int x = 0; x < width; x++) {
            float dx = between(&x0, &x1, x, w, width);
            float upper = map[y0 * w + x0] + dx * (map[y0 * w + x1] - map[y0 * w + x0]);
            float lower = map[y1 * w + x0] + dx * (map[y1 * w + x1] - map[y1 * w + x0]);
            heat[(ptrdiff_t)y * width + x] = upper + dy * (lower - upper);
        }
    }
    stretch(heat, (int64_t)height * width);
}

/* A tent of full height over a quarter of the scale to either side of `centre`. */
static uint8_t tent(float heat, float centre)
{
    float v = 1.5f - 4 * fabsf(heat - centre);
    return (uint8_t)lrintf(255 * fminf(1, fmaxf(0, v)));
}

void cam_colour(uint8_t rgb[3], float heat)
{
    rgb[0] = tent(heat, 0.75f);
    rgb[1] = tent(heat, 0.5f);
    rgb[2] = tent(heat, 0.25f);
}
