/* loss.h - the paper's loss (Liu et al. 2020, LA-DNN) and the baseline's, with their gradients.
 *
 * bce: binary cross-entropy per output, summed as
 *     L = 1/(B*6) * sum_i [ w * bce(z_i0, t_i0) + m_i * sum_{l=1..5} bce(z_il, t_il) ]
 * B images in the GLOBAL batch, w = covid_weight (5), m_i = 1 when image i has at least one positive lesion label and the
 * method is LA-DNN, else 0 (baseline: always 0, same scale, so that only the lesion terms differ).
 * softmax (he2020): two logits (negative, positive), L = 1/B * sum_i cross-entropy.
 */
#ifndef OPS_LOSS_H
#define OPS_LOSS_H
#include <stdbool.h>

enum { LOSS_TARGETS = 6 }; /* of an image: COVID and five lesions, 0 or 1 */
enum loss_kind { LOSS_BCE, LOSS_SOFTMAX };
struct loss_spec {
    enum loss_kind kind;
    bool lesions;        /* LA-DNN; false: baseline */
    double covid_weight;
};
/* Number of outputs the network needs: 6, or 2 for softmax. */
static inline int loss_outputs(const struct loss_spec *spec) { return spec->kind == LOSS_SOFTMAX ? 2 : LOSS_TARGETS; }
#endif
