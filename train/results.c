/* results.c - see results.h. */
#include "train/results.h"

#include "base/memory.h"
#include "train/patients.h"

/* Labels (n, 6) of a split (mem_free). */
static uint8_t *labels_of_split(const struct dataset *d, enum split split)
{
    int64_t n = dataset_count(d, split);
    uint8_t *label = NEW_ARRAY(uint8_t, n * LOGIT_COUNT);
    for (int64_t i = 0; i < n; i++) {
        const struct shard_item *item = dataset_item(d, split, i);
        label[i * LOGIT_COUNT] = item->covid != 0;
        for (int l = 0; l < LESION_COUNT; l++) label[i * LOGIT_COUNT + 1 + l] = item->lesion[l] != 0;
    }
    return label;
}

/* The COVID output alone, (n). */
static void first_column(double *p, uint8_t *covid, const double *probability, const uint8_t *label, int64_t n)
{
    for (int64_t i = 0; i < n; i++) p[i] = probability[i * LOGIT_COUNT], covid[i] = label[i * LOGIT_COUNT];
}

static void by_patient(struct results *r, const double *probability, const uint8_t *label, const int *cluster, int64_t n, int count)
{
    struct patients p;
    patients_pool(&p, probability, label, cluster, n, count);
    metrics_run(&r->patients, p.probability, p.label, p.count, r->threshold.value);
    r->mixed_patients = p.mixed;
    patients_free(&p);
}

void results_from(struct results *r, const double *probability, const uint8_t *label, const int *cluster, int64_t n, int patients,
                  const struct threshold *t)
{
    double *p = NEW_ARRAY(double, n);
    uint8_t *covid = NEW_ARRAY(uint8_t, n);
    *r = (struct results){.threshold = *t};
    metrics_run(&r->images, probability, label, n, t->value);
    by_patient(r, probability, label, cluster, n, patients);
    first_column(p, covid, probability, label, n);
    calibration_make(&r->calibration, p, covid, n);
    mem_free(p);
    mem_free(covid);
}

void results_make(struct results *r, const double *probability, const struct dataset *d, enum split split, const struct threshold *t)
{
    int64_t n = dataset_count(d, split);
    uint8_t *label = labels_of_split(d, split);
    const char **name = NEW_ARRAY(const char *, n);
    int *cluster = NEW_ARRAY(int, n);
    for (int64_t i = 0; i < n; i++) name[i] = dataset_item(d, split, i)->patient;
    int patients = patients_number(cluster, name, n);
    results_from(r, probability, label, cluster, n, patients, t);
    mem_free(cluster);
    mem_free(name);
    mem_free(label);
}

int results_choose(struct threshold *t, const double *probability, const struct dataset *d, enum split split, struct error *err)
{
    int64_t n = dataset_count(d, split);
    uint8_t *label = labels_of_split(d, split), *covid = NEW_ARRAY(uint8_t, n);
    double *p = NEW_ARRAY(double, n);
    first_column(p, covid, probability, label, n);
    int rc = threshold_choose(t, p, covid, n, err);
    mem_free(p);
    mem_free(covid);
    mem_free(label);
    return rc;
}

void results_json(struct json *j, const struct results *r)
{
    json_number(j, "threshold", r->threshold.value);
    json_string(j, "threshold_rule", threshold_rule_names[r->threshold.rule]);
    metrics_json(j, &r->images);
    json_object(j, "patients");
    json_int(j, "mixed", r->mixed_patients);
    metrics_json(j, &r->patients);
    json_end_object(j);
    calibration_json(j, &r->calibration);
}
