/* ops_gradient.h - a backward pass against the slope of its forward pass: five-point central differences of a scalar loss.
 * The stencil is exact for polynomials of degree 4; with whole-number data and a step that is a power of two, linear
 * operations give the exact slope, and the tests ask for equality. */
#ifndef TESTS_OPS_GRADIENT_H
#define TESTS_OPS_GRADIENT_H
#include <math.h>

#include "tests/tools/ops_values.h"
#include "tests/unit/check.h"

struct loss {
    double (*value)(void *context);
    void *context;
    double step;
    double tolerance; /* of rms(gradient); 0: equality */
};

static inline double weighted_sum(const float *y, const float *weights, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)y[i] * weights[i];
    return sum;
}

static inline double loss_slope(const struct loss *l, float *value)
{
    static const double at[4] = {-2, -1, 1, 2}, weight[4] = {1, -8, 8, -1};
    float kept = *value;
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        *value = (float)(kept + at[i] * l->step);
        sum += weight[i] * l->value(l->context);
    }
    *value = kept;
    return sum / (12 * l->step);
}

/* gradient[i] against the slope at values[i], for all of them or 400 drawn ones. Returns the largest error / rms. */
static inline double check_gradient(const char *what, const struct loss *l, float *values, const float *gradient, size_t count)
{
    enum { DRAWN = 400 };
    size_t checks = count < DRAWN ? count : DRAWN, bad = 0, worst_at = 0;
    double squares = 0, worst = 0, want = 0;
    for (size_t i = 0; i < count; i++) squares += (double)gradient[i] * gradient[i];
    double rms = sqrt(squares / (double)(count ? count : 1));
    for (size_t k = 0; k < checks; k++) {
        size_t i = count <= DRAWN ? k : (size_t)random_below(&values_stream, (int64_t)count);
        double slope = loss_slope(l, &values[i]), error = fabs(slope - gradient[i]);
        if (!(error <= l->tolerance * rms)) bad++;
        if (!(error <= worst)) worst = error, worst_at = i, want = slope;
    }
    EXPECT(bad == 0, "%s: %zu of %zu slopes differ; at %zu got %.9g, want %.9g, %.3g of rms %.3g", what, bad, checks, worst_at,
           (double)gradient[worst_at], want, worst / rms, rms);
    return rms > 0 ? worst / rms : 0;
}
#endif
