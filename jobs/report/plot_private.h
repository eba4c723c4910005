/* plot_private.h - the list behind plot.h, for its two writers. */
#ifndef JOBS_REPORT_PLOT_PRIVATE_H
#define JOBS_REPORT_PLOT_PRIVATE_H
#include "jobs/report/plot.h"

enum shape_kind { SHAPE_LINE, SHAPE_AREA, SHAPE_MARKS, SHAPE_WORDS };
struct shape {
    enum shape_kind kind;
    double *xy;
    int points;
    struct plot_pen pen;     /* of a line */
    int fill;                /* colour of the others */
    double opacity, size;
    enum plot_mark mark;
    enum plot_anchor anchor;
    char *words;
    bool bold, turned;
};
struct plot {
    double width, height;
    char *title;
    struct shape *shape;
    int count, room;
};
const double *mark_strokes(enum plot_mark mark, int *points);
double mark_pen(const struct shape *s); /* width of its stroke */
void xml_add(struct text *t, const char *words); /* escaped, for XML and HTML */
#endif
