/* manifest.c - what all manifests share: look-up by name, leakage between splits, the report. */
#include "io/pack/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/image/image.h"
#include "io/pack/manifest_private.h"

/* ---- names ---- */

static int compare_names(const void *a, const void *b)
{
    const struct name_entry *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->value > y->value) - (x->value < y->value);
}

static int compare_key(const void *key, const void *entry)
{
    return strcmp(key, ((const struct name_entry *)entry)->name);
}

void name_index_make(struct name_index *index, int count)
{
    index->entries = NEW_ARRAY(struct name_entry, count);
    index->count = count;
}

void name_index_sort(struct name_index *index)
{
    if (index->count) qsort(index->entries, (size_t)index->count, sizeof *index->entries, compare_names);
}

int name_index_find(const struct name_index *index, const char *name)
{
    if (!index->count) return -1;
    const struct name_entry *e = bsearch(name, index->entries, (size_t)index->count, sizeof *e, compare_key);
    return e ? e->value : -1;
}

int name_index_double(const struct name_index *index)
{
    for (int i = 1; i < index->count; i++)
        if (!strcmp(index->entries[i - 1].name, index->entries[i].name)) return i - 1;
    return -1;
}

void name_index_free(struct name_index *index)
{
    mem_free(index->entries);
    *index = (struct name_index){0};
}

bool manifest_is_image_name(const char *name)
{
    return image_format_of_name(name) != IMAGE_UNKNOWN;
}

/* ---- rows ---- */

static const char BLANK[] = " \t\r\n";

bool manifest_is_blank(const char *text)
{
    return !text[strspn(text, BLANK)];
}

char *manifest_trim(const char *text)
{
    text += strspn(text, BLANK);
    size_t length = strlen(text);
    while (length && strchr(BLANK, text[length - 1])) length--;
    return manifest_prefix(text, length);
}

/* Smaller than what mem_format gives, which is aligned: there are two for each picture. */
char *manifest_prefix(const char *text, size_t length)
{
    char *copy = mem_string(text);
    copy[length] = 0;
    return copy;
}

struct manifest_row *manifest_add(struct manifest *m)
{
    if ((m->count & (m->count - 1)) == 0) { /* full at every power of two */
        size_t room = m->count ? 2 * (size_t)m->count : 1;
        m->rows = mem_grow(m->rows, (size_t)m->count * sizeof *m->rows, room * sizeof *m->rows);
    }
    struct manifest_row *row = &m->rows[m->count++];
    *row = (struct manifest_row){0};
    return row;
}

void manifest_free(struct manifest *m)
{
    for (int i = 0; i < m->count; i++) {
        mem_free(m->rows[i].file);
        mem_free(m->rows[i].patient);
        mem_free(m->rows[i].figure);
    }
    mem_free(m->rows);
    for (int s = 0; s < SPLIT_COUNT; s++) mem_free(m->source[s]);
    text_free(&m->report);
    *m = (struct manifest){0};
}

int manifest_unknown_lesion(struct error *err, const char *path, int line, const char *name)
{
    enum { NEAR = 2 };
    int nearest = 0, least = NEAR + 1;
    for (int l = 0; l < LESION_COUNT; l++) {
        int distance = text_distance(name, lesion_names[l]);
        if (distance < least) nearest = l;
        if (distance < least) least = distance;
    }
    error_set(err, "%s:%d: unknown lesion '%s' (known: %s, %s, %s, %s, %s)", path, line, name, lesion_names[0],
              lesion_names[1], lesion_names[2], lesion_names[3], lesion_names[4]);
    return least <= NEAR ? error_hint(err, "did you mean '%s'?", lesion_names[nearest]) : -1;
}

bool manifest_is_synthetic(const char *folder)
{
    char *here = path_join(folder, "SYNTHETIC"), *above = path_join(folder, "../SYNTHETIC");
    bool marked = path_exists(here) || path_exists(above);
    mem_free(here);
    mem_free(above);
    return marked;
}

/* ---- groups: files, patients, figures ---- */

typedef const char *(*row_key)(const struct manifest_row *row);

static const char *key_file(const struct manifest_row *row)
{
    return row->file;
}

static const char *key_patient(const struct manifest_row *row)
{
    return row->patient;
}

static const char *key_figure(const struct manifest_row *row)
{
    return row->figure;
}

static void index_rows(struct name_index *index, const struct manifest *m, row_key key)
{
    name_index_make(index, m->count);
    for (int i = 0; i < m->count; i++) index->entries[i] = (struct name_entry){key(&m->rows[i]), i};
    name_index_sort(index);
}

int manifest_check_doubles(const struct manifest *m, struct error *err)
{
    struct name_index index;
    index_rows(&index, m, key_file);
    int at = name_index_double(&index);
    if (at >= 0) {
        const struct manifest_row *a = &m->rows[index.entries[at].value], *b = &m->rows[index.entries[at + 1].value];
        error_set(err, "%s:%d: the file '%s' was listed before, in %s:%d", m->source[b->split], b->line, b->file,
                  m->source[a->split], a->line);
    }
    name_index_free(&index);
    return at >= 0 ? -1 : 0;
}

/* Next pair of neighbours (at, at + 1) of one non-empty group in two splits, from place `at` on; -1 when none. */
static int next_leak(const struct name_index *index, const struct manifest *m, int at)
{
    for (; at + 1 < index->count; at++) {
        const struct name_entry *a = &index->entries[at], *b = a + 1;
        if (*a->name && !strcmp(a->name, b->name) && m->rows[a->value].split != m->rows[b->value].split) return at;
    }
    return -1;
}

static int refuse_leak(const struct manifest *m, const char *what, row_key key, struct error *err)
{
    struct name_index index;
    index_rows(&index, m, key);
    int at = next_leak(&index, m, 0);
    if (at >= 0) {
        const struct manifest_row *a = &m->rows[index.entries[at].value], *b = &m->rows[index.entries[at + 1].value];
        error_set(err, "%s '%s' is in two splits: %s (%s, %s:%d) and %s (%s, %s:%d)", what, key(a), a->file,
                  split_names[a->split], m->source[a->split], a->line, b->file, split_names[b->split], m->source[b->split],
                  b->line);
        error_hint(err, "all images of one %s belong in one split; else the test result is too good", what);
    }
    name_index_free(&index);
    return at >= 0 ? -1 : 0;
}

int manifest_check_leakage(const struct manifest *m, bool by_figure, struct error *err)
{
    if (refuse_leak(m, "patient", key_patient, err)) return -1;
    return by_figure ? refuse_leak(m, "figure", key_figure, err) : 0;
}

/* ---- report ---- */

static void report_figures(struct manifest *m)
{
    struct name_index index;
    struct text list = {0};
    index_rows(&index, m, key_figure);
    const char *last = NULL;
    for (int at = next_leak(&index, m, 0); at >= 0; at = next_leak(&index, m, at + 1)) {
        const struct name_entry *e = &index.entries[at];
        if (last && !strcmp(last, e->name)) continue;
        last = e->name;
        m->figures_across_splits++;
        text_add(&list, "  %s: %s in %s, %s in %s\n", last, m->rows[e->value].file, split_names[m->rows[e->value].split],
                 m->rows[e[1].value].file, split_names[m->rows[e[1].value].split]);
    }
    if (list.length)
        text_add(&m->report, "source figures with images in more than one split: %d (pack --by-figure refuses them)\n%s",
                 m->figures_across_splits, list.data);
    text_free(&list);
    name_index_free(&index);
}

void manifest_warn_empty(struct manifest *m)
{
    int in_split[SPLIT_COUNT] = {0};
    for (int i = 0; i < m->count; i++) in_split[m->rows[i].split]++;
    for (int s = 0; s < SPLIT_COUNT; s++)
        if (!in_split[s]) text_add(&m->report, "WARNING: no %s images\n", split_names[s]);
}

/* What is allowed and yet seldom meant. */
static void report_oddities(struct manifest *m)
{
    int healthy_lesions = 0, covid = 0;
    for (int i = 0; i < m->count; i++) {
        const struct manifest_row *r = &m->rows[i];
        bool any = false;
        for (int l = 0; l < LESION_COUNT; l++) any |= r->lesion[l];
        healthy_lesions += any && !r->covid;
        covid += r->covid;
    }
    if (!m->unsplit) manifest_warn_empty(m);
    if (m->count && (!covid || covid == m->count)) text_add(&m->report, "WARNING: %s image is COVID\n", covid ? "every" : "no");
    if (healthy_lesions) text_add(&m->report, "WARNING: %d images have lesions but are not COVID\n", healthy_lesions);
}

void manifest_finish_report(struct manifest *m)
{
    report_figures(m);
    report_oddities(m);
    for (int l = 0; l < LESION_COUNT; l++) {
        int positive = 0;
        for (int i = 0; i < m->count; i++) positive += m->rows[i].lesion[l];
        if (!positive) text_add(&m->report, "lesion %s: no positive image in any split\n", lesion_names[l]);
    }
    if (m->synthetic) text_add(&m->report, "SYNTHETIC: the folder says that its pictures were drawn by a program\n");
}
