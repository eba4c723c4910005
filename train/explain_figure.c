/* explain_figure.c - the contact sheet of two runs' maps, as the paper's figure 5. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/image/lettering.h"
#include "train/explain.h"

enum { PANEL = 192, GAP = 8, COLUMNS = 5, HEAD = GAP + 4 * LETTER_LINE, ROW = PANEL + 3 * LETTER_LINE + GAP, FITS = PANEL / LETTER_WIDTH };
enum { PAPER = 236 };

static int column_x(int column) { return GAP + column * (PANEL + GAP); }

/* Takes the picture. */
static void draw(struct image *page, int row, int column, struct image *picture)
{
    struct image panel;
    image_resize(&panel, picture, PANEL, PANEL);
    for (int y = 0; y < PANEL; y++)
        memcpy(page->pixels + 3 * ((size_t)(HEAD + row * ROW + y) * (size_t)page->width + (size_t)column_x(column)),
               panel.pixels + 3 * (size_t)y * PANEL, 3 * PANEL);
    image_free(&panel);
    image_free(picture);
}

static void write_below(struct image *page, int row, int column, int line, const char *text)
{
    image_write_text_end(page, HEAD + row * ROW + PANEL + 2 + line * LETTER_LINE, column_x(column), text, FITS);
}

static void write_labels(struct image *page, int row, const struct picture_source *s)
{
    const struct shard_item *item = pictures_item(s, row);
    char line[80] = "";
    int used = 0;
    write_below(page, row, 0, 0, path_base(pictures_name(s, row)));
    write_below(page, row, 0, 1, !item ? "no labels" : item->covid ? "label: COVID" : "label: not COVID");
    for (int l = 0; l < LESION_COUNT && item; l++)
        if (item->lesion[l]) used += snprintf(line + used, sizeof line - (size_t)used, "%s ", lesion_names[l]);
    write_below(page, row, 0, 2, line);
}

/* Both maps have the first run's picture beneath, brought to their own run's size. */
static void draw_side(struct image *page, int row, int column, const struct explain_side *side, const struct image *original,
                      const struct explain_options *o)
{
    const struct explanation *e = side->e;
    struct image heat, overlay, beneath;
    float *values = explanation_heat(e, row);
    char line[80];
    image_resize(&beneath, original, e->size, e->size);
    explain_heat(&heat, values, e->size);
    explain_overlay(&overlay, &beneath, values, false);
    draw(page, row, column, &heat);
    draw(page, row, column + 1, &overlay);
    snprintf(line, sizeof line, "p(%s) = %.3f", o->what_name, e->probability[row * LOGIT_COUNT + o->what]);
    write_below(page, row, column, 0, line);
    if (e->state[row] != CAM_FINE) {
        snprintf(line, sizeof line, "map: %s", cam_state_names[e->state[row]]);
        write_below(page, row, column, 1, line);
    }
    image_free(&beneath);
    mem_free(values);
}

int explain_figure(const char *path, const struct picture_source *s, const struct image *originals, const struct explain_side sides[2],
                   const struct explain_options *o, const char *notice, struct error *err)
{
    int rows = (int)sides[0].e->count;
    struct image page = {HEAD + rows * ROW, column_x(COLUMNS), 3, NULL};
    size_t bytes = 3 * (size_t)page.height * (size_t)page.width;
    page.pixels = memset(mem_alloc(bytes), PAPER, bytes);
    char *head = mem_format("%s of %s. %s", o->method_name, o->what_name, notice);
    image_write_text(&page, GAP, GAP, head, page.width / LETTER_WIDTH);
    image_write_text(&page, HEAD - LETTER_LINE, column_x(0), "original", FITS);
    for (int k = 0; k < 2; k++) {
        image_write_text(&page, HEAD - 2 * LETTER_LINE, column_x(1 + 2 * k), sides[k].title, 2 * FITS);
        image_write_text(&page, HEAD - LETTER_LINE, column_x(1 + 2 * k), "heat map", FITS);
        image_write_text(&page, HEAD - LETTER_LINE, column_x(2 + 2 * k), "overlay", FITS);
    }
    for (int row = 0; row < rows; row++) {
        struct image original = originals[row];
        size_t picture = 3 * (size_t)original.height * (size_t)original.width;
        original.pixels = memcpy(mem_alloc(picture), original.pixels, picture);
        draw(&page, row, 0, &original);
        write_labels(&page, row, s);
        for (int k = 0; k < 2; k++) draw_side(&page, row, 1 + 2 * k, &sides[k], &originals[row], o);
    }
    int rc = image_write_png(path, &page, err);
    image_free(&page);
    mem_free(head);
    return rc;
}
