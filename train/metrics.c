/* metrics.c - counted, not sampled: AUC by ranks in O(n log n). */
#include "train/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

struct scored {
    double score;
    uint8_t label;
};

static int by_score(const void *a, const void *b)
{
    double x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return x < y ? -1 : x > y;
}

/* Mann-Whitney U / (positives * negatives): each tie block adds half of its pairs. Exact integers in double. */
static double area_under_curve(const double *score, const uint8_t *label, int64_t n)
{
    struct scored *s = NEW_ARRAY(struct scored, n);
    double below = 0, positives = 0, pairs = 0;
    for (int64_t i = 0; i < n; i++) {
        s[i] = (struct scored){score[i], label[i]};
        if (isnan(score[i])) {
            mem_free(s);
            return NAN;
        }
    }
    qsort(s, (size_t)n, sizeof *s, by_score);
    for (int64_t i = 0, end; i < n; i = end) {
        double up = 0, down = 0;
        for (end = i; end < n && s[end].score == s[i].score; end++) s[end].label ? up++ : down++;
        pairs += up * below + up * down / 2;
        below += down;
        positives += up;
    }
    mem_free(s);
    return positives > 0 && below > 0 ? pairs / (positives * below) : NAN;
}

static double ratio(int64_t a, int64_t b) { return b ? (double)a / (double)b : NAN; }

void metrics_binary(struct binary_metrics *m, const double *score, const uint8_t *label, int64_t n, double threshold)
{
    double *hard = NEW_ARRAY(double, n);
    *m = (struct binary_metrics){.n = n};
    for (int64_t i = 0; i < n; i++) {
        bool positive = score[i] >= threshold;
        hard[i] = positive;
        if (label[i])
            positive ? m->tp++ : m->fn++;
        else
            positive ? m->fp++ : m->tn++;
    }
    m->sensitivity = ratio(m->tp, m->tp + m->fn);
    m->specificity = ratio(m->tn, m->tn + m->fp);
    m->precision = ratio(m->tp, m->tp + m->fp);
    m->f1 = ratio(2 * m->tp, 2 * m->tp + m->fp + m->fn);
    m->accuracy = ratio(m->tp + m->tn, n);
    m->auc = area_under_curve(score, label, n);
    m->auc_hard = area_under_curve(hard, label, n);
    mem_free(hard);
}

void metrics_run(struct run_metrics *m, const double *probability, const uint8_t *label, int64_t n, double threshold)
{
    double *score = NEW_ARRAY(double, n);
    uint8_t *truth = NEW_ARRAY(uint8_t, n);
    for (int k = 0; k < LOGIT_COUNT; k++) {
        int64_t support = 0;
        for (int64_t i = 0; i < n; i++) {
            score[i] = probability[i * LOGIT_COUNT + k];
            truth[i] = label[i * LOGIT_COUNT + k];
            support += truth[i];
        }
        if (k == 0) {
            metrics_binary(&m->covid, score, truth, n, threshold);
        } else {
            m->lesion[k - 1].support = support;
            m->lesion[k - 1].auc = area_under_curve(score, truth, n);
        }
    }
    mem_free(score);
    mem_free(truth);
}

void metrics_json(struct json *j, const struct run_metrics *m)
{
    const struct binary_metrics *c = &m->covid;
    json_int(j, "n", c->n);
    json_int(j, "tp", c->tp);
    json_int(j, "fp", c->fp);
    json_int(j, "tn", c->tn);
    json_int(j, "fn", c->fn);
    json_number(j, "sensitivity", c->sensitivity);
    json_number(j, "specificity", c->specificity);
    json_number(j, "precision", c->precision);
    json_number(j, "f1", c->f1);
    json_number(j, "accuracy", c->accuracy);
    json_number(j, "auc", c->auc);
    json_number(j, "auc_hard", c->auc_hard);
    json_object(j, "lesions");
    for (int l = 0; l < LESION_COUNT; l++) {
        json_object(j, lesion_names[l]);
        json_int(j, "support", m->lesion[l].support);
        json_number(j, "auc", m->lesion[l].auc);
        json_end_object(j);
    }
    json_end_object(j);
}
