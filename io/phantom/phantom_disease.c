/* phantom_disease.c - what a slice's labels look like, and what other diseases look like that share its brightness.
 *
 * COVID-19 pneumonia lies in several patches along the pleura, mostly at the back, mostly on both sides; the other
 * diseases lie centrally or on one side. Both add density, so that the mean alone tells little. Patches belong to the
 * patient and are drawn for each slice with small changes. */
#include <math.h>

#include "io/phantom/phantom_noise.h"
#include "io/phantom/phantom_scene.h"

static const float PI = 3.14159265f;

enum { GGO, CSLD, CRPA, AIRBR, INSEPTHI }; /* order of lesion_names */

struct patch { /* a ragged ellipse; `along` its long axis */
    float x, y, a, b, along, ragged;
    uint32_t key;
    int side;
};
struct look { /* how a patch changes density */
    float target, strength; /* haze: towards target; never darker */
    float sharp;            /* width of the edge, in radii */
    float mesh;             /* strength of the fine mesh of crazy paving */
};

/* 0 outside, 1 well inside. */
static float patch_mask(const struct patch *p, float sharp, float x, float y)
{
    float c = cosf(p->along), s = sinf(p->along), dx = x - p->x, dy = y - p->y;
    float u = (dx * c + dy * s) / p->a, v = (dy * c - dx * s) / p->b;
    float inside = 1 - sqrtf(u * u + v * v) + p->ragged * noise_fractal(p->key, x * 9, y * 9, 4);
    return noise_step(0, sharp, inside);
}

/* The mesh of thickened septa: bright lines between cells of size `cell`, at least a pixel wide. */
static float septa(const struct scene *s, uint32_t key, float x, float y, float cell)
{
    float width = fmaxf(0.008f, 0.8f / s->unit_x) / cell;
    float bent_x = x + 0.02f * noise_value(key + 5, x * 14, y * 14), bent_y = y + 0.02f * noise_value(key + 6, x * 14, y * 14);
    return 1 - noise_step(width, 2.6f * width, noise_mesh(key, bent_x / cell, bent_y / cell));
}

static void patch_draw(struct scene *s, const struct patch *p, const struct look *look)
{
    float reach = fmaxf(p->a, p->b) * (1 + p->ragged);
    struct scene_box box = scene_box_of(s, p->x, p->y, p->x, p->y, reach);
    float edge = fmaxf(0.01f, 1 / s->unit_x);
    for (int row = box.top; row < box.bottom; row++) {
        for (int column = box.left; column < box.right; column++) {
            int i = row * s->width + column;
            float x = scene_x(s, column), y = scene_y(s, row);
            if (s->depth[i] <= 0 || (x > 0) != p->side) {
                continue;
            }
            float mask = patch_mask(p, look->sharp, x, y) * noise_step(0, edge, s->depth[i]);
            if (mask <= 0) {
                continue;
            }
            float uneven = 0.85f + 0.3f * noise_fractal(p->key + 30, x * 13, y * 13, 2);
            float v = s->density[i] + (look->target - s->density[i]) * look->strength * uneven * mask;
            if (look->mesh > 0) {
                v += (60 - v) * look->mesh * mask * septa(s, p->key + 50, x, y, 0.062f);
            }
            s->density[i] = fmaxf(s->density[i], v);
        }
    }
}

/* ---- COVID-19 ---- */

/* A place along the pleura, from the side to the back; the long axis follows the chest wall. */
static struct patch patch_at_pleura(struct scene *s, int side)
{
    struct random *r = &s->patient;
    const struct lung *l = &s->body.lungs[side];
    float angle = (float)random_range(r, 0.12, 1.1) * PI * 0.5f * (random_uniform(r) < 0.8 ? 1 : -0.6f);
    float far = (float)random_range(r, 0.74, 0.92), sign = side ? 1.0f : -1.0f;
    float size = (float)random_range(r, 0.8, 1.25) * (float)random_range(&s->slice, 0.9, 1.1);
    struct patch p = {.x = l->x + sign * far * l->a * cosf(angle), .y = l->y + far * l->b * sinf(angle),
                      .a = size * (float)random_range(r, 0.18, 0.32), .b = size * (float)random_range(r, 0.11, 0.18),
                      .along = atan2f(l->b * cosf(angle), -sign * l->a * sinf(angle)), 
                      .ragged = 0.5f,
                      .key = random_u32(r), .side = side};
    return p;
}

/* Air stays in the bronchi that run through dense lung: dark branching tubes from the centre outwards. */
static void draw_bronchograms(struct scene *s, const struct patch *p)
{
    struct random *r = &s->patient;
    const struct lung *l = &s->body.lungs[p->side];
    float angle = atan2f(p->y - l->y * 0.5f, p->x - (p->side ? 0.15f : -0.15f));
    for (int i = 0; i < 2; i++) {
        float shift = ((float)i - 0.5f) * p->a * 0.8f;
        struct tree t = {.x = p->x - cosf(angle) * p->b * 1.1f - sinf(angle) * shift,
                         .y = p->y - sinf(angle) * p->b * 1.1f + cosf(angle) * shift, .angle = angle,
                         .length = p->b * 0.95f, .radius = 0.013f, .target = -930, .strength = 0.95f, .spread = 0.5f, .levels = 3,
                         .where = IN_DENSE_LUNG};
        tree_draw(s, r, &t);
    }
}

/* Lines between the lobules in a band below the pleura. */
static void draw_septa(struct scene *s)
{
    uint32_t key = random_u32(&s->patient);
    float back = (float)random_range(&s->patient, -0.35, 0.0);
    for (int i = 0; i < s->height * s->width; i++) {
        float x = scene_x(s, i % s->width), y = scene_y(s, i / s->width);
        if (s->depth[i] <= 0 || s->pleura[i] > 0.22f || y < back - 0.1f) {
            continue;
        }
        float band = (1 - noise_step(0.12f, 0.22f, s->pleura[i])) * noise_step(back - 0.1f, back + 0.1f, y);
        float line = band * septa(s, key, x, y, 0.1f) * noise_step(0, 0.01f, s->depth[i]);
        float v = s->density[i] + 90 * band + (20 - s->density[i]) * 0.85f * line;
        s->density[i] = fmaxf(s->density[i], v);
    }
}

/* One patch with all that the labels ask of it. Where GGO and consolidation meet, every other patch has a dense core. */
static void draw_lesion(struct scene *s, int index, int side)
{
    const uint8_t *lesion = s->what->lesion;
    struct random *r = &s->patient;
    struct patch p = patch_at_pleura(s, side), core = p;
    float dark = (float)random_range(r, -450, -300), strong = (float)random_range(r, 0.65, 0.9);
    struct look haze = {dark, strong, 0.5f, 0}, faint = {dark, strong * 0.65f, 0.6f, 0}, dense = {25, 0.97f, 0.22f, 0};
    struct look airy = {-120, 0.9f, 0.3f, 0};
    haze.mesh = lesion[CRPA] ? 0.55f : 0;
    int any = lesion[GGO] || lesion[CSLD] || lesion[CRPA] || lesion[AIRBR] || lesion[INSEPTHI];
    if (lesion[GGO] || lesion[CRPA]) {
        patch_draw(s, &p, &haze);
    } else if (!any || lesion[INSEPTHI]) { /* disease that the reader did not name */
        patch_draw(s, &p, &faint);
    }
    core.a *= lesion[GGO] ? 0.75f : 0.9f;
    core.b *= lesion[GGO] ? 0.75f : 0.9f;
    if (lesion[CSLD] && (!lesion[GGO] || index % 2 == 0)) {
        patch_draw(s, &core, &dense);
    } else if (lesion[AIRBR] && index % 2 == 0) {
        patch_draw(s, &core, &airy);
    }
    if (lesion[AIRBR] && index % 2 == 0) {
        draw_bronchograms(s, &core);
    }
}

static void draw_covid(struct scene *s)
{
    struct random *r = &s->patient;
    int named = 0;
    for (int i = 0; i < LESION_COUNT; i++) {
        named += s->what->lesion[i];
    }
    int patches = (named ? 4 : 3) + (int)random_below(r, 4), first_side = (int)random_below(r, 2);
    int both = random_uniform(r) < 0.9;
    for (int i = 0; i < patches; i++) {
        draw_lesion(s, i, both ? (first_side + i) % 2 : first_side);
    }
    if (s->what->lesion[INSEPTHI]) {
        draw_septa(s);
    }
}

/* ---- other diseases ---- */

static struct patch patch_inside(struct scene *s, int side, double far_low, double far_high, double size)
{
    struct random *r = &s->patient;
    const struct lung *l = &s->body.lungs[side];
    float angle = (float)random_range(r, 0, 2 * PI), far = (float)random_range(r, far_low, far_high);
    struct patch p = {.x = l->x + far * l->a * cosf(angle), .y = l->y + far * l->b * sinf(angle),
                      .a = (float)(size * random_range(r, 0.9, 1.2)), .b = (float)(size * random_range(r, 0.8, 1.0)),
                      .along = (float)random_range(r, 0, PI), .ragged = 0.12f, .key = random_u32(r), .side = side};
    return p;
}

static void draw_nodules(struct scene *s)
{
    int count = 1 + (int)random_below(&s->patient, 5);
    struct look solid = {35, 0.97f, 0.15f, 0};
    for (int i = 0; i < count; i++) {
        int side = (int)random_below(&s->patient, 2);
        struct patch p = patch_inside(s, side, 0.1, 0.85, random_range(&s->patient, 0.022, 0.055));
        patch_draw(s, &p, &solid);
    }
}

/* A solid tumour with spicules, at times with fluid behind the lung. */
static void draw_mass(struct scene *s)
{
    struct random *r = &s->patient;
    int side = (int)random_below(r, 2);
    struct look solid = {40, 1, 0.12f, 0};
    struct patch p = patch_inside(s, side, 0.1, 0.7, random_range(r, 0.09, 0.19));
    p.ragged = 0.25f;
    patch_draw(s, &p, &solid);
    int spicules = (int)random_below(r, 12);
    for (int i = 0; i < spicules; i++) {
        float angle = (float)random_range(r, 0, 2 * PI), length = p.a * (float)random_range(r, 1.1, 1.6);
        struct stroke k = {p.x, p.y, p.x + length * cosf(angle), p.y + length * sinf(angle), 0.004f, 0, 0.7f, IN_LUNG};
        scene_stroke(s, &k);
    }
    if (random_uniform(r) < 0.3) {
        const struct lung *l = &s->body.lungs[side];
        struct patch fluid = {l->x, l->y + l->b * 1.05f, l->a * 1.2f, l->b * (float)random_range(r, 0.3, 0.55), 0, 0.03f, p.key, side};
        patch_draw(s, &fluid, &solid);
    }
}

/* Dense lung of one lobe, from the root of the lung outwards, often with air in its bronchi. */
static void draw_lobar(struct scene *s)
{
    struct random *r = &s->patient;
    int side = (int)random_below(r, 2);
    const struct lung *l = &s->body.lungs[side];
    float up = random_uniform(r) < 0.5 ? -1.0f : 1.0f;
    struct patch p = {l->x - (side ? 1.0f : -1.0f) * l->a * 0.45f, l->y + up * l->b * 0.35f, l->a * 0.75f, l->b * 0.5f, 0, 0.2f,
                      random_u32(r), side};
    struct look dense = {(float)random_range(r, -250, 20), 0.92f, 0.4f, 0};
    patch_draw(s, &p, &dense);
    if (random_uniform(r) < 0.5) {
        draw_bronchograms(s, &p);
    }
}

/* Haze around both roots that spares the periphery (oedema), or clusters of small nodules along the airways. */
static void draw_central(struct scene *s, int nodular)
{
    struct random *r = &s->patient;
    for (int i = 0; i < (nodular ? 60 : 6); i++) {
        int side = nodular ? (int)random_below(r, 2) : i % 2;
        struct patch p = patch_inside(s, side, 0, nodular ? 0.75 : 0.35, nodular ? 0.011 : 0.12);
        if (!nodular) {
            p.x -= (side ? 1.0f : -1.0f) * 0.1f;
        }
        struct look look = {nodular ? 0 : -420.0f, nodular ? 0.8f : 0.6f, 0.5f, 0};
        patch_draw(s, &p, &look);
    }
}

/* What healthy and ill lungs have alike: a darker hole of emphysema, a thin dense band where the patient lies. */
static void draw_common(struct scene *s)
{
    struct random *r = &s->patient;
    int holes = random_uniform(r) < 0.15 ? 8 : 0, band = random_uniform(r) < 0.3;
    for (int i = 0; i < holes; i++) {
        struct patch p = patch_inside(s, i % 2, 0.3, 0.9, 0.04);
        struct stroke hole = {p.x, p.y, p.x + 0.02f, p.y + 0.01f, p.a, -960, 0.8f, IN_LUNG};
        scene_stroke(s, &hole);
    }
    for (int side = 0; side < 2 && band; side++) {
        const struct lung *l = &s->body.lungs[side];
        struct patch p = {l->x, l->y + l->b * 1.02f, l->a * 0.9f, l->b * 0.13f, 0, 0.08f, random_u32(r), side};
        struct look look = {-500, 0.6f, 0.8f, 0};
        patch_draw(s, &p, &look);
    }
}

void disease_draw(struct scene *s)
{
    draw_common(s);
    if (s->what->covid) {
        draw_covid(s);
        return;
    }
    double kind = random_uniform(&s->patient);
    switch (s->what->negative) {
    case PHANTOM_NORMAL:
        break;
    case PHANTOM_NODULE:
        draw_nodules(s);
        break;
    case PHANTOM_MASS:
        draw_mass(s);
        break;
    case PHANTOM_OTHER_PNEUMONIA:
        if (kind < 0.5) {
            draw_lobar(s);
        } else {
            draw_central(s, kind > 0.75);
        }
        break;
    }
}
