/* statistics.c - resampling, intervals, adjusted p-values; see statistics.h. */
#include "jobs/report/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

/* ---- bootstrap ---- */

void bootstrap_weights(int *weight, int *count, uint64_t seed, int replicate, const int *cluster, int64_t n, int clusters)
{
    struct random r = random_stream(seed, RANDOM_BOOTSTRAP, (uint64_t)replicate, 0);
    memset(count, 0, sizeof *count * (size_t)clusters);
    for (int c = 0; c < clusters; c++) count[random_below(&r, clusters)]++;
    for (int64_t i = 0; i < n; i++) weight[i] = count[cluster[i]];
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double quantile(const double *sorted, int count, double share)
{
    double place = share * (count - 1);
    int below = (int)place, above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

/* Moves the defined values to the front, sorted; how many. */
static int sort_defined(double *value, int count)
{
    int defined = 0;
    for (int i = 0; i < count; i++)
        if (!isnan(value[i])) value[defined++] = value[i];
    if (defined) qsort(value, (size_t)defined, sizeof *value, by_value);
    return defined;
}

struct interval interval_percentile(double *value, int count, double level)
{
    struct interval out = {NAN, NAN, 0};
    int defined = sort_defined(value, count);
    out.undefined = count - defined;
    if (!defined || 2 * defined < count) return out;
    out.low = quantile(value, defined, (1 - level) / 2);
    out.high = quantile(value, defined, (1 + level) / 2);
    return out;
}

static double normal_share(double z) { return erfc(-z / sqrt(2)) / 2; }

static double normal_quantile(double share)
{
    double low = -9, high = 9;
    while (high - low > 1e-12) *(normal_share((low + high) / 2) < share ? &low : &high) = (low + high) / 2;
    return (low + high) / 2;
}

/* Where the estimate lies among the replicates, as a normal quantile: 0 when in the middle. Figures are ratios of counts, so equal ones are
 * frequent; a mean over seeds rounds, and what differs by rounding alone is equal. */
static double bias_of(const double *sorted, int count, double estimate)
{
    const double equal = 1e-12;
    double below = 0;
    for (int i = 0; i < count; i++) below += sorted[i] < estimate - equal ? 1 : sorted[i] <= estimate + equal ? 0.5 : 0;
    return normal_quantile(fmin(fmax(below / count, 0.5 / count), 1 - 0.5 / count));
}

/* A sixth of the skewness of the figure when single patients are left out. */
static double acceleration_of(const double *left_out, int clusters)
{
    double mean = 0, squares = 0, cubes = 0;
    int defined = 0;
    for (int c = 0; c < clusters; c++)
        if (!isnan(left_out[c])) mean += left_out[c], defined++;
    mean /= defined;
    for (int c = 0; c < clusters; c++) {
        double d = isnan(left_out[c]) ? 0 : mean - left_out[c];
        squares += d * d;
        cubes += d * d * d;
    }
    return squares > 0 ? cubes / (6 * pow(squares, 1.5)) : 0;
}

struct interval interval_bca(double *value, int count, double estimate, const double *left_out, int clusters, double level)
{
    struct interval out = {NAN, NAN, 0};
    int defined = sort_defined(value, count);
    out.undefined = count - defined;
    if (!defined || 2 * defined < count || isnan(estimate) || value[defined - 1] - value[0] < 1e-12) return out;
    double bias = bias_of(value, defined, estimate), acceleration = acceleration_of(left_out, clusters);
    double z = normal_quantile((1 + level) / 2), low = bias - z, high = bias + z;
    out.low = quantile(value, defined, normal_share(bias + low / (1 - acceleration * low)));
    out.high = quantile(value, defined, normal_share(bias + high / (1 - acceleration * high)));
    return out;
}

/* ---- lists of numbers ---- */

void holm_adjust(double *p, int count)
{
    bool *done = NEW_ARRAY(bool, count);
    double floor = 0;
    int left = 0;
    for (int i = 0; i < count; i++) left += !isnan(p[i]);
    for (; left > 0; left--) {
        int least = -1;
        for (int i = 0; i < count; i++)
            if (!done[i] && !isnan(p[i]) && (least < 0 || p[i] < p[least])) least = i;
        floor = fmax(floor, fmin(1, p[least] * left));
        p[least] = floor;
        done[least] = true;
    }
    mem_free(done);
}

double mean_of(const double *value, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++) sum += value[i];
    return count ? sum / count : NAN;
}

double deviation_of(const double *value, int count)
{
    double mean = mean_of(value, count), sum = 0;
    for (int i = 0; i < count; i++) sum += (value[i] - mean) * (value[i] - mean);
    return count > 1 ? sqrt(sum / (count - 1)) : NAN;
}
