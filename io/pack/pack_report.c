/* pack_report.c - what the report says of the files: which cannot be decoded, which are not what their name says, which have the
 * same bytes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "io/pack/pack_private.h"

static bool is_misnamed(const char *file, enum image_format format)
{
    enum image_format promised = image_format_of_name(file);
    return promised != IMAGE_UNKNOWN && format != IMAGE_UNKNOWN && promised != format; /* unknown: merged, not read from a file */
}

static void report_unreadable(struct pack_result *result, const struct manifest *m, const struct verdict *v)
{
    struct text list = {0};
    for (int i = 0; i < m->count; i++)
        if (!v[i].good) {
            result->bad++;
            text_add(&list, "  ");
            text_add_name(&list, v[i].why);
            text_add(&list, "\n");
        }
    text_add(&result->report, "unreadable images, left out: %" PRId64 "\n%s", result->bad, list.length ? list.data : "");
    text_free(&list);
}

static void report_misnamed(struct pack_result *result, const struct manifest *m, const struct verdict *v)
{
    struct text list = {0};
    for (int i = 0; i < m->count; i++)
        if (v[i].good && is_misnamed(m->rows[i].file, v[i].format)) {
            result->misnamed++;
            text_add(&list, "  ");
            text_add_name(&list, m->rows[i].file);
            text_add(&list, " holds %s data\n", image_format_names[v[i].format]);
        }
    text_add(&result->report, "images whose name says another format, read by content: %" PRId64 "\n%s", result->misnamed,
             list.length ? list.data : "");
    text_free(&list);
}

struct digest {
    const uint8_t *sha256;
    int row;
};

static int compare_digests(const void *a, const void *b)
{
    const struct digest *x = a, *y = b;
    int order = memcmp(x->sha256, y->sha256, 32);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

static bool same_labels(const struct manifest_row *a, const struct manifest_row *b)
{
    return a->covid == b->covid && !memcmp(a->lesion, b->lesion, LESION_COUNT);
}

static void add_place(struct text *list, const char *before, const struct manifest_row *row)
{
    text_add(list, "%s", before);
    text_add_name(list, row->file);
    text_add(list, " (%s)", split_names[row->split]);
}

static void add_pair(struct text *list, const struct manifest_row *a, const struct manifest_row *b)
{
    const char *across = a->split != b->split ? ": ACROSS SPLITS" : "", *differ = same_labels(a, b) ? "" : ": WITH DIFFERENT LABELS";
    add_place(list, "  ", a);
    add_place(list, " and ", b);
    text_add(list, "%s%s\n", across, differ);
}

static void report_duplicates(struct pack_result *result, const struct manifest *m, const struct verdict *v)
{
    struct digest *digests = NEW_ARRAY(struct digest, m->count);
    struct text list = {0};
    int count = 0, contradictions = 0, across = 0;
    for (int i = 0; i < m->count; i++)
        if (v[i].good) digests[count++] = (struct digest){v[i].sha256, i};
    if (count) qsort(digests, (size_t)count, sizeof *digests, compare_digests);
    for (int i = 1, first = 0; i < count; i++) {
        if (memcmp(digests[i].sha256, digests[first].sha256, 32)) {
            first = i;
            continue;
        }
        result->duplicates++;
        const struct manifest_row *a = &m->rows[digests[first].row], *b = &m->rows[digests[i].row];
        contradictions += !same_labels(a, b);
        across += a->split != b->split;
        add_pair(&list, a, b);
    }
    if (across) log_warn("%d pictures are in two splits: the report lists them as ACROSS SPLITS", across);
    text_add(&result->report, "images with the same bytes as another: %" PRId64 " (%d with other labels)\n%s", result->duplicates, contradictions,
             list.length ? list.data : "");
    text_free(&list);
    mem_free(digests);
}

/* ---- pictures that look alike ---- */

enum { ALIKE_LISTED_MAX = 1000 };
struct alike {
    const struct manifest *m;
    const struct verdict *v;
    struct text list;
    int64_t across, other; /* splits; patients of one split */
};

static void add_alike(void *context, int i, int j, int distance)
{
    struct alike *a = context;
    const struct manifest_row *x = &a->m->rows[i], *y = &a->m->rows[j];
    if (!strcmp(x->patient, y->patient) || !memcmp(a->v[i].sha256, a->v[j].sha256, 32)) return;
    if (x->split == y->split) {
        a->other++;
        return;
    }
    if (++a->across > ALIKE_LISTED_MAX) return;
    add_place(&a->list, "  ", x);
    add_place(&a->list, " and ", y);
    text_add(&a->list, ": %d of %d bits differ%s\n", distance, 8 * LOOK_BYTES, same_labels(x, y) ? "" : ": WITH DIFFERENT LABELS");
}

static void report_alike(struct pack_result *result, const struct manifest *m, const struct verdict *v)
{
    struct alike a = {.m = m, .v = v};
    const uint8_t **looks = NEW_ARRAY(const uint8_t *, m->count);
    for (int i = 0; i < m->count; i++) looks[i] = v[i].good ? v[i].look : NULL;
    look_pairs(looks, m->count, add_alike, &a);
    result->alike = a.across;
    text_add(&result->report, "pairs of different patients that look alike, across splits: %" PRId64 " (within one: %" PRId64 ")", a.across, a.other);
    if (a.across > ALIKE_LISTED_MAX) text_add(&result->report, "; the first %d are listed", ALIKE_LISTED_MAX);
    text_add(&result->report, "\n%s", a.list.length ? a.list.data : "");
    text_free(&a.list);
    mem_free(looks);
}

static void report_grey(struct pack_result *result, const struct manifest *m, const struct verdict *v)
{
    int grey = 0, read = 0;
    for (int i = 0; i < m->count; i++) {
        read += v[i].good;
        grey += v[i].good && v[i].channels == 1;
    }
    text_add(&result->report, "grey pictures (one plane, or three equal ones): %d of %d\n", grey, read);
}

void pack_report(struct pack_result *result, const struct manifest *m, const struct verdict *v)
{
    report_unreadable(result, m, v);
    report_misnamed(result, m, v);
    report_grey(result, m, v);
    report_duplicates(result, m, v);
    report_alike(result, m, v);
    for (int i = 0; i < m->count; i++) result->images[m->rows[i].split] += v[i].good;
}
