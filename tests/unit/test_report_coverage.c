/* ctest: timeout=300 */
/* test_report_coverage.c - do 95 % intervals hold the truth in 95 % of samples? Test sets are drawn from a population whose figures are
 * known: patients of 1 to 3 images, whose scores share half of their variance, as many patients as D0's test split has. Each gets its
 * intervals as the report makes them. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "jobs/report/statistics.h"
#include "tests/unit/check.h"

enum { SAMPLES = 2000, REPLICATES = 500, PATIENTS = 96, IMAGES_MAX = 3 * PATIENTS, COVERED = 5 };
static const double SHIFT = 1.7, POSITIVE = 54.0 / 96; /* distance of the classes in deviations; share of positive patients */
static const enum figure covered[COVERED] = {FIGURE_SENSITIVITY, FIGURE_AUC, FIGURE_F1, FIGURE_ACCURACY, FIGURE_SPECIFICITY};

struct sample {
    double score[IMAGES_MAX];
    uint8_t label[IMAGES_MAX];
    int cluster[IMAGES_MAX], n;
};

static void draw(struct sample *s, int number)
{
    struct random r = random_stream(2024, RANDOM_TEST, (uint64_t)number, 0);
    s->n = 0;
    for (int c = 0; c < PATIENTS; c++) {
        bool positive = random_uniform(&r) < POSITIVE;
        double own = random_normal(&r);
        for (int64_t images = 1 + random_below(&r, 3); images > 0; images--) {
            double z = (positive ? SHIFT : -SHIFT) / 2 + sqrt(0.5) * (own + random_normal(&r));
            s->score[s->n] = 1 / (1 + exp(-z));
            s->label[s->n] = positive;
            s->cluster[s->n++] = c;
        }
    }
}

static double normal_share(double z) { return erfc(-z / sqrt(2)) / 2; }

static double truth(enum figure f)
{
    double right = normal_share(SHIFT / 2); /* of either class */
    if (f == FIGURE_AUC) return normal_share(SHIFT / sqrt(2));
    if (f == FIGURE_F1) return 2 * POSITIVE * right / (POSITIVE + POSITIVE * right + (1 - POSITIVE) * (1 - right));
    return right;
}

struct hits {
    int bca[COVERED], percentile[COVERED], image_auc, test[2];
};

static void intervals(struct hits *h, int number)
{
    struct sample *s = NEW(struct sample);
    struct ranking r;
    double estimate[FIGURE_COUNT], one[FIGURE_COUNT];
    double *value = NEW_ARRAY(double, COVERED * REPLICATES), *left_out = NEW_ARRAY(double, COVERED * PATIENTS), *copy = NEW_ARRAY(double, REPLICATES);
    int weight[IMAGES_MAX], count[PATIENTS];
    draw(s, number);
    ranking_make(&r, s->score, s->label, s->n, 0.5);
    ranking_figures(estimate, &r, NULL);
    for (int b = 0; b < REPLICATES; b++) {
        bootstrap_weights(weight, count, (uint64_t)number, b, s->cluster, s->n, PATIENTS);
        ranking_figures(one, &r, weight);
        for (int k = 0; k < COVERED; k++) value[k * REPLICATES + b] = one[covered[k]];
    }
    for (int c = 0; c < PATIENTS; c++) {
        for (int i = 0; i < s->n; i++) weight[i] = s->cluster[i] != c;
        ranking_figures(one, &r, weight);
        for (int k = 0; k < COVERED; k++) left_out[k * PATIENTS + c] = one[covered[k]];
    }
    for (int k = 0; k < COVERED; k++) {
        memcpy(copy, value + k * REPLICATES, sizeof *copy * REPLICATES);
        struct interval p = interval_percentile(copy, REPLICATES, 0.95);
        struct interval i = interval_bca(value + k * REPLICATES, REPLICATES, estimate[covered[k]], left_out + k * PATIENTS, PATIENTS, 0.95);
        double want = truth(covered[k]);
        h->bca[k] += i.low <= want && want <= i.high;
        h->percentile[k] += p.low <= want && want <= p.high;
    }
    /* The deviation that takes images as independent is too small here: that is why patients are resampled. */
    const double *const score[] = {s->score};
    const double one_curve[] = {1};
    struct contrast c;
    auc_contrast(&c, score, one_curve, 1, s->label, s->cluster, s->n, PATIENTS);
    h->image_auc += fabs(c.value - truth(FIGURE_AUC)) <= 1.959964 * c.deviation;
    ranking_free(&r);
    mem_free(s), mem_free(value), mem_free(left_out), mem_free(copy);
}

/* Two networks that are equally good: how often do the tests find a difference at the 5 % level? */
static void equal_networks(struct hits *h, int number)
{
    struct sample *s = NEW(struct sample);
    struct random r = random_stream(2025, RANDOM_TEST, (uint64_t)number, 0);
    double a[IMAGES_MAX], b[IMAGES_MAX], own[2] = {0, 0};
    const double *const score[] = {a, b};
    const double difference[] = {-1, 1};
    struct contrast c;
    draw(s, number);
    for (int i = 0; i < s->n; i++) {
        if (!i || s->cluster[i] != s->cluster[i - 1]) own[0] = random_normal(&r), own[1] = random_normal(&r);
        double common = log(s->score[i] / (1 - s->score[i]));
        a[i] = common + own[0] + 0.5 * random_normal(&r);
        b[i] = common + own[1] + 0.5 * random_normal(&r);
    }
    auc_contrast(&c, score, difference, 2, s->label, s->cluster, s->n, PATIENTS);
    h->test[0] += c.p < 0.05;
    h->test[1] += c.patient_p < 0.05;
    mem_free(s);
}

int main(void)
{
    struct hits all = {{0}, {0}, 0, {0}};
#pragma omp parallel for schedule(dynamic, 16)
    for (int i = 0; i < SAMPLES; i++) {
        struct hits h = {{0}, {0}, 0, {0}};
        intervals(&h, i);
        equal_networks(&h, i);
#pragma omp critical
        {
            for (int k = 0; k < COVERED; k++) all.bca[k] += h.bca[k], all.percentile[k] += h.percentile[k];
            all.image_auc += h.image_auc;
            all.test[0] += h.test[0], all.test[1] += h.test[1];
        }
    }
    for (int k = 0; k < COVERED; k++) {
        double share = (double)all.bca[k] / SAMPLES;
        printf("%-12s covered by BCa %.4f, by percentiles %.4f\n", figure_names[covered[k]], share, (double)all.percentile[k] / SAMPLES);
        EXPECT(share >= 0.935 && share <= 0.965, "%s: %.4f of the intervals hold the truth", figure_names[covered[k]], share);
    }
    double images = (double)all.image_auc / SAMPLES, naive = (double)all.test[0] / SAMPLES, patients = (double)all.test[1] / SAMPLES;
    printf("AUC covered when images count as independent %.4f; equal networks told apart at 5 %%: by images %.4f, by patients %.4f\n", images,
           naive, patients);
    EXPECT(images < 0.935, "%.4f: this population would not need clusters", images);
    EXPECT(patients >= 0.035 && patients <= 0.065, "by patients %.4f", patients);
    EXPECT(naive > 0.07, "by images %.4f: this population would not need clusters", naive);
    return check_verdict();
}
