/* split.c - iterative stratification over groups of patients; see split.h. */
#include "io/pack/split.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "io/pack/manifest_private.h"

enum { COVID, NOT_COVID, FIRST_LESION, LABELS = FIRST_LESION + LESION_COUNT };

struct group { /* patients that must stay together */
    bool label[LABELS]; /* some image of it has it */
    int split;          /* -1: not yet given */
};
struct division {
    struct group *groups;
    int *group_of;  /* (rows) */
    int count, joined;
    double wanted[SPLIT_COUNT][LABELS + 1]; /* groups still wanted with a label; last: any group */
    struct random random;
};

/* ---- groups ---- */

static int find_root(int *parent, int i)
{
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

static const char *patient_of(const struct manifest_row *row)
{
    return row->patient;
}

static const char *figure_of(const struct manifest_row *row)
{
    return row->figure;
}

static void join(int *parent, int a, int b)
{
    int x = find_root(parent, a), y = find_root(parent, b);
    parent[x > y ? x : y] = x < y ? x : y;
}

/* Rows with the same non-empty key become one group; its root is its first row. */
static void join_rows(int *parent, const struct manifest *m, const char *(*key)(const struct manifest_row *row))
{
    struct name_index index;
    name_index_make(&index, m->count);
    for (int i = 0; i < m->count; i++) index.entries[i] = (struct name_entry){key(&m->rows[i]), i};
    name_index_sort(&index);
    for (int i = 1; i < m->count; i++) {
        const struct name_entry *a = &index.entries[i - 1], *b = &index.entries[i];
        if (!*a->name || strcmp(a->name, b->name)) continue;
        join(parent, a->value, b->value);
    }
    name_index_free(&index);
}

/* Patients who share a picture become one group. Returns how many pictures did that. */
static int join_same(int *parent, const struct manifest *m, const int *same)
{
    int joined = 0;
    for (int i = 0; i < m->count; i++) {
        if (!same || same[i] == i || find_root(parent, i) == find_root(parent, same[i])) continue;
        join(parent, i, same[i]);
        joined++;
    }
    return joined;
}

static void make_groups(struct division *d, const struct manifest *m, const struct split_options *o)
{
    int *parent = NEW_ARRAY(int, m->count), *number = NEW_ARRAY(int, m->count);
    for (int i = 0; i < m->count; i++) parent[i] = i;
    join_rows(parent, m, patient_of);
    if (o->by_figure) join_rows(parent, m, figure_of);
    d->joined = join_same(parent, m, o->same);
    d->groups = NEW_ARRAY(struct group, m->count);
    d->group_of = NEW_ARRAY(int, m->count);
    for (int i = 0; i < m->count; i++) {
        const struct manifest_row *row = &m->rows[i];
        int root = find_root(parent, i);
        if (root == i) number[i] = d->count++;
        struct group *g = &d->groups[d->group_of[i] = number[root]];
        g->split = -1;
        g->label[row->covid ? COVID : NOT_COVID] = true;
        for (int l = 0; l < LESION_COUNT; l++) g->label[FIRST_LESION + l] |= row->lesion[l];
    }
    mem_free(parent);
    mem_free(number);
}

/* ---- division ---- */

/* The label that fewest waiting groups have; -1 when nobody waits. */
static int rarest_label(const struct division *d)
{
    int rarest = -1, least = 0;
    for (int l = 0; l < LABELS; l++) {
        int waiting = 0;
        for (int i = 0; i < d->count; i++) waiting += d->groups[i].split < 0 && d->groups[i].label[l];
        if (!waiting || (rarest >= 0 && waiting >= least)) continue;
        rarest = l;
        least = waiting;
    }
    return rarest;
}

/* Where most are wanted: with this label, then at all, then by lot. */
static int neediest_split(struct division *d, int label)
{
    int best = 0, ties = 1;
    for (int s = 1; s < SPLIT_COUNT; s++) {
        double more = d->wanted[s][label] - d->wanted[best][label];
        if (more == 0) more = d->wanted[s][LABELS] - d->wanted[best][LABELS];
        if (more > 0) ties = 1;
        if (more > 0 || (more == 0 && random_below(&d->random, ++ties) == 0)) best = s;
    }
    return best;
}

static void give(struct division *d, struct group *g, int split)
{
    g->split = split;
    for (int l = 0; l < LABELS; l++) d->wanted[split][l] -= g->label[l];
    d->wanted[split][LABELS] -= 1;
}

static void divide(struct division *d, const struct split_options *o)
{
    int64_t *shuffled = NEW_ARRAY(int64_t, d->count);
    for (int i = 0; i < d->count; i++) shuffled[i] = i;
    random_shuffle(&d->random, shuffled, d->count);
    for (int s = 0; s < SPLIT_COUNT; s++) {
        d->wanted[s][LABELS] = o->share[s] * d->count;
        for (int i = 0; i < d->count; i++)
            for (int l = 0; l < LABELS; l++) d->wanted[s][l] += o->share[s] * d->groups[i].label[l];
    }
    for (int label = rarest_label(d); label >= 0; label = rarest_label(d))
        for (int k = 0; k < d->count; k++) {
            struct group *g = &d->groups[shuffled[k]];
            if (g->split < 0 && g->label[label]) give(d, g, neediest_split(d, label));
        }
    mem_free(shuffled);
}

/* ---- report ---- */

static void report(struct manifest *m, const struct division *d, const struct split_options *o)
{
    static const char *const names[2] = {"COVID", "not COVID"};
    int total[LABELS + 1] = {0}, have[SPLIT_COUNT][LABELS + 1] = {{0}};
    for (int i = 0; i < d->count; i++)
        for (int l = 0; l <= LABELS; l++) {
            int one = l == LABELS || d->groups[i].label[l];
            total[l] += one;
            have[d->groups[i].split][l] += one;
        }
    text_add(&m->report, "split made by patient%s, seed %llu: train %.0f %%, val %.0f %%, test %.0f %%\n",
             o->by_figure ? " and figure" : "", (unsigned long long)o->seed, 100 * o->share[0], 100 * o->share[1], 100 * o->share[2]);
    if (d->joined)
        text_add(&m->report, "pictures with the bytes of another patient's, whose patients stay together: %d\n", d->joined);
    for (int l = LABELS; l >= 0; l--)
        text_add(&m->report, "  %-10s %5d: train %d, val %d, test %d\n",
                 l == LABELS ? (o->by_figure || d->joined ? "groups" : "patients") : l < FIRST_LESION ? names[l] : lesion_names[l - FIRST_LESION], total[l],
                 have[SPLIT_TRAIN][l], have[SPLIT_VAL][l], have[SPLIT_TEST][l]);
}

void split_make(struct manifest *m, const struct split_options *o)
{
    struct division d = {.random = random_stream(o->seed, RANDOM_SPLIT, 0, 0)};
    make_groups(&d, m, o);
    divide(&d, o);
    for (int i = 0; i < m->count; i++) m->rows[i].split = (enum split)d.groups[d.group_of[i]].split;
    report(m, &d, o);
    mem_free(d.groups);
    mem_free(d.group_of);
}
