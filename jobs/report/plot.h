/* plot.h - a drawing: a list of lines, areas, marks and words, written as SVG and painted as PNG.
 *
 * DESIGN: the list is kept, not a picture. As SVG it is written with words as words (small, can be searched and read aloud, and many
 * can stand in one page); as PNG it is painted by cairo, the one place that knows of it (plot_png.c). Without cairo in the build
 * everything but the PNG files is there, and plot_write_png says so.
 *
 * Coordinates are in CSS pixels, y downwards; colours 0xRRGGBB. The palette is Okabe & Ito's (2008), which people with any common
 * colour blindness tell apart; series also differ in dash or mark, so that grey prints can be read.
 */
#ifndef JOBS_REPORT_PLOT_H
#define JOBS_REPORT_PLOT_H
#include <stdbool.h>
#include "base/error.h"
#include "base/text.h"

enum plot_colour { PLOT_BLACK = 0x000000, PLOT_BLUE = 0x0072B2, PLOT_ORANGE = 0xE69F00, PLOT_GREEN = 0x009E73, PLOT_VERMILLION = 0xD55E00,
                   PLOT_PURPLE = 0xCC79A7, PLOT_SKY = 0x56B4E9, PLOT_YELLOW = 0xF0E442, PLOT_GREY = 0x767676, PLOT_PALE = 0xDDDDDD,
                   PLOT_WHITE = 0xFFFFFF };
struct plot_pen { /* width 0: no line; dash 0: whole */
    int colour;
    double width, dash, opacity; /* opacity 0 is taken as 1 */
};
enum plot_anchor { PLOT_START, PLOT_MIDDLE, PLOT_END };
enum plot_mark { PLOT_DOT, PLOT_CROSS, PLOT_RING, PLOT_DIAMOND };

struct plot;
struct plot *plot_open(double width, double height, const char *title); /* the title is for those who cannot see it */
void plot_close(struct plot *p);
double plot_width(const struct plot *p);
double plot_height(const struct plot *p);
void plot_line(struct plot *p, double x0, double y0, double x1, double y1, struct plot_pen pen);
/* xy (count, 2); NaN breaks the line. */
void plot_polyline(struct plot *p, const double *xy, int count, struct plot_pen pen);
/* A filled area without outline. */
void plot_polygon(struct plot *p, const double *xy, int count, int colour, double opacity);
void plot_rectangle(struct plot *p, double x, double y, double width, double height, int fill, double opacity, struct plot_pen outline);
/* Many marks of one kind and size at once: xy (count, 2). */
void plot_marks(struct plot *p, const double *xy, int count, enum plot_mark mark, double size, int colour, double opacity);
/* The words' baseline begins, is centred or ends at (x, y); turned: a quarter anticlockwise. */
void plot_text(struct plot *p, double x, double y, const char *words, double size, enum plot_anchor anchor, int colour, bool bold, bool turned);

/* The SVG element; `standalone` with its XML head. */
void plot_svg(const struct plot *p, struct text *out, bool standalone);
bool plot_png_available(void);
/* scale: PNG pixels per CSS pixel. */
int plot_write_png(const struct plot *p, const char *path, double scale, struct error *err);

/* ---- axes (axes.c) ---- */
struct axes { /* a frame in the drawing and what it shows */
    struct plot *plot;
    double left, top, width, height; /* of the frame */
    double x0, x1, y0, y1;           /* values at its edges */
};
double axes_x(const struct axes *a, double x);
double axes_y(const struct axes *a, double y);
/* Frame, ticks at multiples of the steps with a faint grid, numbers with so many decimals (-1: none), titles (NULL: none). */
void axes_draw(const struct axes *a, double x_step, int x_decimals, double y_step, int y_decimals, const char *title, const char *x_title,
               const char *y_title);
/* y[i] over x0 + i (x1 - x0) / (count - 1); the line leaves out NaN. */
void axes_curve(const struct axes *a, const double *y, int count, struct plot_pen pen);
void axes_band(const struct axes *a, const double *low, const double *high, int count, int colour, double opacity);
/* A step of 1, 2 or 5 times a power of ten that cuts the range in about `parts`. */
double axes_step(double range, int parts);
#endif
