/* data.c - see data.h. */
#include "jobs/report/data.h"

#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"

/* The hash under which a label's figures stand, or NULL. */
static const char *hash_of_label(const struct study *g, const char *label)
{
    for (int i = 0; i < g->cells; i++)
        if (cell_usable(&g->cell[i]) && !strcmp(g->cell[i].dataset, label)) return g->cell[i].run[0]->data_hash;
    return NULL;
}

/* Opens path when it holds these data; else says in `missing` why not, unless that is said. */
static bool try_folder(struct data_used *d, const char *path)
{
    struct error err = {0};
    uint8_t digest[32];
    char hex[65] = "";
    struct dataset *set = dataset_open(path, &err);
    if (set) {
        dataset_hash(set, digest);
        hash_hex(hex, digest);
        if (strcmp(hex, d->hash)) error_set(&err, "%s: other data (%.12s) than the runs' (%.12s)", path, hex, d->hash);
    }
    if (*err.message) {
        dataset_close(set);
        if (!d->missing) d->missing = mem_string(err.message);
        return false;
    }
    d->dataset = set;
    d->path = mem_string(path);
    return true;
}

static void try_runs(struct data_used *d, const struct run_list *runs)
{
    const char *tried = "";
    for (int r = 0; r < runs->count && !d->dataset; r++) {
        const struct run *run = &runs->run[r];
        if (run->reason || strcmp(run->data_hash, d->hash) || !strcmp(run->data_path, tried) || !*run->data_path) continue;
        tried = run->data_path;
        try_folder(d, tried);
    }
}

static void try_folders(struct data_used *d, const char *folders)
{
    for (const char *p = folders; *p && !d->dataset; p += strcspn(p, ","), p += *p == ',') {
        char *path = mem_format("%.*s", (int)strcspn(p, ","), p);
        mem_free(d->missing);
        d->missing = NULL;
        try_folder(d, path);
        mem_free(path);
    }
}

void data_find(struct data_list *l, const struct study *g, const struct run_list *runs, const char *folders)
{
    *l = (struct data_list){.item = NEW_ARRAY(struct data_used, g->dataset_count + 1)};
    for (int i = 0; i < g->dataset_count; i++) {
        struct data_used *d = &l->item[l->count++];
        *d = (struct data_used){.label = g->datasets[i], .hash = hash_of_label(g, g->datasets[i])};
        if (!d->hash) {
            d->missing = mem_string("no run of it has figures");
            continue;
        }
        try_runs(d, runs);
        if (!d->dataset) try_folders(d, folders);
        if (!d->dataset && !d->missing) d->missing = mem_string("its runs do not say where it is");
    }
}

void data_free(struct data_list *l)
{
    for (int i = 0; i < l->count; i++) {
        dataset_close(l->item[i].dataset);
        mem_free(l->item[i].path);
        mem_free(l->item[i].missing);
    }
    mem_free(l->item);
    *l = (struct data_list){0};
}
