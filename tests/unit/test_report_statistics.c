/* ctest: data */
/* test_report_statistics.c - jobs/report/statistics.h against numpy, scipy and scikit-learn (tests/reference/make_report.py, and the
 * 1,000 sets of make_train.py), and against the worked example of DeLong, DeLong & Clarke-Pearson (1988). */
#include "jobs/report/statistics.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "tests/unit/check.h"
#include "train/metrics.h"

static FILE *open_reference(const char *tests, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/reference/%s", tests, name);
    FILE *f = fopen(path, "r");
    EXPECT(f != NULL, "%s", path);
    return f;
}

static double number(FILE *f)
{
    double value = -99;
    EXPECT(fscanf(f, "%lf", &value) == 1, "the reference file is short");
    return value;
}

static void expect_same(double got, double want, double limit, const char *what, int set)
{
    EXPECT(isnan(want) ? isnan(got) : fabs(got - want) <= limit, "set %d, %s: %.17g, want %.17g", set, what, got, want);
}

/* ---- figures ---- */

enum { ROOM = 512 };

/* Also with every image counted three times, which changes no share. */
static void compare_figures(FILE *f, int n, double denominator, int set)
{
    static const int order[] = {FIGURE_SENSITIVITY, FIGURE_SPECIFICITY, FIGURE_PRECISION, FIGURE_F1, FIGURE_ACCURACY, FIGURE_AUC, FIGURE_AUC_HARD,
                                FIGURE_AP};
    char labels[ROOM + 1];
    double score[ROOM], plain[FIGURE_COUNT], thrice[FIGURE_COUNT];
    uint8_t label[ROOM];
    int three[ROOM];
    struct ranking r;
    struct binary_metrics m;
    EXPECT(fscanf(f, "%512s", labels) == 1, "set %d: labels", set);
    for (int i = 0; i < n; i++) label[i] = labels[i] == '1', three[i] = 3, score[i] = number(f) / denominator;
    for (int i = 0; i < 4; i++) number(f);
    ranking_make(&r, score, label, n, 0.5);
    ranking_figures(plain, &r, NULL);
    ranking_figures(thrice, &r, three);
    metrics_binary(&m, score, label, n, 0.5);
    for (int k = 0; k < FIGURE_COUNT; k++) {
        double want = number(f);
        expect_same(plain[order[k]], want, 1e-12, figure_names[order[k]], set);
        expect_same(thrice[order[k]], want, 1e-12, figure_names[order[k]], set);
    }
    expect_same(plain[FIGURE_AUC], m.auc, 0, "AUC as in metrics.json", set);
    expect_same(ranking_auc(&r, three), m.auc, 0, "weighted AUC", set);
    ranking_free(&r);
}

static void test_figures(const char *tests)
{
    FILE *f = open_reference(tests, "metrics.txt");
    int n, sets = 0;
    double denominator;
    while (f && fscanf(f, "%d %lf", &n, &denominator) == 2 && n <= ROOM) compare_figures(f, n, denominator, sets++);
    EXPECT(sets == 1000, "%d sets", sets);
    if (f) fclose(f);
}

/* A weight is as many copies of the image. */
static void test_weights(void)
{
    enum { N = 40, COPIES_MAX = 4 * N };
    struct random random = random_stream(5, RANDOM_TEST, 1, 0);
    for (int set = 0; set < 200; set++) {
        double score[N], many[COPIES_MAX], a[FIGURE_COUNT], b[FIGURE_COUNT];
        uint8_t label[N], many_label[COPIES_MAX];
        int weight[N], copies = 0;
        struct ranking r, all;
        for (int i = 0; i < N; i++) {
            score[i] = (double)random_below(&random, 12) / 11;
            label[i] = (uint8_t)random_below(&random, 2);
            weight[i] = (int)random_below(&random, 4);
            for (int k = 0; k < weight[i]; k++) many[copies] = score[i], many_label[copies++] = label[i];
        }
        ranking_make(&r, score, label, N, 0.5);
        ranking_make(&all, many, many_label, copies, 0.5);
        ranking_figures(a, &r, weight);
        ranking_figures(b, &all, NULL);
        for (int k = 0; k < FIGURE_COUNT; k++) expect_same(a[k], b[k], 1e-14, figure_names[k], set);
        ranking_free(&r);
        ranking_free(&all);
    }
}

/* ---- areas compared ---- */

static void compare_contrast(FILE *f, int set)
{
    int n, curves, clusters;
    double denominator;
    EXPECT(fscanf(f, "%d %d %d %lf", &n, &curves, &clusters, &denominator) == 4, "set %d", set);
    uint8_t *label = NEW_ARRAY(uint8_t, n);
    int *cluster = NEW_ARRAY(int, n);
    double **score = NEW_ARRAY(double *, curves), *coefficient = NEW_ARRAY(double, curves);
    struct contrast c;
    for (int i = 0; i < n; i++) label[i] = (uint8_t)number(f);
    for (int i = 0; i < n; i++) cluster[i] = (int)number(f);
    for (int k = 0; k < curves; k++) {
        score[k] = NEW_ARRAY(double, n);
        for (int i = 0; i < n; i++) score[k][i] = number(f) / denominator;
    }
    for (int k = 0; k < curves; k++) coefficient[k] = number(f);
    auc_contrast(&c, (const double *const *)score, coefficient, curves, label, cluster, n, clusters);
    expect_same(c.value, number(f), 1e-12, "contrast", set);
    expect_same(c.deviation, number(f), 1e-10, "DeLong deviation", set);
    expect_same(c.patient_deviation, number(f), 1e-10, "Obuchowski deviation", set);
    double p = number(f), patient_p = number(f);
    if (!isnan(p)) expect_same(c.p, p, 1e-8, "DeLong p", set);
    if (!isnan(patient_p)) expect_same(c.patient_p, patient_p, 1e-8, "Obuchowski p", set);
    for (int k = 0; k < curves; k++) mem_free(score[k]);
    mem_free(score), mem_free(coefficient), mem_free(label), mem_free(cluster);
}

/* 43 patients with ovarian cancer and an obstruction of the bowel; is surgery of use? Three tests: albumin, total protein, Krebs-Goplerud
 * score. Data and results as printed in SAS/STAT's documentation of PROC LOGISTIC, "Comparing Receiver Operating Characteristic Curves",
 * which takes them from DeLong et al. 1988. */
static const double ovarian[43][4] = { /* albumin, protein, score, outcome */
    {3.0, 5.8, 10, 0}, {3.2, 6.3, 5, 1}, {3.9, 6.8, 3, 1}, {2.8, 4.8, 6, 0}, {3.2, 5.8, 3, 1}, {0.9, 4.0, 5, 0}, {2.5, 5.7, 8, 0}, {1.6, 5.6, 5, 1},
    {3.8, 5.7, 5, 1},  {3.7, 6.7, 6, 1}, {3.2, 5.4, 4, 1}, {3.8, 6.6, 6, 1}, {4.1, 6.6, 5, 1}, {3.6, 5.7, 5, 1}, {4.3, 7.0, 4, 1}, {3.6, 6.7, 4, 0},
    {2.3, 4.4, 6, 1},  {4.2, 7.6, 4, 0}, {4.0, 6.6, 6, 0}, {3.5, 5.8, 6, 1}, {3.8, 6.8, 7, 1}, {3.0, 4.7, 8, 0}, {4.5, 7.4, 5, 1}, {3.7, 7.4, 5, 1},
    {3.1, 6.6, 6, 1},  {4.1, 8.2, 6, 1}, {4.3, 7.0, 5, 1}, {4.3, 6.5, 4, 1}, {3.2, 5.1, 5, 1}, {2.6, 4.7, 6, 1}, {3.3, 6.8, 6, 0}, {1.7, 4.0, 7, 0},
    {3.7, 6.1, 5, 1},  {3.3, 6.3, 7, 1}, {4.2, 7.7, 6, 1}, {3.5, 6.2, 5, 1}, {2.9, 5.7, 9, 0}, {2.1, 4.8, 7, 1}, {2.8, 6.2, 8, 0}, {4.0, 7.0, 7, 1},
    {3.3, 5.7, 6, 1},  {3.7, 6.9, 5, 1}, {3.6, 6.6, 5, 1}};

static void test_worked_example(void)
{
    enum { ALBUMIN, PROTEIN, SCORE, N = 43 };
    double score[3][N];
    const double *const curves[] = {score[0], score[1], score[2]};
    uint8_t label[N];
    int cluster[N];
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 3; k++) score[k][i] = k == SCORE ? -ovarian[i][k] : ovarian[i][k];
        label[i] = ovarian[i][3] > 0;
        cluster[i] = i;
    }
    static const struct {
        double coefficient[3], value, deviation, chi_square, p; /* as printed; a negative one is not printed */
    } printed[] = {{{1, 0, 0}, 0.7366, 0.0927, -1, -1}, {{0, 1, 0}, 0.6478, 0.1000, -1, -1}, {{0, 0, 1}, 0.7258, 0.1028, -1, -1},
                   {{1, 0, -1}, 0.0108, 0.0953, 0.0127, 0.9102}, {{0, 1, -1}, -0.0780, 0.1046, 0.5554, 0.4561}};
    for (size_t k = 0; k < sizeof printed / sizeof *printed; k++) {
        struct contrast c;
        auc_contrast(&c, curves, printed[k].coefficient, 3, label, cluster, N, N);
        EXPECT_NEAR(c.value, printed[k].value, 5.1e-5);
        EXPECT_NEAR(c.deviation, printed[k].deviation, 5.1e-5);
        if (printed[k].chi_square >= 0) EXPECT_NEAR(c.z * c.z, printed[k].chi_square, 5.1e-5);
        if (printed[k].p >= 0) EXPECT_NEAR(c.p, printed[k].p, 5.1e-5);
        EXPECT_NEAR(c.patient_deviation, c.deviation, 1e-15); /* each image its own patient */
    }
}

/* No difference, no evidence; one class, no number. */
static void test_contrast_edges(void)
{
    static const double score[] = {0.1, 0.4, 0.35, 0.8};
    static const double *const twice[] = {score, score};
    static const double difference[] = {1, -1};
    static const uint8_t label[] = {0, 0, 1, 1}, positive[] = {1, 1, 1, 1};
    static const int cluster[] = {0, 1, 2, 3};
    struct contrast c;
    auc_contrast(&c, twice, difference, 2, label, cluster, 4, 4);
    EXPECT(c.value == 0 && c.p == 1 && c.patient_p == 1, "p %g, %g", c.p, c.patient_p);
    auc_contrast(&c, twice, difference, 2, positive, cluster, 4, 4);
    EXPECT(isnan(c.value) && isnan(c.p) && isnan(c.patient_p), "p %g, %g", c.p, c.patient_p);
}

/* ---- intervals, curves, the rest ---- */

static void compare_interval(FILE *f, int set)
{
    int count, clusters;
    EXPECT(fscanf(f, "%d %d", &count, &clusters) == 2, "set %d", set);
    double estimate = number(f), *value = NEW_ARRAY(double, count), *again = NEW_ARRAY(double, count), *left_out = NEW_ARRAY(double, clusters);
    for (int i = 0; i < count; i++) value[i] = again[i] = number(f);
    for (int i = 0; i < clusters; i++) left_out[i] = number(f);
    struct interval bca = interval_bca(value, count, estimate, left_out, clusters, 0.95), plain = interval_percentile(again, count, 0.95);
    expect_same(bca.low, number(f), 1e-8, "BCa low", set);
    expect_same(bca.high, number(f), 1e-8, "BCa high", set);
    expect_same(plain.low, number(f), 1e-12, "percentile low", set);
    expect_same(plain.high, number(f), 1e-12, "percentile high", set);
    mem_free(value), mem_free(again), mem_free(left_out);
}

static void compare_curve(FILE *f, int set)
{
    enum { POINTS = 21 };
    int n, points;
    double denominator, score[ROOM], roc[POINTS], precision[POINTS];
    uint8_t label[ROOM];
    struct ranking r;
    EXPECT(fscanf(f, "%d %d %lf", &n, &points, &denominator) == 3 && points == POINTS && n <= ROOM, "set %d", set);
    for (int i = 0; i < n; i++) label[i] = (uint8_t)number(f);
    for (int i = 0; i < n; i++) score[i] = number(f) / denominator;
    ranking_make(&r, score, label, n, 0.5);
    ranking_curves(roc, precision, POINTS, &r, NULL);
    for (int g = 0; g < POINTS; g++) expect_same(roc[g], number(f), 1e-12, "ROC", set);
    for (int g = 0; g < POINTS; g++) expect_same(precision[g], number(f), 1e-12, "precision", set);
    ranking_free(&r);
}

static void test_reference(const char *tests)
{
    FILE *f = open_reference(tests, "report.txt");
    char kind[16];
    int contrasts = 0, intervals = 0, curves = 0;
    while (f && fscanf(f, "%15s", kind) == 1) {
        if (!strcmp(kind, "contrast")) compare_contrast(f, contrasts++);
        else if (!strcmp(kind, "interval")) compare_interval(f, intervals++);
        else if (!strcmp(kind, "curve")) compare_curve(f, curves++);
        else EXPECT(false, "no kind '%s'", kind);
    }
    EXPECT(contrasts == 60 && intervals == 24 && curves == 20, "%d contrasts, %d intervals, %d curves", contrasts, intervals, curves);
    if (f) fclose(f);
}

static void test_undefined(void)
{
    double value[] = {NAN, 0.2, NAN, 0.4, 0.3}, mostly[] = {NAN, NAN, NAN, 0.4, 0.3};
    struct interval i = interval_percentile(value, 5, 0.95), j = interval_percentile(mostly, 5, 0.95);
    EXPECT(i.undefined == 2 && i.low >= 0.2 && i.high <= 0.4, "[%g, %g]", i.low, i.high);
    EXPECT(j.undefined == 3 && isnan(j.low) && isnan(j.high), "[%g, %g]", j.low, j.high);
    double same[] = {1, NAN, 1, 1, 1}, nearly[] = {1, 0.9, 1, 1, 1}, left_out[] = {1, 1, 1}; /* [1, 1] would claim to know other patients */
    struct interval k = interval_bca(same, 5, 1, left_out, 3, 0.95), l = interval_bca(nearly, 5, 1, left_out, 3, 0.95);
    EXPECT(k.undefined == 1 && isnan(k.low) && isnan(k.high), "[%g, %g]", k.low, k.high);
    EXPECT(l.low < 1 && l.high <= 1, "[%g, %g]", l.low, l.high);
}

/* Holm 1979: 0.01, 0.04, 0.03 of three become 0.03, 0.06, 0.06; an undefined one does not count. */
static void test_holm(void)
{
    double p[] = {0.01, NAN, 0.04, 0.03, };
    holm_adjust(p, 4);
    EXPECT(fabs(p[0] - 0.03) < 1e-15 && isnan(p[1]) && fabs(p[2] - 0.06) < 1e-15 && fabs(p[3] - 0.06) < 1e-15, "%g %g %g", p[0], p[2], p[3]);
    double one[] = {0.7, 0.6};
    holm_adjust(one, 2);
    EXPECT(one[0] == 1 && one[1] == 1, "%g %g", one[0], one[1]);
    double three[] = {1, 2, 4};
    EXPECT_NEAR(mean_of(three, 3), 7.0 / 3, 1e-15);
    EXPECT_NEAR(deviation_of(three, 3), 1.5275252316519468, 1e-15);
    EXPECT(isnan(deviation_of(three, 1)), "one value has no deviation");
}

/* As many patients as there are, whole ones, and not the same ones each time. */
static void test_resampling(void)
{
    static const int cluster[] = {0, 0, 1, 2, 2, 2, 3};
    int weight[7], count[4], first[7], changed = 0;
    bootstrap_weights(first, count, 1, 0, cluster, 7, 4);
    for (int b = 0; b < 50; b++) {
        bootstrap_weights(weight, count, 1, b, cluster, 7, 4);
        EXPECT(weight[0] == weight[1] && weight[3] == weight[4] && weight[3] == weight[5], "a patient's images go together");
        EXPECT(weight[0] + weight[2] + weight[3] + weight[6] == 4, "four patients");
        changed += memcmp(weight, first, sizeof first) != 0;
    }
    EXPECT(changed > 40, "%d", changed);
    bootstrap_weights(weight, count, 1, 0, cluster, 7, 4);
    EXPECT(!memcmp(weight, first, sizeof first), "the same replicate twice");
}

int main(int argc, char **argv)
{
    const char *tests = argc > 1 ? argv[1] : "tests";
    test_figures(tests);
    test_weights();
    test_worked_example();
    test_contrast_edges();
    test_reference(tests);
    test_undefined();
    test_holm();
    test_resampling();
    return check_verdict();
}
