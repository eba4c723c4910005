/* phantom_anatomy.c - a healthy slice: body wall, lungs, skeleton, vessels and airways. Patients differ in build and
 * lung density, slices of one patient in level only. */
#include <math.h>

#include "io/phantom/phantom_noise.h"
#include "io/phantom/phantom_scene.h"

static const float PI = 3.14159265f;

/* ---- strokes ---- */

struct scene_box scene_box_of(const struct scene *s, float x0, float y0, float x1, float y1, float radius)
{
    float left = fminf(x0, x1) - radius, right = fmaxf(x0, x1) + radius;
    float top = fminf(y0, y1) - radius, bottom = fmaxf(y0, y1) + radius;
    struct scene_box box = {(int)fmaxf(0, floorf(left * s->unit_x + s->centre_x)),
                            (int)fmaxf(0, floorf(top * s->unit_y + s->centre_y)),
                            (int)fminf((float)s->width, ceilf(right * s->unit_x + s->centre_x)),
                            (int)fminf((float)s->height, ceilf(bottom * s->unit_y + s->centre_y))};
    return box;
}

void scene_stroke(struct scene *s, const struct stroke *k)
{
    float pixel = 1 / s->unit_x, dx = k->x1 - k->x0, dy = k->y1 - k->y0;
    float norm = 1 / fmaxf(dx * dx + dy * dy, 1e-9f);
    struct scene_box box = scene_box_of(s, k->x0, k->y0, k->x1, k->y1, k->radius + pixel);
    for (int row = box.top; row < box.bottom; row++) {
        float y = scene_y(s, row) - k->y0;
        for (int column = box.left; column < box.right; column++) {
            int i = row * s->width + column;
            if ((k->where != EVERYWHERE && s->depth[i] <= 0) || (k->where == IN_DENSE_LUNG && s->density[i] < -520)) {
                continue;
            }
            float x = scene_x(s, column) - k->x0;
            float t = fminf(1, fmaxf(0, (x * dx + y * dy) * norm));
            float ex = x - t * dx, ey = y - t * dy;
            float cover = 0.5f + (k->radius - sqrtf(ex * ex + ey * ey)) / pixel;
            if (cover > 0) {
                s->density[i] += (k->target - s->density[i]) * k->strength * fminf(1, cover);
            }
        }
    }
}

static void draw_disc(struct scene *s, float x, float y, float radius, float target)
{
    struct stroke k = {x, y, x, y, radius, target, 1, EVERYWHERE};
    scene_stroke(s, &k);
}

void tree_draw(struct scene *s, struct random *r, const struct tree *t)
{
    float bend = t->angle + (float)random_range(r, -0.25, 0.25), half = t->length / 2;
    float mx = t->x + half * cosf(t->angle), my = t->y + half * sinf(t->angle);
    float ex = mx + half * cosf(bend), ey = my + half * sinf(bend);
    struct stroke first = {t->x, t->y, mx, my, t->radius, t->target, t->strength, t->where};
    struct stroke second = {mx, my, ex, ey, t->radius * 0.88f, t->target, t->strength, t->where};
    scene_stroke(s, &first);
    scene_stroke(s, &second);
    for (int side = -1; side <= 1 && t->levels > 0; side += 2) {
        struct tree child = *t;
        int ends = random_uniform(r) < t->ends;
        child.x = ex;
        child.y = ey;
        child.angle = bend + (float)side * t->spread * (float)random_range(r, 0.4, 1.1);
        child.length = t->length * (float)random_range(r, 0.62, 0.92);
        child.radius = t->radius * (float)random_range(r, 0.55, 0.8);
        child.levels--;
        if (!ends) {
            tree_draw(s, r, &child);
        }
    }
}

/* ---- the patient ---- */

static void set_heart(struct anatomy *a, struct random *p)
{
    float grown = noise_step(0.3f, 0.75f, a->level), size = (float)random_range(p, 0.85, 1.15);
    a->heart_x = 0.06f + 0.07f * grown;
    a->heart_y = -0.12f + 0.04f * grown;
    a->heart_a = size * (0.13f + 0.19f * grown);
    a->heart_b = size * (0.17f + 0.12f * grown);
    a->mediastinum = (float)random_range(p, 0.08, 0.13);
}

static void set_anatomy(struct scene *s)
{
    struct random *p = &s->patient;
    struct anatomy *a = &s->body;
    a->key = random_u32(p);
    a->body_height = (float)random_range(p, 0.62, 0.72);
    a->fat = (float)random_range(p, 0.03, 0.11);
    a->lung_density = (float)random_range(p, -890, -760);
    a->gravity = (float)random_range(p, 10, 90);
    a->level = (float)fmin(0.97, fmax(0.12, random_range(p, 0.15, 0.9) + random_range(&s->slice, -0.15, 0.15)));
    float wide = (float)random_range(p, 0.93, 1.06), grown = 0.74f + 0.26f * noise_step(0, 0.5f, a->level);
    float wall = 0.095f + a->fat * 0.75f;
    for (int side = 0; side < 2; side++) {
        struct lung *l = &a->lungs[side];
        l->a = wide * grown * (0.5f - wall * 0.75f) * (side ? 0.97f : 1.03f);
        l->b = grown * (a->body_height - wall) * (float)random_range(p, 0.94, 1.02);
        l->x = (side ? 1.0f : -1.0f) * (1 - wall - l->a - 0.1f * (1 - grown));
        l->y = (float)random_range(p, -0.02, 0.04);
    }
    set_heart(a, p);
    a->liver = noise_step(0.68f, 1, a->level) * (float)random_range(p, 0.2, 0.36);
}

/* ---- the slice, per pixel ---- */

/* A rounded box: between an ellipse and its fourth-power cousin. 1 on the outline. */
static float outline(float u, float v)
{
    float uu = u * u, vv = v * v;
    return 0.5f * sqrtf(uu + vv) + 0.5f * sqrtf(sqrtf(uu * uu + vv * vv));
}

/* Distance to the chest wall inside the nearer lung's ellipse, negative outside. */
static float pleura_at(const struct anatomy *a, float x, float y)
{
    const struct lung *l = &a->lungs[x > 0];
    return (1 - outline((x - l->x) / l->a, (y - l->y) / l->b)) * fminf(l->a, l->b);
}

/* Distance to what lies between and below the lungs. */
static float centre_at(const struct anatomy *a, float x, float y)
{
    float narrow = 0.35f + 0.65f * noise_step(-0.5f, -0.1f, y);
    float root = 0.05f * expf(-30 * (y - 0.02f) * (y - 0.02f)); /* vessels and bronchi enter there */
    float d = fabsf(x) - a->mediastinum * narrow - root;
    d = fminf(d, (outline((x - a->heart_x) / a->heart_a, (y - a->heart_y) / a->heart_b) - 1) * a->heart_a);
    d = fminf(d, hypotf(x, (y - a->body_height + 0.24f) * 0.8f) - 0.135f);
    if (a->liver > 0) {
        d = fminf(d, hypotf((x - a->lungs[0].x - 0.06f) * 0.85f, y + 0.06f) - a->liver);
    }
    return d;
}

static float tissue_at(const struct anatomy *a, float x, float y, float edge)
{
    float r = outline(x, y / a->body_height);
    if (r > 1) {
        return -1000;
    }
    float grain = noise_value(a->key + 40, x * 6, y * 6), inner = 1 - a->fat * (1 + 0.3f * grain);
    float muscle = 45 + 25 * grain, fat = -105 + 15 * grain;
    float v = muscle + (fat - muscle) * noise_step(inner - 0.01f, inner + 0.01f, r);
    return v + (-1000 - v) * noise_step(1 - edge, 1, r);
}

static void draw_pixel(struct scene *s, int row, int column)
{
    const struct anatomy *a = &s->body;
    int i = row * s->width + column;
    float x = scene_x(s, column), y = scene_y(s, row);
    float bent_x = x + 0.013f * noise_value(a->key, x * 4, y * 4);
    float bent_y = y + 0.013f * noise_value(a->key + 9, x * 4, y * 4);
    float edge = fmaxf(0.012f, 1 / s->unit_x);
    float pleura = pleura_at(a, bent_x, bent_y);
    s->pleura[i] = pleura;
    s->depth[i] = pleura > 0 ? fminf(pleura, centre_at(a, bent_x, bent_y)) : pleura;
    float share = noise_step(0, edge, s->depth[i]), tissue = 0, lung = 0; /* each is a third of the time: only if seen */
    if (share < 1) {
        tissue = tissue_at(a, bent_x, bent_y, edge);
    }
    if (share > 0) {
        lung = a->lung_density + a->gravity * y + 28 * noise_fractal(a->key + 20, x * 9, y * 9, 3);
    }
    s->density[i] = tissue + (lung - tissue) * share;
}

/* ---- skeleton ---- */

static void draw_ribs(struct scene *s)
{
    const struct anatomy *a = &s->body;
    float f = 1 - a->fat - 0.055f, start = (float)random_range(&s->slice, 0, 0.6);
    for (float angle = start; angle < 2 * PI; angle += 0.62f) {
        float span = (float)random_range(&s->slice, 0.14, 0.34), radius = (float)random_range(&s->slice, 0.014, 0.022);
        if (fabsf(cosf(angle + span / 2)) < 0.28f) { /* sternum and spine are there */
            continue;
        }
        for (int i = 0; i < 5; i++) {
            float t0 = angle + span * (float)i / 5, t1 = t0 + span / 5;
            struct stroke k = {f * cosf(t0), f * a->body_height * sinf(t0) * 0.97f, f * cosf(t1),
                               f * a->body_height * sinf(t1) * 0.97f, radius, 480, 1, EVERYWHERE};
            scene_stroke(s, &k);
            k.radius *= 0.45f;
            k.target = 180;
            scene_stroke(s, &k);
        }
    }
}

static void draw_spine(struct scene *s)
{
    float y = s->body.body_height - 0.24f - s->body.fat * 0.3f;
    struct stroke process = {0, y + 0.14f, 0, y + 0.2f, 0.018f, 420, 1, EVERYWHERE};
    struct stroke left = {-0.05f, y + 0.1f, -0.17f, y + 0.11f, 0.024f, 400, 1, EVERYWHERE};
    struct stroke right = {0.05f, y + 0.1f, 0.17f, y + 0.11f, 0.024f, 400, 1, EVERYWHERE};
    scene_stroke(s, &process);
    scene_stroke(s, &left);
    scene_stroke(s, &right);
    draw_disc(s, 0, y, 0.1f, 430);
    draw_disc(s, 0, y, 0.085f, 210);
    draw_disc(s, 0, y + 0.115f, 0.055f, 420);
    draw_disc(s, 0, y + 0.115f, 0.038f, 25);
    struct stroke sternum = {-0.09f, -(1 - s->body.fat) * s->body.body_height + 0.07f, 0.09f,
                             -(1 - s->body.fat) * s->body.body_height + 0.07f, 0.024f, 330, 1, EVERYWHERE};
    scene_stroke(s, &sternum);
}

/* ---- vessels and airways ---- */

static void draw_vessels(struct scene *s, int side)
{
    const struct lung *l = &s->body.lungs[side];
    struct random *p = &s->patient;
    float direction = side ? 0 : PI, hilum_x = (side ? 1.0f : -1.0f) * (s->body.mediastinum + 0.09f);
    int branches = 5 + (int)random_below(p, 3);
    for (int i = 0; i < branches; i++) {
        float fan = ((float)i + 0.5f) / (float)branches * 2 - 1;
        struct tree t = {.x = hilum_x, .y = 0.02f + 0.1f * fan, .angle = direction + (side ? 1.0f : -1.0f) * 1.25f * fan,
                         .length = l->a * (float)random_range(p, 0.3, 0.5), .radius = (float)random_range(p, 0.009, 0.019),
                         .target = 30, .strength = 0.85f, .spread = 0.6f, .ends = 0.33f, .levels = 5, .where = IN_LUNG};
        tree_draw(s, p, &t);
    }
    for (int i = 0; i < 45; i++) { /* vessels cut across: dots, finer towards the chest wall */
        float angle = (float)random_range(&s->slice, 0, 2 * PI), far = sqrtf((float)random_uniform(&s->slice)) * 0.94f;
        float x = l->x + far * l->a * cosf(angle), y = l->y + far * l->b * sinf(angle);
        float radius = (1.1f - far) * (float)random_range(&s->slice, 0.004, 0.018) + 0.003f;
        struct stroke dot = {x, y, x, y, radius, 20, 0.8f, IN_LUNG};
        scene_stroke(s, &dot);
    }
}

/* Trachea above, two main bronchi at its fork, below that bronchi inside the lungs: dark with a bright wall. */
static void draw_airways(struct scene *s)
{
    float y = (float)random_range(&s->patient, -0.05, 0.03), size = (float)random_range(&s->patient, 0.85, 1.15);
    if (s->body.level < 0.38f) {
        draw_disc(s, 0.01f, y, 0.06f * size, -990);
        return;
    }
    for (int side = 0; side < 2; side++) {
        float sign = side ? 1.0f : -1.0f;
        if (s->body.level < 0.58f) {
            struct stroke k = {sign * 0.05f, y, sign * 0.13f, y + 0.04f, 0.034f * size, -990, 1, EVERYWHERE};
            scene_stroke(s, &k);
        }
        struct random again = s->patient;
        struct tree t = {.x = sign * (s->body.mediastinum + 0.08f), .y = y + 0.05f, .angle = side ? 0.5f : PI - 0.5f,
                         .length = 0.09f, .radius = 0.021f, .target = 0, .strength = 0.75f, .spread = 0.6f, .levels = 1,
                         .where = IN_LUNG};
        tree_draw(s, &s->patient, &t);
        t.radius *= 0.62f;
        t.target = -980;
        t.strength = 1;
        tree_draw(s, &again, &t);
    }
}

void anatomy_draw(struct scene *s)
{
    set_anatomy(s);
    for (int row = 0; row < s->height; row++) {
        for (int column = 0; column < s->width; column++) {
            draw_pixel(s, row, column);
        }
    }
    draw_ribs(s);
    draw_spine(s);
    draw_vessels(s, 0);
    draw_vessels(s, 1);
    draw_airways(s);
}
