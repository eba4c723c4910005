/* figure_curves.c - Figure 4: ROC and precision-recall curves of baseline and LA-DNN on the same axes, each the mean over the seeds
 * at fixed rates (vertical averaging: Fawcett, Pattern Recognition Letters 27 (2006) 861), with the pointwise 95 % band of the
 * patient-clustered bootstrap. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/report/report.h"

enum { POINTS = 101, PANEL = 250, PITCH = 322, ROW = 320, LEFT = 54, TOP = 34, COLUMNS = 3 };

struct curves { /* of a cell: (POINTS) each */
    double roc[POINTS], roc_low[POINTS], roc_high[POINTS], pr[POINTS], pr_low[POINTS], pr_high[POINTS];
};

static void mean_curves(double *roc, double *pr, const struct ranking *k, int runs, const int *weight)
{
    double one_roc[POINTS], one_pr[POINTS];
    for (int g = 0; g < POINTS; g++) roc[g] = pr[g] = 0;
    for (int r = 0; r < runs; r++) {
        ranking_curves(one_roc, one_pr, POINTS, &k[r], weight);
        for (int g = 0; g < POINTS; g++) roc[g] += one_roc[g] / runs, pr[g] += one_pr[g] / runs;
    }
}

static void band_of(double *low, double *high, const double *all)
{
    double *column = NEW_ARRAY(double, BOOTSTRAP_REPLICATES);
    for (int g = 0; g < POINTS; g++) {
        for (int b = 0; b < BOOTSTRAP_REPLICATES; b++) column[b] = all[(int64_t)b * POINTS + g];
        struct interval i = interval_percentile(column, BOOTSTRAP_REPLICATES, 0.95);
        low[g] = i.low, high[g] = i.high;
    }
    mem_free(column);
}

static void curves_of(struct curves *c, const struct study_cell *cell, uint64_t seed)
{
    const struct predictions *p = &cell->run[0]->predictions;
    struct ranking *k = NEW_ARRAY(struct ranking, cell->runs);
    double *score = NEW_ARRAY(double, p->n);
    double *roc = NEW_ARRAY(double, POINTS * BOOTSTRAP_REPLICATES), *pr = NEW_ARRAY(double, POINTS * BOOTSTRAP_REPLICATES);
    uint8_t *label = NEW_ARRAY(uint8_t, p->n);
    int *weight = NEW_ARRAY(int, p->n), *count = NEW_ARRAY(int, p->clusters);
    for (int64_t i = 0; i < p->n; i++) label[i] = p->label[i * LOGIT_COUNT];
    for (int r = 0; r < cell->runs; r++) {
        for (int64_t i = 0; i < p->n; i++) score[i] = cell->run[r]->predictions.probability[i * LOGIT_COUNT];
        ranking_make(&k[r], score, label, p->n, cell->run[r]->results.threshold.value);
    }
    mean_curves(c->roc, c->pr, k, cell->runs, NULL);
    for (int b = 0; b < BOOTSTRAP_REPLICATES; b++) {
        bootstrap_weights(weight, count, seed, b, p->cluster, p->n, p->clusters);
        mean_curves(roc + (int64_t)b * POINTS, pr + (int64_t)b * POINTS, k, cell->runs, weight);
    }
    band_of(c->roc_low, c->roc_high, roc);
    band_of(c->pr_low, c->pr_high, pr);
    for (int r = 0; r < cell->runs; r++) ranking_free(&k[r]);
    mem_free(k), mem_free(score), mem_free(roc), mem_free(pr), mem_free(label), mem_free(weight), mem_free(count);
}

/* ---- drawing ---- */

const char *const compared_methods[2] = {"baseline", "ladnn"};
const struct plot_pen compared_pens[2] = {{PLOT_BLUE, 1.6, 6, 1}, {PLOT_VERMILLION, 2, 0, 1}};

static void draw_legend(const struct axes *a, int row, const struct study_cell *c, enum figure figure, double x, double y)
{
    const struct quantity *q = &c->quantity[figure];
    char words[160];
    y += 30 * row;
    plot_rectangle(a->plot, x - 4, y - 12, 152, 29, PLOT_WHITE, 0.85, (struct plot_pen){0});
    plot_line(a->plot, x, y - 4, x + 24, y - 4, compared_pens[row]);
    plot_text(a->plot, x + 29, y, method_title(c->method), 11, PLOT_START, PLOT_BLACK, true, false);
    int n = snprintf(words, sizeof words, isnan(q->mean) ? "%s n/a" : "%s %.3f", figure == FIGURE_AUC ? "AUC" : "AP", q->mean);
    if (!isnan(q->interval.low)) snprintf(words + n, sizeof words - n, " [%.3f, %.3f]", q->interval.low, q->interval.high);
    else if (!isnan(q->mean)) snprintf(words + n, sizeof words - n, ", no interval");
    plot_text(a->plot, x, y + 13, words, 10.5, PLOT_START, PLOT_BLACK, false, false);
}

static void draw_panel(struct plot *p, const struct study_cell *const *cell, const struct curves *c, double left, double top, bool roc,
                       const char *title)
{
    struct axes a = {p, left, top, PANEL, PANEL, 0, 1, 0, 1};
    axes_draw(&a, 0.2, 1, 0.2, 1, title, roc ? "1 - specificity" : "recall (sensitivity)", roc ? "sensitivity" : "precision");
    if (roc) plot_line(p, axes_x(&a, 0), axes_y(&a, 0), axes_x(&a, 1), axes_y(&a, 1), (struct plot_pen){PLOT_GREY, 0.75, 2, 1});
    for (int m = 0; m < 2; m++)
        if (cell[m]) axes_band(&a, roc ? c[m].roc_low : c[m].pr_low, roc ? c[m].roc_high : c[m].pr_high, POINTS, compared_pens[m].colour, 0.16);
    for (int m = 0; m < 2; m++) {
        if (!cell[m]) continue;
        axes_curve(&a, roc ? c[m].roc : c[m].pr, POINTS, compared_pens[m]);
        draw_legend(&a, m, cell[m], roc ? FIGURE_AUC : FIGURE_AP, left + (roc ? PANEL - 152 : 10), top + PANEL - 52);
    }
}

static void draw_backbone(struct plot *p, const struct report *r, const char *dataset, const char *backbone, int place)
{
    struct curves *c = NEW_ARRAY(struct curves, 2);
    const struct study_cell *cell[2];
    double left = LEFT + place % COLUMNS * PITCH, top = TOP + place / COLUMNS * 2 * ROW;
    char title[120];
    for (int m = 0; m < 2; m++) {
        cell[m] = study_find(&r->study, dataset, backbone, compared_methods[m]);
        if (!cell_usable(cell[m])) cell[m] = NULL;
        if (cell[m]) curves_of(&c[m], cell[m], r->seed);
    }
    snprintf(title, sizeof title, "%.80s: ROC", backbone_title(backbone));
    draw_panel(p, cell, c, left, top, true, title);
    snprintf(title, sizeof title, "%.80s: precision-recall", backbone_title(backbone));
    draw_panel(p, cell, c, left, top + ROW, false, title);
    mem_free(c);
}

int figure4_backbones(const char **list, int room, const struct study *g, const char *dataset)
{
    static const char *const of_paper[] = {"vgg16", "densenet169", "efficientnet_b1"};
    int count = 0;
    for (int pass = 0; pass < 2 && !count; pass++)
        for (int i = 0; i < g->cells && count < room; i++) {
            const struct study_cell *c = &g->cell[i];
            bool wanted = pass == 1 && (!strcmp(c->method, compared_methods[0]) || !strcmp(c->method, compared_methods[1]));
            for (int k = 0; k < 3 && pass == 0; k++) wanted = wanted || !strcmp(of_paper[k], c->backbone);
            if (!wanted || !cell_usable(c) || strcmp(c->dataset, dataset) || (count && !strcmp(list[count - 1], c->backbone))) continue;
            list[count++] = c->backbone;
        }
    return count;
}

void figure4_add(struct report *r)
{
    const char *list[24];
    for (int d = 0; d < r->study.dataset_count; d++) {
        const char *label = r->study.datasets[d];
        int count = figure4_backbones(list, sizeof list / sizeof *list, &r->study, label), rows = (count + COLUMNS - 1) / COLUMNS;
        if (!count) continue;
        char *heading = mem_format("Figure 4, %s: ROC and precision-recall", label);
        struct plot *p = plot_open(LEFT + (count < COLUMNS ? count : COLUMNS) * PITCH - 8, rows * 2 * ROW + 18, heading);
        for (int i = 0; i < count; i++) draw_backbone(p, r, label, list[i], i);
        report_add_picture(r, "figure4", label, heading,
                           "Mean curve over the seeds with its pointwise 95 % band (patients resampled); AUC and average precision (AP) with 95 % "
                           "intervals. Dashed: baseline; whole line: LA-DNN.", p);
        mem_free(heading);
    }
}
