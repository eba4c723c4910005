/* figure_lesions.c - Figure 6: the five lesion outputs of an LA-DNN against each other, by COVID label. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/report/report.h"

enum { SIDE = 140, PITCH = 164, LEFT = 60, TOP = 58, BINS = 20 };
static const int colours[] = {PLOT_BLUE, PLOT_VERMILLION}; /* negative, COVID */

static double output(const struct predictions *p, int64_t i, int lesion) { return p->probability[i * LOGIT_COUNT + 1 + lesion]; }

static void draw_scatter(const struct axes *a, const struct predictions *p, int x, int y)
{
    for (int covid = 0; covid < 2; covid++) {
        double *xy = NEW_ARRAY(double, 2 * p->n);
        int points = 0;
        for (int64_t i = 0; i < p->n; i++)
            if (p->label[i * LOGIT_COUNT] == covid) xy[2 * points] = axes_x(a, output(p, i, x)), xy[2 * points++ + 1] = axes_y(a, output(p, i, y));
        plot_marks(a->plot, xy, points, covid ? PLOT_DOT : PLOT_CROSS, covid ? 3.2 : 4, colours[covid], 0.65);
        mem_free(xy);
    }
}

/* Share of each class's images per bin, as steps. */
static void draw_distribution(const struct axes *a, const struct predictions *p, int lesion)
{
    double share[2][BINS] = {{0}}, total[2] = {0}, most = 0;
    for (int64_t i = 0; i < p->n; i++) {
        int bin = (int)(output(p, i, lesion) * BINS), covid = p->label[i * LOGIT_COUNT];
        share[covid][bin < BINS ? bin : BINS - 1]++;
        total[covid]++;
    }
    for (int c = 0; c < 2; c++)
        for (int b = 0; b < BINS; b++) share[c][b] = total[c] ? share[c][b] / total[c] : 0, most = fmax(most, share[c][b]);
    for (int c = 0; c < 2; c++) {
        double xy[4 * BINS + 4];
        int points = 0;
        xy[0] = axes_x(a, 0), xy[1] = axes_y(a, 0), points = 1;
        for (int b = 0; b < BINS; b++)
            for (int end = 0; end < 2; end++)
                xy[2 * points] = axes_x(a, (b + end) / (double)BINS), xy[2 * points++ + 1] = axes_y(a, share[c][b] / most * 0.94);
        xy[2 * points] = axes_x(a, 1), xy[2 * points++ + 1] = axes_y(a, 0);
        plot_polygon(a->plot, xy, points, colours[c], 0.18);
        plot_polyline(a->plot, xy, points, (struct plot_pen){colours[c], 1.3, c ? 0 : 4, 1});
    }
}

static double correlation(const struct predictions *p, int x, int y, int covid)
{
    double n = 0, sx = 0, sy = 0, xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < p->n; i++)
        if (p->label[i * LOGIT_COUNT] == covid) n++, sx += output(p, i, x), sy += output(p, i, y);
    for (int64_t i = 0; i < p->n; i++) {
        if (p->label[i * LOGIT_COUNT] != covid) continue;
        double dx = output(p, i, x) - sx / n, dy = output(p, i, y) - sy / n;
        xx += dx * dx, yy += dy * dy, xy += dx * dy;
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

static void write_correlation(const struct axes *a, const struct predictions *p, int x, int y)
{
    static const char *const names[] = {"other", "COVID"};
    for (int covid = 1; covid >= 0; covid--) {
        char words[64];
        double r = correlation(p, x, y, covid);
        snprintf(words, sizeof words, isnan(r) ? "%s: r n/a" : "%s: r = %.2f", names[covid], r);
        plot_text(a->plot, a->left + SIDE / 2, a->top + SIDE / 2 + (covid ? -6 : 14), words, 12, PLOT_MIDDLE, colours[covid], covid, false);
    }
}

static void draw_pairs(struct plot *p, const struct predictions *of)
{
    plot_marks(p, (double[]){LEFT + 6, 22}, 1, PLOT_DOT, 6, colours[1], 1);
    plot_text(p, LEFT + 16, 26, "COVID (dots; whole line)", 12, PLOT_START, PLOT_BLACK, false, false);
    plot_marks(p, (double[]){LEFT + 216, 22}, 1, PLOT_CROSS, 7, colours[0], 1);
    plot_text(p, LEFT + 226, 26, "other (crosses; dashed line)", 12, PLOT_START, PLOT_BLACK, false, false);
    for (int y = 0; y < LESION_COUNT; y++)
        for (int x = 0; x < LESION_COUNT; x++) {
            struct axes a = {p, LEFT + x * PITCH, TOP + y * PITCH, SIDE, SIDE, 0, 1, 0, 1};
            bool bottom = y == LESION_COUNT - 1, first = x == 0;
            axes_draw(&a, 0.5, bottom ? 1 : -1, 0.5, first && y ? 1 : -1, y == 0 ? lesion_names[x] : NULL, bottom ? lesion_names[x] : NULL,
                      first ? lesion_names[y] : NULL);
            if (x == y) draw_distribution(&a, of, x);
            else if (x < y) draw_scatter(&a, of, x, y);
            else write_correlation(&a, of, x, y);
        }
}

/* The paper's is DenseNet-169; else the first LA-DNN with figures and lesion outputs. */
static const struct study_cell *choose(const struct study *g, const char *dataset)
{
    const struct study_cell *best = study_find(g, dataset, "densenet169", "ladnn");
    for (int i = 0; i < g->cells && !cell_usable(best); i++)
        if (!strcmp(g->cell[i].dataset, dataset) && !strcmp(g->cell[i].method, "ladnn")) best = &g->cell[i];
    return cell_usable(best) && !isnan(best->run[0]->predictions.probability[1]) ? best : NULL;
}

void figure6_add(struct report *r)
{
    for (int d = 0; d < r->study.dataset_count; d++) {
        const struct study_cell *c = choose(&r->study, r->study.datasets[d]);
        if (!c) continue;
        const struct run *run = c->run[0];
        char *heading = mem_format("Figure 6, %s: lesion outputs of %s LA-DNN", c->dataset, backbone_title(c->backbone));
        char *caption = mem_format("Each point is a test image (%lld of them) of one network (seed %lld). On the diagonal the share of images by "
                                   "output; above it Pearson's correlation in each class.", (long long)run->predictions.n, (long long)run->seed);
        struct plot *p = plot_open(LEFT + LESION_COUNT * PITCH, TOP + LESION_COUNT * PITCH + 30, heading);
        draw_pairs(p, &run->predictions);
        report_add_picture(r, "figure6", c->dataset, heading, caption, p);
        mem_free(heading), mem_free(caption);
    }
}
