/* figure_data.c - Figure 3, the data: (a) lesions per positive image, (b) lesions found together, (c) the negatives.
 *
 * The paper's (c) counts diagnoses. The public files hold none: of a negative they tell the collection it comes from, in the
 * patient's name. That is what is drawn, and said. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "jobs/report/report.h"

enum { WIDTH = 960, HEIGHT = 330, TOP = 40, PANEL = 220, SOURCES_MAX = 8 };

static const struct shard_item *item_at(const struct dataset *d, int64_t i)
{
    int s = 0;
    for (; i >= dataset_count(d, (enum split)s); s++) i -= dataset_count(d, (enum split)s);
    return dataset_item(d, (enum split)s, i);
}

static int64_t item_count(const struct dataset *d)
{
    return dataset_count(d, SPLIT_TRAIN) + dataset_count(d, SPLIT_VAL) + dataset_count(d, SPLIT_TEST);
}

/* ---- (a) ---- */

static void draw_histogram(struct plot *p, const struct dataset *d)
{
    int64_t count[LESION_COUNT + 1] = {0}, most = 1;
    for (int64_t i = 0; i < item_count(d); i++) {
        const struct shard_item *item = item_at(d, i);
        int lesions = 0;
        for (int l = 0; l < LESION_COUNT; l++) lesions += item->lesion[l];
        if (item->covid) count[lesions]++;
    }
    for (int k = 0; k <= LESION_COUNT; k++) most = count[k] > most ? count[k] : most;
    struct axes a = {p, 56, TOP, PANEL, PANEL, -0.5, LESION_COUNT + 0.5, 0, (double)most * 1.12};
    axes_draw(&a, 1, 0, axes_step(a.y1, 5), 0, "(a) lesions per positive image", "lesion labels of the image", "images");
    for (int k = 0; k <= LESION_COUNT; k++) {
        char words[24];
        double x = axes_x(&a, k - 0.38), y = axes_y(&a, (double)count[k]);
        plot_rectangle(p, x, y, axes_x(&a, k + 0.38) - x, a.top + a.height - y, PLOT_BLUE, 0.85, (struct plot_pen){PLOT_BLACK, 0.75, 0, 1});
        snprintf(words, sizeof words, "%lld", (long long)count[k]);
        plot_text(p, axes_x(&a, k), y - 3, words, 11, PLOT_MIDDLE, PLOT_BLACK, false, false);
    }
}

/* ---- (b) ---- */

static void draw_matrix(struct plot *p, const struct dataset *d)
{
    int64_t both[LESION_COUNT][LESION_COUNT] = {{0}}, most = 1;
    double left = 376, side = (double)PANEL / LESION_COUNT;
    for (int64_t i = 0; i < item_count(d); i++)
        for (int a = 0; a < LESION_COUNT; a++)
            for (int b = 0; b < LESION_COUNT; b++) both[a][b] += item_at(d, i)->lesion[a] && item_at(d, i)->lesion[b];
    for (int a = 0; a < LESION_COUNT; a++) most = both[a][a] > most ? both[a][a] : most;
    plot_text(p, left, TOP - 6, "(b) images with both lesions", 12, PLOT_START, PLOT_BLACK, true, false);
    for (int a = 0; a < LESION_COUNT; a++) {
        plot_text(p, left - 5, TOP + (a + 0.6) * side, lesion_names[a], 11, PLOT_END, PLOT_BLACK, false, false);
        plot_text(p, left + (a + 0.5) * side, TOP + PANEL + 14, lesion_names[a], 10, PLOT_MIDDLE, PLOT_BLACK, false, false);
        for (int b = 0; b < LESION_COUNT; b++) {
            char words[24];
            double share = (double)both[a][b] / (double)most;
            plot_rectangle(p, left + b * side, TOP + a * side, side, side, PLOT_BLUE, share * 0.9, (struct plot_pen){PLOT_BLACK, 0.75, 0, 1});
            snprintf(words, sizeof words, "%lld", (long long)both[a][b]);
            plot_text(p, left + (b + 0.5) * side, TOP + (a + 0.58) * side, words, 12, PLOT_MIDDLE, share > 0.55 ? PLOT_WHITE : PLOT_BLACK, a == b,
                      false);
        }
    }
}

/* ---- (c) ---- */

struct source {
    char *name;
    int64_t images;
};

/* "crawled_patient_17" -> "crawled": a patient's name without its number and the word itself (mem_free). */
static char *source_of(const char *patient)
{
    char *name = mem_string(patient), *word;
    size_t n = strlen(name);
    while (n && (isdigit((unsigned char)name[n - 1]) || strchr("_-. ", name[n - 1]))) name[--n] = 0;
    for (char *c = name; *c; c++) *c = (char)(*c == '_' ? ' ' : *c);
    word = n >= 7 ? name + n - 7 : NULL;
    if (word && !strcasecmp(word, "patient")) *word = 0;
    for (n = strlen(name); n && name[n - 1] == ' ';) name[--n] = 0;
    if (*name) return name;
    mem_free(name);
    return mem_string("not told");
}

static int by_images(const void *a, const void *b)
{
    const struct source *x = a, *y = b;
    return x->images != y->images ? (x->images < y->images ? 1 : -1) : strcmp(x->name, y->name);
}

/* Sources of the negatives, most frequent first. */
static int find_sources(struct source **list, const struct dataset *d)
{
    int count = 0;
    *list = NULL;
    for (int64_t i = 0; i < item_count(d); i++) {
        const struct shard_item *item = item_at(d, i);
        if (item->covid) continue;
        char *name = source_of(item->patient);
        int k = 0;
        while (k < count && strcmp((*list)[k].name, name)) k++;
        if (k == count) {
            *list = mem_grow(*list, (size_t)count * sizeof **list, ((size_t)count + 1) * sizeof **list);
            (*list)[count++] = (struct source){name, 0};
        } else {
            mem_free(name);
        }
        (*list)[k].images++;
    }
    if (count) qsort(*list, (size_t)count, sizeof **list, by_images);
    return count;
}

static void draw_bar(const struct axes *a, int row, int rows, const char *name, int64_t images)
{
    char words[24];
    double high = a->height / rows, y = a->top + (row + 0.18) * high, right = axes_x(a, (double)images);
    if (high > 40) y += (high - 40) / 2 * 0.64, high = 40;
    plot_rectangle(a->plot, a->left, y, right - a->left, high * 0.64, PLOT_ORANGE, 0.9, (struct plot_pen){PLOT_BLACK, 0.75, 0, 1});
    snprintf(words, sizeof words, "%lld", (long long)images);
    plot_text(a->plot, right + 4, y + high * 0.32 + 4, words, 11, PLOT_START, PLOT_BLACK, false, false);
    plot_text(a->plot, a->left - 5, y + high * 0.32 + 4, name, 11, PLOT_END, PLOT_BLACK, false, false);
}

static void draw_negatives(struct plot *p, const struct dataset *d)
{
    struct source *list;
    int count = find_sources(&list, d), rows = count > SOURCES_MAX ? SOURCES_MAX : count;
    int64_t rest = 0;
    for (int k = SOURCES_MAX - 1; rows < count && k < count; k++) rest += list[k].images;
    struct axes a = {p, 730, TOP, PANEL - 20, PANEL, 0, count ? (double)list[0].images * 1.2 : 1, 0, 1};
    if ((double)rest * 1.2 > a.x1) a.x1 = (double)rest * 1.2;
    axes_draw(&a, axes_step(a.x1, 4), 0, 2, -1, "(c) negatives by source", "images", NULL);
    for (int k = 0; k < rows; k++) {
        bool last = rows < count && k == rows - 1;
        draw_bar(&a, k, rows, last ? "all others" : list[k].name, last ? rest : list[k].images);
    }
    for (int k = 0; k < count; k++) mem_free(list[k].name);
    mem_free(list);
}

void figure3_add(struct report *r)
{
    for (int i = 0; i < r->data.count; i++) {
        const struct data_used *d = &r->data.item[i];
        if (!d->dataset) {
            notes_add(&r->notes, "Table 1 and Figure 3 are without %s: %s. --data names folders of shards to look in.", d->label, d->missing);
            continue;
        }
        char *heading = mem_format("Figure 3, %s: the data", d->label);
        struct plot *p = plot_open(WIDTH, HEIGHT, heading);
        draw_histogram(p, d->dataset);
        draw_matrix(p, d->dataset);
        draw_negatives(p, d->dataset);
        report_add_picture(r, "figure3", d->label, heading,
                           "All images of the three splits. (a) how many of the five lesion labels a COVID-positive image has. (b) how many images "
                           "have both labels; on the diagonal, all with that label. (c) negatives by the collection that the patient's name tells: "
                           "the paper's "
                           "figure counts diagnoses (normal, cancer, nodules, other viral pneumonia), which the published files do not hold.", p);
        mem_free(heading);
    }
}
