/* table.c - the tables as files: a row a figure, all digits, an empty field (null) where there is no number. Shares of 1, not percent. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/csv.h"
#include "io/shard/dataset_summary.h"
#include "jobs/report/paper.h"
#include "jobs/report/table_private.h"

void table_add_number(struct text *t, double value)
{
    text_add(t, ",");
    if (isfinite(value)) text_add_number(t, value);
}

void table_add_name(struct text *t, const char *name)
{
    if (t->length && t->data[t->length - 1] != '\n') text_add(t, ",");
    csv_add_field(t, name);
}

int table_write_file(const char *folder, const char *name, struct text *t, struct error *err)
{
    char *path = path_join(folder, name);
    int rc = file_write_atomic(path, t->data ? t->data : "", t->length, err);
    mem_free(path);
    text_free(t);
    return rc;
}

static void begin_json(struct json *j, struct text *t, const struct report *r)
{
    json_open(j, t, true);
    json_object(j, NULL);
    json_string(j, "notice", r->synthetic ? "SYNTHETIC data; research use only, not for diagnosis" : "research use only, not for diagnosis");
}

/* ---- Table 1 ---- */

static const char *const class_names[] = {"negative", "covid"};

static int write_table1(const struct report *r, const char *out, struct error *err)
{
    struct text csv = {0}, text = {0};
    struct json j;
    text_add(&csv, "dataset,class,split,images,patients,paper_images,paper_patients\n");
    begin_json(&j, &text, r);
    json_array(&j, "counts");
    for (int i = 0; i < r->data.count; i++) {
        const struct data_used *d = &r->data.item[i];
        int set = paper_set(d->label);
        struct split_summary s[SPLIT_COUNT];
        if (!d->dataset) continue;
        dataset_summarise(s, d->dataset);
        for (int covid = 1; covid >= 0; covid--)
            for (int k = 0; k < SPLIT_COUNT; k++) {
                int64_t images = covid ? s[k].covid : s[k].images - s[k].covid;
                int64_t patients = covid ? s[k].covid_patients : s[k].patients - s[k].covid_patients;
                struct paper_count paper = set >= 0 ? paper_counts[set][covid][k] : (struct paper_count){-1, -1};
                table_add_name(&csv, d->label);
                text_add(&csv, ",%s,%s,%lld,%lld", class_names[covid], split_names[k], (long long)images, (long long)patients);
                if (set >= 0) text_add(&csv, ",%d,%d\n", paper.images, paper.patients);
                else text_add(&csv, ",,\n");
                json_object(&j, NULL);
                json_string(&j, "dataset", d->label);
                json_string(&j, "class", class_names[covid]);
                json_string(&j, "split", split_names[k]);
                json_int(&j, "images", images);
                json_int(&j, "patients", patients);
                json_number(&j, "paper_images", set >= 0 ? paper.images : NAN);
                json_number(&j, "paper_patients", set >= 0 ? paper.patients : NAN);
                json_end_object(&j);
            }
    }
    json_end_array(&j);
    json_end_object(&j);
    int rc = table_write_file(out, "table1.csv", &csv, err);
    int rc2 = table_write_file(out, "table1.json", &text, rc ? NULL : err);
    return rc || rc2 ? -1 : 0;
}

/* ---- Table 2 ---- */

/* Positive images; of a figure by patient, positive patients. */
static int64_t support_of(const struct study_cell *c, int q)
{
    const struct results *r = &c->run[0]->results;
    if (quantity_is_lesion(q)) return r->images.lesion[q - QUANTITY_LESION].support;
    const struct binary_metrics *m = q >= QUANTITY_PATIENT && q < QUANTITY_BRIER ? &r->patients.covid : &r->images.covid;
    return m->tp + m->fn;
}

static int support_patients(const struct study_cell *c, int q) { return c->patients[quantity_is_lesion(q) ? 1 + q - QUANTITY_LESION : 0]; }

static double paper_of(const struct study_cell *c, int q)
{
    return q < FIGURE_COUNT ? paper_figure(c->dataset, c->backbone, c->method, (enum figure)q) : NAN;
}

static void csv_quantity(struct text *t, const struct quantity *u)
{
    table_add_number(t, u->mean);
    table_add_number(t, u->deviation);
    table_add_number(t, u->interval.low);
    table_add_number(t, u->interval.high);
    text_add(t, ",%d", u->interval.undefined);
}

static void json_quantity(struct json *j, const struct quantity *u)
{
    json_number(j, "mean", u->mean);
    json_number(j, "deviation", u->deviation);
    json_number(j, "low", u->interval.low);
    json_number(j, "high", u->interval.high);
    json_int(j, "undefined_replicates", u->interval.undefined);
}

/* What the seeds have in common: a number, or the rule. */
static void add_threshold(struct text *t, const struct threshold *threshold)
{
    if (threshold->rule == THRESHOLD_FIXED) text_add_number(t, threshold->value);
    else text_add(t, "%s", threshold_rule_names[threshold->rule]);
}

static void csv_cell(struct text *t, const struct study_cell *c)
{
    const struct predictions *p = &c->run[0]->predictions;
    for (int q = 0; q < QUANTITY_COUNT; q++) {
        table_add_name(t, c->dataset), table_add_name(t, c->backbone), table_add_name(t, c->method);
        text_add(t, ",%d,%lld,%d,%s%s,%lld,%d", c->runs, (long long)p->n, p->clusters, quantity_is_lesion(q) ? "auc_" : "", quantity_name(q),
                 (long long)support_of(c, q), support_patients(c, q));
        csv_quantity(t, &c->quantity[q]);
        table_add_number(t, paper_of(c, q));
        text_add(t, ","), add_threshold(t, &c->run[0]->results.threshold);
        text_add(t, ",%d\n", c->run[0]->flip);
    }
}

static void json_cell_judging(struct json *j, const struct study_cell *c)
{
    struct calibration pooled;
    json_int(j, "mixed_patients", c->run[0]->results.mixed_patients);
    json_bool(j, "flip", c->run[0]->flip);
    json_string(j, "threshold_rule", threshold_rule_names[c->run[0]->results.threshold.rule]);
    json_array(j, "thresholds");
    for (int r = 0; r < c->runs; r++) json_number(j, NULL, c->run[r]->results.threshold.value);
    json_end_array(j);
    cell_calibration(&pooled, c);
    json_array(j, "calibration_bins");
    for (int b = 0; b < CALIBRATION_BINS; b++) {
        json_object(j, NULL);
        json_int(j, "images", pooled.bin[b].n);
        json_number(j, "probability", pooled.bin[b].probability);
        json_number(j, "positive", pooled.bin[b].positive);
        json_end_object(j);
    }
    json_end_array(j);
}

static void json_cell(struct json *j, const struct study_cell *c)
{
    json_object(j, NULL);
    json_string(j, "dataset", c->dataset);
    json_string(j, "backbone", c->backbone);
    json_string(j, "method", c->method);
    json_int(j, "runs", c->runs);
    json_int(j, "listed", c->listed_count);
    json_string(j, "refused", c->refused);
    if (cell_usable(c)) {
        json_int(j, "images", c->run[0]->predictions.n);
        json_int(j, "patients", c->run[0]->predictions.clusters);
        json_cell_judging(j, c);
        json_object(j, "figures");
        for (int q = 0; q < QUANTITY_COUNT; q++) {
            json_object(j, quantity_name(q));
            json_int(j, "support", support_of(c, q));
            json_int(j, "support_patients", support_patients(c, q));
            json_quantity(j, &c->quantity[q]);
            json_number(j, "paper", paper_of(c, q));
            json_end_object(j);
        }
        json_end_object(j);
    }
    json_end_object(j);
}

static void json_comparison(struct json *j, const struct comparison *m)
{
    json_object(j, NULL);
    json_string(j, "dataset", m->baseline->dataset);
    json_string(j, "backbone", m->baseline->backbone);
    json_string(j, "refused", m->refused);
    if (!m->refused) {
        json_number(j, "auc_difference", m->auc.value);
        json_number(j, "delong_deviation", m->auc.deviation);
        json_number(j, "delong_z", m->auc.z);
        json_number(j, "delong_p", m->auc.p);
        json_number(j, "delong_p_holm", m->adjusted_p);
        json_number(j, "patient_deviation", m->auc.patient_deviation);
        json_number(j, "patient_z", m->auc.patient_z);
        json_number(j, "patient_p", m->auc.patient_p);
        json_number(j, "patient_p_holm", m->adjusted_patient_p);
        json_object(j, "differences");
        for (int q = 0; q < QUANTITY_COUNT; q++) {
            if (quantity_is_lesion(q)) continue;
            json_object(j, quantity_name(q));
            json_quantity(j, &m->difference[q]);
            json_end_object(j);
        }
        json_end_object(j);
    }
    json_end_object(j);
}

static int write_table2(const struct report *r, const char *out, struct error *err)
{
    struct text csv = {0}, text = {0};
    struct json j;
    text_add(&csv, "dataset,backbone,method,seeds,images,patients,figure,support,support_patients,mean,deviation,low,high,"
                   "undefined_replicates,paper,threshold,flip\n");
    for (int i = 0; i < r->study.cells; i++)
        if (cell_usable(&r->study.cell[i])) csv_cell(&csv, &r->study.cell[i]);
    begin_json(&j, &text, r);
    json_number(&j, "interval_level", 0.95);
    json_int(&j, "bootstrap_replicates", BOOTSTRAP_REPLICATES);
    json_int(&j, "bootstrap_seed", (int64_t)r->seed);
    json_array(&j, "cells");
    for (int i = 0; i < r->study.cells; i++) json_cell(&j, &r->study.cell[i]);
    json_end_array(&j);
    json_array(&j, "comparisons");
    for (int i = 0; i < r->study.comparisons; i++) json_comparison(&j, &r->study.comparison[i]);
    json_end_array(&j);
    json_array(&j, "warnings");
    for (int i = 0; i < r->notes.count; i++) json_string(&j, NULL, r->notes.line[i]);
    json_end_array(&j);
    json_end_object(&j);
    int rc = table_write_file(out, "table2.csv", &csv, err);
    int rc2 = table_write_file(out, "table2.json", &text, rc ? NULL : err);
    return rc || rc2 ? -1 : 0;
}

/* ---- comparisons ---- */

static int write_comparisons(const struct report *r, const char *out, struct error *err)
{
    struct text t = {0};
    text_add(&t, "dataset,backbone,figure,difference,deviation,low,high,undefined_replicates,delong_z,delong_p,delong_p_holm,patient_z,patient_p,"
                 "patient_p_holm\n");
    for (int i = 0; i < r->study.comparisons; i++) {
        const struct comparison *m = &r->study.comparison[i];
        for (int q = 0; q < QUANTITY_COUNT && !m->refused; q++) {
            if (quantity_is_lesion(q)) continue; /* the baseline has none */
            table_add_name(&t, m->baseline->dataset), table_add_name(&t, m->baseline->backbone), table_add_name(&t, quantity_name(q));
            csv_quantity(&t, &m->difference[q]);
            double tests[] = {m->auc.z, m->auc.p, m->adjusted_p, m->auc.patient_z, m->auc.patient_p, m->adjusted_patient_p};
            for (int k = 0; k < 6; k++) table_add_number(&t, q == FIGURE_AUC ? tests[k] : NAN);
            text_add(&t, "\n");
        }
    }
    return table_write_file(out, "comparisons.csv", &t, err);
}

int tables_write(const struct report *r, const char *out, struct error *err)
{
    return write_table1(r, out, err) || write_table2(r, out, err) || write_comparisons(r, out, err) || table_runs_write(r, out, err) ||
                   table_calibration_write(r, out, err)
               ? -1
               : 0;
}
