/* figure_maps.c - figure 5: the sheets that `ladnn explain RUN --against RUN2` drew. They are taken over as they are, with what they say of
 * themselves; here nothing is worked out from networks. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "jobs/report/report.h"

static const uint8_t signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
enum { WIDTH_AT = 16, HEIGHT_AT = 20, HEADER = 24 }; /* of the first chunk, big-endian */

static int number_at(const uint8_t *p) { return (int)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]); }

static int read_sheet(struct sheet *s, const char *folder, size_t length, struct error *err)
{
    *s = (struct sheet){.folder = mem_format("%.*s", (int)length, folder)};
    char *path = path_join(s->folder, "figure5.png");
    int rc = file_read(&s->png, &s->bytes, path, err);
    if (rc) error_hint(err, "ladnn explain RUN --against RUN2 --out DIR makes it");
    else if (s->bytes < HEADER || memcmp(s->png, signature, sizeof signature)) rc = error_set(err, "%s: not a PNG file", path);
    if (!rc) s->width = number_at(s->png + WIDTH_AT), s->height = number_at(s->png + HEIGHT_AT);
    if (!rc && (s->width <= 0 || s->height <= 0)) rc = error_set(err, "%s: a picture of %d x %d", path, s->width, s->height);
    mem_free(path);
    return rc;
}

int sheets_read(struct report *r, const char *folders, struct error *err)
{
    for (const char *at = folders; *at;) {
        size_t n = strcspn(at, ",");
        if (n) {
            r->sheet = mem_grow(r->sheet, (size_t)r->sheets * sizeof *r->sheet, ((size_t)r->sheets + 1) * sizeof *r->sheet);
            if (read_sheet(&r->sheet[r->sheets++], at, n, err)) return -1;
        }
        at += n + (at[n] == ',');
    }
    return 0;
}

void sheets_free(struct report *r)
{
    for (int i = 0; i < r->sheets; i++) mem_free(r->sheet[i].folder), mem_free(r->sheet[i].png);
    mem_free(r->sheet);
}

/* The picture within an SVG. */
static void add_svg(struct text *out, const struct sheet *s)
{
    text_add(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">"
                  "<title>Figure 5 (research use only)</title><image width=\"%d\" height=\"%d\" href=\"data:image/png;base64,",
             s->width, s->height, s->width, s->height, s->width, s->height);
    text_add_base64(out, s->png, s->bytes);
    text_add(out, "\"/></svg>\n");
}

void page_add_sheets(struct text *html, const struct report *r)
{
    if (r->sheets) text_add(html, "<h2>Where the networks look</h2>\n");
    for (int i = 0; i < r->sheets; i++) {
        text_add(html, "<figure>\n");
        add_svg(html, &r->sheet[i]);
        text_add(html, "<figcaption><b>Figure 5: class activation maps.</b> Deep red: much of the output rests on that place; dark blue: nothing. Drawn by "
                       "ladnn explain, from ");
        html_add(html, r->sheet[i].folder);
        text_add(html, ".</figcaption></figure>\n");
    }
}

int sheets_write(const struct report *r, const char *out, struct error *err)
{
    int rc = 0;
    for (int i = 0; i < r->sheets && !rc; i++) {
        char number[16] = "", *png, *svg;
        struct text t = {0};
        if (i) snprintf(number, sizeof number, "-%d", i + 1);
        png = mem_format("%s/figure5%s.png", out, number), svg = mem_format("%s/figure5%s.svg", out, number);
        add_svg(&t, &r->sheet[i]);
        rc = file_write_atomic(svg, t.data, t.length, err);
        if (!rc) rc = file_write_atomic(png, r->sheet[i].png, r->sheet[i].bytes, err);
        text_free(&t);
        mem_free(png), mem_free(svg);
    }
    return rc;
}
