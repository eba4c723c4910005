/* study.c - see study.h. Two rules keep the averages honest: under one data set's label all runs must have the same data hash (the one
 * that most have counts; a cell with another is refused), and the runs of a cell may differ in nothing but the seed. Programs may
 * differ; that is said. */
#include "jobs/report/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/report/study_private.h"

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

bool quantity_is_lesion(int q) { return q >= QUANTITY_LESION && q < QUANTITY_PATIENT; }

const char *quantity_name(int q)
{
    static const char *const others[] = {"patient_sensitivity", "patient_auc", "patient_f1", "patient_accuracy", "patient_specificity",
        "patient_precision", "patient_auc_hard", "patient_average_precision", "brier", "expected_calibration_error"};
    return q < QUANTITY_LESION ? figure_names[q] : q < QUANTITY_PATIENT ? lesion_names[q - QUANTITY_LESION] : others[q - QUANTITY_PATIENT];
}

bool cell_usable(const struct study_cell *c) { return c && c->runs && !c->refused; }

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
    struct study_cell *c = g->cells ? &g->cell[g->cells - 1] : NULL;
    if (!c || !same_cell(c->listed[0], r)) {
        c = &g->cell[g->cells++];
        *c = (struct study_cell){.dataset = r->dataset, .backbone = r->backbone, .method = r->method};
    }
    c->listed = mem_grow(c->listed, (size_t)c->listed_count * sizeof *c->listed, ((size_t)c->listed_count + 1) * sizeof *c->listed);
    c->run = mem_grow(c->run, (size_t)c->runs * sizeof *c->run, ((size_t)c->listed_count + 1) * sizeof *c->run);
    c->listed[c->listed_count++] = r;
    if (!r->reason) c->run[c->runs++] = r;
    bool known = false;
    for (int d = 0; d < g->dataset_count; d++) known = known || !strcmp(g->datasets[d], r->dataset);
    if (!known && g->dataset_count < (int)(sizeof g->datasets / sizeof *g->datasets)) g->datasets[g->dataset_count++] = r->dataset;
}

static void refuse(struct study_cell *c, char *why)
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

static void check_data(struct study_cell *c, const char *hash)
{
    for (int k = 0; k < c->runs; k++) {
        const char *theirs = c->run[k]->data_hash;
        if (!*theirs) refuse(c, mem_format("%s does not say which data it was trained on", c->run[k]->name));
        else if (strcmp(theirs, hash))
            refuse(c, mem_format("%s was trained on other data (%.12s) than the other runs of '%s' (%.12s)", c->run[k]->name, theirs, c->dataset,
                                 hash));
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

static void check_settings(struct study_cell *c)
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
        notes_add(notes, "Different programs made these runs: %d of them another than %s (ladnn %s, sha256 %.12s), for example %s. See the "
                         "provenance.",
                  others, first->name, first->version, first->program_hash, other);
}

/* ---- all of it ---- */

static void compare_all(struct study *g)
{
    g->comparison = NEW_ARRAY(struct comparison, g->cells);
    for (int i = 0; i < g->cells; i++) {
        const struct study_cell *a = &g->cell[i], *b = study_find(g, a->dataset, a->backbone, "ladnn");
        if (strcmp(a->method, "baseline") || !b) continue;
        struct comparison *m = &g->comparison[g->comparisons++];
        m->baseline = a;
        m->ladnn = b;
        comparison_work_out(m);
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
    *g = (struct study){.cell = NEW_ARRAY(struct study_cell, runs->count)};
    for (int i = 0; i < runs->count; i++) sorted[i] = &runs->run[i];
    if (runs->count) qsort(sorted, (size_t)runs->count, sizeof *sorted, by_cell);
    for (int i = 0; i < runs->count; i++) add_to_cells(g, sorted[i]);
    mem_free(sorted);
    for (int i = 0; i < g->cells; i++) {
        struct study_cell *c = &g->cell[i];
        if (!c->runs) continue;
        check_data(c, main_hash(g, c->dataset));
        check_settings(c);
        if (c->refused) notes_add(notes, "%s, %s, %s has no figures: %s.", c->dataset, backbone_title(c->backbone), method_title(c->method),
                                  c->refused);
    }
    note_programs(g, notes);
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < g->cells; i++)
        if (cell_usable(&g->cell[i])) cell_work_out(&g->cell[i], seed);
    compare_all(g);
}

const struct study_cell *study_find(const struct study *g, const char *dataset, const char *backbone, const char *method)
{
    for (int i = 0; i < g->cells; i++) {
        const struct study_cell *c = &g->cell[i];
        if (!strcmp(c->dataset, dataset) && !strcmp(c->backbone, backbone) && !strcmp(c->method, method)) return c;
    }
    return NULL;
}

void study_free(struct study *g)
{
    for (int i = 0; i < g->cells; i++) {
        struct study_cell *c = &g->cell[i];
        mem_free(c->listed), mem_free(c->run), mem_free(c->refused);
        mem_free(c->value), mem_free(c->replicate), mem_free(c->left_out);
    }
    for (int i = 0; i < g->comparisons; i++) mem_free(g->comparison[i].refused);
    mem_free(g->cell);
    mem_free(g->comparison);
    *g = (struct study){0};
}
