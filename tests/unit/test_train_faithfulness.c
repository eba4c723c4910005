/* ctest: timeout=300 */
/* test_train_faithfulness.c - deletion and insertion areas against what the network answers to pictures made here. */
#include "base/memory.h"
#include "base/random.h"
#include "models/init.h"
#include "tests/unit/check.h"
#include "train/faithfulness.h"

enum { SIZE = 32, PLACES = SIZE * SIZE, PICTURE = 3 * PLACES, OUTPUTS = 6, WHAT = 2 };

struct fixture {
    struct graph *g;
    struct network *n;
    struct train_config c;
    float planes[PICTURE], heat[PLACES];
};

static void fixture_open(struct fixture *f)
{
    struct error err;
    struct random r = random_stream(7, RANDOM_TEST, 0, 0);
    *f = (struct fixture){.c = {.eval_batch = 5, .loss = {LOSS_BCE, true, 5}, .augment = {.size = SIZE}, .ops = ops_find("cpu", NULL)}};
    struct network_options options = {.ops = f->c.ops, .max_eval_images = 5};
    f->c.ops->open(0);
    f->g = graph_build("resnet18", SIZE, OUTPUTS, true, &err);
    f->n = f->g ? network_open(f->g, &options, &err) : NULL;
    if (!f->n) die_error(&err);
    init_network(f->n, f->g, 3);
    for (int i = 0; i < PICTURE; i++) f->planes[i] = (float)random_range(&r, -2, 2);
    for (int i = 0; i < PLACES; i++) f->heat[i] = i % SIZE < SIZE / 2 ? 1 : 0.5f; /* the left half is hot */
}

static double answer(struct fixture *f, const float *planes)
{
    float logits[OUTPUTS];
    double p[OUTPUTS];
    network_infer(f->n, planes, 1, logits);
    loss_probabilities(p, logits, 1, &f->c.loss);
    return p[WHAT];
}

static struct faithfulness measure(struct fixture *f, const float *planes, int steps, uint64_t seed)
{
    struct faithfulness_options options = {steps, WHAT, seed, 2, 2};
    struct faithfulness out;
    faithfulness_measure(&out, f->n, &f->c, &options, 4, planes, f->heat);
    return out;
}

/* One step: only the ends of the curves. A blurred flat picture is itself. */
static void test_ends(struct fixture *f)
{
    float zero[PICTURE] = {0}, flat[PICTURE];
    struct faithfulness got = measure(f, f->planes, 1, 1);
    EXPECT_NEAR(got.deletion, (answer(f, f->planes) + answer(f, zero)) / 2, 1e-6);
    EXPECT_NEAR(got.random_deletion, got.deletion, 1e-6);
    EXPECT_NEAR(got.random_insertion, got.insertion, 1e-6);
    EXPECT(fabs(answer(f, f->planes) - answer(f, zero)) > 1e-3, "the network answers everything the same");
    for (int i = 0; i < PICTURE; i++) flat[i] = i < PLACES ? 0.5f : -1;
    got = measure(f, flat, 1, 1);
    EXPECT_NEAR(got.insertion, answer(f, flat), 1e-6);
}

/* Two steps: after the first the left half is gone, or back. */
static void test_order(struct fixture *f)
{
    float zero[PICTURE] = {0}, right[PICTURE];
    for (int i = 0; i < PICTURE; i++) right[i] = i % SIZE < SIZE / 2 ? 0 : f->planes[i];
    double want = (answer(f, f->planes) / 2 + answer(f, right) + answer(f, zero) / 2) / 2;
    EXPECT_NEAR(measure(f, f->planes, 2, 1).deletion, want, 1e-6);
}

static void test_seed(struct fixture *f)
{
    struct faithfulness a = measure(f, f->planes, 7, 1), b = measure(f, f->planes, 7, 1), c = measure(f, f->planes, 7, 2);
    EXPECT(!memcmp(&a, &b, sizeof a), "the same seed gives the same bits");
    EXPECT(a.random_deletion != c.random_deletion && a.deletion != c.deletion, "another seed: another random map, equal pixels in another order");
    EXPECT(a.deletion != a.random_deletion && a.insertion != a.random_insertion, "the map's curves are its own");
}

int main(void)
{
    static struct fixture f;
    fixture_open(&f);
    test_ends(&f);
    test_order(&f);
    test_seed(&f);
    network_close(f.n);
    graph_close(f.g);
    return check_verdict();
}
