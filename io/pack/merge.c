/* merge.c - see merge.h. */
#include "io/pack/merge.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "io/pack/manifest_private.h"
#include "io/shard/shard.h"

struct source {
    struct dataset *data;
    char *path, *prefix;
    int first; /* number of its first image */
};
struct merge {
    struct source *sources;
    int count, images;
};

/* ---- opening ---- */

static bool prefix_is_taken(const struct merge *m, const char *prefix)
{
    for (int i = 0; i < m->count; i++)
        if (!strcmp(m->sources[i].prefix, prefix)) return true;
    return false;
}

static int add_source(struct merge *m, const char *path, struct error *err)
{
    struct dataset *d = dataset_open(path, err);
    if (!d) return -1;
    char *prefix = mem_string(dataset_name(d));
    for (int k = 2; prefix_is_taken(m, prefix); k++) {
        mem_free(prefix);
        prefix = mem_format("%s-%d", dataset_name(d), k);
    }
    m->sources = mem_grow(m->sources, (size_t)m->count * sizeof *m->sources, (size_t)(m->count + 1) * sizeof *m->sources);
    m->sources[m->count++] = (struct source){.data = d, .path = mem_string(path), .prefix = prefix, .first = m->images};
    for (int s = 0; s < SPLIT_COUNT; s++) m->images += (int)dataset_count(d, (enum split)s);
    return 0;
}

struct merge *merge_open(const char *paths, struct error *err)
{
    struct merge *m = NEW(struct merge);
    char *copy = mem_string(paths), *rest = copy, *path;
    int status = 0;
    while (!status && (path = strtok_r(rest, ",", &rest))) {
        char *trimmed = manifest_trim(path);
        status = add_source(m, trimmed, err);
        mem_free(trimmed);
    }
    if (!status && m->count < 2) {
        status = error_set(err, "pack.merge = '%s': one data set is nothing to merge", paths);
        error_hint(err, "folders of shards, separated by commas: --merge shards/d0,shards/d1");
    }
    mem_free(copy);
    if (!status) return m;
    merge_close(m);
    return NULL;
}

void merge_close(struct merge *m)
{
    if (!m) return;
    for (int i = 0; i < m->count; i++) {
        dataset_close(m->sources[i].data);
        mem_free(m->sources[i].path);
        mem_free(m->sources[i].prefix);
    }
    mem_free(m->sources);
    mem_free(m);
}

bool merge_reads(const struct merge *m, const char *folder)
{
    struct stat a, b;
    if (stat(folder, &a)) return false;
    for (int i = 0; i < m->count; i++)
        if (!stat(m->sources[i].path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino) return true;
    return false;
}

int merge_size(const struct merge *m)
{
    int size = dataset_shard_info(m->sources[0].data, 0)->size;
    for (int i = 0; i < m->count; i++)
        for (int k = 0; k < dataset_shard_count(m->sources[i].data); k++)
            if (dataset_shard_info(m->sources[i].data, k)->size != size) return -1;
    return size;
}

/* ---- one image ---- */

static struct dataset *find_image(const struct merge *m, int number, enum split *split, int64_t *at)
{
    int i = m->count - 1, s = 0;
    while (m->sources[i].first > number) i--;
    *at = number - m->sources[i].first;
    for (; *at >= dataset_count(m->sources[i].data, (enum split)s); s++) *at -= dataset_count(m->sources[i].data, (enum split)s);
    *split = (enum split)s;
    return m->sources[i].data;
}

int merge_read(struct image *image, const struct merge *m, int number, struct error *err)
{
    enum split split;
    int64_t at;
    struct dataset *d = find_image(m, number, &split, &at);
    *image = (struct image){0};
    return dataset_read(d, split, at, image, err);
}

static const struct shard_item *item_of(const struct merge *m, int number)
{
    enum split split;
    int64_t at;
    struct dataset *d = find_image(m, number, &split, &at);
    return dataset_item(d, split, at);
}

void merge_state(const struct merge *m, int number, uint8_t sha256[32], int64_t *bytes, int64_t *checksum)
{
    const struct shard_item *item = item_of(m, number);
    memcpy(sha256, item->source_sha256, 32);
    *bytes = (int64_t)item->height * item->width * item->channels;
    *checksum = item->crc32c;
}

/* ---- the same picture twice ---- */

struct digest {
    const uint8_t *sha256;
    int number;
};

static int compare_digests(const void *a, const void *b)
{
    const struct digest *x = a, *y = b;
    int order = memcmp(x->sha256, y->sha256, 32);
    return order ? order : (x->number > y->number) - (x->number < y->number);
}

/* original[i]: the first image with the bytes of image i; mem_free. */
static int *find_originals(const struct merge *m)
{
    struct digest *all = NEW_ARRAY(struct digest, m->images);
    int *original = NEW_ARRAY(int, m->images);
    for (int i = 0; i < m->images; i++) all[i] = (struct digest){item_of(m, i)->source_sha256, i};
    qsort(all, (size_t)m->images, sizeof *all, compare_digests);
    for (int i = 0; i < m->images; i++)
        original[all[i].number] = i && !memcmp(all[i].sha256, all[i - 1].sha256, 32) ? original[all[i - 1].number] : all[i].number;
    mem_free(all);
    return original;
}

/* ---- patients ---- */

struct people {
    struct name_index names;
    int *same_as; /* (names): a tree whose root stands for all */
};

static int root_of(struct people *p, int i)
{
    while (p->same_as[i] != i) i = p->same_as[i] = p->same_as[p->same_as[i]];
    return i;
}

/* Every name gets the place of its first entry as value. */
static void people_make(struct people *p, const struct merge *m)
{
    name_index_make(&p->names, m->images);
    for (int i = 0; i < m->images; i++) p->names.entries[i] = (struct name_entry){item_of(m, i)->patient, 0};
    name_index_sort(&p->names);
    p->same_as = NEW_ARRAY(int, m->images);
    for (int i = 0; i < m->images; i++) {
        struct name_entry *e = p->names.entries;
        e[i].value = i && !strcmp(e[i].name, e[i - 1].name) ? e[i - 1].value : i;
        p->same_as[i] = i;
    }
}

static int person(struct people *p, const char *name)
{
    return root_of(p, name_index_find(&p->names, name));
}

static void people_free(struct people *p)
{
    name_index_free(&p->names);
    mem_free(p->same_as);
}

/* ---- rows ---- */

static bool same_labels(const struct shard_item *a, const struct shard_item *b)
{
    return a->covid == b->covid && !memcmp(a->lesion, b->lesion, LESION_COUNT);
}

static const struct source *source_of(const struct merge *m, int number)
{
    int i = m->count - 1;
    while (m->sources[i].first > number) i--;
    return &m->sources[i];
}

static void add_row(struct manifest *m, const struct merge *from, struct people *people, int number)
{
    const struct shard_item *item = item_of(from, number);
    struct manifest_row *row = manifest_add(m);
    row->file = mem_format("%s/%s", source_of(from, number)->prefix, item->file);
    row->patient = mem_string(people->names.entries[person(people, item->patient)].name);
    row->figure = mem_string(item->figure);
    row->covid = item->covid;
    memcpy(row->lesion, item->lesion, LESION_COUNT);
    row->line = number;
}

/* Patients whose name stands in several sets: taken for one person, which is right only when the sets name people alike. */
static void report_namesakes(struct manifest *m, const struct merge *from)
{
    struct name_index index;
    const char *example = NULL;
    int count = 0;
    name_index_make(&index, from->images);
    for (int i = 0; i < from->images; i++) index.entries[i] = (struct name_entry){item_of(from, i)->patient, (int)(source_of(from, i) - from->sources)};
    name_index_sort(&index);
    for (int i = 1; i < index.count; i++) {
        const struct name_entry *a = &index.entries[i - 1], *b = &index.entries[i];
        if (strcmp(a->name, b->name) || a->value == b->value || (example && !strcmp(example, b->name))) continue;
        example = b->name;
        count++;
    }
    if (count)
        text_add(&m->report, "WARNING: %d patients of the same name in several sets are taken for one person each, such as '%s'\n", count, example);
    name_index_free(&index);
}

int manifest_read_merge(struct manifest *m, const struct merge *from, struct error *err)
{
    struct people people;
    struct text conflicts = {0};
    int *original = find_originals(from), doubles = 0, contradictions = 0;
    *m = (struct manifest){.unsplit = true};
    people_make(&people, from);
    for (int i = 0; i < from->images; i++) {
        const struct shard_item *a = item_of(from, original[i]), *b = item_of(from, i);
        if (original[i] == i) continue;
        people.same_as[person(&people, b->patient)] = person(&people, a->patient);
        doubles++;
        if (same_labels(a, b)) continue;
        contradictions++;
        text_add(&conflicts, "  ");
        text_add_name(&conflicts, b->file);
        text_add(&conflicts, " of %s has other labels than ", source_of(from, i)->prefix);
        text_add_name(&conflicts, a->file);
        text_add(&conflicts, " of %s, which is kept\n", source_of(from, original[i])->prefix);
    }
    for (int i = 0; i < from->images; i++)
        if (original[i] == i) add_row(m, from, &people, i);
    for (int i = 0; i < from->count; i++) {
        const struct source *s = &from->sources[i];
        int next = i + 1 < from->count ? from->sources[i + 1].first : from->images;
        text_add(&m->report, "data set %s from %s: %d images\n", s->prefix, s->path, next - s->first);
        m->synthetic |= dataset_synthetic(s->data);
    }
    report_namesakes(m, from);
    text_add(&m->report, "pictures that were there already, left out: %d\n", doubles);
    text_add(&m->report, "of these with contradicting labels: %d\n%s", contradictions, conflicts.length ? conflicts.data : "");
    for (int s = 0; s < SPLIT_COUNT; s++) m->source[s] = mem_string("pack.merge");
    manifest_finish_report(m);
    text_free(&conflicts);
    people_free(&people);
    mem_free(original);
    return m->count ? 0 : error_set(err, "pack.merge: no image");
}
