/* cells.c - see cells.h. */
#include "jobs/grid/cells.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "io/csv.h"
#include "train/commands.h"
#include "train/identity.h"

static const char *const columns[] = {"index", "name", "folder", "dataset", "backbone", "method", "seed", "identity", "epochs"};
enum { COLUMNS = sizeof columns / sizeof *columns };

char *cells_path(const struct cell_list *list, const char *name) { return mem_format("%s/grid/%s", list->out, name); }

char *cells_config(const struct cell_list *list, const struct cell *cell) { return mem_format("%s/grid/cells/%s.cfg", list->out, cell->name); }

/* ---- from a grid file ---- */

static char *summary_of(const struct settings *s)
{
    struct text t = {0};
    text_add(&t, "%lld epochs, batch %lld, ", (long long)settings_int(s, "train.epochs"), (long long)settings_int(s, "train.batch"));
    text_add(&t, "%s, lr ", settings_string(s, "optim.name"));
    text_add_number(&t, settings_float(s, "optim.lr"));
    text_add(&t, ", %lld px, %s on %s", (long long)settings_int(s, "augment.size"), settings_string(s, "train.precision"), settings_string(s, "train.backend"));
    return t.data;
}

static void identify(struct cell *cell, const struct settings *s)
{
    struct text identity = {0};
    struct error why = {0};
    uint8_t digest[32];
    if (run_identity(s, &identity, &why)) {
        cell->no_data = mem_string(why.message);
    } else {
        sha256_of(digest, identity.data, identity.length);
        hash_hex(cell->identity, digest);
    }
    text_free(&identity);
}

static int plan_cell(struct cell *to, const struct grid *g, const struct grid_cell *from, const char *out, struct error *err)
{
    struct settings *s = grid_cell_settings(g, from, err);
    if (!s) return -1;
    *to = (struct cell){.name = mem_string(from->name), .dataset = mem_string(from->dataset->name), .backbone = mem_string(from->backbone),
                        .method = mem_string(from->method), .folder = path_join(out, from->name), .seed = from->seed,
                        .epochs = (int)settings_int(s, "train.epochs"), .summary = summary_of(s)};
    identify(to, s);
    settings_close(s);
    return 0;
}

static int open_file(struct cell_list *list, struct settings *s, struct error *err)
{
    struct grid g;
    int status = grid_read(&g, s, err);
    mem_free(list->out);
    list->out = mem_string(settings_string(s, "grid.out")); /* the file may have named it */
    list->cells = NEW_ARRAY(struct cell, g.cell_count);
    while (!status && list->count < g.cell_count) {
        status = plan_cell(&list->cells[list->count], &g, &g.cells[list->count], list->out, err);
        if (!status) list->count++;
    }
    list->grid_name = mem_string(g.name ? g.name : "");
    grid_free(&g);
    return status;
}

/* ---- to and from OUT/grid ---- */

/* A cell's settings, kept only when they differ: a grid of thousands is written often. */
static int write_config(const struct cell_list *list, const struct cell *cell, struct settings *s, struct error *err)
{
    struct text text = {0};
    uint8_t *old;
    size_t bytes;
    char *path = cells_config(list, cell);
    int status = settings_set(s, "train.out", cell->folder, "grid", err);
    text_add(&text, "// a cell of the grid '%s'. Research use only: not for diagnosis.\n", list->grid_name);
    settings_write(s, &text);
    bool same = !status && path_exists(path) && !file_read(&old, &bytes, path, NULL);
    if (same) {
        same = bytes == text.length && !memcmp(old, text.data, bytes);
        mem_free(old);
    }
    if (!status && !same) status = file_write_unsynced(path, text.data, text.length, err);
    text_free(&text);
    mem_free(path);
    return status;
}

static int write_configs(const struct cell_list *list, struct settings *s, struct error *err)
{
    struct grid g;
    int status = grid_read(&g, s, err);
    for (int i = 0; i < list->count && !status; i++) { /* the same cells in the same order */
        struct settings *of_cell = grid_cell_settings(&g, &g.cells[i], err);
        status = of_cell ? write_config(list, &list->cells[i], of_cell, err) : -1;
        settings_close(of_cell);
    }
    grid_free(&g);
    return status;
}

static int write_list(const struct cell_list *list, struct error *err)
{
    struct text text = {0};
    for (int i = 0; i < COLUMNS; i++) text_add(&text, "%s%s", i ? "," : "", columns[i]);
    text_add(&text, "\n");
    for (int i = 0; i < list->count; i++) {
        const struct cell *c = &list->cells[i];
        text_add(&text, "%d,%s,%s,%s,%s,%s,%lld,%s,%d\n", i, c->name, c->name, c->dataset, c->backbone, c->method, (long long)c->seed, c->identity, c->epochs);
    }
    char *path = cells_path(list, "cells.csv"), *name = cells_path(list, "name");
    int status = file_write_atomic(path, text.data, text.length, err);
    if (!status) status = file_write_atomic(name, list->grid_name, strlen(list->grid_name), err);
    mem_free(path);
    mem_free(name);
    text_free(&text);
    return status;
}

int cells_write(const struct cell_list *list, struct settings *s, struct error *err)
{
    char *cells = cells_path(list, "cells"), *logs = cells_path(list, "logs");
    int status = folder_create(cells, err) || folder_create(logs, err) || write_configs(list, s, err) || write_list(list, err) ? -1 : 0;
    mem_free(cells);
    mem_free(logs);
    return status;
}

static int take_row(struct cell *cell, const struct csv_row *row, const char *path, const char *out, struct error *err)
{
    if (row->count != COLUMNS) return error_set(err, "%s:%d: %d fields, %d wanted", path, row->line, row->count, COLUMNS);
    char **f = row->fields, *end[2];
    long long seed = strtoll(f[6], &end[0], 10), epochs = strtoll(f[8], &end[1], 10);
    if (!*f[6] || *end[0] || !*f[8] || *end[1]) return error_set(err, "%s:%d: seed or epochs is no whole number", path, row->line);
    if (!*f[1] || strchr(f[1], '/') || strcmp(f[1], f[2]) != 0) return error_set(err, "%s:%d: '%s' is no cell's folder", path, row->line, f[2]);
    if (strlen(f[7]) != 64 && *f[7]) return error_set(err, "%s:%d: '%s' is no SHA-256", path, row->line, f[7]);
    *cell = (struct cell){.name = mem_string(f[1]), .folder = path_join(out, f[2]), .dataset = mem_string(f[3]), .backbone = mem_string(f[4]),
                          .method = mem_string(f[5]), .seed = seed, .epochs = (int)epochs, .summary = mem_string("")};
    memcpy(cell->identity, f[7], strlen(f[7]));
    if (!*f[7]) cell->no_data = mem_string("the data could not be read when the grid was planned");
    return 0;
}

static int open_folder(struct cell_list *list, struct error *err)
{
    char *path = cells_path(list, "cells.csv"), *name = cells_path(list, "name");
    struct csv csv = {0};
    uint8_t *text;
    size_t bytes;
    int status = 0;
    if (!path_exists(path)) {
        status = error_set(err, "%s: no grid here (grid/cells.csv)", list->out);
        error_hint(err, "--out names the folder that a grid was submitted or run with; --file a grid file");
    }
    if (!status) status = csv_read(&csv, path, err);
    if (!status && csv.count < 2) status = error_set(err, "%s: no cell in it; with --file the grid is planned anew", path);
    list->cells = NEW_ARRAY(struct cell, csv.count);
    for (int i = 1; i < csv.count && !status; i++) {
        status = take_row(&list->cells[list->count], &csv.rows[i], path, list->out, err);
        if (!status) list->count++;
    }
    csv_free(&csv);
    if (!status && !file_read(&text, &bytes, name, NULL)) {
        list->grid_name = mem_string((char *)text);
        mem_free(text);
    }
    mem_free(path);
    mem_free(name);
    return status;
}

int cells_open(struct cell_list *list, struct settings *s, struct error *err)
{
    *list = (struct cell_list){.out = mem_string(settings_string(s, "grid.out"))};
    return *settings_string(s, "grid.file") ? open_file(list, s, err) : open_folder(list, err);
}

static void close_cell(struct cell *c)
{
    char **texts[] = {&c->name, &c->dataset, &c->backbone, &c->method, &c->folder, &c->no_data, &c->summary};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) mem_free(*texts[i]);
    *c = (struct cell){0};
}

void cells_close(struct cell_list *list)
{
    for (int i = 0; i < list->count; i++) close_cell(&list->cells[i]);
    mem_free(list->cells);
    mem_free(list->out);
    mem_free(list->grid_name);
    *list = (struct cell_list){0};
}

/* ---- choosing ---- */

static bool any_matches(const char *patterns, const char *name)
{
    bool found = false;
    for (const char *p = patterns; *p && !found; p += *p == ',') {
        size_t n = strcspn(p, ",");
        char *one = mem_format("%.*s", (int)n, p);
        found = fnmatch(one, name, 0) == 0;
        mem_free(one);
        p += n;
    }
    return found;
}

int cells_select(struct cell_list *list, const char *patterns, struct error *err)
{
    int kept = 0;
    if (!*patterns) return 0;
    for (int i = 0; i < list->count; i++) {
        if (any_matches(patterns, list->cells[i].name)) list->cells[kept++] = list->cells[i];
        else close_cell(&list->cells[i]);
    }
    list->count = kept;
    return kept ? 0 : error_set(err, "grid.only = '%s' matches no cell", patterns);
}

const struct cell *cells_find(const struct cell_list *list, const char *name)
{
    for (int i = 0; i < list->count; i++)
        if (!strcmp(list->cells[i].name, name)) return &list->cells[i];
    return NULL;
}
