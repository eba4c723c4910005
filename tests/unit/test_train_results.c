/* ctest: data */
/* test_train_results.c - thresholds chosen on validation, calibration and patients against scikit-learn, numpy and whole fractions to 1e-12
 * (tests/reference/make_train.py: ties, empty bins, one class, patients with images of both labels), and what is refused. */
#include <stdlib.h>

#include "base/error.h"
#include "tests/unit/check.h"
#include "train/patients.h"
#include "train/results.h"

enum { ROOM = 256 };
static const double LIMIT = 1e-12;

struct set {
    int number, n, count;
    double score[ROOM], probability[ROOM * LOGIT_COUNT];
    uint8_t covid[ROOM], label[ROOM * LOGIT_COUNT];
    int cluster[ROOM];
};
static int one_class, empty_bins, mixed_patients, at_zero;

static double number(FILE *f)
{
    double value = -99;
    EXPECT(fscanf(f, "%lf", &value) == 1, "the reference file is short");
    return value;
}

static void expect_same(double got, double want, const char *what, const struct set *s)
{
    EXPECT(isnan(want) ? isnan(got) : fabs(got - want) <= LIMIT, "set %d, %s: %.17g, want %.17g", s->number, what, got, want);
}

/* The GGO output is the next image's COVID score; the network has no others. */
static bool read_set(struct set *s, FILE *f)
{
    double denominator;
    char labels[ROOM + 1], lesions[ROOM + 1];
    if (fscanf(f, "%d %lf %d %256s %256s", &s->n, &denominator, &s->count, labels, lesions) != 5 || s->n > ROOM) return false;
    for (int i = 0; i < s->n; i++) s->score[i] = number(f) / denominator;
    for (int i = 0; i < s->n; i++) s->cluster[i] = (int)number(f);
    for (int i = 0; i < s->n; i++) {
        double *p = s->probability + i * LOGIT_COUNT;
        uint8_t *label = s->label + i * LOGIT_COUNT;
        p[0] = s->score[i];
        p[1] = s->score[(i + 1) % s->n];
        label[0] = s->covid[i] = labels[i] == '1';
        label[1] = lesions[i] == '1';
        for (int k = 2; k < LOGIT_COUNT; k++) p[k] = NAN, label[k] = k == 5;
    }
    return true;
}

/* ---- thresholds ---- */

/* What the threshold reaches, by counting. */
static double reached(const struct set *s, enum threshold_rule rule, double threshold)
{
    struct binary_metrics m;
    metrics_binary(&m, s->score, s->covid, s->n, threshold);
    return rule == THRESHOLD_YOUDEN ? m.sensitivity + m.specificity - 1 : m.f1;
}

static void compare_thresholds(const struct set *s, FILE *f)
{
    for (enum threshold_rule rule = THRESHOLD_YOUDEN; rule <= THRESHOLD_F1; rule++) {
        struct threshold t = {rule, NAN};
        struct error err = {0};
        double highest = number(f), value = number(f);
        int rc = threshold_choose(&t, s->score, s->covid, s->n, &err);
        one_class += rc != 0;
        EXPECT((rc != 0) == isnan(highest), "set %d: %s", s->number, err.message);
        if (rc) EXPECT_TEXT(err.message, "the validation images are all of one class");
        if (rc) continue;
        expect_same(reached(s, rule, t.value), highest, threshold_rule_names[rule], s);
        expect_same(t.value, value, "threshold", s);
        at_zero += t.value == 0;
    }
}

/* ---- all of it ---- */

static void compare_calibration(const struct calibration *c, const struct set *s, FILE *f)
{
    expect_same(c->expected_error, number(f), "ECE", s);
    expect_same(c->largest_error, number(f), "MCE", s);
    expect_same(c->brier, number(f), "Brier score", s);
    for (int b = 0; b < CALIBRATION_BINS; b++) {
        int64_t n = (int64_t)number(f);
        EXPECT(c->bin[b].n == n, "set %d, bin %d: %lld images, want %lld", s->number, b, (long long)c->bin[b].n, (long long)n);
        expect_same(c->bin[b].probability, number(f), "said", s);
        expect_same(c->bin[b].positive, number(f), "positive", s);
        empty_bins += n == 0;
    }
}

static void compare_patients(const struct set *s, FILE *f)
{
    struct patients p;
    int mixed = (int)number(f);
    patients_pool(&p, s->probability, s->label, s->cluster, s->n, s->count);
    EXPECT(p.count == s->count && p.mixed == mixed, "set %d: %d mixed, want %d", s->number, p.mixed, mixed);
    for (int c = 0; c < s->count; c++) {
        const double *probability = p.probability + c * LOGIT_COUNT;
        const uint8_t *label = p.label + c * LOGIT_COUNT;
        int covid = (int)number(f), ggo = (int)number(f);
        EXPECT(label[0] == covid && label[1] == ggo && !label[2] && label[5] == 1, "set %d, patient %d: labels", s->number, c);
        expect_same(probability[0], number(f), "a patient's probability", s);
        expect_same(probability[1], number(f), "a patient's lesion", s);
        expect_same(probability[2], NAN, "an output that is not there", s);
    }
    mixed_patients += mixed;
    patients_free(&p);
}

/* results_from says the same of all parts, at its threshold. */
static void compare_results(const struct set *s, const struct calibration *c)
{
    struct results r;
    struct binary_metrics images;
    struct run_metrics by_patient;
    struct patients p;
    results_from(&r, s->probability, s->label, s->cluster, s->n, s->count, &(struct threshold){THRESHOLD_FIXED, 0.3});
    metrics_binary(&images, s->score, s->covid, s->n, 0.3);
    patients_pool(&p, s->probability, s->label, s->cluster, s->n, s->count);
    metrics_run(&by_patient, p.probability, p.label, p.count, 0.3);
    EXPECT(!memcmp(&r.images.covid, &images, sizeof images), "set %d: images", s->number);
    EXPECT(!memcmp(&r.patients, &by_patient, sizeof by_patient) && r.mixed_patients == p.mixed, "set %d: patients", s->number);
    EXPECT(!memcmp(&r.calibration, c, sizeof *c) && r.threshold.value == 0.3, "set %d: calibration", s->number);
    patients_free(&p);
}

static void test_reference(const char *tests)
{
    static struct set s;
    struct calibration c;
    char path[512];
    snprintf(path, sizeof path, "%s/reference/results.txt", tests);
    FILE *f = fopen(path, "r");
    EXPECT(f != NULL, "%s", path);
    for (; f && read_set(&s, f); s.number++) {
        calibration_make(&c, s.score, s.covid, s.n);
        compare_thresholds(&s, f);
        compare_calibration(&c, &s, f);
        compare_patients(&s, f);
        compare_results(&s, &c);
    }
    EXPECT(s.number == 400 && one_class > 200 && empty_bins > 1000 && mixed_patients > 300 && at_zero > 5,
           "%d sets, %d times one class, %d empty bins, %d mixed patients, %d thresholds at 0", s.number, one_class, empty_bins, mixed_patients,
           at_zero);
    if (f) fclose(f);
}

/* ---- edges ---- */

static void test_parse(void)
{
    static const struct { const char *text; enum threshold_rule rule; double value; } good[] = {
        {"0.5", THRESHOLD_FIXED, 0.5}, {"1", THRESHOLD_FIXED, 1}, {"1e-300", THRESHOLD_FIXED, 1e-300}, {"youden", THRESHOLD_YOUDEN, NAN},
        {"f1", THRESHOLD_F1, NAN}};
    static const char *const bad[] = {"", "0", "-0.5", "1.0000001", "nan", "inf", "0.5x", "0,5", "Youden", "youden ", "F1", "fixed", "0x", "half",
                                      "1e999", "\xff"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct threshold t = {THRESHOLD_FIXED, -1};
        EXPECT(threshold_parse(&t, good[i].text, NULL) == 0 && t.rule == good[i].rule, "%s", good[i].text);
        EXPECT(isnan(good[i].value) ? isnan(t.value) : t.value == good[i].value, "%s: %g", good[i].text, t.value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct threshold t = {THRESHOLD_F1, 7};
        struct error err = {0};
        EXPECT(threshold_parse(&t, bad[i], &err) == -1 && t.rule == THRESHOLD_F1 && t.value == 7, "'%s' was taken", bad[i]);
        EXPECT_TEXT(err.message, "is no threshold: a number above 0 and at most 1, youden, or f1");
    }
}

static void test_refused(void)
{
    static const double score[] = {0.2, NAN, 0.7};
    static const uint8_t label[] = {0, 1, 1};
    struct threshold t = {THRESHOLD_YOUDEN, NAN}, fixed = {THRESHOLD_FIXED, 0.25};
    struct error err = {0};
    EXPECT(threshold_choose(&t, score, label, 3, &err) == -1, "NaN was taken");
    EXPECT_TEXT(err.message, "by youden: a probability is not a number");
    EXPECT(threshold_choose(&t, score, label, 0, &err) == -1, "nothing was taken");
    EXPECT_TEXT(err.message, "by youden: there are no validation images");
    EXPECT(threshold_choose(&fixed, score, label, 3, &err) == 0 && fixed.value == 0.25, "a fixed one stays");
}

/* Between neighbouring numbers there is no half: the threshold must still part them. */
static void test_neighbours(void)
{
    static const uint8_t label[] = {1, 0};
    for (double low = 0.1; low < 1; low += 0.0137) {
        double score[] = {nextafter(low, 1), low};
        struct threshold t = {THRESHOLD_YOUDEN, NAN};
        EXPECT(threshold_choose(&t, score, label, 2, NULL) == 0 && score[0] >= t.value && score[1] < t.value, "%.17g", low);
    }
}

/* Of 0.25 and 0.75, both the best, as far from 0.5: the higher. Figures that are equal as fractions are ties, of many orders of 15 labels. */
static void test_ties(void)
{
    static const double score[] = {0.875, 0.625, 0.375, 0.125};
    static const uint8_t label[] = {1, 0, 1, 0};
    struct threshold t = {THRESHOLD_YOUDEN, NAN};
    EXPECT(threshold_choose(&t, score, label, 4, NULL) == 0, "chosen");
    EXPECT(t.value == 0.75, "%g", t.value);
    enum { N = 15 }; /* 6 and 9, 5 and 10: counts with a common divisor */
    double many[N];
    uint8_t truth[N];
    for (int order = 0; order < 1 << N; order += 7) {
        double best = -2, nearest = 2;
        int positives = 0, tp = 0, fp = 0;
        for (int i = 0; i < N; i++) many[i] = 1 - (i + 0.5) / N, truth[i] = order >> i & 1, positives += truth[i];
        if (positives == 0 || positives == N) continue;
        t = (struct threshold){THRESHOLD_YOUDEN, NAN};
        EXPECT(threshold_choose(&t, many, truth, N, NULL) == 0, "order %d", order);
        for (int i = 0; i < N; i++) {
            truth[i] ? tp++ : fp++;
            double is = tp * (N - positives) - fp * positives, far = fabs((i + 1 < N ? (many[i] + many[i + 1]) / 2 : many[i] / 2) - 0.5);
            if (is > best || (is == best && far < nearest)) best = is, nearest = far;
        }
        EXPECT(fabs(fabs(t.value - 0.5) - nearest) < LIMIT, "order %d: %.17g is not the nearest to 0.5", order, t.value);
    }
}

static void test_calibration_edges(void)
{
    static const double sure[] = {0, 1, 1, NAN};
    static const uint8_t label[] = {0, 1, 0, 1};
    struct calibration c;
    calibration_make(&c, sure, label, 3);
    EXPECT(c.bin[0].n == 1 && c.bin[9].n == 2 && c.bin[9].positive == 0.5 && c.brier == 1.0 / 3 && c.largest_error == 0.5, "Brier %g", c.brier);
    calibration_make(&c, sure, label, 4);
    EXPECT(isnan(c.brier) && isnan(c.expected_error) && isnan(c.largest_error), "NaN among the probabilities");
    calibration_make(&c, sure, label, 0);
    EXPECT(isnan(c.brier) && isnan(c.expected_error) && c.bin[0].n == 0, "no images");
}

/* Names in order of first appearance, whatever their order as words. */
static void test_numbers(void)
{
    static const char *const name[] = {"b", "a", "b", "", "a", "c", ""};
    static const int want[] = {0, 1, 0, 2, 1, 3, 2};
    int cluster[7];
    EXPECT(patients_number(cluster, name, 7) == 4 && !memcmp(cluster, want, sizeof want), "numbers");
    EXPECT(patients_number(cluster, name, 0) == 0, "nobody");
}

int main(int argc, char **argv)
{
    test_reference(argc > 1 ? argv[1] : "tests");
    test_parse();
    test_refused();
    test_neighbours();
    test_ties();
    test_calibration_edges();
    test_numbers();
    return check_verdict();
}
