/* dataset.c - all shards of a folder as one data set: completeness, no patient in two splits, items in order. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "io/shard/shard_format.h"

struct place {
    struct shard *shard;
    int64_t row;
};
struct dataset {
    struct shard *shards; /* by split, then part */
    int count;
    int64_t items[SPLIT_COUNT];
    struct place *places[SPLIT_COUNT];
};

/* ---- which files ---- */

static int compare_shards(const void *a, const void *b)
{
    const struct shard_info *x = &((const struct shard *)a)->info, *y = &((const struct shard *)b)->info;
    if (x->split != y->split) return x->split < y->split ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* A renamed or copied file would otherwise take another part's place. */
static int check_name(const struct shard *s, struct error *err)
{
    char *want = shard_file_name(s->info.dataset, s->info.split, s->info.index, s->info.count);
    int status = 0;
    if (strcmp(want, path_base(s->path)))
        status = error_set(err, "%s: the file says that it is %s: it was renamed or copied", s->path, want);
    mem_free(want);
    return status;
}

/* A shard under another name would be missed without a word. */
static void warn_of_name(const char *folder, const char *name)
{
    const char *dot = strrchr(name, '.');
    if (dot && *name != '.' && !strcmp(dot, ".h5")) log_warn("%s/%s is not named as a shard (NAME-SPLIT-00000-of-00001.h5): left out", folder, name);
}

static int open_folder(struct dataset *d, const char *path, struct error *err)
{
    char **names;
    int count, status = 0;
    if (folder_list(&names, &count, path, err)) return -1;
    d->shards = NEW_ARRAY(struct shard, count);
    for (int i = 0; i < count && !status; i++) {
        int length, index, parts;
        enum split split;
        if (!shard_name_parse(names[i], &length, &split, &index, &parts)) {
            warn_of_name(path, names[i]);
            continue;
        }
        char *file = path_join(path, names[i]);
        status = shard_open(&d->shards[d->count], file, err);
        if (!status) status = check_name(&d->shards[d->count++], err);
        mem_free(file);
    }
    folder_list_free(names, count);
    if (!status && !d->count) {
        status = error_set(err, "%s: no shards here (files like d0-train-00000-of-00001.h5)", path);
        error_hint(err, "ladnn pack makes them from a folder of images");
    }
    return status;
}

static int check_parts(const struct dataset *d, const char *folder, struct error *err)
{
    int expected = 0; /* part of the split that should come next */
    for (int i = 0; i < d->count; i++) {
        const struct shard *s = &d->shards[i], *first = &d->shards[0];
        bool starts = i == 0 || s->info.split != d->shards[i - 1].info.split;
        if (starts) expected = 0;
        if (strcmp(s->info.dataset, first->info.dataset) || strcmp(s->info.set_id, first->info.set_id)) {
            error_set(err, "%s: not of the same packing as %s", s->path, path_base(first->path));
            return error_hint(err, "a folder holds one data set; pack again, or move one of them away");
        }
        if (!starts && s->info.count != d->shards[i - 1].info.count)
            return error_set(err, "%s: says %d parts, %s says %d", s->path, s->info.count, path_base(d->shards[i - 1].path),
                             d->shards[i - 1].info.count);
        bool last = i + 1 == d->count || d->shards[i + 1].info.split != s->info.split;
        int missing = s->info.index != expected ? expected : last && s->info.index + 1 != s->info.count ? s->info.index + 1 : -1;
        if (missing >= 0) {
            char *name = shard_file_name(s->info.dataset, s->info.split, missing, s->info.count);
            error_set(err, "%s: part %d of %d of %s is missing (%s)", folder, missing + 1, s->info.count,
                      split_names[s->info.split], name);
            mem_free(name);
            return -1;
        }
        expected = s->info.index + 1;
    }
    return 0;
}

/* ---- no patient in two splits ---- */

struct member {
    const char *group;
    const struct shard *shard;
    const struct shard_item *item;
};

static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = strcmp(x->group, y->group);
    return order ? order : (x->shard > y->shard) - (x->shard < y->shard);
}

static int check_groups(const struct dataset *d, bool figures, struct error *err)
{
    int64_t count = 0, n = 0;
    for (int s = 0; s < SPLIT_COUNT; s++) count += d->items[s];
    struct member *members = NEW_ARRAY(struct member, count);
    for (int i = 0; i < d->count; i++)
        for (int64_t r = 0; r < d->shards[i].info.images; r++) {
            const struct shard_item *item = &d->shards[i].items[r];
            const char *group = figures ? item->figure : item->patient;
            if (*group) members[n++] = (struct member){group, &d->shards[i], item};
        }
    if (n) qsort(members, (size_t)n, sizeof *members, compare_members);
    int status = 0;
    for (int64_t i = 1; i < n && !status; i++) {
        const struct member *a = &members[i - 1], *b = &members[i];
        if (strcmp(a->group, b->group) || a->shard->info.split == b->shard->info.split) continue;
        status = error_set(err, "%s: %s '%s' is in two splits: %s in %s, %s in %s", b->shard->path,
                           figures ? "figure" : "patient", a->group, a->item->file, split_names[a->shard->info.split],
                           b->item->file, split_names[b->shard->info.split]);
    }
    mem_free(members);
    return status;
}

/* ---- open and close ---- */

static void index_items(struct dataset *d)
{
    for (int i = 0; i < d->count; i++) d->items[d->shards[i].info.split] += d->shards[i].info.images;
    int64_t filled[SPLIT_COUNT] = {0};
    for (int s = 0; s < SPLIT_COUNT; s++) d->places[s] = NEW_ARRAY(struct place, d->items[s]);
    for (int i = 0; i < d->count; i++) {
        struct shard *s = &d->shards[i];
        for (int64_t r = 0; r < s->info.images; r++)
            d->places[s->info.split][filled[s->info.split]++] = (struct place){s, r};
    }
}

static int open_all(struct dataset *d, const char *path, struct error *err)
{
    if (!path_is_folder(path)) {
        d->shards = NEW(struct shard);
        if (shard_open(&d->shards[0], path, err)) return -1;
        d->count = 1;
        index_items(d);
        return 0;
    }
    if (open_folder(d, path, err)) return -1;
    qsort(d->shards, (size_t)d->count, sizeof *d->shards, compare_shards);
    if (check_parts(d, path, err)) return -1;
    index_items(d);
    if (check_groups(d, false, err)) return -1;
    return d->shards[0].info.by_figure ? check_groups(d, true, err) : 0;
}

struct dataset *dataset_open(const char *path, struct error *err)
{
    struct dataset *d = NEW(struct dataset);
    if (!open_all(d, path, err)) return d;
    dataset_close(d);
    return NULL;
}

void dataset_close(struct dataset *d)
{
    if (!d) return;
    for (int i = 0; i < d->count; i++) shard_close(&d->shards[i]);
    for (int s = 0; s < SPLIT_COUNT; s++) mem_free(d->places[s]);
    mem_free(d->shards);
    mem_free(d);
}

/* ---- questions ---- */

int64_t dataset_count(const struct dataset *d, enum split split)
{
    return d->items[split];
}

static const struct place *find_place(const struct dataset *d, enum split split, int64_t i)
{
    ASSERT(i >= 0 && i < d->items[split]);
    return &d->places[split][i];
}

const struct shard_item *dataset_item(const struct dataset *d, enum split split, int64_t i)
{
    const struct place *p = find_place(d, split, i);
    return &p->shard->items[p->row];
}

int dataset_read(struct dataset *d, enum split split, int64_t i, struct image *out, struct error *err)
{
    const struct place *p = find_place(d, split, i);
    const struct shard_item *item = &p->shard->items[p->row];
    uint8_t *pixels = out->pixels ? out->pixels : mem_alloc(shard_item_bytes(item));
    if (shard_read(p->shard, p->row, pixels, err)) {
        if (!out->pixels) mem_free(pixels);
        return -1;
    }
    *out = (struct image){item->height, item->width, item->channels, pixels};
    return 0;
}

void dataset_expect(struct dataset *d, enum split split, int64_t i)
{
    const struct place *p = find_place(d, split, i);
    shard_expect(p->shard, p->row);
}

const char *dataset_name(const struct dataset *d)
{
    return d->shards[0].info.dataset;
}

bool dataset_synthetic(const struct dataset *d)
{
    bool any = false;
    for (int i = 0; i < d->count; i++) any |= d->shards[i].info.synthetic;
    return any;
}

const char *dataset_notice(const struct dataset *d)
{
    return dataset_synthetic(d) ? "SYNTHETIC data; research use only, not for diagnosis" : "research use only, not for diagnosis";
}

void dataset_hash(const struct dataset *d, uint8_t digest[32])
{
    struct sha256 sum;
    sha256_start(&sum);
    for (int s = 0; s < SPLIT_COUNT; s++)
        for (int64_t i = 0; i < d->items[s]; i++) {
            const struct shard_item *item = dataset_item(d, (enum split)s, i);
            uint8_t tail[2 + LESION_COUNT + 4] = {(uint8_t)s, (uint8_t)item->covid};
            memcpy(tail + 2, item->lesion, LESION_COUNT);
            for (int b = 0; b < 4; b++) tail[2 + LESION_COUNT + b] = (uint8_t)(item->crc32c >> (8 * b));
            sha256_add(&sum, item->file, strlen(item->file) + 1);
            sha256_add(&sum, item->patient, strlen(item->patient) + 1);
            sha256_add(&sum, tail, sizeof tail);
        }
    sha256_end(&sum, digest);
}

int dataset_shard_count(const struct dataset *d)
{
    return d->count;
}

const char *dataset_shard_path(const struct dataset *d, int shard)
{
    return d->shards[shard].path;
}

const struct shard_info *dataset_shard_info(const struct dataset *d, int shard)
{
    return &d->shards[shard].info;
}

int dataset_verify(struct dataset *d, int64_t *bad, void (*report)(void *context, const char *line), void *context)
{
    int64_t damaged = 0;
    for (int s = 0; s < SPLIT_COUNT; s++)
#pragma omp parallel for schedule(dynamic) reduction(+ : damaged)
        for (int64_t i = 0; i < d->items[s]; i++) {
            struct error err = {0};
            const struct place *p = find_place(d, (enum split)s, i);
            uint8_t *pixels = mem_alloc(shard_item_bytes(&p->shard->items[p->row]));
            if (shard_read(p->shard, p->row, pixels, &err)) {
                damaged++;
#pragma omp critical(dataset_report)
                report(context, err.message);
            }
            mem_free(pixels);
        }
    *bad = damaged;
    return damaged ? -1 : 0;
}
