/* phantom_draw.c - from a case to a picture: places the body, has it drawn, then does what scanners and journals do to
 * slices: grain, blur, a display window, contrast, a margin of the page, a letter. All of that is drawn from streams
 * that know nothing of the class, and varies more than disease changes the mean. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/phantom/phantom_noise.h"
#include "io/phantom/phantom_scene.h"

static void place_body(struct scene *s)
{
    float zoom = (float)random_range(&s->patient, 0.97, 1.12);
    s->unit_x = (float)s->width / 2 * zoom;
    s->unit_y = (float)s->height / 2 * zoom / 0.7f;
    s->centre_x = (float)s->width * (0.5f + (float)random_range(&s->slice, -0.02, 0.02));
    s->centre_y = (float)s->height * (0.5f + (float)random_range(&s->slice, -0.02, 0.02));
}

/* The table: two thin arcs behind the patient. */
static void draw_table(struct scene *s)
{
    float y = s->body.body_height + 0.03f;
    for (int i = -8; i < 8; i++) {
        float x0 = (float)i / 8, x1 = (float)(i + 1) / 8;
        struct stroke k = {x0, y - 0.06f * x0 * x0, x1, y - 0.06f * x1 * x1, 0.008f, -250, 1, EVERYWHERE};
        scene_stroke(s, &k);
    }
}

/* Grain, then one pass of a small blur: scanner noise is not white. */
static void scan(struct scene *s)
{
    uint32_t key = random_u32(&s->slice);
    float grain = (float)random_range(&s->patient, 15, 60), soft = (float)random_range(&s->patient, 0.0, 0.28);
    int count = s->height * s->width, w = s->width;
    for (int i = 0; i < count; i++) {
        s->density[i] += grain * (noise_at(key, i, 0) + noise_at(key, i, 1));
    }
    float *row = mem_alloc(sizeof(float) * (size_t)w), *above = mem_alloc(sizeof(float) * (size_t)w);
    memcpy(above, s->density, sizeof(float) * (size_t)w);
    for (int y = 0; y < s->height; y++) {
        float *d = s->density + (size_t)y * (size_t)w, *below = y + 1 < s->height ? d + w : d;
        for (int x = 0; x < w; x++) {
            int left = x ? x - 1 : 0, right = x + 1 < w ? x + 1 : x;
            row[x] = d[x] + soft * ((d[left] + d[right] + above[x] + below[x]) / 4 - d[x]) * 2;
        }
        memcpy(above, d, sizeof(float) * (size_t)w);
        memcpy(d, row, sizeof(float) * (size_t)w);
    }
    mem_free(row);
    mem_free(above);
}

/* Display window, contrast and gamma: the same for all slices of a patient but for a little. */
static void develop(struct scene *s, struct image *out)
{
    struct random *p = &s->patient;
    float centre = (float)random_range(p, -600, -420), width = (float)random_range(p, 950, 1600);
    float black = (float)random_range(p, 0, 30), white = (float)random_range(p, 205, 255);
    float gamma = (float)random_range(p, 0.85, 1.2) * (float)random_range(&s->slice, 0.97, 1.03);
    uint8_t table[1025];
    for (int i = 0; i <= 1024; i++) {
        table[i] = (uint8_t)(black + (white - black) * powf((float)i / 1024, gamma) + 0.5f);
    }
    for (int i = 0; i < s->height * s->width; i++) {
        float v = (s->density[i] - (centre - width / 2)) / width;
        out->pixels[i] = table[(int)(1024 * fminf(1, fmaxf(0, v)))];
    }
}

static void fill(struct image *out, int left, int top, int right, int bottom, uint8_t value)
{
    for (int y = top < 0 ? 0 : top; y < bottom && y < out->height; y++) {
        for (int x = left < 0 ? 0 : left; x < right && x < out->width; x++) {
            out->pixels[y * out->width + x] = value;
        }
    }
}

/* Panel letters A to F, 5 x 7. */
static void print_letter(struct image *out, struct random *r)
{
    static const uint8_t font[6][7] = {{14, 17, 17, 31, 17, 17, 17}, {30, 17, 17, 30, 17, 17, 30}, {14, 17, 16, 16, 16, 17, 14},
                                       {30, 17, 17, 17, 17, 17, 30}, {31, 16, 16, 30, 16, 16, 31}, {31, 16, 16, 30, 16, 16, 16}};
    const uint8_t *rows = font[random_below(r, 6)];
    int dot = out->height / 80 + 1, left = random_uniform(r) < 0.7 ? 2 * dot : out->width - 7 * dot;
    int top = random_uniform(r) < 0.7 ? 2 * dot : out->height - 9 * dot;
    for (int y = 0; y < 7; y++) {
        for (int x = 0; x < 5; x++) {
            if (rows[y] >> (4 - x) & 1) {
                fill(out, left + x * dot, top + y * dot, left + (x + 1) * dot, top + (y + 1) * dot, 255);
            }
        }
    }
}

static void print_page(struct image *out, struct random *r)
{
    double margin = random_uniform(r), letter = random_uniform(r);
    int wide = 2 + (int)(random_uniform(r) * 0.05 * out->height), side = (int)random_below(r, 4);
    if (margin < 0.2) { /* a strip of paper, or of the neighbouring panel */
        uint8_t value = margin < 0.14 ? 255 : 0;
        fill(out, side == 0 ? out->width - wide : 0, side == 1 ? out->height - wide : 0, side == 2 ? wide : out->width,
             side == 3 ? wide : out->height, value);
    }
    if (letter < 0.2) {
        print_letter(out, r);
    }
}

void phantom_draw(struct image *out, const struct phantom_case *which, int height, int width)
{
    size_t count = (size_t)height * (size_t)width;
    struct scene s = {.what = which, .height = height, .width = width};
    s.patient = random_stream(which->seed, RANDOM_PHANTOM, which->patient, 0);
    s.slice = random_stream(which->seed, RANDOM_PHANTOM, which->patient, which->slice + 1);
    s.density = mem_alloc(sizeof(float) * 3 * count);
    s.depth = s.density + count;
    s.pleura = s.depth + count;
    *out = (struct image){height, width, 1, mem_alloc(count)};
    place_body(&s);
    anatomy_draw(&s);
    if (random_uniform(&s.patient) < 0.5) {
        draw_table(&s);
    }
    disease_draw(&s);
    s.patient = random_stream(which->seed, RANDOM_PHANTOM, which->patient, UINT32_MAX); /* whatever disease drew */
    scan(&s);
    develop(&s, out);
    print_page(out, &s.slice);
    mem_free(s.density);
}
