/* figure_training.c - losses by epoch, a panel a cell, a pair of lines a seed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/report/report.h"

enum { COLUMNS = 4, WIDE = 180, HIGH = 120, PITCH = 236, ROW = 186, LEFT = 46, TOP = 58 };
static const struct plot_pen train_pen = {PLOT_BLUE, 1.1, 0, 0.8}, validation_pen = {PLOT_VERMILLION, 1.1, 4, 0.9};

static double loss_of(const struct epoch *e, bool covid, bool validation)
{
    return covid ? (validation ? e->validation_covid : e->train_covid) : (validation ? e->validation : e->train);
}

static double highest(const struct study_cell *c, bool covid)
{
    double most = 0;
    for (int r = 0; r < c->listed_count; r++)
        for (int e = 0; e < c->listed[r]->epoch_count; e++)
            most = fmax(most, fmax(loss_of(&c->listed[r]->epoch[e], covid, false), loss_of(&c->listed[r]->epoch[e], covid, true)));
    return most;
}

static void draw_run(const struct axes *a, const struct run *r, bool covid)
{
    double *xy = NEW_ARRAY(double, 2 * r->epoch_count);
    for (int validation = 0; validation < 2; validation++) {
        for (int e = 0; e < r->epoch_count; e++)
            xy[2 * e] = axes_x(a, e + 1), xy[2 * e + 1] = axes_y(a, loss_of(&r->epoch[e], covid, validation));
        plot_polyline(a->plot, xy, r->epoch_count, validation ? validation_pen : train_pen);
    }
    if (r->best_epoch >= 1 && r->best_epoch <= r->epoch_count && !r->votes)
        plot_marks(a->plot, xy + 2 * (r->best_epoch - 1), 1, PLOT_RING, 7, PLOT_BLACK, 1);
    mem_free(xy);
}

static int epochs_of(const struct study_cell *c)
{
    int most = 0;
    for (int r = 0; r < c->listed_count; r++) most = c->listed[r]->epoch_count > most ? c->listed[r]->epoch_count : most;
    return most;
}

static void draw_cell(struct plot *p, const struct study_cell *c, int place, bool covid)
{
    char title[120];
    int epochs = epochs_of(c), step = (int)axes_step(epochs > 1 ? epochs - 1 : 1, 5);
    double most = highest(c, covid) * 1.05;
    struct axes a = {p, LEFT + place % COLUMNS * PITCH, TOP + place / COLUMNS * ROW, WIDE, HIGH, 0.5, epochs + 0.5, 0, most > 0 ? most : 1};
    snprintf(title, sizeof title, "%.60s, %.40s", backbone_title(c->backbone), method_title(c->method));
    axes_draw(&a, step > 1 ? step : 1, 0, axes_step(a.y1, 4), a.y1 < 0.5 ? 2 : 1, title, "epoch", NULL);
    for (int r = 0; r < c->listed_count; r++) draw_run(&a, c->listed[r], covid);
}

static void draw_key(struct plot *p)
{
    plot_line(p, LEFT, 20, LEFT + 26, 20, train_pen);
    plot_text(p, LEFT + 31, 24, "training", 12, PLOT_START, PLOT_BLACK, false, false);
    plot_line(p, LEFT + 106, 20, LEFT + 132, 20, validation_pen);
    plot_text(p, LEFT + 137, 24, "validation", 12, PLOT_START, PLOT_BLACK, false, false);
    plot_marks(p, (double[]){LEFT + 230, 20}, 1, PLOT_RING, 8, PLOT_BLACK, 1);
    plot_text(p, LEFT + 240, 24, "epoch whose weights are tested", 12, PLOT_START, PLOT_BLACK, false, false);
}

static void add_figure(struct report *r, const char *label, bool covid)
{
    int count = 0, place = 0;
    for (int i = 0; i < r->study.cells; i++) count += !strcmp(r->study.cell[i].dataset, label) && epochs_of(&r->study.cell[i]) > 0;
    if (!count) return;
    char *heading = mem_format("Training, %s: %s", label, covid ? "COVID cross-entropy by epoch" : "loss by epoch");
    struct plot *p = plot_open(LEFT + (count < COLUMNS ? count < 2 ? 2 : count : COLUMNS) * PITCH - 10,
                               TOP + (count + COLUMNS - 1) / COLUMNS * ROW - 14, heading);
    draw_key(p);
    for (int i = 0; i < r->study.cells; i++)
        if (!strcmp(r->study.cell[i].dataset, label) && epochs_of(&r->study.cell[i]) > 0) draw_cell(p, &r->study.cell[i], place++, covid);
    report_add_picture(r, covid ? "training-covid" : "training", label, heading,
                       covid ? "The diagnosis alone, unweighted: comparable between methods, and what chooses the epoch that is tested."
                             : "The loss that is minimised: LA-DNN's has the lesion terms, so its values do not compare with the baseline's.", p);
    mem_free(heading);
}

void figure_training_add(struct report *r)
{
    for (int d = 0; d < r->study.dataset_count; d++) {
        add_figure(r, r->study.datasets[d], false);
        add_figure(r, r->study.datasets[d], true);
    }
}
