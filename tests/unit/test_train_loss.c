/* ctest: data */
/* test_train_loss.c - losses, gradients and probabilities against PyTorch in double (tests/reference/make_train.py), against
 * finite differences, and what an ignored logit must not do.
 *
 * Tolerances: the loss is summed in double (1e-14 relative); a gradient is rounded to float once (half an eps), and sigmoid - target
 * loses what double loses (1e-15 of the largest possible gradient). */
#include <float.h>

#include "base/random.h"
#include "io/labels.h"
#include "tests/unit/check.h"
#include "train/loss.h"

enum { IMAGES = 16, ROOM = IMAGES * LOGIT_COUNT };

static double number(FILE *f)
{
    double value = NAN;
    EXPECT(fscanf(f, "%lf", &value) == 1, "the reference file is short");
    return value;
}

static void floats(float *values, int count, FILE *f)
{
    for (int i = 0; i < count; i++) values[i] = (float)number(f);
}

static void compare_case(FILE *f, const struct loss_spec *spec, int images, int total)
{
    float logits[ROOM], targets[ROOM], gradient[ROOM];
    double probability[ROOM];
    int outputs = loss_outputs(spec);
    double unit = spec->kind == LOSS_BCE ? fmax(spec->covid_weight, 1) / (6.0 * total) : 1.0 / total;
    EXPECT(outputs == (spec->kind == LOSS_BCE ? 6 : 2), "%d outputs", outputs);
    floats(logits, images * outputs, f);
    floats(targets, images * LOGIT_COUNT, f);
    double loss = number(f), covid = number(f);
    struct loss_sums got = loss_compute(gradient, logits, targets, images, total, spec);
    struct loss_sums again = loss_compute(NULL, logits, targets, images, total, spec);
    EXPECT_NEAR(got.loss, loss, 1e-14 * loss);
    EXPECT_NEAR(got.covid, covid, 1e-14 * covid);
    EXPECT(again.loss == got.loss && again.covid == got.covid, "without gradients the sums are the same");
    for (int i = 0; i < images * outputs; i++) {
        double want = number(f);
        EXPECT_NEAR(gradient[i], want, FLT_EPSILON / 2 * fabs(want) + 1e-15 * unit);
    }
    loss_probabilities(probability, logits, images, spec);
    for (int i = 0; i < images * LOGIT_COUNT; i++) {
        bool given = spec->kind == LOSS_BCE || i % LOGIT_COUNT == 0;
        double want = given ? number(f) : NAN;
        EXPECT(given ? fabs(probability[i] - want) <= 1e-14 * want : isnan(probability[i]), "%d: %.17g, want %.17g", i,
               probability[i], want);
    }
}

static void test_reference(const char *tests)
{
    char path[512], kind[16];
    snprintf(path, sizeof path, "%s/reference/loss.txt", tests);
    FILE *f = fopen(path, "r");
    int lesions, images, total, cases = 0;
    double weight;
    EXPECT(f != NULL, "%s", path);
    while (f && fscanf(f, "%15s %d %lf %d %d", kind, &lesions, &weight, &images, &total) == 5 && images <= IMAGES) {
        struct loss_spec spec = {strcmp(kind, "bce") ? LOSS_SOFTMAX : LOSS_BCE, lesions, weight};
        compare_case(f, &spec, images, total);
        cases++;
    }
    EXPECT(cases == 9, "%d cases", cases);
    if (f) fclose(f);
}

static void draw(float *logits, float *targets, uint64_t key)
{
    struct random r = random_stream(11, RANDOM_TEST, key, 0);
    for (int i = 0; i < ROOM; i++) {
        logits[i] = (float)random_range(&r, -6, 6);
        targets[i] = i / LOGIT_COUNT % 3 == 0 && i % LOGIT_COUNT ? 0 : (float)random_below(&r, 2);
    }
}

/* Central differences of the loss itself. Step 2^-8: the third derivative is at most weight / 8, so the error is below
 * weight * 3.2e-7 of the unit; the logit's own rounding is in the quotient, because the step taken is measured. */
static void test_differences(const struct loss_spec *spec)
{
    float logits[ROOM], targets[ROOM], gradient[ROOM];
    int outputs = loss_outputs(spec), total = IMAGES + 5;
    double unit = (spec->kind == LOSS_BCE ? fmax(spec->covid_weight, 1) / 6.0 : 1) / total;
    draw(logits, targets, 1);
    loss_compute(gradient, logits, targets, IMAGES, total, spec);
    for (int i = 0; i < IMAGES * outputs; i++) {
        float kept = logits[i], up = kept + 0x1p-8f, down = kept - 0x1p-8f;
        logits[i] = up;
        double above = loss_compute(NULL, logits, targets, IMAGES, total, spec).loss;
        logits[i] = down;
        double below = loss_compute(NULL, logits, targets, IMAGES, total, spec).loss;
        logits[i] = kept;
        EXPECT_NEAR(gradient[i], (above - below) / ((double)up - down), 1e-6 * unit);
    }
}

/* The parts of a batch, each told the whole batch's size, add up to the batch; gradients are the same bits. */
static void test_parts(const struct loss_spec *spec)
{
    float logits[ROOM], targets[ROOM], whole[ROOM], parts[ROOM];
    int outputs = loss_outputs(spec), starts[] = {0, 1, 1, 8, IMAGES};
    struct loss_sums sum = {0, 0}, all;
    draw(logits, targets, 2);
    all = loss_compute(whole, logits, targets, IMAGES, IMAGES, spec);
    for (int p = 0; p < 4; p++) {
        int at = starts[p], images = starts[p + 1] - at;
        struct loss_sums s = loss_compute(parts + at * outputs, logits + at * outputs, targets + at * LOGIT_COUNT, images, IMAGES, spec);
        EXPECT(images || (s.loss == 0 && s.covid == 0), "no images, no loss");
        sum.loss += s.loss;
        sum.covid += s.covid;
    }
    EXPECT_NEAR(sum.loss, all.loss, 1e-14 * all.loss);
    EXPECT_NEAR(sum.covid, all.covid, 1e-14 * all.covid);
    EXPECT(memcmp(whole, parts, (size_t)(IMAGES * outputs) * sizeof(float)) == 0, "gradients depend on the cut");
}

/* NaN in every logit that does not count: sums and gradients as without it, 0 where ignored. */
static void test_ignored(bool lesions)
{
    struct loss_spec spec = {LOSS_BCE, lesions, 5};
    float logits[ROOM], targets[ROOM], clean[ROOM], gradient[ROOM];
    int ignored = 0, wrong = 0;
    draw(logits, targets, 3);
    struct loss_sums want = loss_compute(clean, logits, targets, IMAGES, IMAGES, &spec);
    for (int i = 0; i < IMAGES; i++) {
        bool any = false;
        for (int l = 1; l < LOGIT_COUNT; l++) any |= targets[i * LOGIT_COUNT + l] > 0;
        for (int l = 1; l < LOGIT_COUNT && !(lesions && any); l++, ignored++) logits[i * LOGIT_COUNT + l] = l % 2 ? NAN : INFINITY;
    }
    struct loss_sums got = loss_compute(gradient, logits, targets, IMAGES, IMAGES, &spec);
    EXPECT(ignored >= (lesions ? 30 : 80) && ignored < (lesions ? 60 : 81), "%d ignored logits", ignored);
    EXPECT(got.loss == want.loss && got.covid == want.covid, "loss %g, want %g", got.loss, want.loss);
    EXPECT(memcmp(gradient, clean, sizeof clean) == 0, "an ignored logit reached a gradient");
    for (int i = 0; i < ROOM; i++) wrong += !isfinite(logits[i]) && gradient[i] != 0;
    EXPECT(wrong == 0, "%d ignored logits have a gradient", wrong);
}

/* One that counts must not be lost: it is how divergence is noticed. */
static void test_counted(void)
{
    struct loss_spec bce = {LOSS_BCE, true, 5}, softmax = {LOSS_SOFTMAX, false, 5};
    float clean[2 * LOGIT_COUNT] = {0}, targets[2 * LOGIT_COUNT] = {1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, gradient[2 * LOGIT_COUNT];
    for (int at = 0; at < LOGIT_COUNT + 1; at++) { /* six of the first image, COVID of the second */
        float logits[2 * LOGIT_COUNT] = {0};
        logits[at] = NAN;
        EXPECT(isnan(loss_compute(gradient, logits, targets, 2, 2, &bce).loss), "logit %d", at);
        EXPECT(isnan(gradient[at]), "logit %d", at);
        EXPECT(isnan(loss_compute(NULL, logits, targets, 2, 2, &bce).covid) == (at % LOGIT_COUNT == 0), "logit %d", at);
        if (at < 4) EXPECT(isnan(loss_compute(NULL, logits, targets, 2, 2, &softmax).loss), "softmax, logit %d", at);
    }
    EXPECT_NEAR(loss_compute(NULL, clean, targets, 2, 2, &bce).loss, (5 + 5 + 5) * log(2) / 12, 1e-15);
    EXPECT_NEAR(loss_compute(NULL, clean, targets, 2, 2, &softmax).loss, log(2), 1e-15);
}

int main(int argc, char **argv)
{
    struct loss_spec specs[] = {{LOSS_BCE, true, 5}, {LOSS_BCE, false, 5}, {LOSS_BCE, true, 0.5}, {LOSS_SOFTMAX, false, 5}};
    test_reference(argc > 1 ? argv[1] : "tests");
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        test_differences(&specs[i]);
        test_parts(&specs[i]);
    }
    test_ignored(true);
    test_ignored(false);
    test_counted();
    return check_verdict();
}
