/* ranking.c - figures, curves and areas from ranked images; see statistics.h. Counts are whole numbers, so that a figure of weighted images
 * has the bits of the plain one. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "jobs/report/statistics.h"

const char *const figure_names[FIGURE_COUNT] = {"sensitivity", "auc", "f1", "accuracy", "specificity", "precision", "auc_hard", "average_precision"};
const char *const figure_titles[FIGURE_COUNT] = {"Sensitivity", "AUC",       "F1",             "Accuracy",
                                                 "Specificity", "Precision", "Hard-label AUC", "Average precision"};

static double ratio(int64_t a, int64_t b) { return b ? (double)a / (double)b : NAN; }

/* ---- rankings ---- */

struct place {
    double score;
    int image;
};

static int by_falling_score(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->image < y->image ? -1 : 1;
}

void ranking_make(struct ranking *r, const double *score, const uint8_t *label, int64_t n, double threshold)
{
    struct place *p = NEW_ARRAY(struct place, n);
    *r = (struct ranking){.n = (int)n, .image = NEW_ARRAY(int, n), .positive = NEW_ARRAY(uint8_t, n), .block_end = NEW_ARRAY(uint8_t, n)};
    for (int i = 0; i < r->n; i++) p[i] = (struct place){score[i], i};
    if (n) qsort(p, (size_t)n, sizeof *p, by_falling_score);
    for (int i = 0; i < r->n; i++) {
        r->image[i] = p[i].image;
        r->positive[i] = label[p[i].image];
        r->block_end[i] = i + 1 == r->n || p[i + 1].score < p[i].score;
        r->predicted += p[i].score >= threshold;
    }
    mem_free(p);
}

void ranking_free(struct ranking *r)
{
    mem_free(r->image);
    mem_free(r->positive);
    mem_free(r->block_end);
    *r = (struct ranking){0};
}

/* A walk from the highest score down; after each block of equal scores, how many lie at or above it. */
struct walk {
    int at;
    int64_t positives, negatives;             /* so far */
    int64_t block_positives, block_negatives; /* of the last block */
};

/* No branch on the label: it would be guessed wrong every other time. */
static inline bool next_block(struct walk *w, const struct ranking *r, const int *weight)
{
    int positives = 0, all = 0, i = w->at;
    if (i == r->n) return false;
    do {
        int times = weight ? weight[r->image[i]] : 1;
        positives += times & -(int)r->positive[i];
        all += times;
    } while (!r->block_end[i++]);
    w->at = i;
    w->block_positives = positives;
    w->block_negatives = all - positives;
    w->positives += positives;
    w->negatives += all - positives;
    return true;
}

static double area_of(int64_t twice, const struct walk *w)
{
    return w->positives && w->negatives ? (double)twice / 2 / ((double)w->positives * (double)w->negatives) : NAN;
}

double ranking_auc(const struct ranking *r, const int *weight)
{
    struct walk w = {0};
    int64_t twice = 0; /* pairs in which the negative lies lower, ties counted half */
    while (next_block(&w, r, weight)) twice += w.block_negatives * (2 * w.positives - w.block_positives);
    return area_of(twice, &w);
}

void ranking_figures(double figure[FIGURE_COUNT], const struct ranking *r, const int *weight)
{
    struct walk w = {0}, predicted = {0};
    int64_t twice = 0;
    double precisions = 0;
    while (next_block(&w, r, weight)) {
        twice += w.block_negatives * (2 * w.positives - w.block_positives);
        if (w.block_positives) precisions += (double)w.block_positives * ratio(w.positives, w.positives + w.negatives);
        if (w.at <= r->predicted) predicted = w;
    }
    int64_t tp = predicted.positives, fp = predicted.negatives;
    figure[FIGURE_SENSITIVITY] = ratio(tp, w.positives);
    figure[FIGURE_SPECIFICITY] = ratio(w.negatives - fp, w.negatives);
    figure[FIGURE_PRECISION] = ratio(tp, tp + fp);
    figure[FIGURE_F1] = ratio(2 * tp, w.positives + tp + fp);
    figure[FIGURE_ACCURACY] = ratio(tp + w.negatives - fp, w.positives + w.negatives);
    figure[FIGURE_AUC_HARD] = (figure[FIGURE_SENSITIVITY] + figure[FIGURE_SPECIFICITY]) / 2;
    figure[FIGURE_AUC] = area_of(twice, &w);
    figure[FIGURE_AP] = w.positives ? precisions / (double)w.positives : NAN;
}

/* ---- curves ---- */

static void roc_points(double *rate, int points, const struct ranking *r, const int *weight, double positives, double negatives)
{
    struct walk w = {0};
    double x0 = 0, y0 = 0;
    int g = 0;
    while (next_block(&w, r, weight)) {
        double x = (double)w.negatives / negatives, y = (double)w.positives / positives;
        for (; g < points && g / (points - 1.0) < x; g++) rate[g] = y0 + (y - y0) * (g / (points - 1.0) - x0) / (x - x0);
        x0 = x, y0 = y;
    }
    for (; g < points; g++) rate[g] = 1;
}

static void precision_points(double *precision, int points, const struct ranking *r, const int *weight, double positives)
{
    struct walk w = {0};
    int g = 0;
    while (next_block(&w, r, weight))
        for (; g < points && w.positives && g / (points - 1.0) <= (double)w.positives / positives; g++)
            precision[g] = ratio(w.positives, w.positives + w.negatives);
}

void ranking_curves(double *true_positive_rate, double *precision, int points, const struct ranking *r, const int *weight)
{
    struct walk all = {0};
    while (next_block(&all, r, weight)) {}
    bool defined = all.positives && all.negatives;
    for (int g = 0; !defined && g < points; g++) true_positive_rate[g] = precision[g] = NAN;
    if (!defined) return;
    roc_points(true_positive_rate, points, r, weight, (double)all.positives, (double)all.negatives);
    precision_points(precision, points, r, weight, (double)all.positives);
}

/* ---- areas compared ---- */

/* Adds coefficient times the placement value of each image: the share of the other class that it is on the right side of, ties half. */
static void add_placements(double *placement, const struct ranking *r, double coefficient, double positives, double negatives)
{
    struct walk w = {0};
    for (int from = 0; next_block(&w, r, NULL); from = w.at) {
        double below = negatives - (double)w.negatives + (double)w.block_negatives / 2; /* negatives that lie lower */
        double above = (double)w.positives - (double)w.block_positives / 2;             /* positives that lie higher */
        for (int i = from; i < w.at; i++) placement[r->image[i]] += coefficient * (r->positive[i] ? below / negatives : above / positives);
    }
}

struct by_patient { /* sums over a patient's images, less their expectation */
    double positive, negative;
    int positives, negatives;
};

static double two_sided(double value, double deviation, double *z)
{
    *z = deviation > 0 ? value / deviation : value == 0 ? 0 : NAN; /* no difference at all is no evidence of one */
    return isnan(*z) ? NAN : erfc(fabs(*z) / sqrt(2));
}

/* The variance of the contrast by Obuchowski's formula; with every image its own cluster it is DeLong's. */
static double clustered_variance(const double *placement, double value, const uint8_t *label, const int *cluster, int64_t n, int clusters)
{
    struct by_patient *sum = NEW_ARRAY(struct by_patient, clusters);
    double s10 = 0, s01 = 0, s11 = 0, with_positives = 0, with_negatives = 0, positives = 0, negatives = 0, patients = 0;
    for (int64_t i = 0; i < n; i++) {
        struct by_patient *p = &sum[cluster ? cluster[i] : i];
        if (label[i]) p->positive += placement[i] - value, p->positives++, positives++;
        else p->negative += placement[i] - value, p->negatives++, negatives++;
    }
    for (int c = 0; c < clusters; c++) {
        s10 += sum[c].positive * sum[c].positive;
        s01 += sum[c].negative * sum[c].negative;
        s11 += sum[c].positive * sum[c].negative;
        with_positives += sum[c].positives > 0;
        with_negatives += sum[c].negatives > 0;
        patients += sum[c].positives + sum[c].negatives > 0;
    }
    mem_free(sum);
    if (with_positives < 2 || with_negatives < 2) return NAN;
    return s10 * with_positives / (with_positives - 1) / (positives * positives) +
           s01 * with_negatives / (with_negatives - 1) / (negatives * negatives) + 2 * s11 * patients / (patients - 1) / (positives * negatives);
}

void auc_contrast(struct contrast *c, const double *const *score, const double *coefficient, int curves, const uint8_t *label,
                  const int *cluster, int64_t n, int clusters)
{
    double *placement = NEW_ARRAY(double, n), positives = 0;
    for (int64_t i = 0; i < n; i++) positives += label[i];
    *c = (struct contrast){0};
    for (int k = 0; k < curves; k++) {
        struct ranking r;
        ranking_make(&r, score[k], label, n, 0.5);
        c->value += coefficient[k] * ranking_auc(&r, NULL);
        add_placements(placement, &r, coefficient[k], positives, (double)n - positives);
        ranking_free(&r);
    }
    c->deviation = sqrt(clustered_variance(placement, c->value, label, NULL, n, (int)n));
    c->p = two_sided(c->value, c->deviation, &c->z);
    c->patient_deviation = sqrt(clustered_variance(placement, c->value, label, cluster, n, clusters));
    c->patient_p = two_sided(c->value, c->patient_deviation, &c->patient_z);
    mem_free(placement);
}
