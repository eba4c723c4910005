/* axes.c - frames with ticks, and curves in them. */
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "jobs/report/plot.h"

enum { SMALL = 11, TITLE = 12 };
static const struct plot_pen frame_pen = {PLOT_BLACK, 1, 0, 1}, grid_pen = {PLOT_PALE, 0.75, 0, 1};

double axes_x(const struct axes *a, double x) { return a->left + (x - a->x0) / (a->x1 - a->x0) * a->width; }
double axes_y(const struct axes *a, double y) { return a->top + a->height - (y - a->y0) / (a->y1 - a->y0) * a->height; }

double axes_step(double range, int parts)
{
    double rough = range / parts, power = pow(10, floor(log10(rough))), lead = rough / power;
    return power * (lead > 5 ? 10 : lead > 2 ? 5 : lead > 1 ? 2 : 1);
}

static void tick(const struct axes *a, double x, double y, enum plot_anchor anchor, double value, int decimals)
{
    char words[40];
    if (decimals < 0) return;
    snprintf(words, sizeof words, "%.*f", decimals, fabs(value) < 1e-9 ? 0.0 : value);
    plot_text(a->plot, x, y, words, SMALL, anchor, PLOT_BLACK, false, false);
}

void axes_draw(const struct axes *a, double x_step, int x_decimals, double y_step, int y_decimals, const char *title, const char *x_title,
               const char *y_title)
{
    double bottom = a->top + a->height, right = a->left + a->width;
    for (double v = ceil(a->x0 / x_step - 1e-9) * x_step; v <= a->x1 + x_step * 1e-9; v += x_step) {
        plot_line(a->plot, axes_x(a, v), a->top, axes_x(a, v), bottom, grid_pen);
        tick(a, axes_x(a, v), bottom + SMALL + 3, PLOT_MIDDLE, v, x_decimals);
    }
    for (double v = ceil(a->y0 / y_step - 1e-9) * y_step; v <= a->y1 + y_step * 1e-9; v += y_step) {
        plot_line(a->plot, a->left, axes_y(a, v), right, axes_y(a, v), grid_pen);
        tick(a, a->left - 4, axes_y(a, v) + SMALL * 0.36, PLOT_END, v, y_decimals);
    }
    plot_rectangle(a->plot, a->left, a->top, a->width, a->height, PLOT_WHITE, 0, frame_pen);
    if (title) plot_text(a->plot, a->left, a->top - 6, title, TITLE, PLOT_START, PLOT_BLACK, true, false);
    if (x_title) plot_text(a->plot, a->left + a->width / 2, bottom + 2.4 * SMALL + 4, x_title, SMALL, PLOT_MIDDLE, PLOT_BLACK, false, false);
    if (y_title) plot_text(a->plot, a->left - 34, a->top + a->height / 2, y_title, SMALL, PLOT_MIDDLE, PLOT_BLACK, false, true);
}

static double place(const struct axes *a, int i, int count) { return a->left + a->width * i / (count - 1.0); }

void axes_curve(const struct axes *a, const double *y, int count, struct plot_pen pen)
{
    double *xy = NEW_ARRAY(double, 2 * count);
    for (int i = 0; i < count; i++) xy[2 * i] = place(a, i, count), xy[2 * i + 1] = axes_y(a, y[i]);
    plot_polyline(a->plot, xy, count, pen);
    mem_free(xy);
}

void axes_band(const struct axes *a, const double *low, const double *high, int count, int colour, double opacity)
{
    double *xy = NEW_ARRAY(double, 4 * count);
    int points = 0;
    for (int i = 0; i < count; i++)
        if (!isnan(high[i])) xy[2 * points] = place(a, i, count), xy[2 * points++ + 1] = axes_y(a, high[i]);
    for (int i = count - 1; i >= 0; i--)
        if (!isnan(low[i])) xy[2 * points] = place(a, i, count), xy[2 * points++ + 1] = axes_y(a, low[i]);
    if (points) plot_polygon(a->plot, xy, points, colour, opacity);
    mem_free(xy);
}
