/* figure_overview.c - Table 2 as a picture: each cell's figures with their intervals, and the paper's numbers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/report/paper.h"
#include "jobs/report/report.h"

enum { LABELS = 180, WIDE = 176, PITCH = 202, ROW = 19, TOP = 62 };
static const enum figure shown[] = {FIGURE_SENSITIVITY, FIGURE_AUC, FIGURE_F1, FIGURE_ACCURACY};

static int colour_of(const struct study_cell *c)
{
    return !strcmp(c->method, "ladnn") ? PLOT_VERMILLION : !strcmp(c->method, "baseline") ? PLOT_BLUE : PLOT_GREEN;
}

static void draw_figure(const struct axes *a, const struct study_cell *c, enum figure f, double y)
{
    const struct quantity *q = &c->quantity[f];
    double paper = paper_figure(c->dataset, c->backbone, c->method, f);
    bool ladnn = !strcmp(c->method, "ladnn");
    if (!isnan(q->interval.low))
        plot_line(a->plot, axes_x(a, fmax(q->interval.low, a->x0)), y, axes_x(a, fmin(q->interval.high, a->x1)), y,
                  (struct plot_pen){colour_of(c), 2, ladnn ? 0 : 5, 1});
    if (!isnan(paper) && paper >= a->x0) plot_marks(a->plot, (double[]){axes_x(a, paper), y}, 1, PLOT_DIAMOND, 8, PLOT_BLACK, 1);
    if (!isnan(q->mean) && q->mean >= a->x0)
        plot_marks(a->plot, (double[]){axes_x(a, q->mean), y}, 1, ladnn ? PLOT_DOT : PLOT_RING, 7, colour_of(c), 1);
}

/* The lowest mean or end of an interval, down to a tenth: fmin passes over what is not a number. */
static double lowest(const struct study *g, const char *label)
{
    double low = 0.8;
    for (int i = 0; i < g->cells; i++)
        for (int f = 0; f < 4 && cell_usable(&g->cell[i]) && !strcmp(g->cell[i].dataset, label); f++)
            low = fmin(low, fmin(g->cell[i].quantity[shown[f]].interval.low, g->cell[i].quantity[shown[f]].mean));
    return floor(low * 10) / 10;
}

static void draw_key(struct plot *p, bool paper)
{
    plot_line(p, 8, 20, 38, 20, (struct plot_pen){PLOT_BLUE, 2, 5, 1});
    plot_marks(p, (double[]){23, 20}, 1, PLOT_RING, 7, PLOT_BLUE, 1);
    plot_text(p, 44, 24, "baseline", 12, PLOT_START, PLOT_BLACK, false, false);
    plot_line(p, 118, 20, 148, 20, (struct plot_pen){PLOT_VERMILLION, 2, 0, 1});
    plot_marks(p, (double[]){133, 20}, 1, PLOT_DOT, 7, PLOT_VERMILLION, 1);
    plot_text(p, 154, 24, "LA-DNN", 12, PLOT_START, PLOT_BLACK, false, false);
    plot_text(p, 214, 24, "mean over the seeds, 95 % interval", 12, PLOT_START, PLOT_BLACK, false, false);
    if (!paper) return;
    plot_marks(p, (double[]){474, 20}, 1, PLOT_DIAMOND, 8, PLOT_BLACK, 1);
    plot_text(p, 484, 24, "the paper's number (one run)", 12, PLOT_START, PLOT_BLACK, false, false);
}

static void draw_rows(struct plot *p, const struct study *g, const char *label, int rows)
{
    struct axes a[4];
    double low = lowest(g, label);
    int row = 0;
    for (int f = 0; f < 4; f++) {
        a[f] = (struct axes){p, LABELS + f * PITCH, TOP, WIDE, rows * ROW + 6, low, 1, 0, 1};
        axes_draw(&a[f], low < 0.45 ? 0.2 : 0.1, 1, 2, -1, figure_titles[shown[f]], NULL, NULL);
    }
    for (int i = 0; i < g->cells; i++) {
        const struct study_cell *c = &g->cell[i];
        char words[120];
        if (!cell_usable(c) || strcmp(c->dataset, label)) continue;
        double y = TOP + 3 + (row++ + 0.5) * ROW;
        snprintf(words, sizeof words, "%.60s, %.40s", backbone_title(c->backbone), method_title(c->method));
        plot_text(p, LABELS - 8, y + 4, words, 11, PLOT_END, PLOT_BLACK, false, false);
        for (int f = 0; f < 4; f++) draw_figure(&a[f], c, shown[f], y);
    }
}

void figure_overview_add(struct report *r)
{
    for (int d = 0; d < r->study.dataset_count; d++) {
        const char *label = r->study.datasets[d];
        int rows = 0;
        for (int i = 0; i < r->study.cells; i++) rows += cell_usable(&r->study.cell[i]) && !strcmp(r->study.cell[i].dataset, label);
        if (!rows) continue;
        char *heading = mem_format("Table 2, %s, as a picture", label);
        struct plot *p = plot_open(LABELS + 4 * PITCH, TOP + rows * ROW + 42, heading);
        draw_key(p, paper_set(label) >= 0);
        draw_rows(p, &r->study, label, rows);
        char *caption = mem_format("Bars are 95 %% intervals (patients resampled, networks as they are).%s",
                                   page_judges_otherwise(r) ? " What positive means: see Table 2." : "");
        report_add_picture(r, "table2", label, heading, caption, p);
        mem_free(caption);
        mem_free(heading);
    }
}
