/* figure_calibration.c - the reliability diagram: what networks said, against the share of images that are COVID, in ten bins of the said
 * probability; the images of all seeds together. On the diagonal a probability can be taken at its word. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/report/report.h"

enum { PANEL = 250, PITCH = 322, ROW = 384, LEFT = 58, TOP = 62, COLUMNS = 3 };

/* A mark's area grows with the images that it stands for. */
static double mark_size(int64_t n, int64_t most) { return 4 + 7 * sqrt((double)n / (double)most); }

static void draw_bins(const struct axes *a, const struct calibration *c, int method)
{
    double xy[2 * CALIBRATION_BINS];
    int points = 0;
    int64_t most = 1;
    for (int b = 0; b < CALIBRATION_BINS; b++) {
        if (c->bin[b].n > most) most = c->bin[b].n;
        if (!c->bin[b].n) continue;
        xy[2 * points] = axes_x(a, c->bin[b].probability);
        xy[2 * points++ + 1] = axes_y(a, c->bin[b].positive);
    }
    struct plot_pen pen = compared_pens[method];
    pen.width = 1, pen.opacity = 0.7; /* it only leads the eye: bins of few images jump */
    plot_polyline(a->plot, xy, points, pen);
    for (int b = 0, at = 0; b < CALIBRATION_BINS; b++)
        if (c->bin[b].n)
            plot_marks(a->plot, xy + 2 * at++, 1, method ? PLOT_DOT : PLOT_RING, mark_size(c->bin[b].n, most), compared_pens[method].colour, 1);
}

static void draw_counts(const struct axes *a, const struct calibration *c, const char *method, double y)
{
    char words[24];
    plot_text(a->plot, a->left - 6, y, method_title(method), 9, PLOT_END, PLOT_BLACK, false, false);
    for (int b = 0; b < CALIBRATION_BINS; b++) {
        int64_t n = c->bin[b].n;
        snprintf(words, sizeof words, n < 100000 ? "%lld" : "%lldk", (long long)(n < 100000 ? n : n / 1000));
        double x = axes_x(a, (b + 0.5) / CALIBRATION_BINS);
        plot_text(a->plot, x, y, words, n < 10000 ? 9 : 7, PLOT_MIDDLE, n ? PLOT_BLACK : PLOT_GREY, false, false);
    }
}

/* Above the frame: inside, points may be anywhere. */
static void draw_key(const struct axes *a, const struct study_cell *c, int method)
{
    double x = a->left, y = a->top - 21 + 14 * method;
    char words[120];
    plot_line(a->plot, x, y - 4, x + 24, y - 4, compared_pens[method]);
    plot_marks(a->plot, (double[]){x + 12, y - 4}, 1, method ? PLOT_DOT : PLOT_RING, 7, compared_pens[method].colour, 1);
    plot_text(a->plot, x + 29, y, method_title(c->method), 10.5, PLOT_START, PLOT_BLACK, true, false);
    snprintf(words, sizeof words, "error %.1f %%, Brier %.3f", 100 * c->quantity[QUANTITY_CALIBRATION].mean, c->quantity[QUANTITY_BRIER].mean);
    plot_text(a->plot, x + 92, y, words, 10.5, PLOT_START, PLOT_BLACK, false, false);
}

static void draw_backbone(struct plot *p, const struct study *g, const char *dataset, const char *backbone, int place)
{
    struct axes a = {p, LEFT + place % COLUMNS * PITCH, TOP + place / COLUMNS * ROW, PANEL, PANEL, 0, 1, 0, 1};
    plot_text(p, a.left, a.top - 38, backbone_title(backbone), 12, PLOT_START, PLOT_BLACK, true, false);
    axes_draw(&a, 0.2, 1, 0.2, 1, NULL, "said probability of COVID (below: images per bin)", "share that is COVID");
    plot_line(p, axes_x(&a, 0), axes_y(&a, 0), axes_x(&a, 1), axes_y(&a, 1), (struct plot_pen){PLOT_GREY, 0.75, 2, 1});
    for (int m = 0; m < 2; m++) {
        struct calibration pooled;
        const struct study_cell *c = study_find(g, dataset, backbone, compared_methods[m]);
        if (!cell_usable(c)) continue;
        cell_calibration(&pooled, c);
        draw_bins(&a, &pooled, m);
        draw_counts(&a, &pooled, c->method, a.top + PANEL + 45 + 12 * m);
        draw_key(&a, c, m);
    }
}

void figure_calibration_add(struct report *r)
{
    const char *list[24];
    for (int d = 0; d < r->study.dataset_count; d++) {
        const char *label = r->study.datasets[d];
        int count = figure4_backbones(list, sizeof list / sizeof *list, &r->study, label), rows = (count + COLUMNS - 1) / COLUMNS;
        if (!count) continue;
        char *heading = mem_format("Calibration, %s: reliability of the probabilities", label);
        struct plot *p = plot_open(LEFT + (count < COLUMNS ? count : COLUMNS) * PITCH - 8, rows * ROW + 6, heading);
        for (int i = 0; i < count; i++) draw_backbone(p, &r->study, label, list[i], i);
        report_add_picture(r, "calibration", label, heading,
                           "Test images of all seeds together, in ten bins of the probability that was said; a mark at their mean, its area by "
                           "their number, which stands below. Bins without images have no mark. On the dotted line 80 % of the images said "
                           "to be COVID with 0.8 are. Dashed, rings: baseline; whole line, dots: LA-DNN. Error (expected calibration error) and "
                           "Brier score: means over the seeds.", p);
        mem_free(heading);
    }
}
