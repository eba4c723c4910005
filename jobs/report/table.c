/* table.c - the tables as files: a row a figure, all digits, an empty field (null) where there is no number. Shares of 1, not percent. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/csv.h"
#include "io/shard/dataset_summary.h"
#include "jobs/report/paper.h"
#include "jobs/report/report.h"

static void add_number(struct text *t, double value)
{
    text_add(t, ",");
    if (isfinite(value)) text_add_number(t, value);
}

static void add_name(struct text *t, const char *name)
{
    if (t->length && t->data[t->length - 1] != '\n') text_add(t, ",");
    csv_add_field(t, name);
}

static int write_file(const char *folder, const char *name, struct text *t, struct error *err)
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
                add_name(&csv, d->label);
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
    int rc = write_file(out, "table1.csv", &csv, err);
    int rc2 = write_file(out, "table1.json", &text, rc ? NULL : err);
    return rc || rc2 ? -1 : 0;
}

/* ---- Table 2 ---- */

static int64_t support_of(const struct cell *c, int q)
{
    const struct binary_metrics *m = &c->run[0]->metrics.covid;
    return q < FIGURE_COUNT ? m->tp + m->fn : c->run[0]->metrics.lesion[q - FIGURE_COUNT].support;
}

static double paper_of(const struct cell *c, int q)
{
    return q < FIGURE_COUNT ? paper_figure(c->dataset, c->backbone, c->method, (enum figure)q) : NAN;
}

static void csv_quantity(struct text *t, const struct quantity *u)
{
    add_number(t, u->mean);
    add_number(t, u->deviation);
    add_number(t, u->interval.low);
    add_number(t, u->interval.high);
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

static void csv_cell(struct text *t, const struct cell *c)
{
    const struct predictions *p = &c->run[0]->predictions;
    for (int q = 0; q < QUANTITY_COUNT; q++) {
        add_name(t, c->dataset), add_name(t, c->backbone), add_name(t, c->method);
        text_add(t, ",%d,%lld,%d,%s%s,%lld,%d", c->runs, (long long)p->n, p->clusters, q < FIGURE_COUNT ? "" : "auc_", quantity_name(q),
                 (long long)support_of(c, q), c->patients[q < FIGURE_COUNT ? 0 : q - FIGURE_COUNT + 1]);
        csv_quantity(t, &c->quantity[q]);
        add_number(t, paper_of(c, q));
        text_add(t, "\n");
    }
}

static void json_cell(struct json *j, const struct cell *c)
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
        json_object(j, "figures");
        for (int q = 0; q < QUANTITY_COUNT; q++) {
            json_object(j, quantity_name(q));
            json_int(j, "support", support_of(c, q));
            json_int(j, "support_patients", c->patients[q < FIGURE_COUNT ? 0 : q - FIGURE_COUNT + 1]);
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
        for (int q = 0; q < FIGURE_COUNT; q++) {
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
                   "undefined_replicates,paper\n");
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
    int rc = write_file(out, "table2.csv", &csv, err);
    int rc2 = write_file(out, "table2.json", &text, rc ? NULL : err);
    return rc || rc2 ? -1 : 0;
}

/* ---- comparisons and single runs ---- */

static int write_comparisons(const struct report *r, const char *out, struct error *err)
{
    struct text t = {0};
    text_add(&t, "dataset,backbone,figure,difference,deviation,low,high,undefined_replicates,delong_z,delong_p,delong_p_holm,patient_z,patient_p,"
                 "patient_p_holm\n");
    for (int i = 0; i < r->study.comparisons; i++) {
        const struct comparison *m = &r->study.comparison[i];
        for (int q = 0; q < FIGURE_COUNT && !m->refused; q++) {
            add_name(&t, m->baseline->dataset), add_name(&t, m->baseline->backbone), add_name(&t, quantity_name(q));
            csv_quantity(&t, &m->difference[q]);
            double tests[] = {m->auc.z, m->auc.p, m->adjusted_p, m->auc.patient_z, m->auc.patient_p, m->adjusted_patient_p};
            for (int k = 0; k < 6; k++) add_number(&t, q == FIGURE_AUC ? tests[k] : NAN);
            text_add(&t, "\n");
        }
    }
    return write_file(out, "comparisons.csv", &t, err);
}

static void csv_run(struct text *t, const struct run *r)
{
    const struct binary_metrics *m = &r->metrics.covid;
    const char *const names[] = {r->name, r->dataset, r->backbone, r->method};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) add_name(t, names[i]);
    text_add(t, ",%lld,", (long long)r->seed);
    csv_add_field(t, r->reason ? r->reason : "");
    if (r->reason) text_add(t, ",,,,,,,");
    else text_add(t, ",%d,%d,%lld,%lld,%lld,%lld,%lld", r->epochs, r->best_epoch, (long long)m->n, (long long)m->tp, (long long)m->fp,
                  (long long)m->tn, (long long)m->fn);
    double figures[] = {m->sensitivity, m->specificity, m->precision, m->f1, m->accuracy, m->auc, m->auc_hard};
    for (int i = 0; i < 7; i++) add_number(t, r->reason ? NAN : figures[i]);
    for (int l = 0; l < LESION_COUNT; l++) add_number(t, r->reason ? NAN : r->metrics.lesion[l].auc);
    add_number(t, r->seconds);
    const char *const origin[] = {r->written, r->version, r->program_hash, r->data_hash, r->place};
    for (size_t i = 0; i < sizeof origin / sizeof *origin; i++) text_add(t, ","), csv_add_field(t, origin[i]);
    text_add(t, "\n");
}

static int write_runs(const struct report *r, const char *out, struct error *err)
{
    struct text t = {0};
    text_add(&t, "run,dataset,backbone,method,seed,reason,epochs,best_epoch,n,tp,fp,tn,fn,sensitivity,specificity,precision,f1,"
                 "accuracy,auc,auc_hard");
    for (int l = 0; l < LESION_COUNT; l++) text_add(&t, ",auc_%s", lesion_names[l]);
    text_add(&t, ",seconds,written,version,program_sha256,data_sha256,machine\n");
    for (int i = 0; i < r->runs.count; i++) csv_run(&t, &r->runs.run[i]);
    return write_file(out, "runs.csv", &t, err);
}

int tables_write(const struct report *r, const char *out, struct error *err)
{
    return write_table1(r, out, err) || write_table2(r, out, err) || write_comparisons(r, out, err) || write_runs(r, out, err) ? -1 : 0;
}
