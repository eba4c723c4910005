/* plot_png.c - the list of a drawing painted by cairo. The only file that knows cairo, an optional part of the build. */
#include "base/memory.h"
#include "jobs/report/plot_private.h"

#ifndef LADNN_HAVE_CAIRO

bool plot_png_available(void) { return false; }

int plot_write_png(const struct plot *p, const char *path, double scale, struct error *err)
{
    (void)p, (void)scale;
    error_set(err, "%s: this build has no cairo, which paints PNG files", path);
    return error_hint(err, "--png false leaves them out (SVG is always there); or build with libcairo2-dev");
}

#else

#include <cairo.h>
#include <math.h>
#include <string.h>

#include "base/file.h"

bool plot_png_available(void) { return true; }

static void set_colour(cairo_t *c, int colour, double opacity)
{
    cairo_set_source_rgba(c, (colour >> 16 & 255) / 255.0, (colour >> 8 & 255) / 255.0, (colour & 255) / 255.0, opacity);
}

static void trace(cairo_t *c, const double *xy, int points, double dx, double dy, double factor)
{
    bool down = false;
    for (int i = 0; i < points; i++) {
        double x = dx + factor * xy[2 * i], y = dy + factor * xy[2 * i + 1];
        if (isnan(x) || isnan(y)) {
            down = false;
            continue;
        }
        if (down) cairo_line_to(c, x, y);
        else cairo_move_to(c, x, y);
        down = true;
    }
}

static void paint_line(cairo_t *c, const struct shape *s)
{
    double dash[] = {s->pen.dash, s->pen.dash * 0.6};
    trace(c, s->xy, s->points, 0, 0, 1);
    cairo_set_dash(c, dash, s->pen.dash > 0 ? 2 : 0, 0);
    cairo_set_line_width(c, s->pen.width);
    set_colour(c, s->pen.colour, s->opacity);
    cairo_stroke(c);
}

static void paint_area(cairo_t *c, const struct shape *s)
{
    trace(c, s->xy, s->points, 0, 0, 1);
    cairo_close_path(c);
    set_colour(c, s->fill, s->opacity);
    cairo_fill(c);
}

static void paint_marks(cairo_t *c, const struct shape *s)
{
    int strokes;
    const double *shape = mark_strokes(s->mark, &strokes);
    for (int i = 0; i < s->points; i++) trace(c, shape, strokes, s->xy[2 * i], s->xy[2 * i + 1], s->size);
    cairo_set_dash(c, NULL, 0, 0);
    cairo_set_line_cap(c, s->mark == PLOT_DOT ? CAIRO_LINE_CAP_ROUND : CAIRO_LINE_CAP_BUTT);
    cairo_set_line_width(c, mark_pen(s));
    set_colour(c, s->fill, s->opacity);
    cairo_stroke(c);
    cairo_set_line_cap(c, CAIRO_LINE_CAP_BUTT);
}

static void paint_words(cairo_t *c, const struct shape *s)
{
    cairo_text_extents_t e;
    cairo_save(c);
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, s->bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c, s->size);
    cairo_text_extents(c, s->words, &e);
    cairo_translate(c, s->xy[0], s->xy[1]);
    if (s->turned) cairo_rotate(c, -acos(0));
    cairo_move_to(c, s->anchor == PLOT_START ? 0 : s->anchor == PLOT_MIDDLE ? -e.x_advance / 2 : -e.x_advance, 0);
    set_colour(c, s->fill, s->opacity);
    cairo_show_text(c, s->words);
    cairo_restore(c);
}

static cairo_status_t collect(void *out, const unsigned char *data, unsigned length)
{
    text_add_bytes(out, (const char *)data, length);
    return CAIRO_STATUS_SUCCESS;
}

int plot_write_png(const struct plot *p, const char *path, double scale, struct error *err)
{
    static void (*const painters[])(cairo_t *, const struct shape *) = {paint_line, paint_area, paint_marks, paint_words};
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(p->width * scale), (int)ceil(p->height * scale));
    cairo_t *c = cairo_create(surface);
    struct text png = {0};
    cairo_scale(c, scale, scale);
    cairo_set_line_join(c, CAIRO_LINE_JOIN_ROUND);
    for (int i = 0; i < p->count; i++) painters[p->shape[i].kind](c, &p->shape[i]);
    cairo_status_t status = cairo_status(c);
    if (!status) status = cairo_surface_write_to_png_stream(surface, collect, &png);
    int rc = status ? error_set(err, "%s: cairo cannot paint it: %s", path, cairo_status_to_string(status))
                    : file_write_atomic(path, png.data, png.length, err);
    cairo_destroy(c);
    cairo_surface_destroy(surface);
    text_free(&png);
    return rc;
}

#endif
