/* cell_figures.c - the figures of a cell: of each run, their mean, and the mean again for every resampling of the patients. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/report/study_private.h"
#include "train/patients.h"

struct rankings { /* of one run */
    struct ranking covid, lesion[LESION_COUNT], patients;
    bool lesions;
    double *squares; /* (clusters) sums of a patient's squared errors */
    int *images;     /* (clusters) */
    int clusters;
};

static void rank_patients(struct rankings *k, const struct predictions *p, double threshold)
{
    struct patients pooled;
    double *score = NEW_ARRAY(double, p->clusters);
    uint8_t *truth = NEW_ARRAY(uint8_t, p->clusters);
    patients_pool(&pooled, p->probability, p->label, p->cluster, p->n, p->clusters);
    for (int c = 0; c < p->clusters; c++) score[c] = pooled.probability[c * LOGIT_COUNT], truth[c] = pooled.label[c * LOGIT_COUNT];
    ranking_make(&k->patients, score, truth, p->clusters, threshold);
    patients_free(&pooled);
    mem_free(score);
    mem_free(truth);
}

static void rank_run(struct rankings *k, const struct run *r)
{
    const struct predictions *p = &r->predictions;
    double *score = NEW_ARRAY(double, p->n), threshold = r->results.threshold.value;
    uint8_t *truth = NEW_ARRAY(uint8_t, p->n);
    *k = (struct rankings){.squares = NEW_ARRAY(double, p->clusters), .images = NEW_ARRAY(int, p->clusters), .clusters = p->clusters};
    k->lesions = strcmp(r->method, "baseline") && !isnan(p->probability[1]); /* the baseline's other outputs were never trained */
    for (int q = 0; q < (k->lesions ? LOGIT_COUNT : 1); q++) {
        for (int64_t i = 0; i < p->n; i++) score[i] = p->probability[i * LOGIT_COUNT + q], truth[i] = p->label[i * LOGIT_COUNT + q];
        ranking_make(q ? &k->lesion[q - 1] : &k->covid, score, truth, p->n, threshold);
    }
    for (int64_t i = 0; i < p->n; i++) {
        double error = p->probability[i * LOGIT_COUNT] - p->label[i * LOGIT_COUNT];
        k->squares[p->cluster[i]] += error * error;
        k->images[p->cluster[i]]++;
    }
    rank_patients(k, p, threshold);
    mem_free(score);
    mem_free(truth);
}

static void free_rankings(struct rankings *k)
{
    ranking_free(&k->covid);
    ranking_free(&k->patients);
    for (int l = 0; l < LESION_COUNT; l++) ranking_free(&k->lesion[l]);
    mem_free(k->squares);
    mem_free(k->images);
}

/* Each patient counted so often; NULL: once. */
static double brier(const struct rankings *k, const int *count)
{
    double squares = 0, images = 0;
    for (int c = 0; c < k->clusters; c++) {
        int times = count ? count[c] : 1;
        squares += times * k->squares[c];
        images += times * k->images[c];
    }
    return images > 0 ? squares / images : NAN;
}

/* Each image counted weight[image] times and each patient count[patient] times; NULL: once. Without the calibration error. */
static void quantities(double value[QUANTITY_COUNT], const struct rankings *k, const int *weight, const int *count)
{
    ranking_figures(value, &k->covid, weight);
    for (int l = 0; l < LESION_COUNT; l++) value[QUANTITY_LESION + l] = k->lesions ? ranking_auc(&k->lesion[l], weight) : NAN;
    ranking_figures(value + QUANTITY_PATIENT, &k->patients, count);
    value[QUANTITY_BRIER] = brier(k, count);
    value[QUANTITY_CALIBRATION] = NAN;
}

/* Mean over the seeds for one weighting into column `column` of out (QUANTITY_COUNT, columns). */
static void mean_quantities(double *out, int column, int columns, const struct rankings *k, int runs, const int *weight, const int *count)
{
    double sum[QUANTITY_COUNT] = {0}, value[QUANTITY_COUNT];
    for (int r = 0; r < runs; r++) {
        quantities(value, &k[r], weight, count);
        for (int q = 0; q < QUANTITY_COUNT; q++) sum[q] += value[q];
    }
    for (int q = 0; q < QUANTITY_COUNT; q++) out[(int64_t)q * columns + column] = sum[q] / runs;
}

static void resample(struct study_cell *c, const struct rankings *k, uint64_t seed)
{
    const struct predictions *p = &c->run[0]->predictions;
    int *weight = NEW_ARRAY(int, p->n), *count = NEW_ARRAY(int, p->clusters);
    c->replicate = NEW_ARRAY(double, QUANTITY_COUNT * BOOTSTRAP_REPLICATES);
    c->left_out = NEW_ARRAY(double, QUANTITY_COUNT * p->clusters);
    for (int b = 0; b < BOOTSTRAP_REPLICATES; b++) {
        bootstrap_weights(weight, count, seed, b, p->cluster, p->n, p->clusters);
        mean_quantities(c->replicate, b, BOOTSTRAP_REPLICATES, k, c->runs, weight, count);
    }
    for (int left = 0; left < p->clusters; left++) {
        for (int64_t i = 0; i < p->n; i++) weight[i] = p->cluster[i] != left;
        for (int o = 0; o < p->clusters; o++) count[o] = o != left;
        mean_quantities(c->left_out, left, p->clusters, k, c->runs, weight, count);
    }
    mem_free(weight);
    mem_free(count);
}

struct interval interval_from(const double *replicate, double estimate, const double *left_out, int clusters)
{
    double *copy = NEW_ARRAY(double, BOOTSTRAP_REPLICATES);
    memcpy(copy, replicate, sizeof *copy * BOOTSTRAP_REPLICATES);
    struct interval out = interval_bca(copy, BOOTSTRAP_REPLICATES, estimate, left_out, clusters, 0.95);
    mem_free(copy);
    return out;
}

/* Patients with an image that has label k equal to `wanted`. */
static int count_patients(const struct predictions *p, int k, int wanted)
{
    uint8_t *seen = NEW_ARRAY(uint8_t, p->clusters);
    int count = 0;
    for (int64_t i = 0; i < p->n; i++) seen[p->cluster[i]] |= p->label[i * LOGIT_COUNT + k] == wanted;
    for (int c = 0; c < p->clusters; c++) count += seen[c];
    mem_free(seen);
    return count;
}

bool cell_has_few_patients(const struct study_cell *c)
{
    return c->patients[0] < INTERVAL_PATIENTS_MIN || count_patients(&c->run[0]->predictions, 0, 0) < INTERVAL_PATIENTS_MIN;
}

static void take_back(struct quantity *from, const struct quantity *end)
{
    for (; from < end; from++) from->interval.low = from->interval.high = NAN;
}

/* Takes the intervals back that rest on too few patients of a class. Of patients, those with an image of either label are positive. */
static void check_patients(struct study_cell *c)
{
    const struct predictions *p = &c->run[0]->predictions;
    struct quantity *u = c->quantity;
    for (int k = 0; k < LOGIT_COUNT; k++) {
        c->patients[k] = count_patients(p, k, 1);
        if (c->patients[k] >= INTERVAL_PATIENTS_MIN && count_patients(p, k, 0) >= INTERVAL_PATIENTS_MIN) continue;
        if (k) take_back(u + QUANTITY_LESION + k - 1, u + QUANTITY_LESION + k);
        else take_back(u, u + QUANTITY_LESION), take_back(u + QUANTITY_BRIER, u + QUANTITY_COUNT);
    }
    if (c->patients[0] < INTERVAL_PATIENTS_MIN || p->clusters - c->patients[0] < INTERVAL_PATIENTS_MIN)
        take_back(u + QUANTITY_PATIENT, u + QUANTITY_BRIER);
}

void cell_work_out(struct study_cell *c, uint64_t seed)
{
    struct rankings *k = NEW_ARRAY(struct rankings, c->runs);
    double *column = NEW_ARRAY(double, c->runs);
    int clusters = c->run[0]->predictions.clusters;
    c->value = NEW_ARRAY(double, c->runs * QUANTITY_COUNT);
    for (int r = 0; r < c->runs; r++) {
        rank_run(&k[r], c->run[r]);
        quantities(c->value + r * QUANTITY_COUNT, &k[r], NULL, NULL);
        c->value[r * QUANTITY_COUNT + QUANTITY_CALIBRATION] = c->run[r]->results.calibration.expected_error;
    }
    resample(c, k, seed);
    for (int q = 0; q < QUANTITY_COUNT; q++) {
        struct quantity *u = &c->quantity[q];
        for (int r = 0; r < c->runs; r++) column[r] = c->value[r * QUANTITY_COUNT + q];
        u->mean = mean_of(column, c->runs);
        u->deviation = deviation_of(column, c->runs);
        if (q == QUANTITY_CALIBRATION) u->interval = (struct interval){NAN, NAN, 0};
        else u->interval = interval_from(c->replicate + (int64_t)q * BOOTSTRAP_REPLICATES, u->mean, c->left_out + (int64_t)q * clusters, clusters);
    }
    check_patients(c);
    for (int r = 0; r < c->runs; r++) free_rankings(&k[r]);
    mem_free(k);
    mem_free(column);
}

void cell_calibration(struct calibration *pooled, const struct study_cell *c)
{
    int64_t each = c->run[0]->predictions.n;
    double *probability = NEW_ARRAY(double, c->runs * each);
    uint8_t *label = NEW_ARRAY(uint8_t, c->runs * each);
    for (int r = 0; r < c->runs; r++)
        for (int64_t i = 0; i < each; i++) {
            probability[r * each + i] = c->run[r]->predictions.probability[i * LOGIT_COUNT];
            label[r * each + i] = c->run[r]->predictions.label[i * LOGIT_COUNT];
        }
    calibration_make(pooled, probability, label, c->runs * each);
    mem_free(probability);
    mem_free(label);
}
