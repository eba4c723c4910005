/* dataset_summary.c - see dataset_summary.h. */
#include "io/shard/dataset_summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

/* ---- counts ---- */

static int compare_patients(const void *a, const void *b)
{
    const struct shard_item *x = *(const struct shard_item *const *)a, *y = *(const struct shard_item *const *)b;
    int order = strcmp(x->patient, y->patient);
    return order ? order : y->covid - x->covid; /* COVID images first: the group's first tells the patient */
}

static void count_patients(struct split_summary *s, const struct dataset *d, enum split split)
{
    const struct shard_item **items = NEW_ARRAY(const struct shard_item *, s->images);
    for (int64_t i = 0; i < s->images; i++) items[i] = dataset_item(d, split, i);
    if (s->images) qsort(items, (size_t)s->images, sizeof *items, compare_patients);
    for (int64_t i = 0; i < s->images; i++) {
        if (i > 0 && !strcmp(items[i]->patient, items[i - 1]->patient)) continue;
        s->patients++;
        s->covid_patients += items[i]->covid;
    }
    mem_free(items);
}

static void add_item(struct split_summary *s, const struct shard_item *item)
{
    bool first = s->images++ == 0;
    s->covid += item->covid;
    for (int l = 0; l < LESION_COUNT; l++) s->lesion[l] += item->lesion[l];
    s->grey += item->channels == 1;
    s->bytes += (int64_t)item->height * item->width * item->channels;
    if (first || item->height < s->height_min) s->height_min = item->height;
    if (first || item->width < s->width_min) s->width_min = item->width;
    if (item->height > s->height_max) s->height_max = item->height;
    if (item->width > s->width_max) s->width_max = item->width;
}

void dataset_summarise(struct split_summary summary[SPLIT_COUNT], const struct dataset *d)
{
    for (int s = 0; s < SPLIT_COUNT; s++) {
        summary[s] = (struct split_summary){0};
        for (int64_t i = 0; i < dataset_count(d, (enum split)s); i++) add_item(&summary[s], dataset_item(d, (enum split)s, i));
        count_patients(&summary[s], d, (enum split)s);
    }
    for (int i = 0; i < dataset_shard_count(d); i++) summary[dataset_shard_info(d, i)->split].shards++;
}

/* ---- table ---- */

static void print_size(char *text, size_t bytes, const struct split_summary *s)
{
    if (s->width_min == s->width_max && s->height_min == s->height_max)
        snprintf(text, bytes, "%dx%d", s->width_min, s->height_min);
    else
        snprintf(text, bytes, "%d..%dx%d..%d", s->width_min, s->width_max, s->height_min, s->height_max);
}

static void print_row(struct text *out, const char *name, const struct split_summary *s)
{
    char size[64];
    print_size(size, sizeof size, s);
    text_add(out, "%-6s %7" PRId64 " %6" PRId64 " %6" PRId64 "  %8" PRId64 " %6" PRId64 " %6" PRId64 " ", name, s->images, s->covid,
             s->images - s->covid, s->patients, s->covid_patients, s->patients - s->covid_patients);
    for (int l = 0; l < LESION_COUNT; l++) text_add(out, " %*" PRId64, (int)strlen(lesion_names[l]) + 1, s->lesion[l]);
    text_add(out, "  %6" PRId64 "  %6.1f  %6d  %s\n", s->grey, (double)s->bytes / (1 << 20), s->shards, size);
}

/* "all" adds up what may be added: no patient is in two splits. */
static void add_up(struct split_summary *all, const struct split_summary *s)
{
    if (!s->images) return;
    bool first = all->images == 0;
    all->images += s->images, all->covid += s->covid, all->patients += s->patients;
    all->covid_patients += s->covid_patients, all->grey += s->grey, all->bytes += s->bytes, all->shards += s->shards;
    for (int l = 0; l < LESION_COUNT; l++) all->lesion[l] += s->lesion[l];
    if (first || s->height_min < all->height_min) all->height_min = s->height_min;
    if (first || s->width_min < all->width_min) all->width_min = s->width_min;
    if (s->height_max > all->height_max) all->height_max = s->height_max;
    if (s->width_max > all->width_max) all->width_max = s->width_max;
}

void dataset_print(struct text *out, const struct dataset *d)
{
    struct split_summary summary[SPLIT_COUNT], all = {0};
    const struct shard_info *info = dataset_shard_info(d, 0);
    dataset_summarise(summary, d);
    text_add(out, "data set %s%s: %s, written by %s (%s)\n\n", dataset_name(d), dataset_synthetic(d) ? " (SYNTHETIC)" : "",
             info->gzip ? "gzip" : "no filter", info->tool, info->settings);
    text_add(out, "split   images  COVID  other  patients  COVID  other ");
    for (int l = 0; l < LESION_COUNT; l++) text_add(out, "  %s", lesion_names[l]);
    text_add(out, "  1-chan     MiB  shards  width x height\n");
    for (int s = 0; s < SPLIT_COUNT; s++) {
        if (summary[s].images) print_row(out, split_names[s], &summary[s]);
        add_up(&all, &summary[s]);
    }
    print_row(out, "all", &all);
}

/* ---- JSON ---- */

static void json_split(struct json *j, const char *name, const struct split_summary *s)
{
    json_object(j, name);
    json_int(j, "images", s->images);
    json_int(j, "covid", s->covid);
    json_int(j, "patients", s->patients);
    json_int(j, "covid_patients", s->covid_patients);
    json_object(j, "lesions");
    for (int l = 0; l < LESION_COUNT; l++) json_int(j, lesion_names[l], s->lesion[l]);
    json_end_object(j);
    json_int(j, "grey", s->grey);
    json_int(j, "pixel_bytes", s->bytes);
    json_int(j, "width_min", s->width_min);
    json_int(j, "width_max", s->width_max);
    json_int(j, "height_min", s->height_min);
    json_int(j, "height_max", s->height_max);
    json_int(j, "shards", s->shards);
    json_end_object(j);
}

void dataset_print_json(struct json *j, const struct dataset *d)
{
    struct split_summary summary[SPLIT_COUNT];
    const struct shard_info *info = dataset_shard_info(d, 0);
    uint8_t digest[32];
    char hex[65];
    dataset_summarise(summary, d);
    dataset_hash(d, digest);
    hash_hex(hex, digest);
    json_string(j, "dataset", dataset_name(d));
    json_bool(j, "synthetic", dataset_synthetic(d));
    json_string(j, "hash", hex);
    json_string(j, "tool", info->tool);
    json_string(j, "settings", info->settings);
    json_int(j, "size", info->size);
    json_bool(j, "gzip", info->gzip);
    json_object(j, "splits");
    for (int s = 0; s < SPLIT_COUNT; s++)
        if (summary[s].images) json_split(j, split_names[s], &summary[s]);
    json_end_object(j);
}
