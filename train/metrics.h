/* metrics.h - figures of merit from probabilities and labels. p >= threshold is positive; the paper's is 0.5. */
#ifndef TRAIN_METRICS_H
#define TRAIN_METRICS_H
#include <stdint.h>
#include "base/text.h"
#include "io/labels.h"

struct binary_metrics { /* undefined ratios are NaN and are written as null */
    int64_t n, tp, fp, tn, fn;
    double sensitivity, specificity, precision, f1, accuracy;
    double auc;      /* area under the ROC curve of the scores, ties counted half (Mann-Whitney) */
    double auc_hard; /* the same of the 0/1 predictions = balanced accuracy: what the authors' script prints */
};
void metrics_binary(struct binary_metrics *m, const double *score, const uint8_t *label, int64_t n, double threshold);

struct run_metrics {
    struct binary_metrics covid;
    struct { int64_t support; double auc; } lesion[LESION_COUNT]; /* over all images; auc NaN without both classes */
};
/* probability (n, 6), label (n, 6); threshold of the COVID output. Lesion scores that are NaN (no such output) give auc NaN. */
void metrics_run(struct run_metrics *m, const double *probability, const uint8_t *label, int64_t n, double threshold);
/* Members "n", "tp", ... and "lesions" into the current JSON object. */
void metrics_json(struct json *j, const struct run_metrics *m);
#endif
