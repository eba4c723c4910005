/* cell_figures.c - the figures of a cell: of each run, their mean, and the mean again for every resampling of the patients. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/report/study_private.h"

struct rankings { /* of one run */
    struct ranking covid, lesion[LESION_COUNT];
    bool lesions;
};

static void rank_run(struct rankings *k, const struct run *r)
{
    const struct predictions *p = &r->predictions;
    double *score = NEW_ARRAY(double, p->n);
    uint8_t *truth = NEW_ARRAY(uint8_t, p->n);
    k->lesions = strcmp(r->method, "baseline") && !isnan(p->probability[1]); /* the baseline's other outputs were never trained */
    for (int q = 0; q < (k->lesions ? LOGIT_COUNT : 1); q++) {
        for (int64_t i = 0; i < p->n; i++) score[i] = p->probability[i * LOGIT_COUNT + q], truth[i] = p->label[i * LOGIT_COUNT + q];
        ranking_make(q ? &k->lesion[q - 1] : &k->covid, score, truth, p->n);
    }
    mem_free(score);
    mem_free(truth);
}

static void free_rankings(struct rankings *k)
{
    ranking_free(&k->covid);
    for (int l = 0; l < LESION_COUNT; l++) ranking_free(&k->lesion[l]);
}

static void quantities(double value[QUANTITY_COUNT], const struct rankings *k, const int *weight)
{
    ranking_figures(value, &k->covid, weight);
    for (int l = 0; l < LESION_COUNT; l++) value[FIGURE_COUNT + l] = k->lesions ? ranking_auc(&k->lesion[l], weight) : NAN;
}

/* Mean over the seeds for one weighting into column `column` of out (QUANTITY_COUNT, columns). */
static void mean_quantities(double *out, int column, int columns, const struct rankings *k, int runs, const int *weight)
{
    double sum[QUANTITY_COUNT] = {0}, value[QUANTITY_COUNT];
    for (int r = 0; r < runs; r++) {
        quantities(value, &k[r], weight);
        for (int q = 0; q < QUANTITY_COUNT; q++) sum[q] += value[q];
    }
    for (int q = 0; q < QUANTITY_COUNT; q++) out[(int64_t)q * columns + column] = sum[q] / runs;
}

static void resample(struct cell *c, const struct rankings *k, uint64_t seed)
{
    const struct predictions *p = &c->run[0]->predictions;
    int *weight = NEW_ARRAY(int, p->n), *count = NEW_ARRAY(int, p->clusters);
    c->replicate = NEW_ARRAY(double, QUANTITY_COUNT * BOOTSTRAP_REPLICATES);
    c->left_out = NEW_ARRAY(double, QUANTITY_COUNT * p->clusters);
    for (int b = 0; b < BOOTSTRAP_REPLICATES; b++) {
        bootstrap_weights(weight, count, seed, b, p->cluster, p->n, p->clusters);
        mean_quantities(c->replicate, b, BOOTSTRAP_REPLICATES, k, c->runs, weight);
    }
    for (int left = 0; left < p->clusters; left++) {
        for (int64_t i = 0; i < p->n; i++) weight[i] = p->cluster[i] != left;
        mean_quantities(c->left_out, left, p->clusters, k, c->runs, weight);
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

/* Takes the intervals back that rest on too few patients of a class. */
static void check_patients(struct cell *c)
{
    const struct predictions *p = &c->run[0]->predictions;
    for (int k = 0; k < LOGIT_COUNT; k++) {
        c->patients[k] = count_patients(p, k, 1);
        if (c->patients[k] >= INTERVAL_PATIENTS_MIN && count_patients(p, k, 0) >= INTERVAL_PATIENTS_MIN) continue;
        for (int q = k ? FIGURE_COUNT + k - 1 : 0; q < (k ? FIGURE_COUNT + k : FIGURE_COUNT); q++)
            c->quantity[q].interval.low = c->quantity[q].interval.high = NAN;
    }
}

void cell_work_out(struct cell *c, uint64_t seed)
{
    struct rankings *k = NEW_ARRAY(struct rankings, c->runs);
    double *column = NEW_ARRAY(double, c->runs);
    int clusters = c->run[0]->predictions.clusters;
    c->value = NEW_ARRAY(double, c->runs * QUANTITY_COUNT);
    for (int r = 0; r < c->runs; r++) {
        rank_run(&k[r], c->run[r]);
        quantities(c->value + r * QUANTITY_COUNT, &k[r], NULL);
    }
    resample(c, k, seed);
    for (int q = 0; q < QUANTITY_COUNT; q++) {
        struct quantity *u = &c->quantity[q];
        for (int r = 0; r < c->runs; r++) column[r] = c->value[r * QUANTITY_COUNT + q];
        u->mean = mean_of(column, c->runs);
        u->deviation = deviation_of(column, c->runs);
        u->interval = interval_from(c->replicate + (int64_t)q * BOOTSTRAP_REPLICATES, u->mean, c->left_out + (int64_t)q * clusters, clusters);
    }
    check_patients(c);
    for (int r = 0; r < c->runs; r++) free_rankings(&k[r]);
    mem_free(k);
    mem_free(column);
}
