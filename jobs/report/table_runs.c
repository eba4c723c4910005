/* table_runs.c - runs.csv, a row a run with how it was judged and where it comes from; calibration.csv, a row a bin. */
#include <math.h>

#include "io/csv.h"
#include "jobs/report/table_private.h"

static void csv_judging(struct text *t, const struct run *r)
{
    const struct results *e = &r->results;
    const struct binary_metrics *m = &e->patients.covid;
    double figures[] = {m->sensitivity, m->specificity, m->precision, m->f1, m->accuracy, m->auc, m->auc_hard, e->calibration.expected_error,
                        e->calibration.largest_error, e->calibration.brier};
    table_add_number(t, r->reason ? NAN : e->threshold.value);
    if (r->reason) text_add(t, ",,,,,,,,");
    else text_add(t, ",%s,%d,%lld,%d,%lld,%lld,%lld,%lld", threshold_rule_names[e->threshold.rule], r->flip, (long long)m->n, e->mixed_patients,
                  (long long)m->tp, (long long)m->fp, (long long)m->tn, (long long)m->fn);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) table_add_number(t, r->reason ? NAN : figures[i]);
}

static void csv_run(struct text *t, const struct run *r)
{
    const struct binary_metrics *m = &r->results.images.covid;
    const char *const names[] = {r->name, r->dataset, r->backbone, r->method};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) table_add_name(t, names[i]);
    text_add(t, ",%lld,", (long long)r->seed);
    csv_add_field(t, r->reason ? r->reason : "");
    if (r->reason) text_add(t, ",,,,,,,");
    else text_add(t, ",%d,%d,%lld,%lld,%lld,%lld,%lld", r->epochs, r->best_epoch, (long long)m->n, (long long)m->tp, (long long)m->fp,
                  (long long)m->tn, (long long)m->fn);
    double figures[] = {m->sensitivity, m->specificity, m->precision, m->f1, m->accuracy, m->auc, m->auc_hard};
    for (int i = 0; i < 7; i++) table_add_number(t, r->reason ? NAN : figures[i]);
    for (int l = 0; l < LESION_COUNT; l++) table_add_number(t, r->reason ? NAN : r->results.images.lesion[l].auc);
    csv_judging(t, r);
    table_add_number(t, r->seconds);
    const char *const origin[] = {r->written, r->version, r->program_hash, r->data_hash, r->place};
    for (size_t i = 0; i < sizeof origin / sizeof *origin; i++) text_add(t, ","), csv_add_field(t, origin[i]);
    text_add(t, "\n");
}

int table_runs_write(const struct report *r, const char *out, struct error *err)
{
    struct text t = {0};
    text_add(&t, "run,dataset,backbone,method,seed,reason,epochs,best_epoch,n,tp,fp,tn,fn,sensitivity,specificity,precision,f1,"
                 "accuracy,auc,auc_hard");
    for (int l = 0; l < LESION_COUNT; l++) text_add(&t, ",auc_%s", lesion_names[l]);
    text_add(&t, ",threshold,threshold_rule,flip,patients,mixed_patients,patient_tp,patient_fp,patient_tn,patient_fn,patient_sensitivity,"
                 "patient_specificity,patient_precision,patient_f1,patient_accuracy,patient_auc,patient_auc_hard,expected_calibration_error,"
                 "largest_calibration_error,brier,seconds,written,version,program_sha256,data_sha256,machine\n");
    for (int i = 0; i < r->runs.count; i++) csv_run(&t, &r->runs.run[i]);
    return table_write_file(out, "runs.csv", &t, err);
}

/* What the figure calibration-* draws: all seeds together. */
int table_calibration_write(const struct report *r, const char *out, struct error *err)
{
    struct text t = {0};
    struct calibration pooled;
    text_add(&t, "dataset,backbone,method,seeds,bin,low,high,images,probability,positive\n");
    for (int i = 0; i < r->study.cells; i++) {
        const struct study_cell *c = &r->study.cell[i];
        if (!cell_usable(c)) continue;
        cell_calibration(&pooled, c);
        for (int b = 0; b < CALIBRATION_BINS; b++) {
            table_add_name(&t, c->dataset), table_add_name(&t, c->backbone), table_add_name(&t, c->method);
            text_add(&t, ",%d,%d,%g,%g,%lld", c->runs, b + 1, (double)b / CALIBRATION_BINS, (b + 1.0) / CALIBRATION_BINS, (long long)pooled.bin[b].n);
            table_add_number(&t, pooled.bin[b].probability);
            table_add_number(&t, pooled.bin[b].positive);
            text_add(&t, "\n");
        }
    }
    return table_write_file(out, "calibration.csv", &t, err);
}
