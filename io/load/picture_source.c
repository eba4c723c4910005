/* picture_source.c - see picture_source.h. */
#include "io/load/picture_source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"

struct picture_source {
    struct dataset *data; /* or NULL: files */
    enum split split;
    int64_t *items;       /* of the split */
    char **names, **paths;
    struct stored_form form;
    int64_t count;
};

/* Keeps `wanted` of the chosen ones, evenly spread: the k-th of n is that at (k + 1/2) / n of the way. */
static int64_t spread(int64_t k, int64_t all, int64_t wanted) { return wanted && wanted < all ? (2 * k + 1) * all / (2 * wanted) : k; }
static int64_t fewer(int64_t all, int64_t wanted) { return wanted && wanted < all ? wanted : all; }

/* ---- of a split ---- */

static bool name_fits(const char *file, const char *name) { return !strcmp(file, name) || !strcmp(path_base(file), name); }

static int find_file(int64_t *item, const struct dataset *d, enum split split, const char *name, struct error *err)
{
    int64_t found = -1;
    for (int64_t i = 0; i < dataset_count(d, split); i++) {
        const char *file = dataset_item(d, split, i)->file;
        if (!name_fits(file, name)) continue;
        if (found >= 0 && strcmp(file, name)) {
            error_set(err, "'%s' is the name of two images of the %s split", name, split_names[split]);
            return error_hint(err, "%s and %s", dataset_item(d, split, found)->file, file);
        }
        found = i;
        if (!strcmp(file, name)) break;
    }
    *item = found;
    return found < 0 ? error_set(err, "no image '%s' in the %s split of %s", name, split_names[split], dataset_name(d)) : 0;
}

/* In the order of the list. */
static int find_files(struct picture_source *s, const char *files, struct error *err)
{
    char *list = mem_string(files), *rest = list, *name;
    int64_t room = 1;
    int rc = 0;
    for (const char *p = files; *p; p++) room += *p == ',';
    s->items = NEW_ARRAY(int64_t, room);
    while (!rc && (name = strsep(&rest, ",")))
        if (*name) rc = find_file(&s->items[s->count++], s->data, s->split, name, err);
    mem_free(list);
    return rc;
}

struct picture_source *pictures_of_split(struct dataset *d, enum split split, const char *files, int64_t count, struct error *err)
{
    struct picture_source *s = NEW(struct picture_source);
    int64_t all = dataset_count(d, split);
    *s = (struct picture_source){.data = d, .split = split};
    if (*files ? find_files(s, files, err) : all == 0 ? error_set(err, "%s: no %s images", dataset_name(d), split_names[split]) : 0) {
        pictures_close(s);
        return NULL;
    }
    if (!*files) {
        s->items = NEW_ARRAY(int64_t, all);
        for (; s->count < all; s->count++) s->items[s->count] = s->count;
    }
    all = s->count;
    s->count = fewer(all, count);
    for (int64_t k = 0; k < s->count; k++) s->items[k] = s->items[spread(k, all, count)];
    return s;
}

/* ---- files ---- */

static int decode(struct image *image, const char *path, const struct stored_form *form, struct error *err)
{
    uint8_t *data;
    size_t bytes;
    if (file_read(&data, &bytes, path, err)) return -1;
    int rc = image_decode(image, data, bytes, path, &form->window, err);
    mem_free(data);
    if (!rc) image_store(image, form);
    return rc;
}

/* By its name, or its first bytes. */
static bool is_picture(const char *path)
{
    uint8_t *data;
    size_t bytes;
    if (path_is_folder(path)) return false;
    if (image_format_of_name(path) != IMAGE_UNKNOWN) return true;
    if (file_read(&data, &bytes, path, NULL)) return false;
    enum image_format format = image_format_of(data, bytes);
    mem_free(data);
    return format != IMAGE_UNKNOWN;
}

static void add_file(struct picture_source *s, char *path)
{
    s->paths[s->count] = path;
    s->names[s->count++] = text_name_encode(path_base(path));
}

static int list_folder(struct picture_source *s, const char *folder, struct error *err)
{
    char **names;
    int count, others = 0;
    const char *other = NULL;
    if (folder_list(&names, &count, folder, err)) return -1;
    s->names = NEW_ARRAY(char *, count + 1);
    s->paths = NEW_ARRAY(char *, count + 1);
    for (int i = 0; i < count; i++) {
        char *path = path_join(folder, names[i]);
        if (is_picture(path)) {
            add_file(s, path);
            continue;
        }
        mem_free(path);
        if (!others++) other = names[i];
    }
    if (others) log_warn("%s: %d entries are no picture files and are passed over (%s%s)", folder, others, other, others > 1 ? ", ..." : "");
    folder_list_free(names, count);
    return s->count ? 0 : error_set(err, "%s: no pictures in this folder", folder);
}

/* What is not chosen is forgotten. */
static void choose_files(struct picture_source *s, int64_t count)
{
    int64_t all = s->count, chosen = 0;
    s->count = fewer(all, count);
    for (int64_t i = 0; i < all; i++) {
        if (chosen < s->count && spread(chosen, all, count) == i) {
            s->names[chosen] = s->names[i];
            s->paths[chosen++] = s->paths[i];
        } else {
            mem_free(s->names[i]);
            mem_free(s->paths[i]);
        }
    }
}

static int try_all(const struct picture_source *s, struct error *err)
{
    for (int64_t i = 0; i < s->count; i++) {
        struct image image;
        if (pictures_read(s, i, &image, err))
            return s->count > 1 ? error_hint(err, "take it out of the folder, or mend it: nothing is left out silently") : -1;
        image_free(&image);
    }
    return 0;
}

struct picture_source *pictures_of_path(const char *path, const struct stored_form *form, int64_t count, struct error *err)
{
    struct picture_source *s = NEW(struct picture_source);
    int rc = 0;
    s->form = *form;
    if (path_is_folder(path)) {
        rc = list_folder(s, path, err);
    } else {
        s->names = NEW_ARRAY(char *, 1);
        s->paths = NEW_ARRAY(char *, 1);
        add_file(s, mem_string(path));
    }
    choose_files(s, count);
    if (!rc && !try_all(s, err)) return s;
    pictures_close(s);
    return NULL;
}

/* ---- both ---- */

void pictures_close(struct picture_source *s)
{
    if (!s) return;
    for (int64_t i = 0; i < s->count && s->names; i++) {
        mem_free(s->names[i]);
        mem_free(s->paths[i]);
    }
    mem_free(s->names);
    mem_free(s->paths);
    mem_free(s->items);
    mem_free(s);
}

int64_t pictures_count(const struct picture_source *s) { return s->count; }

const struct shard_item *pictures_item(const struct picture_source *s, int64_t i)
{
    return s->data ? dataset_item(s->data, s->split, s->items[i]) : NULL;
}

const char *pictures_name(const struct picture_source *s, int64_t i) { return s->data ? pictures_item(s, i)->file : s->names[i]; }

int pictures_read(const struct picture_source *s, int64_t i, struct image *image, struct error *err)
{
    *image = (struct image){0};
    if (s->data) return dataset_read(s->data, s->split, s->items[i], image, err);
    return decode(image, s->paths[i], &s->form, err);
}

/* Packing writes "... size=224 ... colour=auto window=-600/1500" (io/pack/pack.c). */
int pictures_form_of(struct stored_form *form, bool *window_known, const struct dataset *d, struct error *err)
{
    const struct shard_info *info = dataset_shard_info(d, 0);
    const char *colour = strstr(info->settings, " colour="), *window = strstr(info->settings, " window=");
    *form = (struct stored_form){.size = info->size};
    *window_known = strncmp(info->settings, "source=merge ", 13) != 0;
    if (!colour) {
        error_set(err, "%s: does not say how its pictures were prepared", dataset_shard_path(d, 0));
        return error_hint(err, "pack the data set again");
    }
    form->grey = !strncmp(colour, " colour=grey", 12);
    return window ? image_window_parse(&form->window, window + strlen(" window="), err) : 0;
}
