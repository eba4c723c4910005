/* threshold.h - from which probability on an image counts as COVID: 0.5 as in the paper, another number, or chosen on the validation split. */
#ifndef TRAIN_THRESHOLD_H
#define TRAIN_THRESHOLD_H
#include <stdint.h>
#include "base/error.h"

enum threshold_rule {
    THRESHOLD_FIXED,
    THRESHOLD_YOUDEN, /* highest sensitivity + specificity (Youden, Cancer 3 (1950) 32) */
    THRESHOLD_F1      /* highest F1 */
};
extern const char *const threshold_rule_names[]; /* "fixed", "youden", "f1" */
struct threshold {
    enum threshold_rule rule;
    double value; /* of a rule: not before threshold_choose */
};
/* "0.5" (above 0, at most 1), "youden" or "f1". */
int threshold_parse(struct threshold *t, const char *text, struct error *err);
/* Applies a rule to score (n), label (n). The value lies half-way between the two neighbouring scores it parts; of several best ones it is the
 * one nearest to 0.5 (the higher of two), and half of the lowest score when all are best taken as positive (so it can be 0). A fixed one
 * stays. No images, labels of one class, or a score that is NaN, are an error. */
int threshold_choose(struct threshold *t, const double *score, const uint8_t *label, int64_t n, struct error *err);
#endif
