/* study.c - see study.h. Two rules keep the averages honest: under one data set's label all runs must have the same data hash (the one
 * that most have counts; a cell with another is refused), and the runs of a cell may differ in nothing but the seed. Programs may
 * differ; that is said. */
#include "jobs/report/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

static const struct { const char *name, *title; } backbones[] = {
    {"vgg16", "VGG-16"}, {"resnet18", "ResNet-18"}, {"resnet50", "ResNet-50"}, {"densenet121", "DenseNet-121"}, {"densenet169", "DenseNet-169"},
    {"efficientnet_b0", "EfficientNet-b0"}, {"efficientnet_b1", "EfficientNet-b1"}};
enum { BACKBONES = sizeof backbones / sizeof *backbones };

int backbone_order(const char *name)
{
    int i = 0;
    while (i < BACKBONES && strcmp(backbones[i].name, name)) i++;
    return i;
}

const char *backbone_title(const char *name)
{
    int i = backbone_order(name);
    return i < BACKBONES ? backbones[i].title : name;
}

const char *method_title(const char *name)
{
    return !strcmp(name, "ladnn") ? "LA-DNN" : !strcmp(name, "he2020") ? "He 2020" : name;
}

const char *quantity_name(int q) { return q < FIGURE_COUNT ? figure_names[q] : lesion_names[q - FIGURE_COUNT]; }

bool cell_usable(const struct cell *c) { return c && c->runs && !c->refused; }

/* ---- which runs belong together ---- */

static int method_order(const char *m) { return !strcmp(m, "baseline") ? 0 : !strcmp(m, "ladnn") ? 1 : 2; }

static int by_cell(const void *a, const void *b)
{
    const struct run *x = *(const struct run *const *)a, *y = *(const struct run *const *)b;
    int order = strcmp(x->dataset, y->dataset);
    if (!order) order = backbone_order(x->backbone) - backbone_order(y->backbone);
    if (!order) order = strcmp(x->backbone, y->backbone);
    if (!order) order = method_order(x->method) - method_order(y->method);
    if (!order) order = strcmp(x->method, y->method);
    if (!order) order = (x->seed > y->seed) - (x->seed < y->seed);
    return order ? order : strcmp(x->name, y->name);
}

static bool same_cell(const struct run *a, const struct run *b)
{
    return !strcmp(a->dataset, b->dataset) && !strcmp(a->backbone, b->backbone) && !strcmp(a->method, b->method);
}

static void add_to_cells(struct study *g, const struct run *r)
{
    struct cell *c = g->cells ? &g->cell[g->cells - 1] : NULL;
    if (!c || !same_cell(c->listed[0], r)) {
        c = &g->cell[g->cells++];
        *c = (struct cell){.dataset = r->dataset, .backbone = r->backbone, .method = r->method};
    }
    c->listed = mem_grow(c->listed, (size_t)c->listed_count * sizeof *c->listed, ((size_t)c->listed_count + 1) * sizeof *c->listed);
    c->run = mem_grow(c->run, (size_t)c->runs * sizeof *c->run, ((size_t)c->listed_count + 1) * sizeof *c->run);
    c->listed[c->listed_count++] = r;
    if (!r->reason) c->run[c->runs++] = r;
    bool known = false;
    for (int d = 0; d < g->dataset_count; d++) known = known || !strcmp(g->datasets[d], r->dataset);
    if (!known && g->dataset_count < (int)(sizeof g->datasets / sizeof *g->datasets)) g->datasets[g->dataset_count++] = r->dataset;
}

static void refuse(struct cell *c, char *why)
{
    if (c->refused) mem_free(why);
    else c->refused = why;
}

/* The hash that most runs of a data set have; of two, the earlier run's. */
static const char *main_hash(const struct study *g, const char *dataset)
{
    const char *best = NULL;
    int most = 0;
    for (int i = 0; i < g->cells; i++)
        for (int k = 0; k < g->cell[i].runs && !strcmp(g->cell[i].dataset, dataset); k++) {
            const char *hash = g->cell[i].run[k]->data_hash;
            int same = 0;
            for (int j = 0; j < g->cells; j++)
                for (int m = 0; m < g->cell[j].runs && !strcmp(g->cell[j].dataset, dataset); m++) same += !strcmp(g->cell[j].run[m]->data_hash, hash);
            if (same > most) most = same, best = hash;
        }
    return best;
}

static void check_data(struct cell *c, const char *hash)
{
    for (int k = 0; k < c->runs; k++) {
        const char *theirs = c->run[k]->data_hash;
        if (!*theirs) refuse(c, mem_format("%s does not say which data it was trained on", c->run[k]->name));
        else if (strcmp(theirs, hash))
            refuse(c, mem_format("%s was trained on other data (%.12s) than the other runs of '%s' (%.12s)", c->run[k]->name, theirs, c->dataset, hash));
    }
}

/* The first setting in which two identities differ, seed left aside (mem_free), or NULL. */
static char *first_difference(const char *a, const char *b)
{
    static const char seed[] = "train.seed = ";
    while (text_first_difference(&a, &b)) {
        bool is_seed = !strncmp(a, seed, strlen(seed)) && !strncmp(b, seed, strlen(seed));
        if (!is_seed) return mem_format("'%.*s', '%.*s'", (int)strcspn(a, "\n"), a, (int)strcspn(b, "\n"), b);
        a += strcspn(a, "\n"), b += strcspn(b, "\n");
    }
    return NULL;
}

static void check_settings(struct cell *c)
{
    for (int k = 1; k < c->runs; k++) {
        const struct run *a = c->run[0], *b = c->run[k];
        char *difference = first_difference(a->identity, b->identity);
        if (difference) refuse(c, mem_format("%s and %s differ in more than the seed: %s", a->name, b->name, difference));
        else if (a->epochs != b->epochs) refuse(c, mem_format("%s has %d epochs, %s has %d", a->name, a->epochs, b->name, b->epochs));
        else if (c->run[k - 1]->seed == b->seed) refuse(c, mem_format("%s and %s have the same seed", c->run[k - 1]->name, b->name));
        else if (!predictions_same_images(&a->predictions, &b->predictions))
            refuse(c, mem_format("%s and %s were not tested on the same images with the same labels", a->name, b->name));
        mem_free(difference);
    }
}

static void note_programs(const struct study *g, struct notes *notes)
{
    const struct run *first = NULL;
    int others = 0;
    const char *other = "";
    for (int i = 0; i < g->cells; i++)
        for (int k = 0; k < g->cell[i].runs; k++) {
            const struct run *r = g->cell[i].run[k];
            if (!first) first = r;
            if (strcmp(first->program_hash, r->program_hash) || strcmp(first->version, r->version)) others++, other = r->name;
        }
    if (others)
        notes_add(notes, "Different programs made these runs: %d of them another than %s (ladnn %s, sha256 %.12s), for example %s. See the provenance.",
                  others, first->name, first->version, first->program_hash, other);
}

/* ---- figures ---- */

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

static struct interval interval_from(const double *replicate, double estimate, const double *left_out, int clusters)
{
    double *copy = NEW_ARRAY(double, BOOTSTRAP_REPLICATES);
    memcpy(copy, replicate, sizeof *copy * BOOTSTRAP_REPLICATES);
    struct interval out = interval_bca(copy, BOOTSTRAP_REPLICATES, estimate, left_out, clusters, 0.95);
    mem_free(copy);
    return out;
}

static void work_out_cell(struct cell *c, uint64_t seed)
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
    for (int r = 0; r < c->runs; r++) free_rankings(&k[r]);
    mem_free(k);
    mem_free(column);
}

/* ---- comparisons ---- */

/* The paper's question is one of mean AUCs: all networks of a cell, trained alike but for the seed, against all of the other. DeLong's
 * statistic is made for any linear contrast of correlated areas, so the mean over LA-DNN's seeds less the mean over the baseline's
 * is tested as such (weights 1/seeds and -1/seeds). Neither p-values are combined, which are not independent (all rest on the same images),
 * nor are scores averaged, which would test ensembles that nobody proposes. As every DeLong test it takes the networks as given:
 * what other seeds would do is told by the deviation beside it. */
static void contrast_areas(struct comparison *m)
{
    const struct cell *cells[] = {m->baseline, m->ladnn};
    const struct predictions *p = &m->baseline->run[0]->predictions;
    int curves = m->baseline->runs + m->ladnn->runs, at = 0;
    double *coefficient = NEW_ARRAY(double, curves), **score = NEW_ARRAY(double *, curves);
    uint8_t *label = NEW_ARRAY(uint8_t, p->n);
    for (int64_t i = 0; i < p->n; i++) label[i] = p->label[i * LOGIT_COUNT];
    for (int side = 0; side < 2; side++)
        for (int r = 0; r < cells[side]->runs; r++, at++) {
            coefficient[at] = (side ? 1.0 : -1.0) / cells[side]->runs;
            score[at] = NEW_ARRAY(double, p->n);
            for (int64_t i = 0; i < p->n; i++) score[at][i] = cells[side]->run[r]->predictions.probability[i * LOGIT_COUNT];
        }
    auc_contrast(&m->auc, (const double *const *)score, coefficient, curves, label, p->cluster, p->n, p->clusters);
    for (int k = 0; k < curves; k++) mem_free(score[k]);
    mem_free(score);
    mem_free(coefficient);
    mem_free(label);
}

static bool same_seeds(const struct cell *a, const struct cell *b)
{
    for (int r = 0; r < a->runs && a->runs == b->runs; r++)
        if (a->run[r]->seed != b->run[r]->seed) return false;
    return a->runs == b->runs;
}

static void difference_of(struct comparison *m, int q)
{
    const struct cell *a = m->baseline, *b = m->ladnn;
    struct quantity *u = &m->difference[q];
    int clusters = a->run[0]->predictions.clusters;
    double *replicate = NEW_ARRAY(double, BOOTSTRAP_REPLICATES), *left_out = NEW_ARRAY(double, clusters), *pair = NEW_ARRAY(double, a->runs);
    int64_t at = (int64_t)q * BOOTSTRAP_REPLICATES;
    for (int i = 0; i < BOOTSTRAP_REPLICATES; i++) replicate[i] = b->replicate[at + i] - a->replicate[at + i];
    for (int i = 0; i < clusters; i++) left_out[i] = b->left_out[(int64_t)q * clusters + i] - a->left_out[(int64_t)q * clusters + i];
    for (int r = 0; r < a->runs && same_seeds(a, b); r++) pair[r] = b->value[r * QUANTITY_COUNT + q] - a->value[r * QUANTITY_COUNT + q];
    u->mean = b->quantity[q].mean - a->quantity[q].mean;
    u->deviation = same_seeds(a, b) ? deviation_of(pair, a->runs) : NAN;
    u->interval = interval_from(replicate, u->mean, left_out, clusters);
    mem_free(replicate);
    mem_free(left_out);
    mem_free(pair);
}

static void compare(struct comparison *m)
{
    const struct cell *a = m->baseline, *b = m->ladnn;
    const struct cell *bad = !cell_usable(a) ? a : !cell_usable(b) ? b : NULL;
    m->auc = (struct contrast){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    if (bad) m->refused = mem_format("%s: %s", method_title(bad->method), bad->refused ? bad->refused : "no finished run");
    else if (!predictions_same_images(&a->run[0]->predictions, &b->run[0]->predictions))
        m->refused = mem_string("not tested on the same images with the same labels");
    if (m->refused) return;
    contrast_areas(m);
    for (int q = 0; q < QUANTITY_COUNT; q++) difference_of(m, q);
}

static void compare_all(struct study *g)
{
    g->comparison = NEW_ARRAY(struct comparison, g->cells);
    for (int i = 0; i < g->cells; i++) {
        const struct cell *a = &g->cell[i], *b = study_find(g, a->dataset, a->backbone, "ladnn");
        if (strcmp(a->method, "baseline") || !b) continue;
        struct comparison *m = &g->comparison[g->comparisons++];
        m->baseline = a;
        m->ladnn = b;
        compare(m);
    }
    double *p = NEW_ARRAY(double, g->comparisons), *patient = NEW_ARRAY(double, g->comparisons);
    for (int i = 0; i < g->comparisons; i++) p[i] = g->comparison[i].auc.p, patient[i] = g->comparison[i].auc.patient_p;
    holm_adjust(p, g->comparisons);
    holm_adjust(patient, g->comparisons);
    for (int i = 0; i < g->comparisons; i++) g->comparison[i].adjusted_p = p[i], g->comparison[i].adjusted_patient_p = patient[i];
    mem_free(p);
    mem_free(patient);
}

void study_make(struct study *g, const struct run_list *runs, uint64_t seed, struct notes *notes)
{
    const struct run **sorted = NEW_ARRAY(const struct run *, runs->count);
    *g = (struct study){.cell = NEW_ARRAY(struct cell, runs->count)};
    for (int i = 0; i < runs->count; i++) sorted[i] = &runs->run[i];
    if (runs->count) qsort(sorted, (size_t)runs->count, sizeof *sorted, by_cell);
    for (int i = 0; i < runs->count; i++) add_to_cells(g, sorted[i]);
    mem_free(sorted);
    for (int i = 0; i < g->cells; i++) {
        struct cell *c = &g->cell[i];
        if (!c->runs) continue;
        check_data(c, main_hash(g, c->dataset));
        check_settings(c);
        if (c->refused) notes_add(notes, "%s, %s, %s has no figures: %s.", c->dataset, backbone_title(c->backbone), method_title(c->method), c->refused);
    }
    note_programs(g, notes);
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < g->cells; i++)
        if (cell_usable(&g->cell[i])) work_out_cell(&g->cell[i], seed);
    compare_all(g);
}

const struct cell *study_find(const struct study *g, const char *dataset, const char *backbone, const char *method)
{
    for (int i = 0; i < g->cells; i++) {
        const struct cell *c = &g->cell[i];
        if (!strcmp(c->dataset, dataset) && !strcmp(c->backbone, backbone) && !strcmp(c->method, method)) return c;
    }
    return NULL;
}

void study_free(struct study *g)
{
    for (int i = 0; i < g->cells; i++) {
        struct cell *c = &g->cell[i];
        mem_free(c->listed), mem_free(c->run), mem_free(c->refused);
        mem_free(c->value), mem_free(c->replicate), mem_free(c->left_out);
    }
    for (int i = 0; i < g->comparisons; i++) mem_free(g->comparison[i].refused);
    mem_free(g->cell);
    mem_free(g->comparison);
    *g = (struct study){0};
}
