/* grid_file.c - reads a grid file and expands it into cells. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "jobs/grid/grid.h"
#include "train/commands.h"

static const char *const list_keys[] = {"name", "config", "datasets", "backbones", "methods", "seeds", "override"};
enum { LIST_KEYS = sizeof list_keys / sizeof *list_keys };

static int at_line(struct error *err, const struct grid *g, const struct config_node *node)
{
    return error_prefix(err, "%s:%d", g->path, node->line);
}

/* ---- lists ---- */

/* A list of single values, as text; nothing may stand in it twice. */
static int read_list(char ***values, int *count, const struct grid *g, const char *name, enum config_type type, struct error *err)
{
    const struct config_node *list = config_find(config_find(&g->file, "grid"), name);
    if (!list) return error_set(err, "%s: grid.%s is missing", g->path, name);
    if (list->type != CONFIG_LIST || !list->count) {
        error_set(err, "grid.%s must be a list with at least one value", name);
        return at_line(err, g, list);
    }
    *values = NEW_ARRAY(char *, list->count);
    for (int i = 0; i < list->count; i++) {
        const struct config_node *item = &list->items[i];
        if (item->type != type) {
            error_set(err, "every value of grid.%s must be %s", name, config_type_word(type));
            return at_line(err, g, item);
        }
        for (int k = 0; k < i; k++)
            if (!strcmp((*values)[k], item->text)) {
                error_set(err, "'%s' stands twice in grid.%s: two cells would have the same folder", item->text, name);
                return at_line(err, g, item);
            }
        (*values)[(*count)++] = mem_string(item->text);
    }
    return 0;
}

static int read_seeds(struct grid *g, struct error *err)
{
    char **texts = NULL;
    int status = read_list(&texts, &g->seed_count, g, "seeds", CONFIG_INT, err);
    g->seeds = NEW_ARRAY(int64_t, g->seed_count);
    for (int i = 0; i < g->seed_count; i++) {
        g->seeds[i] = strtoll(texts[i], NULL, 10);
        mem_free(texts[i]);
    }
    mem_free(texts);
    return status;
}

/* Data sets' names are part of folders' names. */
static bool good_name(const char *name)
{
    if (!*name || *name == '.' || strlen(name) > 100) return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._+-", *p)) return false;
    return true;
}

static int read_dataset(struct grid_dataset *to, const struct grid *g, const struct config_node *node, const char *shards, struct error *err)
{
    const struct config_node *name = NULL, *data = NULL;
    for (int i = 0; i < node->count; i++) {
        const struct config_node *item = &node->items[i];
        if (item->name && !strcmp(item->name, "name") && item->type == CONFIG_STRING) name = item;
        else if (item->name && !strcmp(item->name, "data") && item->type == CONFIG_STRING) data = item;
        else return error_set(err, "a data set has the strings name and data only"), at_line(err, g, item);
    }
    if (!name || !data) return error_set(err, "a data set is written { name = \"d0\"; data = \"FOLDER\"; }"), at_line(err, g, node);
    if (!good_name(name->text)) {
        error_set(err, "'%s' cannot be part of a folder's name: letters, digits and . _ + - only", name->text);
        return at_line(err, g, name);
    }
    to->name = mem_string(name->text);
    to->data = *shards && data->text[0] != '/' ? path_join(shards, data->text) : mem_string(data->text);
    return 0;
}

static int read_datasets(struct grid *g, const char *shards, struct error *err)
{
    const struct config_node *list = config_find(config_find(&g->file, "grid"), "datasets");
    if (!list) return error_set(err, "%s: grid.datasets is missing", g->path);
    if (list->type != CONFIG_LIST || !list->count) return error_set(err, "grid.datasets must be a list with at least one data set"), at_line(err, g, list);
    g->datasets = NEW_ARRAY(struct grid_dataset, list->count);
    for (int i = 0; i < list->count; i++) {
        const struct config_node *node = &list->items[i];
        if (node->type != CONFIG_GROUP) return error_set(err, "a data set is written { name = \"d0\"; data = \"FOLDER\"; }"), at_line(err, g, node);
        g->dataset_count = i + 1;
        if (read_dataset(&g->datasets[i], g, node, shards, err)) return -1;
        for (int k = 0; k < i; k++)
            if (!strcmp(g->datasets[k].name, g->datasets[i].name)) {
                error_set(err, "two data sets are called '%s': two cells would have the same folder", g->datasets[i].name);
                return at_line(err, g, node);
            }
    }
    return 0;
}

/* ---- settings ---- */

static int unknown_key(const struct grid *g, const struct config_node *item, struct error *err)
{
    const char *nearest = NULL;
    int least = 4;
    for (int i = 0; i < LIST_KEYS; i++)
        if (text_distance(item->name, list_keys[i]) < least) {
            least = text_distance(item->name, list_keys[i]);
            nearest = list_keys[i];
        }
    error_set(err, "%s:%d: unknown key 'grid.%s'", g->path, item->line, item->name);
    if (nearest) return error_hint(err, "did you mean '%s'?", nearest);
    return error_hint(err, "a grid has name, config, datasets, backbones, methods, seeds, override; ladnn grid --help lists its settings");
}

static bool is_list_key(const char *name)
{
    for (int i = 0; i < LIST_KEYS; i++)
        if (!strcmp(name, list_keys[i])) return true;
    return false;
}

static bool has_row(const char *key)
{
    for (const struct setting_row *row = settings_table; row->key; row++)
        if (!strcmp(row->key, key)) return true;
    return false;
}

/* A group of `ladnn grid`'s own settings; what the command line or another file has set stays. */
static int read_own(struct grid *g, struct settings *s, const struct config_node *group, struct error *err)
{
    for (int i = 0; i < group->count; i++) {
        const struct config_node *item = &group->items[i];
        bool grid = !strcmp(group->name, "grid");
        if (grid && is_list_key(item->name)) continue;
        char *key = mem_format("%s.%s", group->name, item->name);
        struct config_node one = {.type = CONFIG_GROUP, .name = group->name, .line = item->line, .items = (struct config_node *)item, .count = 1};
        int status = 0;
        if (grid && !has_row(key)) status = unknown_key(g, item, err);
        else if (!has_row(key) || !strcmp(settings_origin(s, key), "default")) status = settings_read_group(s, &one, g->path, err);
        mem_free(key);
        if (status) return -1;
    }
    return 0;
}

/* The settings files of grid.config, then the file's own groups. */
static int read_common(struct grid *g, struct settings *s, struct error *err)
{
    const struct config_node *config = config_find(config_find(&g->file, "grid"), "config");
    char **files = NULL;
    int count = 0, status = 0;
    g->common = settings_open(&command_train);
    if (config) status = read_list(&files, &count, g, "config", CONFIG_STRING, err);
    for (int i = 0; i < count; i++) {
        char *folder = mem_format("%.*s", (int)(path_base(g->path) - g->path), g->path);
        char *path = files[i][0] == '/' || !*folder ? mem_string(files[i]) : path_join(folder, files[i]);
        if (!status) status = settings_read_file(g->common, path, err);
        mem_free(path);
        mem_free(folder);
        mem_free(files[i]);
    }
    mem_free(files);
    for (int i = 0; i < g->file.count && !status; i++) {
        const struct config_node *group = &g->file.items[i];
        bool own = !strcmp(group->name, "grid") || !strcmp(group->name, "slurm");
        status = own ? read_own(g, s, group, err) : settings_read_group(g->common, group, g->path, err);
    }
    return status;
}

/* ---- overrides ---- */

static bool is_match_key(const char *name)
{
    return !strcmp(name, "dataset") || !strcmp(name, "backbone") || !strcmp(name, "method") || !strcmp(name, "seed");
}

static bool matches(const struct config_node *override, const struct grid_cell *cell)
{
    char seed[24];
    snprintf(seed, sizeof seed, "%lld", (long long)cell->seed);
    const char *const pairs[][2] = {{"dataset", cell->dataset->name}, {"backbone", cell->backbone}, {"method", cell->method}, {"seed", seed}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const struct config_node *wanted = config_find(override, pairs[i][0]);
        if (wanted && strcmp(wanted->text, pairs[i][1]) != 0) return false;
    }
    return true;
}

/* An override that no cell meets is a mistake in writing. */
static int check_override(const struct grid *g, const struct config_node *override, struct error *err)
{
    if (override->type != CONFIG_GROUP) {
        error_set(err, "an override is written { backbone = \"vgg16\"; train = { batch = 16; }; }");
        return at_line(err, g, override);
    }
    for (int i = 0; i < override->count; i++)
        if (is_match_key(override->items[i].name) && !override->items[i].text) {
            error_set(err, "%s of an override is a single value", override->items[i].name);
            return at_line(err, g, &override->items[i]);
        }
    for (int c = 0; c < g->cell_count; c++)
        if (matches(override, &g->cells[c])) return 0;
    error_set(err, "no cell of the grid is meant by this override");
    return at_line(err, g, override);
}

static int check_overrides(const struct grid *g, struct error *err)
{
    const struct config_node *list = config_find(config_find(&g->file, "grid"), "override");
    if (list && list->type != CONFIG_LIST) return error_set(err, "grid.override must be a list"), at_line(err, g, list);
    for (int i = 0; list && i < list->count; i++)
        if (check_override(g, &list->items[i], err)) return -1;
    return 0;
}

static int apply_overrides(struct settings *s, const struct grid *g, const struct grid_cell *cell, struct error *err)
{
    const struct config_node *list = config_find(config_find(&g->file, "grid"), "override");
    for (int i = 0; list && i < list->count; i++) {
        const struct config_node *override = &list->items[i];
        if (!matches(override, cell)) continue;
        for (int k = 0; k < override->count; k++)
            if (!is_match_key(override->items[k].name) && settings_read_group(s, &override->items[k], g->path, err)) return -1;
    }
    return 0;
}

/* ---- cells ---- */

static void expand(struct grid *g)
{
    g->cells = NEW_ARRAY(struct grid_cell, (size_t)g->dataset_count * (size_t)g->backbone_count * (size_t)g->method_count * (size_t)g->seed_count);
    for (int d = 0; d < g->dataset_count; d++)
        for (int b = 0; b < g->backbone_count; b++)
            for (int m = 0; m < g->method_count; m++)
                for (int s = 0; s < g->seed_count; s++) {
                    struct grid_cell *cell = &g->cells[g->cell_count];
                    *cell = (struct grid_cell){.index = g->cell_count++, .dataset = &g->datasets[d], .backbone = g->backbones[b],
                                               .method = g->methods[m], .seed = g->seeds[s]};
                    cell->name = mem_format("%s-%s-%s-s%lld", cell->dataset->name, cell->backbone, cell->method, (long long)cell->seed);
                }
}

struct settings *grid_cell_settings(const struct grid *g, const struct grid_cell *cell, struct error *err)
{
    struct settings *s = settings_copy(g->common);
    char seed[24], *data = realpath(cell->dataset->data, NULL);
    snprintf(seed, sizeof seed, "%lld", (long long)cell->seed);
    const char *const values[][2] = {{"model.backbone", cell->backbone}, {"model.method", cell->method}, {"train.seed", seed},
                                     {"train.data", data ? data : cell->dataset->data}};
    int status = 0;
    for (size_t i = 0; i < sizeof values / sizeof *values && !status; i++) status = settings_set(s, values[i][0], values[i][1], g->path, err);
    mem_free(data); /* from malloc, as everything is */
    if (!status) status = apply_overrides(s, g, cell, err);
    if (!status) return s;
    settings_close(s);
    return NULL;
}

/* Whether all values of a list are ones that the setting takes; every cell sets it anew. */
static int check_words(struct grid *g, const char *name, const char *key, struct error *err)
{
    const struct config_node *list = config_find(config_find(&g->file, "grid"), name);
    int status = 0;
    for (int i = 0; i < list->count && !status; i++) {
        char *origin = mem_format("%s:%d", g->path, list->items[i].line);
        status = settings_set(g->common, key, list->items[i].text, origin, err);
        mem_free(origin);
    }
    return status;
}

static int read_name(struct grid *g, struct error *err)
{
    const struct config_node *grid = config_find(&g->file, "grid"), *name;
    if (!grid || grid->type != CONFIG_GROUP) {
        error_set(err, "%s: no group 'grid'", g->path);
        return error_hint(err, "a grid file begins with grid = { name = \"...\"; ... }; see jobs/cfg/paper.cfg");
    }
    name = config_find(grid, "name");
    if (!name) return error_set(err, "%s:%d: grid.name is missing", g->path, grid->line);
    if (name->type != CONFIG_STRING || !good_name(name->text)) {
        error_set(err, "grid.name must be letters, digits and . _ + - only");
        return at_line(err, g, name);
    }
    g->name = mem_string(name->text);
    return 0;
}

int grid_read(struct grid *g, struct settings *s, struct error *err)
{
    *g = (struct grid){.path = mem_string(settings_string(s, "grid.file"))};
    if (config_tree_read(&g->file, g->path, err) || read_name(g, err) || read_common(g, s, err)) return -1;
    if (read_datasets(g, settings_string(s, "grid.shards"), err)) return -1;
    if (read_list(&g->backbones, &g->backbone_count, g, "backbones", CONFIG_STRING, err)) return -1;
    if (read_list(&g->methods, &g->method_count, g, "methods", CONFIG_STRING, err) || read_seeds(g, err)) return -1;
    if (check_words(g, "backbones", "model.backbone", err) || check_words(g, "methods", "model.method", err)) return -1;
    expand(g);
    return check_overrides(g, err);
}

void grid_free(struct grid *g)
{
    for (int i = 0; i < g->dataset_count; i++) {
        mem_free(g->datasets[i].name);
        mem_free(g->datasets[i].data);
    }
    for (int i = 0; i < g->backbone_count; i++) mem_free(g->backbones[i]);
    for (int i = 0; i < g->method_count; i++) mem_free(g->methods[i]);
    for (int i = 0; i < g->cell_count; i++) mem_free(g->cells[i].name);
    mem_free(g->datasets);
    mem_free(g->backbones);
    mem_free(g->methods);
    mem_free(g->seeds);
    mem_free(g->cells);
    mem_free(g->name);
    mem_free(g->path);
    config_tree_free(&g->file);
    settings_close(g->common);
    *g = (struct grid){0};
}
