/* phantom_scene.h - private to io/phantom_*.c: one slice while it is drawn.
 *
 * Densities are in Hounsfield-like units (air -1000, water 0). Places are in body units: the body's half width is 1, x to
 * the right of the picture, y down, so the table and the spine are at positive y. A slice is made in this order: body and
 * lungs per pixel (phantom_anatomy.c), ribs, vessels and airways as strokes, disease (phantom_disease.c), then the scanner and the
 * printed page (phantom_draw.c). */
#ifndef IO_PHANTOM_PHANTOM_SCENE_H
#define IO_PHANTOM_PHANTOM_SCENE_H
#include <stdint.h>
#include "base/random.h"
#include "io/phantom/phantom.h"

struct lung { /* ellipse of one side, before mediastinum, heart and spine are taken away */
    float x, y, a, b;
};
struct anatomy { /* of a patient, at the level of the slice */
    float body_height, fat, level; /* level: 0 near the top of the lungs, 1 at their base */
    struct lung lungs[2];          /* 0: left in the picture */
    float heart_x, heart_y, heart_a, heart_b, mediastinum;
    float liver;                   /* size of the liver's dome in lung 0, 0 = not in this slice */
    float lung_density, gravity;   /* parenchyma, and how much denser it is at the back */
    uint32_t key;                  /* texture of this patient */
};
struct scene {
    const struct phantom_case *what;
    int height, width;
    float unit_x, unit_y, centre_x, centre_y; /* pixels per body unit, pixel of the origin */
    float *density; /* (H, W) */
    float *depth;   /* (H, W): distance to the lung's border, > 0 inside a lung, body units */
    float *pleura;  /* (H, W): the same to the chest wall alone */
    struct anatomy body;
    struct random patient, slice; /* parameters of the patient; of this slice */
};

static inline float scene_x(const struct scene *s, int column)
{
    return ((float)column + 0.5f - s->centre_x) / s->unit_x;
}
static inline float scene_y(const struct scene *s, int row)
{
    return ((float)row + 0.5f - s->centre_y) / s->unit_y;
}
struct scene_box { /* pixels left <= x < right, top <= y < bottom */
    int left, top, right, bottom;
};
/* The pixels within `radius` of the box around two points, cut to the picture. */
struct scene_box scene_box_of(const struct scene *s, float x0, float y0, float x1, float y1, float radius);

/* A round stroke from (x0, y0) to (x1, y1) of that radius; density moves towards `target` by at most `strength`. `where` limits
 * it to lung, or to lung that disease has made dense. */
enum { EVERYWHERE, IN_LUNG, IN_DENSE_LUNG };
struct stroke {
    float x0, y0, x1, y1, radius, target, strength;
    int where;
};
void scene_stroke(struct scene *s, const struct stroke *stroke);

/* Draws body, lungs, skeleton, vessels and airways. */
void anatomy_draw(struct scene *s);
/* A branching tree of strokes, used for vessels and for air in dense lung. */
struct tree {
    float x, y, angle, length, radius, target, strength, spread;
    float ends; /* chance that a branch leaves the plane of the slice */
    int levels, where;
};
void tree_draw(struct scene *s, struct random *r, const struct tree *tree);

/* Draws what the case's labels (or the kind of negative) say. */
void disease_draw(struct scene *s);
#endif
