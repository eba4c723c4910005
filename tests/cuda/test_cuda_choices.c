/* test_cuda_choices.c - products on an emulated card (tests/tools/fake_cuda.h), whose cuBLASLt has two ways that give different bits: a process that
 * has taken a checkpoint's text goes its ways whatever the heuristics say now; without it the bits are others; text for another library or card
 * is of no use, and says so; damaged text is refused at every byte. */
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "ops/cuda/backend.h"
#include "ops/cuda/choices.h"
#include "ops/cuda/cuda_device.h"
#include "ops/cuda/matmul_choices.h"
#include "ops/cuda/plan_cache.h"
#include "tests/cuda/emulator.h"
#include "tests/tools/cuda_steps.h"
#include "tests/tools/fake_cuda.h"
#include "tests/unit/check.h"

enum { KINDS = 3, LARGEST = 64 * 96 };
static const struct matmul_spec specs[KINDS] = {
    {.rows = 6, .columns = 8, .inner = 96, .a_transposed = true, .bias = true, .relu = true},
    {.rows = 64, .columns = 8, .inner = 50, .in = DTYPE_BF16},
    {.rows = 64, .columns = 6, .inner = 33, .b_transposed = true, .tf32 = true},
};
struct results { float d[KINDS][64 * 8]; };

/* As a process that is started anew. */
static void start(bool other_ways)
{
    struct error err = {0};
    cuda_close();
    fake_cuda.other_ways = other_ways;
    CHECK(ops_cuda()->attach(0, &err) == 0, "%s", err.message);
}

static void fill(void *there, enum dtype dtype)
{
    float *v = values_normal(LARGEST, 0, 1, dtype);
    uint16_t *rounded = NEW_ARRAY(uint16_t, LARGEST);
    for (int i = 0; i < LARGEST; i++) rounded[i] = bf16_from_float(v[i]);
    device_upload(there, dtype == DTYPE_BF16 ? (void *)rounded : v, LARGEST * dtype_bytes(dtype));
    mem_free(v), mem_free(rounded);
}

/* All kinds from `first` on. */
static struct results multiply_from(int first)
{
    struct error err = {0};
    struct results r = {0};
    float *a = device_alloc(sizeof *a * LARGEST), *b = device_alloc(sizeof *b * LARGEST), *bias = device_alloc(sizeof *bias * LARGEST);
    float *d = device_alloc(sizeof r.d[0]);
    values_seed(9);
    for (int i = first; i < KINDS; i++) {
        struct matmul *m = matmul_open(&specs[i], &err);
        CHECK(m, "%s", err.message);
        fill(a, specs[i].in), fill(b, specs[i].in), fill(bias, specs[i].out);
        matmul_run(m, d, a, b, specs[i].bias ? bias : NULL);
        device_download(r.d[i], d, sizeof(float) * (size_t)(specs[i].rows * specs[i].columns));
        matmul_close(m);
    }
    device_free(a), device_free(b), device_free(d), device_free(bias);
    return r;
}
static struct results multiply(void) { return multiply_from(0); }

static bool same(const struct results *a, const struct results *b) { return !memcmp(a, b, sizeof *a); }

/* What choices_take says of the text, in a process whose heuristics choose otherwise; *other is the caller's. */
static int take_anew(const struct text *t, char **other, struct error *err)
{
    start(true);
    return choices_take(t->data, t->length, other, err);
}

static void test_continued(struct text *kept, struct results *first)
{
    struct text again = {0};
    struct error err = {0};
    char *other;
    start(false);
    choices_give(kept);
    EXPECT(kept->length == 0, "ways of nothing");
    *first = multiply();
    choices_give(kept);
    EXPECT(strstr(kept->data, "ladnn-products 1 ") == kept->data, "%s", kept->data);
    EXPECT_TEXT(kept->data, " cuBLASLt 130000, a card that is not there, compute capability 9.0, driver 13000\n");
    EXPECT_TEXT(kept->data, "\n64 x 8 by 50, bf16 to f32: id 21 tile 15 stages 16 split-k 1 reduction 0 swizzle 0 custom 0 inner-shape 0 cluster 3\n");
    start(true);
    struct results others = multiply();
    EXPECT(!same(first, &others), "the other ways have the same bits: nothing is tested here");
    EXPECT(take_anew(kept, &other, &err) == 0 && !other, "%s", err.message);
    struct results continued = multiply();
    struct matmul_counts n = matmul_counts();
    EXPECT(same(first, &continued), "a continued process has other bits");
    EXPECT(n.products == KINDS && n.taken == KINDS, "%d products, %d taken", n.products, n.taken);
    choices_give(&again);
    EXPECT(again.length == kept->length && !memcmp(again.data, kept->data, kept->length), "other ways than the checkpoint's:\n%s", again.data);
    text_free(&again);
}

/* A process that stops before it has met all products hands on the rest. */
static void test_handed_on(const struct text *kept, const struct results *first)
{
    struct text again = {0};
    struct error err = {0};
    char *other;
    EXPECT(take_anew(kept, &other, &err) == 0, "%s", err.message);
    multiply_from(KINDS - 1);
    choices_give(&again);
    EXPECT(matmul_counts().products == 1, "%d products", matmul_counts().products);
    EXPECT(take_anew(&again, &other, &err) == 0, "%s", err.message);
    struct results continued = multiply();
    EXPECT(same(first, &continued), "what was not asked for is lost");
    text_free(&again);
}

/* What is made here already stays; a product of another kind is the heuristics'. */
static void test_only_what_is_named(const struct text *kept, const struct results *first)
{
    struct error err = {0};
    char *other;
    start(true);
    multiply_from(KINDS - 1);
    EXPECT(choices_take(kept->data, kept->length, &other, &err) == 0, "%s", err.message);
    struct results r = multiply();
    EXPECT(!memcmp(r.d[0], first->d[0], sizeof r.d[0]) && memcmp(r.d[KINDS - 1], first->d[KINDS - 1], sizeof r.d[0]), "a way was changed under way");
}

static void test_not_for_here(const struct text *kept)
{
    struct error err = {0};
    char *other;
    fake_cuda.matmul_version = 130100;
    EXPECT(take_anew(kept, &other, &err) == 0 && other && strstr(other, "cuBLASLt 130000, a card"), "for %s", other ? other : "here");
    multiply();
    EXPECT(matmul_counts().taken == 0, "ways of another library were gone");
    mem_free(other);
    fake_cuda.matmul_version = 130000, fake_cuda.major = 10;
    EXPECT(take_anew(kept, &other, &err) == 0 && other && strstr(other, "compute capability 9.0"), "for %s", other ? other : "here");
    mem_free(other);
    fake_cuda.major = 9;
}

static void test_damage(const struct text *kept)
{
    struct error err;
    char *other, *copy = mem_alloc(kept->length);
    start(true);
    for (size_t i = 0; i < kept->length; i++) {
        memcpy(copy, kept->data, kept->length);
        copy[i] ^= 1;
        err = (struct error){0};
        EXPECT(choices_take(copy, kept->length, &other, &err) == -1 && !other, "byte %zu altered", i);
        EXPECT_TEXT(err.message, "of the checkpoint are damaged");
        EXPECT(choices_take(kept->data, i, &other, &err) == -1 && !other, "%zu bytes were taken", i);
    }
    EXPECT(!matmul_choice_given(&specs[0]), "something of it was taken");
    mem_free(copy);
}

/* The text with another way in it, and its sum right. */
static void edit(struct text *out, const struct text *kept, const char *from, const char *to)
{
    const char *what = strstr(kept->data, "cuBLASLt"), *body = strchr(kept->data, '\n') + 1, *at = strstr(body, from);
    CHECK(at, "no '%s'", from);
    char *edited = mem_format("%.*s%s%s", (int)(at - body), body, to, at + strlen(from));
    uint32_t sum = crc32c(crc32c(0, what, (size_t)(body - 1 - what)), edited, strlen(edited));
    text_clear(out);
    text_add(out, "ladnn-products 1 %zu %08x %.*s%s", strlen(edited), sum, (int)(body - what), what, edited);
    mem_free(edited);
}

static void test_refused_ways(const struct text *kept, const struct results *first)
{
    static const char *const edits[][2] = {
        {"id 21", "id 99"}, {"tile 15", "tile 1"}, {"split-k 1 reduction 0", "split-k 3 reduction 1"}, {"reduction 0", "reduction 4"}};
    struct text edited = {0};
    struct error err = {0};
    char *other;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        edit(&edited, kept, edits[i][0], edits[i][1]);
        EXPECT(take_anew(&edited, &other, &err) == 0 && !other, "%s", err.message);
        struct results r = multiply();
        EXPECT(matmul_counts().taken == KINDS - 1, "'%s': %d taken", edits[i][1], matmul_counts().taken);
        EXPECT(memcmp(r.d[0], first->d[0], sizeof r.d[0]) && !memcmp(r.d[1], first->d[1], sizeof r.d[1]), "'%s' was gone", edits[i][1]);
    }
    static const char *const nonsense[][2] = {{"id 21", "id x"}, {"tile 15 ", ""}, {"cluster 3", "cluster 3 more"},
                                              {"swizzle 0", "swizzle -2"}, {": id 21", ""}, {"cluster 3\n", "cluster 3"}};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        edit(&edited, kept, nonsense[i][0], nonsense[i][1]);
        err = (struct error){0};
        EXPECT(take_anew(&edited, &other, &err) == -1, "'%s' was taken", nonsense[i][1]);
        EXPECT_TEXT(err.message, "the products of the checkpoint are damaged: '");
    }
    text_free(&edited);
}

static void expect_plans_alone(void)
{
    EXPECT(plan_cache_counts().taken > 0 && matmul_counts().taken == 0, "%d plans taken, %d products", plan_cache_counts().taken, matmul_counts().taken);
}

/* Plans and products in one text; a checkpoint that was written before products were kept has plans alone. */
static void test_with_plans(void)
{
    enum { STEPS = 3 };
    struct text kept = {0}, plans = {0};
    struct error err = {0};
    char *other;
    int bodies;
    start(false);
    plan_cache_open(&(struct plan_cache_options){.folder = ""});
    mem_free(steps(ops_cuda(), STEPS, true, true, &bodies));
    choices_give(&kept);
    plan_cache_give(&plans);
    EXPECT(plans.length > 0 && kept.length > plans.length && !strcmp(kept.data + kept.length - plans.length, plans.data), "%s", kept.data);
    EXPECT(take_anew(&kept, &other, &err) == 0 && !other, "%s", err.message);
    mem_free(steps(ops_cuda(), STEPS, true, true, &bodies));
    struct matmul_counts n = matmul_counts();
    EXPECT(plan_cache_counts().taken > 0, "no plan was taken");
    EXPECT(n.taken > 0 && n.taken == n.products, "%d of %d products taken", n.taken, n.products);
    EXPECT(take_anew(&plans, &other, &err) == 0 && !other, "%s", err.message);
    mem_free(steps(ops_cuda(), STEPS, true, true, &bodies));
    expect_plans_alone();
    fake_cuda.matmul_version = 130100;
    EXPECT(take_anew(&kept, &other, &err) == 0 && other && !strstr(other, "cuDNN"), "for %s", other ? other : "here");
    mem_free(other);
    mem_free(steps(ops_cuda(), STEPS, true, true, &bodies));
    expect_plans_alone();
    fake_cuda.major = 10;
    EXPECT(take_anew(&kept, &other, &err) == 0 && other, "%s", err.message);
    EXPECT_TEXT(other ? other : "here", "cuBLASLt 130000, ");
    EXPECT_TEXT(other ? other : "here", " and cuDNN ");
    mem_free(other);
    text_free(&kept), text_free(&plans);
}

int main(void)
{
    struct text kept = {0};
    struct results first;
    fake_cuda_install();
    emulator_queue(fake_queue);
    log_level_set(LOG_ERROR);
    test_continued(&kept, &first);
    test_handed_on(&kept, &first);
    test_only_what_is_named(&kept, &first);
    test_not_for_here(&kept);
    test_damage(&kept);
    test_refused_ways(&kept, &first);
    test_with_plans();
    cuda_close();
    EXPECT(fake_cuda.blocks == 0, "%ld blocks are left", fake_cuda.blocks);
    text_free(&kept);
    return check_verdict();
}
