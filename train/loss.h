/* loss.h - the loss of ops/loss.h in host memory, and the probabilities that logits stand for. */
#ifndef TRAIN_LOSS_H
#define TRAIN_LOSS_H
#include "ops/loss.h"

struct loss_sums { double loss, covid; }; /* of the images given: share of L, and sum of unweighted COVID cross-entropies */

/* logits, dlogits (images, loss_outputs); targets (images, 6). dlogits may be NULL. total_images = B. */
struct loss_sums loss_compute(float *dlogits, const float *logits, const float *targets, int images, int total_images,
                              const struct loss_spec *spec);
/* probability (images, 6): sigmoids; softmax: COVID and five NaN. */
void loss_probabilities(double *probability, const float *logits, int images, const struct loss_spec *spec);
#endif
