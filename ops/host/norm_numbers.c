/* norm_numbers.c - a normalisation's values per channel, between its passes over the maps; stochastic depth's values per image. */
#include <math.h>

#include "base/random.h"
#include "ops/host/host.h"

static void scale_and_shift(const struct norm_memory *m, int c)
{
    m->scale[c] = m->gamma[c] * m->inv_std[c];
    m->shift[c] = m->beta[c] - m->mean[c] * m->scale[c];
}

void host_norm_statistics(const struct norm_memory *m, const struct norm_spec *spec, const double *sum, const double *sum_squares, double count)
{
    double keep = 1 - spec->momentum;
    for (int c = 0; c < spec->c; c++) {
        double mean = sum[c] / count, var = sum_squares[c] / count - mean * mean;
        if (var < 0) var = 0;
        double unbiased = count > 1 ? var * count / (count - 1) : var;
        m->mean[c] = (float)mean;
        m->inv_std[c] = (float)(1 / sqrt(var + spec->eps));
        m->running_mean[c] = (float)(keep * m->running_mean[c] + spec->momentum * mean);
        m->running_var[c] = (float)(keep * m->running_var[c] + spec->momentum * unbiased);
        scale_and_shift(m, c);
    }
}

void host_norm_frozen(const struct norm_memory *m, const struct norm_spec *spec)
{
    for (int c = 0; c < spec->c; c++) {
        m->mean[c] = m->running_mean[c];
        m->inv_std[c] = (float)(1 / sqrt((double)m->running_var[c] + spec->eps));
        scale_and_shift(m, c);
    }
}

void host_norm_means(float *mean_g, float *mean_gx, const double *sum_g, const double *sum_gx, int c, double count)
{
    for (int k = 0; k < c; k++) {
        mean_g[k] = (float)(sum_g[k] / count);
        mean_gx[k] = (float)(sum_gx[k] / count);
    }
}

void host_narrow(float *to, const double *from, size_t count)
{
    for (size_t i = 0; i < count; i++) to[i] = (float)from[i];
}

void host_drop_rows(float *row_scale, const uint64_t *row_key, int images, double p, uint64_t layer)
{
    for (int i = 0; i < images; i++) {
        struct random stream = random_stream(row_key[i], RANDOM_DROP_PATH, layer, 0);
        row_scale[i] = random_u32_at(&stream, 0) < p * 4294967296.0 ? 0 : (float)(1 / (1 - p));
    }
}
