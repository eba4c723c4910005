/* same_bytes.c - see same_bytes.h. */
#include "io/pack/same_bytes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/memory.h"
#include "io/pack/pack_private.h"

struct candidate {
    int64_t bytes; /* -1: not to be read */
    uint8_t sha256[32];
    int row;
};

static int by_bytes(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    int order = memcmp(x->sha256, y->sha256, sizeof x->sha256);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

static void look_at(struct candidate *c, const struct manifest *m, const struct pack_options *o)
{
    struct stat info;
    char *path = pack_source_path(o, m->rows[c->row].file);
    c->bytes = !stat(path, &info) && S_ISREG(info.st_mode) ? (int64_t)info.st_size : -1;
    mem_free(path);
}

static void hash(struct candidate *c, const struct manifest *m, const struct pack_options *o)
{
    struct error ignored;
    char *path = pack_source_path(o, m->rows[c->row].file);
    if (sha256_file(c->sha256, path, &ignored)) c->bytes = -1;
    mem_free(path);
}

int *same_bytes(const struct manifest *m, const struct pack_options *o)
{
    struct candidate *all = NEW_ARRAY(struct candidate, m->count);
    int *first = NEW_ARRAY(int, m->count);
#pragma omp parallel for schedule(dynamic, 64)
    for (int i = 0; i < m->count; i++) {
        all[i].row = i;
        look_at(&all[i], m, o);
    }
    qsort(all, (size_t)m->count, sizeof *all, by_bytes);
#pragma omp parallel for schedule(dynamic, 64)
    for (int i = 0; i < m->count; i++) {
        int64_t bytes = all[i].bytes; /* a neighbour may be marked unreadable meanwhile: then this one is read for nothing */
        bool alone = (i == 0 || all[i - 1].bytes != bytes) && (i + 1 == m->count || all[i + 1].bytes != bytes);
        if (bytes >= 0 && !alone) hash(&all[i], m, o);
    }
    qsort(all, (size_t)m->count, sizeof *all, by_bytes);
    for (int i = 0; i < m->count; i++) {
        bool same = i > 0 && all[i].bytes >= 0 && all[i].bytes == all[i - 1].bytes && !memcmp(all[i].sha256, all[i - 1].sha256, 32);
        first[all[i].row] = same ? first[all[i - 1].row] : all[i].row;
    }
    mem_free(all);
    return first;
}
