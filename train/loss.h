/* loss.h - the paper's loss (Liu et al. 2020, LA-DNN) and the baseline's, with their gradients.
 *
 * bce: binary cross-entropy per output, summed as
 *     L = 1/(B*6) * sum_i [ w * bce(z_i0, t_i0) + m_i * sum_{l=1..5} bce(z_il, t_il) ]
 * B images in the GLOBAL batch, w = covid_weight (5), m_i = 1 when image i has at least one positive lesion label and the
 * method is LA-DNN, else 0 (baseline: always 0, same scale, so that only the lesion terms differ).
 * softmax (he2020): two logits (negative, positive), L = 1/B * sum_i cross-entropy.
 */
#ifndef TRAIN_LOSS_H
#define TRAIN_LOSS_H
#include <stdbool.h>

enum loss_kind { LOSS_BCE, LOSS_SOFTMAX };
struct loss_spec {
    enum loss_kind kind;
    bool lesions;        /* LA-DNN; false: baseline */
    double covid_weight;
};
struct loss_sums { double loss, covid; }; /* of the images given: share of L, and sum of unweighted COVID cross-entropies */

/* Number of outputs the network needs: 6, or 2 for softmax. */
int loss_logits(const struct loss_spec *spec);
/* logits, dlogits (images, loss_logits); targets (images, 6). dlogits may be NULL. total_images = B. */
struct loss_sums loss_compute(float *dlogits, const float *logits, const float *targets, int images, int total_images,
                              const struct loss_spec *spec);
/* probability (images, 6): sigmoids; softmax: COVID and five NaN. */
void loss_probabilities(double *probability, const float *logits, int images, const struct loss_spec *spec);
#endif
