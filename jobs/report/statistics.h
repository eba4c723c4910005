/* statistics.h - what can be said of a figure of merit that rests on a few hundred images of fewer patients.
 *
 * Images of one patient are alike, so the patient is what is resampled (a cluster). A figure of a cell is the mean over its
 * networks (seeds); all its networks see the same resampled patients. Everything here is a function of its arguments: random
 * numbers come from base/random.h by (seed, replicate), whoever asks and in whatever order.
 */
#ifndef JOBS_REPORT_STATISTICS_H
#define JOBS_REPORT_STATISTICS_H
#include <stdbool.h>
#include <stdint.h>

/* ---- figures of weighted images ---- */
enum figure { FIGURE_SENSITIVITY, FIGURE_AUC, FIGURE_F1, FIGURE_ACCURACY, FIGURE_SPECIFICITY, FIGURE_PRECISION, FIGURE_AUC_HARD,
              FIGURE_AP, FIGURE_COUNT };
extern const char *const figure_names[FIGURE_COUNT];  /* "sensitivity", as in metrics.json */
extern const char *const figure_titles[FIGURE_COUNT]; /* "Sensitivity" */

struct ranking { /* images by falling score, sorted once for all weightings */
    int n;
    int *image;                      /* (n) */
    uint8_t *positive, *block_end;   /* (n) its label; 1: the next one's score is lower */
    int predicted;                   /* places at the front whose score is >= the threshold */
};
/* score (n) without NaN. */
void ranking_make(struct ranking *r, const double *score, const uint8_t *label, int64_t n, double threshold);
void ranking_free(struct ranking *r);
/* Each image counted weight[image] times; NULL: once. A ratio of nothing is NaN. The average precision is the sum over thresholds of
 * precision times the step in recall, as scikit-learn defines it. */
void ranking_figures(double figure[FIGURE_COUNT], const struct ranking *r, const int *weight);
double ranking_auc(const struct ranking *r, const int *weight);
/* The ROC curve at rates 0, 1/(points-1) .. 1 (upper end of a vertical step, straight within ties), and the precision at these recalls
 * (of the first threshold that reaches it). NaN without both classes. */
void ranking_curves(double *true_positive_rate, double *precision, int points, const struct ranking *r, const int *weight);

/* ---- the patient-clustered bootstrap ---- */
enum { BOOTSTRAP_REPLICATES = 2000 };
/* Replicate `replicate`: draws as many patients as there are, with replacement; weight (n) = how often each image's was drawn.
 * count (clusters) is scratch. */
void bootstrap_weights(int *weight, int *count, uint64_t seed, int replicate, const int *cluster, int64_t n, int clusters);
struct interval {
    double low, high;
    int undefined; /* replicates without a value: a class was not drawn */
};
/* The interval that holds `level` of the values in the middle, between order statistics by linear interpolation; NaN ones do not
 * count. NaN when fewer than half are defined. Sorts `value`. For bands of curves. */
struct interval interval_percentile(double *value, int count, double level);
/* The same, bias-corrected and accelerated (BCa: Efron, J. Am. Stat. Assoc. 82 (1987) 171): `estimate` is the figure of the data itself,
 * left_out (clusters) that without one patient each. Why not percentiles: a sensitivity near 0.9 of 54 patients has a skewed
 * distribution, and theirs miss on one side (tests/unit/test_report_coverage.c holds both to the truth). NaN when all values are equal, as
 * at 100 %: no width would claim that all patients are known. */
struct interval interval_bca(double *value, int count, double estimate, const double *left_out, int clusters, double level);

/* ---- comparing areas under ROC curves on the same images ---- */
struct contrast {
    double value;                      /* sum of coefficient times AUC */
    double deviation, z, p;            /* DeLong: images independent; two-sided */
    double patient_deviation, patient_z, patient_p; /* Obuchowski: images of a patient are not */
};
/* coefficient (curves), score[curve] (n). DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988) 837: the variance of a linear contrast
 * of correlated areas from their placement values. Obuchowski, Biometrics 53 (1997) 567: the same with placements summed by patient.
 * NaN without both classes, or with one image (patient) of a class only. */
void auc_contrast(struct contrast *c, const double *const *score, const double *coefficient, int curves, const uint8_t *label,
                  const int *cluster, int64_t n, int clusters);

/* Holm's step-down adjustment (Scand. J. Statist. 6 (1979) 65) of `count` p-values in place; NaN stay and do not count. */
void holm_adjust(double *p, int count);
/* NaN among the values makes the mean NaN; the deviation (n - 1) of one value is NaN. */
double mean_of(const double *value, int count);
double deviation_of(const double *value, int count);
#endif
