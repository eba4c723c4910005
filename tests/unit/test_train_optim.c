/* ctest: data */
/* test_train_optim.c - Adam, SGD, clipping and the cosine schedule against PyTorch (tests/reference/make_train.py); the bits do
 * not depend on threads; a gradient that is not finite changes nothing; what is zero for alignment stays zero.
 *
 * Tolerance of a parameter after t steps, against torch in double: eps * (t * |largest value so far| / 2 + 4 * way): each step rounds the
 * parameter once, and an update is right to a few eps of the longest way a parameter has gone. torch's own float32 takes up to
 * 0.75 of it (make_train.py prints that). */
#include <float.h>
#include <omp.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"
#include "tests/unit/check.h"
#include "train/optim.h"

enum { ROOM = 32, STEPS_ROOM = 16 };

static void open_optim(struct optim *o, const struct optim_spec *spec, int64_t count)
{
    struct error err;
    CHECK(!optim_open(o, ops_find("ref", NULL), spec, count, &err), "%s", err.message);
}

static double number(FILE *f)
{
    double value = NAN;
    EXPECT(fscanf(f, "%lf", &value) == 1, "the reference file is short");
    return value;
}

static void compare_rates(FILE *f)
{
    int period, epochs;
    EXPECT(fscanf(f, " cosine %d %d", &period, &epochs) == 2 && epochs == 6 * period + 2, "cosine");
    struct optim_spec spec = {.lr = 0.1, .cosine_period = period}, constant = {.lr = 0.1};
    for (int e = 0; e < epochs; e++) {
        EXPECT_NEAR(optim_lr(&spec, e), number(f), 1e-14);
        EXPECT(optim_lr(&constant, e) == 0.1, "no period, no schedule");
    }
}

struct arena {
    int count, steps;
    float start[ROOM], gradients[STEPS_ROOM][ROOM];
};

static void read_arena(struct arena *a, FILE *f)
{
    EXPECT(fscanf(f, " arena %d %d", &a->count, &a->steps) == 2, "arena");
    CHECK(a->count <= ROOM && a->steps <= STEPS_ROOM, "the reference has %d x %d numbers", a->steps, a->count);
    for (int i = 0; i < a->count; i++) a->start[i] = (float)number(f);
    for (int s = 0; s < a->steps; s++)
        for (int i = 0; i < a->count; i++) a->gradients[s][i] = (float)number(f);
}

static bool read_spec(struct optim_spec *s, FILE *f)
{
    char name[16];
    *s = (struct optim_spec){0};
    if (fscanf(f, "%15s %lf %lf %lf %lf %lf %lf %lf %d", name, &s->lr, &s->weight_decay, &s->beta1, &s->beta2, &s->eps, &s->momentum,
               &s->clip_norm, &s->cosine_period) != 9)
        return false;
    s->kind = strcmp(name, "adam") ? OPTIM_SGD : OPTIM_ADAM;
    return true;
}

/* One step's parameters against the reference; returns the largest share of the limit. */
static double compare_step(const float *w, double *last, double *way, double *largest, int count, int step, FILE *f)
{
    double want[ROOM], longest = 0, worst = 0;
    for (int i = 0; i < count; i++) {
        want[i] = number(f);
        way[i] += fabs(want[i] - last[i]);
        largest[i] = fmax(largest[i], fabs(want[i]));
        longest = fmax(longest, way[i]);
        last[i] = want[i];
    }
    for (int i = 0; i < count; i++) {
        double limit = FLT_EPSILON * (step * largest[i] / 2 + 4 * longest);
        EXPECT_NEAR(w[i], want[i], largest[i] > 0 ? limit : 0); /* alignment: stays zero exactly */
        worst = fmax(worst, fabs(w[i] - want[i]) / limit);
    }
    return worst;
}

static void compare_case(const struct arena *a, const struct optim_spec *spec, FILE *f)
{
    struct optim o;
    float w[ROOM], g[ROOM];
    double norms[STEPS_ROOM], last[ROOM], way[ROOM] = {0}, largest[ROOM], worst = 0;
    open_optim(&o, spec, a->count);
    for (int s = 0; s < a->steps; s++) norms[s] = number(f);
    for (int i = 0; i < a->count; i++) w[i] = a->start[i], last[i] = w[i], largest[i] = fabs(w[i]);
    for (int s = 0; s < a->steps; s++) {
        memcpy(g, a->gradients[s], sizeof g);
        double norm = optim_step(&o, w, g, optim_lr(spec, s));
        EXPECT_NEAR(norm, norms[s], 1e-14 * norms[s]);
        worst = fmax(worst, compare_step(w, last, way, largest, a->count, s + 1, f));
    }
    EXPECT(o.steps == a->steps, "%d steps", (int)o.steps);
    printf("%s lr %g: %.2f of the limit\n", spec->kind == OPTIM_ADAM ? "adam" : "sgd", spec->lr, worst);
    optim_close(&o);
}

static void test_reference(const char *tests)
{
    char path[512];
    snprintf(path, sizeof path, "%s/reference/optim.txt", tests);
    FILE *f = fopen(path, "r");
    static struct arena a;
    struct optim_spec spec;
    int cases = 0;
    EXPECT(f != NULL, "%s", path);
    if (!f) return;
    for (int i = 0; i < 3; i++) compare_rates(f);
    read_arena(&a, f);
    for (; read_spec(&spec, f); cases++) compare_case(&a, &spec, f);
    EXPECT(cases == 7 && a.steps >= 10, "%d cases", cases);
    fclose(f);
}

static const struct optim_spec adam = {.kind = OPTIM_ADAM, .lr = 1e-2, .weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8,
                                       .clip_norm = 3};
static const struct optim_spec sgd = {.kind = OPTIM_SGD, .lr = 1e-2, .weight_decay = 0.1, .momentum = 0.9, .clip_norm = 3};

static void fill(float *values, int64_t count, uint64_t key)
{
    struct random r = random_stream(5, RANDOM_TEST, key, 0);
    for (int64_t i = 0; i < count; i++) values[i] = (float)random_range(&r, -1, 1);
}

/* Three steps of an arena of several chunks with 1..4 threads: the same bits, norms too. */
static void test_threads(const struct optim_spec *spec)
{
    enum { COUNT = 5 * 65536 + 12347 };
    float *first = NEW_ARRAY(float, COUNT), *w = NEW_ARRAY(float, COUNT), *g = NEW_ARRAY(float, COUNT);
    double norms[3], sum = 0;
    fill(g, COUNT, 1);
    for (int64_t i = 0; i < COUNT; i++) sum += (double)g[i] * g[i];
    for (int threads = 1; threads <= 4; threads++) {
        struct optim o;
        omp_set_num_threads(threads);
        open_optim(&o, spec, COUNT);
        fill(w, COUNT, 2);
        for (uint64_t s = 0; s < 3; s++) {
            fill(g, COUNT, s ? 10 + s : 1);
            double norm = optim_step(&o, w, g, spec->lr);
            if (threads == 1) norms[s] = norm;
            EXPECT(norm == norms[s], "%d threads: norm %.17g, one: %.17g", threads, norm, norms[s]);
        }
        optim_close(&o);
        if (threads == 1) memcpy(first, w, COUNT * sizeof *w);
        EXPECT(memcmp(first, w, COUNT * sizeof *w) == 0, "%d threads: other bits", threads);
    }
    EXPECT_NEAR(norms[0], sqrt(sum), 1e-12 * norms[0]);
    mem_free(first), mem_free(w), mem_free(g);
}

/* A bad gradient anywhere changes nothing: neither parameters nor moments nor the count of steps. */
static void test_not_finite(const struct optim_spec *spec)
{
    enum { COUNT = 65536 + 77 };
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const int64_t places[] = {0, 65536, COUNT - 1};
    float *w = NEW_ARRAY(float, COUNT), *g = NEW_ARRAY(float, COUNT), *kept = NEW_ARRAY(float, 3 * COUNT);
    size_t bytes = COUNT * sizeof(float);
    struct optim o;
    open_optim(&o, spec, COUNT);
    fill(w, COUNT, 1), fill(g, COUNT, 2);
    EXPECT(isfinite(optim_step(&o, w, g, spec->lr)) && o.steps == 1, "a good step");
    memcpy(kept, w, bytes), memcpy(kept + COUNT, o.m, bytes);
    if (o.v) memcpy(kept + 2 * COUNT, o.v, bytes);
    EXPECT((o.v != NULL) == (spec->kind == OPTIM_ADAM), "only Adam has v");
    for (int i = 0; i < 9; i++) {
        fill(g, COUNT, 3);
        g[places[i / 3]] = bad[i % 3];
        EXPECT(!isfinite(optim_step(&o, w, g, spec->lr)), "%g at %d", bad[i % 3], (int)places[i / 3]);
        EXPECT(o.steps == 1 && !memcmp(w, kept, bytes) && !memcmp(o.m, kept + COUNT, bytes), "%g changed something", bad[i % 3]);
        EXPECT(!o.v || !memcmp(o.v, kept + 2 * COUNT, bytes), "%g changed v", bad[i % 3]);
    }
    fill(g, COUNT, 4);
    g[7] = 3e38f; /* large is not infinite: its square fits a double */
    EXPECT(isfinite(optim_step(&o, w, g, spec->lr)) && o.steps == 2, "a large one");
    optim_close(&o);
    mem_free(w), mem_free(g), mem_free(kept);
}

/* Steps, m and v are the whole state: what a checkpoint keeps is enough to continue with the same bits. */
static void test_continue(const struct optim_spec *spec)
{
    float w[ROOM], g[ROOM], other[ROOM];
    struct optim o, copy;
    open_optim(&o, spec, ROOM), open_optim(&copy, spec, ROOM);
    fill(w, ROOM, 1);
    for (uint64_t s = 0; s < 6; s++) {
        if (s == 3) {
            memcpy(other, w, sizeof w), memcpy(copy.m, o.m, sizeof w);
            if (o.v) memcpy(copy.v, o.v, sizeof w);
            copy.steps = o.steps;
        }
        fill(g, ROOM, 2 + s);
        optim_step(&o, w, g, spec->lr);
        fill(g, ROOM, 2 + s);
        if (s >= 3) optim_step(&copy, other, g, spec->lr);
    }
    EXPECT(memcmp(w, other, sizeof w) == 0, "the copy went another way");
    optim_close(&o), optim_close(&copy);
}

/* clip_grad_norm_ scales by min(1, clip / (norm + 1e-6)), also for a norm just below the limit. */
static void test_clip_edge(void)
{
    struct optim_spec spec = {.kind = OPTIM_SGD, .lr = 1, .clip_norm = 2e-6};
    float w[1] = {0}, g[1] = {0x1p-19f}; /* 1.9e-6 */
    struct optim o;
    open_optim(&o, &spec, 1);
    EXPECT(optim_step(&o, w, g, 1) == 0x1p-19, "the norm before clipping");
    EXPECT_NEAR(w[0], -0x1p-19 * 2e-6 / (0x1p-19 + 1e-6), 1e-12);
    optim_close(&o);
}

/* Ranges with rates of their own: each as an optimiser of that rate alone, with the norm of all; behind the last one nothing is touched. */
static void test_ranges(const struct optim_spec *spec)
{
    enum { COUNT = 3000, FIRST = 64, SECOND = 1040, THIRD = 2000 };
    static const struct optim_range ranges[] = {{FIRST, 10}, {SECOND, 0.25}, {THIRD, 0.25}};
    float w[COUNT], want[COUNT], g[COUNT], start[COUNT];
    struct optim all;
    struct optim_spec unclipped = *spec;
    unclipped.clip_norm = 0; /* each of the others would see its own norm */
    fill(start, COUNT, 4);
    memcpy(w, start, sizeof w), memcpy(want, start, sizeof want);
    open_optim(&all, &unclipped, COUNT);
    optim_set_ranges(&all, ranges, 3);
    EXPECT(all.ranges == 2 && all.count == THIRD, "%d ranges", all.ranges);
    struct optim parts[2];
    for (int i = 0; i < 2; i++) open_optim(&parts[i], &unclipped, i ? THIRD - FIRST : FIRST);
    for (int step = 0; step < 3; step++) {
        fill(g, COUNT, 5 + (uint64_t)step);
        double norm = optim_step(&all, w, g, 0.01), sum = 0;
        for (int i = 0; i < THIRD; i++) sum += (double)g[i] * g[i];
        EXPECT_NEAR(norm, sqrt(sum), 1e-12);
        for (int i = 0; i < 2; i++) optim_step(&parts[i], want + (i ? FIRST : 0), g + (i ? FIRST : 0), 0.01 * ranges[i].factor);
    }
    EXPECT(!memcmp(w, want, sizeof w), "ranges differ from optimisers of their own");
    EXPECT(!memcmp(w + THIRD, start + THIRD, sizeof(float) * (COUNT - THIRD)), "behind the last range");
    optim_close(&all);
    for (int i = 0; i < 2; i++) optim_close(&parts[i]);
}

int main(int argc, char **argv)
{
    test_reference(argc > 1 ? argv[1] : "tests");
    test_threads(&adam);
    test_threads(&sgd);
    test_not_finite(&adam);
    test_not_finite(&sgd);
    test_continue(&adam);
    test_continue(&sgd);
    test_clip_edge();
    test_ranges(&adam);
    test_ranges(&sgd);
    return check_verdict();
}
