/* run_result.c - predictions.csv of a run, judged as its settings say, against what its metrics.json says. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "jobs/report/run_private.h"

static const double METRIC_TOLERANCE = 1e-12;

/* ---- how it was judged ---- */

/* What identity.txt says; it names the two settings only where they are not the defaults. */
static int planned_judging(struct threshold *t, bool *flip, const struct run *r, struct error *err)
{
    char *threshold = identity_value(r->identity, "test.threshold"), *mirror = identity_value(r->identity, "test.flip");
    int rc = threshold_parse(t, threshold ? threshold : "0.5", err);
    if (rc) error_prefix(err, "%s/identity.txt: test.threshold", r->folder);
    else if (mirror && strcmp(mirror, "true") && strcmp(mirror, "false"))
        rc = error_set(err, "%s/identity.txt: test.flip is '%s', neither true nor false", r->folder, mirror);
    *flip = mirror && !strcmp(mirror, "true");
    mem_free(threshold);
    mem_free(mirror);
    return rc;
}

/* Runs of before there was a choice say nothing: 0.5, without mirror images. */
static int read_judging(struct run *r, struct threshold *t, const struct json_value *told, struct error *err)
{
    const char *rule = json_member_string(told, "threshold_rule", threshold_rule_names[THRESHOLD_FIXED]);
    const struct json_value *flip = json_member(told, "flip");
    bool says_flip = flip && flip->type == JSON_TRUE;
    double value = json_member(told, "threshold") ? json_member_number(told, "threshold", NAN) : 0.5;
    if (planned_judging(t, &r->flip, r, err)) return -1;
    const char *wanted = threshold_rule_names[t->rule];
    if (!((value > 0 || (value == 0 && t->rule != THRESHOLD_FIXED)) && value <= 1))
        return error_set(err, "%s/metrics.json: the threshold %g is not above 0 and at most 1", r->folder, value);
    if (strcmp(rule, wanted))
        return error_set(err, "%s: metrics.json has a threshold by the rule '%s', by its settings (test.threshold) it is '%s'", r->name, rule,
                         wanted);
    if (t->rule == THRESHOLD_FIXED && value != t->value)
        return error_set(err, "%s: metrics.json was made at the threshold %g, by its settings (test.threshold) it is %g", r->name, value, t->value);
    if (says_flip != r->flip)
        return error_set(err, "%s: metrics.json was made %s mirror images, against its settings (test.flip)", r->name,
                         says_flip ? "with" : "without");
    t->value = value;
    return 0;
}

bool run_judged_alike(const struct run *a, const struct run *b)
{
    const struct threshold *s = &a->results.threshold, *t = &b->results.threshold;
    return a->flip == b->flip && s->rule == t->rule && (s->rule != THRESHOLD_FIXED || s->value == t->value);
}

char *run_judging(const struct run *r)
{
    const struct threshold *t = &r->results.threshold;
    const char *mirror = r->flip ? ", the mean of the picture's and its mirror image's" : "";
    if (t->rule == THRESHOLD_FIXED)
        return mem_format("a probability of at least %g%s%s", t->value, mirror, t->value == 0.5 && !r->flip ? ", as in the paper" : "");
    return mem_format("a probability%s, of at least the threshold that gave the run's network its highest %s on the validation split", mirror,
                      t->rule == THRESHOLD_YOUDEN ? "sensitivity + specificity (Youden)" : "F1");
}

/* ---- predictions.csv against metrics.json ---- */

static bool differs(double got, double want) { return isnan(got) != isnan(want) || fabs(got - want) > METRIC_TOLERANCE; }

static void add_difference(struct text *t, const char *lead, const char *name, double told, double got)
{
    if (!differs(told, got)) return;
    text_add(t, "%s%s%s ", t->length ? ", " : "", lead, name);
    text_add_number(t, told);
    text_add(t, " (they give ");
    text_add_number(t, got);
    text_add(t, ")");
}

/* The figures of images, or of patients. */
static void compare_metrics(struct text *t, const char *lead, const struct run_metrics *got, const struct json_value *told)
{
    const struct binary_metrics *m = &got->covid;
    const struct { const char *name; double value; } figures[] = {
        {"n", (double)m->n}, {"tp", (double)m->tp}, {"fp", (double)m->fp}, {"tn", (double)m->tn}, {"fn", (double)m->fn},
        {"sensitivity", m->sensitivity}, {"specificity", m->specificity}, {"precision", m->precision}, {"f1", m->f1},
        {"accuracy", m->accuracy}, {"auc", m->auc}, {"auc_hard", m->auc_hard}};
    const struct json_value *lesions = json_member(told, "lesions");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        add_difference(t, lead, figures[i].name, json_member_number(told, figures[i].name, NAN), figures[i].value);
    for (int l = 0; l < LESION_COUNT; l++) {
        const struct json_value *lesion = json_member(lesions, lesion_names[l]);
        add_difference(t, lead, lesion_names[l], json_member_number(lesion, "auc", NAN), got->lesion[l].auc);
        add_difference(t, lead, "support", json_member_number(lesion, "support", NAN), (double)got->lesion[l].support);
    }
}

static void compare_calibration(struct text *t, const struct calibration *got, const struct json_value *told)
{
    const struct json_value *bins = json_member(told, "bins");
    add_difference(t, "calibration ", "expected_error", json_member_number(told, "expected_error", NAN), got->expected_error);
    add_difference(t, "calibration ", "largest_error", json_member_number(told, "largest_error", NAN), got->largest_error);
    add_difference(t, "calibration ", "brier", json_member_number(told, "brier", NAN), got->brier);
    for (int b = 0; b < CALIBRATION_BINS; b++) {
        const struct json_value *bin = bins && b < bins->count ? &bins->items[b] : NULL;
        char lead[40];
        snprintf(lead, sizeof lead, "calibration bin %d ", b);
        add_difference(t, lead, "n", json_member_number(bin, "n", NAN), (double)got->bin[b].n);
        add_difference(t, lead, "probability", json_member_number(bin, "probability", NAN), got->bin[b].probability);
        add_difference(t, lead, "positive", json_member_number(bin, "positive", NAN), got->bin[b].positive);
    }
}

/* Older runs say nothing of patients and calibration. */
static void compare_results(const struct run *r, const struct json_value *told, struct notes *notes)
{
    const struct json_value *patients = json_member(told, "patients"), *calibration = json_member(told, "calibration");
    struct text t = {0};
    compare_metrics(&t, "", &r->results.images, told);
    if (patients) {
        add_difference(&t, "patients ", "mixed", json_member_number(patients, "mixed", NAN), r->results.mixed_patients);
        compare_metrics(&t, "patients ", &r->results.patients, patients);
    }
    if (calibration) compare_calibration(&t, &r->results.calibration, calibration);
    if (t.length) notes_add(notes, "%s: metrics.json is not what its predictions give; they are used: %s", r->name, t.data);
    text_free(&t);
}

int run_read_result(struct run *r, const struct json_value *told, struct notes *notes, struct error *err)
{
    struct predictions *p = &r->predictions;
    struct threshold threshold;
    if (read_judging(r, &threshold, told, err)) return -1;
    char *path = path_join(r->folder, "predictions.csv");
    int rc = predictions_read(p, path, err);
    mem_free(path);
    if (rc) return -1;
    double n = json_member_number(told, "n", -1);
    if (n != (double)p->n) {
        error_set(err, "%s/predictions.csv: %lld images, metrics.json was made from %g: the file was cut, or one of them is another run's",
                  r->folder, (long long)p->n, n);
        predictions_free(p);
        return -1;
    }
    results_from(&r->results, p->probability, p->label, p->cluster, p->n, p->clusters, &threshold);
    compare_results(r, told, notes);
    r->epochs = (int)json_member_number(told, "epochs", 0);
    r->best_epoch = (int)json_member_number(told, "best_epoch", 0);
    r->votes = (int)json_member_number(told, "votes", 0);
    return 0;
}
