/* threshold.c - see threshold.h. */
#include "train/threshold.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

const char *const threshold_rule_names[] = {"fixed", "youden", "f1"};
enum { RULES = sizeof threshold_rule_names / sizeof *threshold_rule_names };

int threshold_parse(struct threshold *t, const char *text, struct error *err)
{
    for (int rule = THRESHOLD_FIXED + 1; rule < RULES; rule++)
        if (!strcmp(text, threshold_rule_names[rule])) {
            *t = (struct threshold){(enum threshold_rule)rule, NAN};
            return 0;
        }
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value > 0 && value <= 1))
        return error_set(err, "'%s' is no threshold: a number above 0 and at most 1, youden, or f1", text);
    *t = (struct threshold){THRESHOLD_FIXED, value};
    return 0;
}

struct scored {
    double score;
    uint8_t label;
};

static int by_falling_score(const void *a, const void *b)
{
    double x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Whole numbers, or one ratio of them: equal figures are equal in every bit, so that ties are seen. */
static double merit(enum threshold_rule rule, double tp, double fp, double positives, double negatives)
{
    if (rule == THRESHOLD_YOUDEN) return tp * negatives - fp * positives; /* times positives * negatives */
    return 2 * tp / (tp + fp + positives);
}

/* Half-way down to the next score; of two neighbouring numbers the half may round to the lower one, which would let it in. */
static double part(double score, double next)
{
    double half = (score + next) / 2;
    return half > next ? half : score;
}

int threshold_choose(struct threshold *t, const double *score, const uint8_t *label, int64_t n, struct error *err)
{
    if (t->rule == THRESHOLD_FIXED) return 0;
    struct scored *s = NEW_ARRAY(struct scored, n + 1);
    double positives = 0, tp = 0, fp = 0, best = -INFINITY;
    bool numbers = true;
    for (int64_t i = 0; i < n; i++) {
        s[i] = (struct scored){score[i], label[i] != 0};
        positives += s[i].label;
        numbers = numbers && !isnan(score[i]);
    }
    int rc = 0;
    if (!n || !numbers || positives == 0 || positives == (double)n)
        rc = error_set(err, "no threshold can be chosen by %s: %s", threshold_rule_names[t->rule],
                       !n         ? "there are no validation images"
                       : !numbers ? "a probability is not a number"
                                  : "the validation images are all of one class");
    if (rc) error_hint(err, "give test.threshold as a number");
    qsort(s, (size_t)n, sizeof *s, by_falling_score);
    for (int64_t i = 0; i < n && !rc; i++) {
        s[i].label ? tp++ : fp++;
        if (i + 1 < n && s[i + 1].score == s[i].score) continue; /* what is equal is not parted */
        double value = i + 1 < n ? part(s[i].score, s[i + 1].score) : s[i].score / 2;
        double is = merit(t->rule, tp, fp, positives, (double)n - positives);
        if (is > best || (is == best && fabs(value - 0.5) < fabs(t->value - 0.5))) best = is, t->value = value;
    }
    mem_free(s);
    return rc;
}
