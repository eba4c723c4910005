/* ctest: data */
/* test_train_metrics.c - every figure against scikit-learn to 1e-12 (tests/reference/make_train.py): ties, equal scores, empty
 * classes, which are null; lesions; the JSON text. */

#include "base/random.h"
#include "tests/unit/check.h"
#include "train/metrics.h"

enum { ROOM = 512 };

static double number(FILE *f)
{
    double value = -99;
    EXPECT(fscanf(f, "%lf", &value) == 1, "the reference file is short");
    return value;
}

static int undefined;

static void expect_figure(double got, double want, const char *what, int set)
{
    undefined += isnan(want);
    EXPECT(isnan(want) ? isnan(got) : fabs(got - want) <= 1e-12, "set %d, %s: %.17g, want %.17g", set, what, got, want);
}

static void compare_set(FILE *f, int n, double denominator, int set)
{
    char labels[ROOM + 1];
    double score[ROOM];
    uint8_t label[ROOM];
    struct binary_metrics m;
    long long tp, fp, tn, fn;
    EXPECT(fscanf(f, "%512s", labels) == 1 && (int)strlen(labels) == n, "set %d: labels", set);
    for (int i = 0; i < n; i++) label[i] = labels[i] == '1';
    for (int i = 0; i < n; i++) score[i] = number(f) / denominator;
    EXPECT(fscanf(f, "%lld %lld %lld %lld", &tp, &fp, &tn, &fn) == 4, "set %d: counts", set);
    metrics_binary(&m, score, label, n, 0.5);
    EXPECT(m.n == n && m.tp == tp && m.fp == fp && m.tn == tn && m.fn == fn, "set %d: counts", set);
    expect_figure(m.sensitivity, number(f), "sensitivity", set);
    expect_figure(m.specificity, number(f), "specificity", set);
    expect_figure(m.precision, number(f), "precision", set);
    expect_figure(m.f1, number(f), "F1", set);
    expect_figure(m.accuracy, number(f), "accuracy", set);
    expect_figure(m.auc, number(f), "AUC", set);
    expect_figure(m.auc_hard, number(f), "AUC of the predictions", set);
    number(f); /* average precision: jobs/report has that */
}

static void test_reference(const char *tests)
{
    char path[512];
    snprintf(path, sizeof path, "%s/reference/metrics.txt", tests);
    FILE *f = fopen(path, "r");
    int n, sets = 0;
    double denominator;
    EXPECT(f != NULL, "%s", path);
    while (f && fscanf(f, "%d %lf", &n, &denominator) == 2 && n <= ROOM) compare_set(f, n, denominator, sets++);
    EXPECT(sets == 1000 && undefined > 600, "%d sets, %d undefined figures", sets, undefined);
    if (f) fclose(f);
}

/* The columns of metrics_run are those of metrics_binary, and support counts the positives of all images. */
static void test_lesions(void)
{
    enum { N = 60 };
    double probability[N * LOGIT_COUNT], score[N];
    uint8_t label[N * LOGIT_COUNT], truth[N];
    struct random r = random_stream(1, RANDOM_TEST, 0, 0);
    struct run_metrics m;
    struct binary_metrics want;
    for (int i = 0; i < N * LOGIT_COUNT; i++) {
        probability[i] = (double)random_below(&r, 12) / 11;
        label[i] = i % LOGIT_COUNT != 4 && random_below(&r, 1 + i % LOGIT_COUNT) == 0 && i % 7 != 3; /* 4: never */
    }
    metrics_run(&m, probability, label, N, 0.5);
    for (int k = 0; k < LOGIT_COUNT; k++) {
        for (int i = 0; i < N; i++) score[i] = probability[i * LOGIT_COUNT + k], truth[i] = label[i * LOGIT_COUNT + k];
        metrics_binary(&want, score, truth, N, 0.5);
        if (k == 0) EXPECT(memcmp(&m.covid, &want, sizeof want) == 0 && want.auc > 0, "column 0 is the diagnosis");
        if (k == 0) continue;
        EXPECT(m.lesion[k - 1].support == want.tp + want.fn, "%s: support %d", lesion_names[k - 1], (int)m.lesion[k - 1].support);
        EXPECT(k == 4 ? isnan(m.lesion[k - 1].auc) : m.lesion[k - 1].auc == want.auc, "%s: AUC %g", lesion_names[k - 1],
               m.lesion[k - 1].auc);
        EXPECT((want.tp + want.fn > 0) == (k != 4), "%s: support", lesion_names[k - 1]);
    }
}

/* A network without lesion outputs, one without images: null, never a number. */
static void test_json(void)
{
    static const double probability[4 * LOGIT_COUNT] = {0.5, NAN, NAN, NAN, NAN, NAN, 0.25, NAN, NAN, NAN, NAN, NAN,
                                                        0.75, NAN, NAN, NAN, NAN, NAN, 0.75, NAN, NAN, NAN, NAN, NAN};
    static const uint8_t label[4 * LOGIT_COUNT] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
    struct text out = {0};
    struct json j;
    struct run_metrics m;
    for (int n = 4; n >= 0; n -= 4) {
        text_clear(&out);
        json_open(&j, &out, false);
        json_object(&j, NULL);
        metrics_run(&m, probability, label, n, 0.5);
        metrics_json(&j, &m);
        json_end_object(&j);
        const char *got = out.data;
        const char *want = n ? "{\"n\":4,\"tp\":2,\"fp\":1,\"tn\":1,\"fn\":0,\"sensitivity\":1,\"specificity\":0.5,"
                               "\"precision\":0.6666666666666666,\"f1\":0.8,\"accuracy\":0.75,\"auc\":0.625,\"auc_hard\":0.75,"
                               "\"lesions\":{\"GGO\":{\"support\":2,\"auc\":null},\"Csld\":{\"support\":0,\"auc\":null},"
                               "\"CrPa\":{\"support\":0,\"auc\":null},\"AirBr\":{\"support\":1,\"auc\":null},"
                               "\"InSepThi\":{\"support\":0,\"auc\":null}}}"
                             : "{\"n\":0,\"tp\":0,\"fp\":0,\"tn\":0,\"fn\":0,\"sensitivity\":null,\"specificity\":null,"
                               "\"precision\":null,\"f1\":null,\"accuracy\":null,\"auc\":null,\"auc_hard\":null,"
                               "\"lesions\":{\"GGO\":{\"support\":0,\"auc\":null},\"Csld\":{\"support\":0,\"auc\":null},"
                               "\"CrPa\":{\"support\":0,\"auc\":null},\"AirBr\":{\"support\":0,\"auc\":null},"
                               "\"InSepThi\":{\"support\":0,\"auc\":null}}}";
        char packed[1200];
        size_t length = 0;
        for (; *got && length + 1 < sizeof packed; got++)
            if (*got != ' ' && *got != '\n') packed[length++] = *got;
        packed[length] = 0;
        EXPECT(!strcmp(packed, want), "%s", packed);
    }
    text_free(&out);
}

/* A diagnosis that is not a number is no positive, and the area under the curve is undefined. */
static void test_not_a_number(void)
{
    static const double score[] = {NAN, 0.7, 0.2, NAN};
    static const uint8_t label[] = {1, 1, 0, 0};
    struct binary_metrics m;
    metrics_binary(&m, score, label, 4, 0.5);
    EXPECT(m.tp == 1 && m.fn == 1 && m.tn == 2 && m.fp == 0 && isnan(m.auc), "AUC %g", m.auc);
}

int main(int argc, char **argv)
{
    test_reference(argc > 1 ? argv[1] : "tests");
    test_lesions();
    test_json();
    test_not_a_number();
    return check_verdict();
}
