/* contact_sheet.c - see contact_sheet.h. */
#include "io/shard/contact_sheet.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "io/image/lettering.h"

enum { PICTURE = 160, GAP = 8, LINES = 3, HEAD = 2 * LETTER_LINE + GAP };
enum { CELL_WIDTH = PICTURE + GAP, CELL_HEIGHT = PICTURE + LINES * LETTER_LINE + GAP, COLUMNS = 6 };
enum { PAPER = 236 };

static void set_dot(struct image *page, int y, int x, uint8_t value)
{
    if (y >= 0 && y < page->height && x >= 0 && x < page->width) page->pixels[(size_t)y * (size_t)page->width + (size_t)x] = value;
}

/* Into a square, proportions kept, grey. */
static void draw_picture(struct image *page, int y, int x, const struct image *picture)
{
    struct image small;
    int longest = picture->height > picture->width ? picture->height : picture->width;
    int height = picture->height * PICTURE / longest, width = picture->width * PICTURE / longest;
    image_resize(&small, picture, height ? height : 1, width ? width : 1);
    size_t channels = (size_t)small.channels, green = channels / 2;
    for (int r = 0; r < small.height; r++)
        for (int c = 0; c < small.width; c++)
            set_dot(page, y + r, x + c, small.pixels[((size_t)r * (size_t)small.width + (size_t)c) * channels + green]);
    image_free(&small);
}

static void write_labels(struct image *page, int y, int x, const struct shard_item *item, enum split split)
{
    enum { FITS = PICTURE / LETTER_WIDTH };
    char line[80];
    int used = 0;
    snprintf(line, sizeof line, "%s  %s", item->covid ? "COVID" : "not COVID", split_names[split]);
    image_write_text(page, y, x, line, FITS);
    line[0] = 0;
    for (int l = 0; l < LESION_COUNT; l++)
        if (item->lesion[l]) used += snprintf(line + used, sizeof line - (size_t)used, "%s ", lesion_names[l]);
    image_write_text(page, y + LETTER_LINE, x, line, FITS);
    image_write_text_end(page, y + 2 * LETTER_LINE, x, path_base(item->file), FITS);
}

/* The i-th of all images, splits one after the other. */
static int draw_cell(struct image *page, int cell, struct dataset *d, int64_t i, struct error *err)
{
    int split = 0, y = HEAD + cell / COLUMNS * CELL_HEIGHT, x = GAP + cell % COLUMNS * CELL_WIDTH;
    while (i >= dataset_count(d, (enum split)split)) i -= dataset_count(d, (enum split)split++);
    struct image picture = {0};
    if (dataset_read(d, (enum split)split, i, &picture, err)) return -1;
    draw_picture(page, y, x, &picture);
    write_labels(page, y + PICTURE + 2, x, dataset_item(d, (enum split)split, i), (enum split)split);
    image_free(&picture);
    return 0;
}

int contact_sheet_write(const char *path, struct dataset *d, int samples, uint64_t seed, struct error *err)
{
    int64_t all = 0;
    if (image_format_of_name(path) != IMAGE_PNG) {
        error_set(err, "%s: a contact sheet is a PNG file", path);
        return error_hint(err, "give it a name that ends in .png");
    }
    for (int s = 0; s < SPLIT_COUNT; s++) all += dataset_count(d, (enum split)s);
    int count = samples < all ? samples : (int)all, status = 0;
    int64_t *order = NEW_ARRAY(int64_t, all);
    for (int64_t i = 0; i < all; i++) order[i] = i;
    struct random r = random_stream(seed, RANDOM_SHUFFLE, 0, 1);
    random_shuffle(&r, order, all);
    struct image page = {HEAD + (count + COLUMNS - 1) / COLUMNS * CELL_HEIGHT, GAP + COLUMNS * CELL_WIDTH, 1, NULL};
    page.pixels = memset(mem_alloc((size_t)page.height * (size_t)page.width), PAPER, (size_t)page.height * (size_t)page.width);
    char *head = mem_format("%s: %d of %" PRId64 " images, seed %" PRIu64 ". Research use only: not for diagnosis.%s", dataset_name(d),
                            count, all, seed, dataset_synthetic(d) ? " SYNTHETIC pictures." : "");
    image_write_text(&page, GAP, GAP, head, page.width / LETTER_WIDTH);
    for (int cell = 0; cell < count && !status; cell++) status = draw_cell(&page, cell, d, order[cell], err);
    if (!status) status = image_write_png(path, &page, err);
    image_free(&page);
    mem_free(order);
    mem_free(head);
    return status;
}
