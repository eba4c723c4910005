/* comparison.c - LA-DNN against the baseline on the same test images. */
#include <math.h>

#include "base/memory.h"
#include "jobs/report/study_private.h"

/* The paper's question is one of mean AUCs: all networks of a cell, trained alike but for the seed, against all of the other. DeLong's
 * statistic is made for any linear contrast of correlated areas, so the mean over LA-DNN's seeds less the mean over the baseline's
 * is tested as such (weights 1/seeds and -1/seeds). Neither p-values are combined, which are not independent (all rest on the same images),
 * nor are scores averaged, which would test ensembles that nobody proposes. As every DeLong test it takes the networks as given:
 * what other seeds would do is told by the deviation beside it. */
static void contrast_areas(struct comparison *m)
{
    const struct study_cell *cells[] = {m->baseline, m->ladnn};
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

static bool same_seeds(const struct study_cell *a, const struct study_cell *b)
{
    for (int r = 0; r < a->runs && a->runs == b->runs; r++)
        if (a->run[r]->seed != b->run[r]->seed) return false;
    return a->runs == b->runs;
}

static void difference_of(struct comparison *m, int q)
{
    const struct study_cell *a = m->baseline, *b = m->ladnn;
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
    for (int side = 0; side < 2; side++) { /* too few patients, undefined, or always the same: what one side lacks the difference lacks */
        const struct interval *own = &(side ? b : a)->quantity[q].interval;
        if (isnan(own->low)) u->interval = *own;
    }
    mem_free(replicate);
    mem_free(left_out);
    mem_free(pair);
}

/* Two networks, not two ways to read them. */
static char *judged_differently(const struct run *a, const struct run *b)
{
    if (run_judged_alike(a, b)) return NULL;
    char *first = run_judging(a), *second = run_judging(b);
    char *why = mem_format("not judged alike: positive means %s for the baseline, %s for LA-DNN", first, second);
    mem_free(first);
    mem_free(second);
    return why;
}

void comparison_work_out(struct comparison *m)
{
    const struct study_cell *a = m->baseline, *b = m->ladnn;
    const struct study_cell *bad = !cell_usable(a) ? a : !cell_usable(b) ? b : NULL;
    m->auc = (struct contrast){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    if (bad) m->refused = mem_format("%s: %s", method_title(bad->method), bad->refused ? bad->refused : "no run with a result");
    else if (!predictions_same_images(&a->run[0]->predictions, &b->run[0]->predictions))
        m->refused = mem_string("not tested on the same images with the same labels");
    else m->refused = judged_differently(a->run[0], b->run[0]);
    if (m->refused) return;
    if (!cell_has_few_patients(a)) contrast_areas(m); /* whose variance rests on as few as an interval would */
    for (int q = 0; q < QUANTITY_COUNT; q++) difference_of(m, q);
}
