/* calibration.h - how far a probability can be taken at its word: of the images said to be COVID with about 0.8, are 80 % COVID? */
#ifndef TRAIN_CALIBRATION_H
#define TRAIN_CALIBRATION_H
#include <stdint.h>
#include "base/text.h"

enum { CALIBRATION_BINS = 10 };
struct calibration {
    struct {
        int64_t n;
        double probability, positive; /* means over its images: what was said, and the share that is positive; NaN without images */
    } bin[CALIBRATION_BINS];          /* of equal width: [0, 0.1), ... [0.9, 1] */
    double expected_error;            /* mean |probability - positive| over bins, weighted by n: ECE (Guo et al., ICML 2017) */
    double largest_error;             /* of any bin: MCE */
    double brier;                     /* mean squared (probability - label): Brier, Monthly Weather Review 78 (1950) 1 */
};
/* probability (n) in [0, 1], label (n). Without images, or with one that is NaN, all is NaN. */
void calibration_make(struct calibration *c, const double *probability, const uint8_t *label, int64_t n);
/* Member "calibration" into the current JSON object. */
void calibration_json(struct json *j, const struct calibration *c);
#endif
