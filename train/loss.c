/* loss.c - see loss.h. */
#include "train/loss.h"

#include <math.h>
#include <stddef.h>

#include "io/labels.h"
#include "ops/ops.h"

_Static_assert((int)LOSS_TARGETS == (int)LOGIT_COUNT, "the loss has a term for each label");

static double sigmoid(double z) { return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z)); }

struct loss_sums loss_compute(float *dlogits, const float *logits, const float *targets, int images, int total_images,
                              const struct loss_spec *spec)
{
    double sums[2];
    loss_on_host(sums, dlogits, logits, targets, images, total_images, spec);
    return (struct loss_sums){sums[0], sums[1]};
}

void loss_probabilities(double *probability, const float *logits, int images, const struct loss_spec *spec)
{
    int outputs = loss_outputs(spec);
    for (int i = 0; i < images; i++) {
        const float *z = logits + (ptrdiff_t)i * outputs;
        double *p = probability + (ptrdiff_t)i * LOGIT_COUNT;
        for (int l = 0; l < LOGIT_COUNT; l++) p[l] = spec->kind == LOSS_BCE ? sigmoid(z[l]) : NAN;
        if (spec->kind == LOSS_SOFTMAX) p[0] = sigmoid((double)z[1] - z[0]);
    }
}
