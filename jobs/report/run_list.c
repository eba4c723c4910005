/* run_list.c - which runs there are: grid/cells.csv says, else every folder with an identity.txt, one or two levels down. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/csv.h"
#include "jobs/report/run.h"

static struct run *add_run(struct run_list *l, const char *folder, const char *name)
{
    if (l->count == l->room) {
        int room = l->room ? 2 * l->room : 32;
        l->run = mem_grow(l->run, (size_t)l->count * sizeof *l->run, (size_t)room * sizeof *l->run);
        l->room = room;
    }
    struct run *r = &l->run[l->count++];
    *r = (struct run){.name = mem_string(name), .folder = path_join(folder, name)};
    return r;
}

/* ---- grid/cells.csv ---- */

static const char *const columns[] = {"index", "name", "folder", "dataset", "backbone", "method", "seed", "identity"}; /* and more behind */
enum { COLUMN_FOLDER = 2, COLUMN_DATASET, COLUMN_BACKBONE, COLUMN_METHOD, COLUMN_SEED, COLUMN_IDENTITY, COLUMNS = sizeof columns / sizeof *columns };

static int read_cell(struct run_list *l, const char *folder, const char *path, const struct csv_row *row, struct error *err)
{
    if (row->count < COLUMNS) return error_set(err, "%s:%d: %d fields, at least %d were expected", path, row->line, row->count, COLUMNS);
    const char *below = row->fields[COLUMN_FOLDER];
    char *end;
    if (!*below || *below == '/' || strstr(below, "..")) return error_set(err, "%s:%d: '%s' is no folder below %s", path, row->line, below, folder);
    struct run *r = add_run(l, folder, below);
    r->dataset = mem_string(row->fields[COLUMN_DATASET]);
    r->backbone = mem_string(row->fields[COLUMN_BACKBONE]);
    r->method = mem_string(row->fields[COLUMN_METHOD]);
    r->planned = mem_string(row->fields[COLUMN_IDENTITY]);
    errno = 0;
    r->seed = strtoll(row->fields[COLUMN_SEED], &end, 10);
    if (errno || *end || !*row->fields[COLUMN_SEED]) return error_set(err, "%s:%d: '%s' is no seed", path, row->line, row->fields[COLUMN_SEED]);
    return 0;
}

static int read_cells(struct run_list *l, const char *folder, const char *path, struct error *err)
{
    struct csv csv;
    if (csv_read(&csv, path, err)) return -1;
    int rc = csv.count ? 0 : error_set(err, "%s: no header", path);
    for (int c = 0; c < COLUMNS && !rc; c++)
        if (c >= csv.rows[0].count || strcmp(csv.rows[0].fields[c], columns[c]))
            rc = error_set(err, "%s: column %d is not '%s'", path, c + 1, columns[c]);
    for (int i = 1; i < csv.count && !rc; i++) rc = read_cell(l, folder, path, &csv.rows[i], err);
    l->listed = true;
    csv_free(&csv);
    return rc;
}

/* ---- without a list ---- */

/* What `ladnn eval --out` leaves has an identity, too, but nothing was trained there. */
static bool is_run(const char *folder)
{
    char *path = path_join(folder, "identity.txt");
    uint8_t *text = NULL;
    size_t bytes;
    bool run = path_exists(path) && (file_read(&text, &bytes, path, NULL) || strcmp((char *)text, "ladnn eval\n"));
    mem_free(text);
    mem_free(path);
    return run;
}

static int find_runs(struct run_list *l, const char *root, const char *below, int levels, struct error *err)
{
    char **names, *folder = *below ? path_join(root, below) : mem_string(root);
    int count, rc = folder_list(&names, &count, folder, err);
    for (int i = 0; !rc && i < count; i++) {
        char *inside = path_join(folder, names[i]), *name = *below ? path_join(below, names[i]) : mem_string(names[i]);
        if (path_is_folder(inside)) {
            if (is_run(inside)) add_run(l, root, name);
            else if (levels > 1) rc = find_runs(l, root, name, levels - 1, err);
        }
        mem_free(inside);
        mem_free(name);
    }
    folder_list_free(names, count);
    mem_free(folder);
    return rc;
}

int run_list_read(struct run_list *l, const char *folder, struct notes *notes, struct error *err)
{
    *l = (struct run_list){0};
    char *cells = path_join(folder, "grid/cells.csv");
    int rc = path_exists(cells) ? read_cells(l, folder, cells, err) : find_runs(l, folder, "", 2, err);
    mem_free(cells);
    if (!rc && !l->count) {
        rc = error_set(err, "%s: no run folder in it (none with an identity.txt), and no grid/cells.csv", folder);
        error_hint(err, "give the folder that holds the run folders of ladnn train");
    }
    for (int i = 0; !rc && i < l->count; i++) run_read(&l->run[i], notes);
    if (rc) run_list_free(l);
    return rc;
}

void run_list_free(struct run_list *l)
{
    for (int i = 0; i < l->count; i++) {
        struct run *r = &l->run[i];
        char *owned[] = {r->name, r->folder, r->dataset, r->backbone, r->method, r->planned, r->reason, r->identity, r->data_hash, r->program_hash,
                         r->version,
                         r->written, r->place, r->data_path};
        for (size_t k = 0; k < sizeof owned / sizeof *owned; k++) mem_free(owned[k]);
        mem_free(r->epoch);
        predictions_free(&r->predictions);
    }
    mem_free(l->run);
    *l = (struct run_list){0};
}
