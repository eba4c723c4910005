/* plot.c - the list, and its SVG. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/report/plot_private.h"

struct plot *plot_open(double width, double height, const char *title)
{
    struct plot *p = NEW(struct plot);
    p->width = width;
    p->height = height;
    p->title = mem_string(title);
    plot_rectangle(p, 0, 0, width, height, PLOT_WHITE, 1, (struct plot_pen){0});
    return p;
}

void plot_close(struct plot *p)
{
    if (!p) return;
    for (int i = 0; i < p->count; i++) {
        mem_free(p->shape[i].xy);
        mem_free(p->shape[i].words);
    }
    mem_free(p->shape);
    mem_free(p->title);
    mem_free(p);
}

double plot_width(const struct plot *p) { return p->width; }
double plot_height(const struct plot *p) { return p->height; }

static struct shape *add_shape(struct plot *p, enum shape_kind kind, const double *xy, int points)
{
    if (p->count == p->room) {
        int room = p->room ? 2 * p->room : 64;
        p->shape = mem_grow(p->shape, (size_t)p->count * sizeof *p->shape, (size_t)room * sizeof *p->shape);
        p->room = room;
    }
    struct shape *s = &p->shape[p->count++];
    *s = (struct shape){.kind = kind, .points = points, .xy = mem_alloc((size_t)points * 2 * sizeof(double)), .opacity = 1};
    memcpy(s->xy, xy, (size_t)points * 2 * sizeof(double));
    return s;
}

void plot_polyline(struct plot *p, const double *xy, int count, struct plot_pen pen)
{
    struct shape *s = add_shape(p, SHAPE_LINE, xy, count);
    s->pen = pen;
    if (pen.opacity > 0) s->opacity = pen.opacity;
}

void plot_line(struct plot *p, double x0, double y0, double x1, double y1, struct plot_pen pen)
{
    plot_polyline(p, (double[]){x0, y0, x1, y1}, 2, pen);
}

void plot_polygon(struct plot *p, const double *xy, int count, int colour, double opacity)
{
    struct shape *s = add_shape(p, SHAPE_AREA, xy, count);
    s->fill = colour;
    s->opacity = opacity;
}

void plot_rectangle(struct plot *p, double x, double y, double width, double height, int fill, double opacity, struct plot_pen outline)
{
    if (opacity > 0) plot_polygon(p, (double[]){x, y, x + width, y, x + width, y + height, x, y + height}, 4, fill, opacity);
    if (outline.width > 0) plot_polyline(p, (double[]){x, y, x + width, y, x + width, y + height, x, y + height, x, y}, 5, outline);
}

void plot_marks(struct plot *p, const double *xy, int count, enum plot_mark mark, double size, int colour, double opacity)
{
    struct shape *s = add_shape(p, SHAPE_MARKS, xy, count);
    s->mark = mark;
    s->size = size;
    s->fill = colour;
    s->opacity = opacity;
}

void plot_text(struct plot *p, double x, double y, const char *words, double size, enum plot_anchor anchor, int colour, bool bold, bool turned)
{
    struct shape *s = add_shape(p, SHAPE_WORDS, (double[]){x, y}, 1);
    s->words = mem_string(words);
    s->size = size;
    s->anchor = anchor;
    s->fill = colour;
    s->bold = bold;
    s->turned = turned;
}

/* ---- marks as strokes, for both writers ---- */

/* Strokes of a mark around (0, 0), in units of its size: pairs of points, a NaN pair between strokes. A dot is a point with a round pen. */
const double *mark_strokes(enum plot_mark mark, int *points)
{
    static const double dot[] = {0, 0, 0, 0}, cross[] = {-0.5, -0.5, 0.5, 0.5, NAN, NAN, -0.5, 0.5, 0.5, -0.5};
    static const double diamond[] = {0, -0.7, 0.7, 0, 0, 0.7, -0.7, 0, 0, -0.7};
    static const double ring[] = {0.5, 0, 0.35, 0.35, 0, 0.5, -0.35, 0.35, -0.5, 0, -0.35, -0.35, 0, -0.5, 0.35, -0.35, 0.5, 0};
    static const struct { const double *xy; int points; } all[] = {[PLOT_DOT] = {dot, 2}, [PLOT_CROSS] = {cross, 5}, [PLOT_RING] = {ring, 9},
                                                                   [PLOT_DIAMOND] = {diamond, 5}};
    *points = all[mark].points;
    return all[mark].xy;
}

double mark_pen(const struct shape *s) { return s->mark == PLOT_DOT ? s->size : s->size / 4; }

/* ---- SVG ---- */

/* A coordinate with at most two decimals, without trailing zeros. */
static void add_coordinate(struct text *t, double v)
{
    char digits[40];
    snprintf(digits, sizeof digits, "%.2f", v);
    size_t n = strlen(digits);
    while (n && digits[n - 1] == '0') n--;
    if (n && digits[n - 1] == '.') n--;
    text_add(t, "%.*s", (int)n, !strncmp(digits, "-0", n) ? "0" : digits);
}

/* Path data; NaN lifts the pen. */
static void add_path(struct text *t, const double *xy, int points, double dx, double dy, double factor)
{
    bool down = false;
    for (int i = 0; i < points; i++) {
        if (isnan(xy[2 * i]) || isnan(xy[2 * i + 1])) {
            down = false;
            continue;
        }
        text_add(t, down ? " " : "M");
        add_coordinate(t, dx + factor * xy[2 * i]);
        text_add(t, " ");
        add_coordinate(t, dy + factor * xy[2 * i + 1]);
        down = true;
    }
}

static void add_opacity(struct text *t, double opacity)
{
    if (opacity < 1) text_add(t, " opacity=\"%.3g\"", opacity);
}

static void svg_line(struct text *t, const struct shape *s)
{
    text_add(t, "<path d=\"");
    add_path(t, s->xy, s->points, 0, 0, 1);
    text_add(t, "\" fill=\"none\" stroke=\"#%06x\" stroke-width=\"%.3g\"", (unsigned)s->pen.colour, s->pen.width);
    if (s->pen.dash > 0) text_add(t, " stroke-dasharray=\"%.3g %.3g\"", s->pen.dash, s->pen.dash * 0.6);
    add_opacity(t, s->opacity);
    text_add(t, "/>\n");
}

static void svg_area(struct text *t, const struct shape *s)
{
    text_add(t, "<path d=\"");
    add_path(t, s->xy, s->points, 0, 0, 1);
    text_add(t, "Z\" fill=\"#%06x\"", (unsigned)s->fill);
    add_opacity(t, s->opacity);
    text_add(t, "/>\n");
}

static void svg_marks(struct text *t, const struct shape *s)
{
    int strokes;
    const double *shape = mark_strokes(s->mark, &strokes);
    text_add(t, "<path d=\"");
    for (int i = 0; i < s->points; i++) {
        if (s->mark == PLOT_DOT) add_path(t, s->xy + 2 * i, 1, 0, 0, 1), text_add(t, "h0");
        else add_path(t, shape, strokes, s->xy[2 * i], s->xy[2 * i + 1], s->size);
    }
    text_add(t, "\" fill=\"none\" stroke=\"#%06x\" stroke-width=\"%.3g\"%s", (unsigned)s->fill, mark_pen(s),
             s->mark == PLOT_DOT ? " stroke-linecap=\"round\"" : "");
    add_opacity(t, s->opacity);
    text_add(t, "/>\n");
}

void xml_add(struct text *t, const char *words)
{
    for (const char *p = words; *p;) {
        int n = utf8_length(p, 4);
        const char *name = *p == '&' ? "&amp;" : *p == '<' ? "&lt;" : *p == '>' ? "&gt;" : *p == '"' ? "&quot;" : NULL;
        bool control = (unsigned char)*p < 0x20 && *p != '\n' && *p != '\t';
        if (name) text_add(t, "%s", name);
        else if (!n || control) text_add(t, "\xEF\xBF\xBD");
        else text_add_bytes(t, p, (size_t)n);
        p += n ? n : 1;
    }
}

static void svg_words(struct text *t, const struct shape *s)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    text_add(t, "<text x=\"");
    add_coordinate(t, s->xy[0]);
    text_add(t, "\" y=\"");
    add_coordinate(t, s->xy[1]);
    text_add(t, "\" font-size=\"%.3g\"", s->size);
    if (s->anchor != PLOT_START) text_add(t, " text-anchor=\"%s\"", anchors[s->anchor]);
    if (s->bold) text_add(t, " font-weight=\"bold\"");
    if (s->fill) text_add(t, " fill=\"#%06x\"", (unsigned)s->fill);
    if (s->turned) text_add(t, " transform=\"rotate(-90 %.2f %.2f)\"", s->xy[0], s->xy[1]);
    text_add(t, ">");
    xml_add(t, s->words);
    text_add(t, "</text>\n");
}

void plot_svg(const struct plot *p, struct text *out, bool standalone)
{
    static void (*const writers[])(struct text *, const struct shape *) = {svg_line, svg_area, svg_marks, svg_words};
    if (standalone) text_add(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text_add(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.6g %.6g\" width=\"%.6g\" height=\"%.6g\" role=\"img\" "
                  "font-family=\"DejaVu Sans, Verdana, Helvetica, Arial, sans-serif\" stroke-linejoin=\"round\">\n<title>",
             p->width, p->height, p->width, p->height);
    xml_add(out, p->title);
    text_add(out, "</title>\n");
    for (int i = 0; i < p->count; i++) writers[p->shape[i].kind](out, &p->shape[i]);
    text_add(out, "</svg>\n");
}
