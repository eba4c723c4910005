/* phantom_plan.c - how many pictures, of which patients, with which labels, names and file formats.
 *
 * Images and patients are those of Table 1 (PAPER). The table gives D0 and D0+D1 per split; D1's splits are the difference,
 * and they do add up to the table's D1 totals, 219 (57) and 259 (164). Only the paper's prose disagrees: it says 483 images in
 * D1, the table 219 + 259 = 478. The table is followed.
 *
 * Lesion combinations are those counted in the published D0 files. These have 191 positives in train, the table 187: the paper
 * made four positives negative without naming them, so four without a lesion label are left out here. D1's labels were
 * never published; D1 gets D0's shares. */
#include "io/phantom/phantom_plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

enum { D0, D1, SETS };
struct size {
    int images, patients;
};
/* [set][covid][split] */
static const struct size table[SETS][2][SPLIT_COUNT] = {
    {{{238, 109}, {58, 24}, {105, 42}}, {{187, 126}, {60, 32}, {98, 54}}},
    {{{160, 106}, {39, 20}, {60, 38}}, {{153, 43}, {21, 2}, {45, 12}}},
};

static const struct combination { /* lesions as bits, GGO first; images in D0's train, val, test */
    unsigned bits;
    int images[SPLIT_COUNT];
} combinations[] = {
    {1, {64, 29, 44}}, {0, {57, 21, 29}}, {1 | 2, {26, 8, 16}}, {2, {14, 2, 2}},  {1 | 16, {5, 0, 0}},     {1 | 4, {4, 0, 4}},
    {2 | 8, {4, 0, 0}}, {1 | 4 | 16, {3, 0, 0}}, {1 | 2 | 8, {2, 0, 0}}, {1 | 2 | 16, {2, 0, 0}}, {2 | 4, {2, 0, 0}},
    {1 | 8, {1, 0, 2}}, {16, {1, 0, 0}}, {2 | 4 | 16, {1, 0, 0}}, {1 | 4 | 8, {1, 0, 0}}, {8, {0, 0, 1}},
};
enum { COMBINATIONS = sizeof combinations / sizeof combinations[0] };

/* Keys of streams that are no patient's. */
enum { STREAM_GROUP = 1u << 30, STREAM_PATIENT = 2u << 30 };

/* A patient's number in the random streams: sets and classes never share one. */
static uint64_t patient_key(int set, int covid, int serial)
{
    return ((uint64_t)(set * 2 + covid) << 40) + (uint64_t)serial;
}

static struct phantom_row *add_row(struct phantom_plan *plan)
{
    if (plan->count == plan->room) {
        size_t bytes = sizeof *plan->rows * (size_t)plan->room;
        plan->room = plan->room ? 2 * plan->room : 256;
        plan->rows = mem_grow(plan->rows, bytes, sizeof *plan->rows * (size_t)plan->room);
    }
    struct phantom_row *row = &plan->rows[plan->count++];
    memset(row, 0, sizeof *row);
    return row;
}

/* Lesions of image i of n: the combinations' shares of D0, in their order, rounded on the running total so that the
 * parts add up. At D0's own size they come out exactly. */
static unsigned lesions_of(enum split split, int i, int n)
{
    int64_t total = 0, before = 0;
    for (int c = 0; c < COMBINATIONS; c++) {
        total += combinations[c].images[split];
    }
    for (int c = 0; c < COMBINATIONS; c++) {
        before += combinations[c].images[split];
        if (i < (before * n + total / 2) / total) {
            return combinations[c].bits;
        }
    }
    return 0;
}

/* Cuts n images into runs for p patients: most have one, a few have many (each further image goes to the patient of a random
 * image placed before). */
static void share_images(int *images, int p, int n, struct random *r)
{
    int *owner = NEW_ARRAY(int, n);
    for (int i = 0; i < n; i++) {
        owner[i] = i < p ? i : owner[random_below(r, i)];
        images[owner[i]]++;
    }
    mem_free(owner);
}

/* What all slices of a patient share. */
static void set_patient(struct phantom_row *row, struct random *r, int set, int covid, int serial)
{
    double kind = random_uniform(r), format = random_uniform(r);
    row->what.patient = patient_key(set, covid, serial);
    row->what.covid = covid;
    row->what.negative = kind < 0.4   ? PHANTOM_NORMAL
                         : kind < 0.6 ? PHANTOM_NODULE
                         : kind < 0.8 ? PHANTOM_MASS
                                      : PHANTOM_OTHER_PNEUMONIA;
    row->width = (int)fmin(760, fmax(148, 300 * exp(0.35 * random_normal(r))));
    row->height = (int)(row->width / fmin(2.2, fmax(1.02, 1.42 * exp(0.13 * random_normal(r)))));
    row->bare = covid && serial % 4 == 1; /* by number, so that the smallest set has each oddity */
    row->tinted = random_uniform(r) < 0.1;
    if (covid) {
        row->jpeg = serial % 10 == 3;
        row->mode = row->jpeg || format < 0.4 ? PHANTOM_RGB : format < 0.94 ? PHANTOM_RGBA : PHANTOM_GREY;
    } else {
        row->jpeg = format < 0.5; /* "crawled" files are JPEG, "medpix" ones PNG */
        row->mode = format < 0.06 ? PHANTOM_GREY : PHANTOM_RGB;
    }
}

/* Names as in the real folders: '%' and a number tell the panels of one figure apart. */
static void set_names(struct phantom_row *row, struct phantom_plan *plan, int covid, int serial, int slice, int slices)
{
    char panel[16] = "";
    if (slices > 1) {
        snprintf(panel, sizeof panel, "%%%d", slice);
    }
    if (covid) {
        row->patient = mem_format("Patient %d", serial + 1);
        row->file = mem_format("phantom.%08d-p%d-%d%s.png", serial + 1, serial % 29 + 3, serial % 131 + 10, panel);
    } else if (row->jpeg) {
        row->patient = mem_format("crawled_patient_%d", serial);
        row->file = mem_format("%d%s.jpg", serial, panel);
    } else {
        row->patient = mem_format("medpix_patient_%d", serial);
        row->file = mem_format("%d.png", 100000 + plan->count); /* one running number for all, as there */
    }
}

/* Captions with what real ones have: commas, doubled quotes, line breaks, Latin-1 bytes that are not UTF-8. */
static char *caption_of(const struct phantom_row *row, int serial)
{
    char found[64] = "";
    for (int i = 0; i < LESION_COUNT; i++) {
        if (row->what.lesion[i]) {
            strcat(strcat(found, *found ? ", " : ""), lesion_names[i]);
        }
    }
    if (!*found) {
        strcpy(found, "no lesion named");
    }
    switch (serial % 7) {
    case 0:
        return mem_format("Synthetic slice drawn by a program");
    case 1:
        return mem_format("['Figure %d. Synthetic slices, drawn by a program.\nFindings: %s.']", serial % 9 + 1, found);
    case 2:
        return mem_format("Synthetic \"patient\" %d, no person: %s", serial + 1, found);
    case 3:
        return mem_format("['Figure %d. Synthetic: %s, 3 (50-75%% distribution) \xa1\xc1 2. ']", serial % 9 + 1, found);
    default:
        return mem_format("['Figure %d. Synthetic slices (A, B), drawn by a program. Findings: %s. ']", serial % 9 + 1, found);
    }
}

struct group { /* one class and split of one set */
    int set, covid;
    enum split split;
    int images, patients;
    int serial; /* of its first patient */
};

static void add_slice(struct phantom_plan *plan, const struct group *g, const struct phantom_row *patient, int serial, int slice,
                      int slices, unsigned lesions)
{
    struct phantom_row *row = add_row(plan);
    *row = *patient;
    row->split = g->split;
    row->what.slice = (uint64_t)slice;
    for (int i = 0; i < LESION_COUNT; i++) {
        row->what.lesion[i] = g->covid && lesions >> i & 1;
    }
    set_names(row, plan, g->covid, serial, slice, slices);
    row->caption = g->covid ? caption_of(row, serial) : NULL;
}

static void add_group(struct phantom_plan *plan, const struct group *g, uint64_t seed)
{
    struct random r = random_stream(seed, RANDOM_PHANTOM, patient_key(g->set, g->covid, g->split), STREAM_GROUP);
    int *images = NEW_ARRAY(int, g->patients), done = 0;
    share_images(images, g->patients, g->images, &r);
    for (int p = 0; p < g->patients; p++) {
        int serial = g->serial + p;
        struct phantom_row patient = {.what = {.seed = seed}};
        struct random own = random_stream(seed, RANDOM_PHANTOM, patient_key(g->set, g->covid, serial), STREAM_PATIENT);
        set_patient(&patient, &own, g->set, g->covid, serial);
        for (int i = 0; i < images[p]; i++, done++) {
            add_slice(plan, g, &patient, serial, i, images[p], lesions_of(g->split, done, g->images));
        }
    }
    mem_free(images);
}

/* The largest and the smallest picture of the real set, so that every reader meets them. */
static void set_extremes(struct phantom_plan *plan)
{
    struct phantom_row *large = &plan->rows[plan->count / 3], *small = &plan->rows[plan->count / 2];
    large->width = 1637;
    large->height = 1225;
    small->width = 148;
    small->height = 61;
}

static int scaled(int count, double scale)
{
    return (int)fmax(1, round(count * scale));
}

void phantom_plan_make(struct phantom_plan *plan, const struct phantom_options *options)
{
    memset(plan, 0, sizeof *plan);
    int serial[2] = {0, 0};
    for (int set = D0; set < SETS; set++) {
        bool wanted = options->set == PHANTOM_BOTH || options->set == (set == D0 ? PHANTOM_D0 : PHANTOM_D1);
        for (int covid = 1; covid >= 0; covid--) {
            for (int split = 0; split < SPLIT_COUNT; split++) {
                const struct size *size = &table[set][covid][split];
                struct group g = {.set = set, .covid = covid, .split = (enum split)split};
                g.images = scaled(size->images, options->scale);
                g.patients = (int)fmin(g.images, scaled(size->patients, options->scale));
                g.serial = serial[covid]; /* D1's numbers follow D0's also when it stands alone */
                serial[covid] += g.patients;
                if (wanted) {
                    add_group(plan, &g, options->seed);
                    plan->patients[covid] += g.patients;
                }
            }
        }
    }
    set_extremes(plan);
}

void phantom_plan_free(struct phantom_plan *plan)
{
    for (int i = 0; i < plan->count; i++) {
        mem_free(plan->rows[i].file);
        mem_free(plan->rows[i].patient);
        mem_free(plan->rows[i].caption);
    }
    mem_free(plan->rows);
    memset(plan, 0, sizeof *plan);
}
