/* loss.c - ops/loss.h in host memory. Everything is in double: six numbers per image cost nothing. */
#include <math.h>
#include <stddef.h>

#include "ops/host/host.h"

static double sigmoid(double z) { return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z)); }

/* log(1 + exp(-z)) for t = 1, log(1 + exp(z)) for t = 0, without overflow. */
static double cross_entropy(double z, double t) { return fmax(z, 0) - z * t + log1p(exp(-fabs(z))); }

static bool has_lesion(const float *target)
{
    for (int l = 1; l < LOSS_TARGETS; l++)
        if (target[l] > 0) return true;
    return false;
}

static double bce_image(float *d, const float *z, const float *t, double unit, const struct loss_spec *spec)
{
    bool lesions = spec->lesions && has_lesion(t);
    double loss = 0;
    for (int l = 0; l < LOSS_TARGETS; l++) {
        double weight = l == 0 ? spec->covid_weight : lesions ? 1 : 0;
        if (weight > 0) loss += weight * cross_entropy(z[l], t[l]); /* an ignored NaN logit must not reach the sum */
        if (d) d[l] = weight > 0 ? (float)(unit * weight * (sigmoid(z[l]) - t[l])) : 0;
    }
    return loss * unit;
}

/* Softmax of two is the sigmoid of their difference. */
static double softmax_image(float *d, const float *z, const float *t, int total_images)
{
    double margin = (double)z[1] - z[0];
    if (d) d[1] = (float)((sigmoid(margin) - t[0]) / total_images), d[0] = -d[1];
    return cross_entropy(margin, t[0]);
}

void loss_on_host(double *sums, float *dlogits, const float *logits, const float *targets, int images, int total_images,
                  const struct loss_spec *spec)
{
    int outputs = loss_outputs(spec);
    sums[0] = sums[1] = 0;
    for (int i = 0; i < images; i++) {
        const float *z = logits + (ptrdiff_t)i * outputs, *t = targets + (ptrdiff_t)i * LOSS_TARGETS;
        float *d = dlogits ? dlogits + (ptrdiff_t)i * outputs : NULL;
        if (spec->kind == LOSS_BCE) {
            sums[0] += bce_image(d, z, t, 1.0 / ((double)total_images * LOSS_TARGETS), spec);
            sums[1] += cross_entropy(z[0], t[0]);
        } else {
            double entropy = softmax_image(d, z, t, total_images);
            sums[0] += entropy / total_images;
            sums[1] += entropy;
        }
    }
}
