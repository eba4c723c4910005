/* test_cuda_plan_cache.c - needs no GPU: plans for an H200 (tests/gpu's description of one) are made once, kept, and read back by the next
 * process; damaged files and those of another card or version are not used; several processes may fill one folder at once.
 * Arguments: the tests folder. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "ops/cuda/conv_graph.h"
#include "ops/cuda/plan_cache.h"
#include "tests/unit/check.h"

enum { PLANS = 12 };
static const struct dnn_limits limits = {.workspace = 64 << 20, .deterministic = true, .tensor_cores = true, .no_compilation = true};
static struct dnn_target *target;
static char *folder;

static struct dnn_graph *graph_of(int i)
{
    const struct conv_place place = {.spec = {.in_c = 64, .out_c = 64 + 8 * i, .in_h = 14, .in_w = 14, .kernel = 3, .stride = 1, .padding = 1, .groups = 1,
                                              .dtype = DTYPE_BF16}, .n = 4};
    return conv_graph(&place, CONV_PLAIN);
}

/* Asks for all plans, as a process that is started anew. */
static struct plan_cache_counts fill(const char *where, const char *card, int threads, struct dnn_plan plans[PLANS])
{
    struct kept_plan *asked[PLANS];
    struct error err = {0};
    plan_cache_open(&(struct plan_cache_options){.folder = where, .threads = threads, .target = target, .target_name = card});
    for (int i = 0; i < PLANS; i++) asked[i] = plan_ask(graph_of(i), &limits, &err);
    for (int i = 0; i < PLANS; i++) EXPECT(asked[i] && plan_ask(graph_of(i), &limits, &err) == asked[i], "the same graph is another plan");
    for (int i = 0; i < PLANS; i++) {
        const struct dnn_plan *p = plan_wait(asked[i], &err);
        EXPECT(p && p->descriptor && p->tensor_cores && p->deterministic && !p->compiled, "%s", err.message);
        if (p && plans) plans[i] = *p; /* its numbers; the descriptor goes with the cache */
    }
    struct plan_cache_counts counts = plan_cache_counts();
    plan_cache_clear();
    return counts;
}

#define EXPECT_COUNTS(c, restored_, made_, damaged_)                                                                       \
    EXPECT((c).asked == PLANS && (c).restored == (restored_) && (c).made == (made_) && (c).damaged == (damaged_),          \
           "%d asked, %d restored, %d made, %d damaged", (c).asked, (c).restored, (c).made, (c).damaged)

static void expect_files_in(const char *place, int wanted)
{
    char **names;
    int count = 0;
    struct error err = {0};
    EXPECT(folder_list(&names, &count, place, &err) == 0 && count == wanted, "%d files of %d: %s", count, wanted, err.message);
    for (int i = 0; i < count; i++) EXPECT(strlen(names[i]) == 69 && !strcmp(names[i] + 64, ".plan"), "%s", names[i]);
    folder_list_free(names, count);
}

static void expect_files(int wanted) { expect_files_in(folder, wanted); }

static void test_keeping(void)
{
    struct dnn_plan first[PLANS], again[PLANS];
    struct plan_cache_counts c = fill(folder, "H200", 3, first);
    EXPECT_COUNTS(c, 0, PLANS, 0);
    expect_files(PLANS);
    c = fill(folder, "H200", 3, again);
    EXPECT_COUNTS(c, PLANS, 0, 0);
    for (int i = 0; i < PLANS; i++) EXPECT(first[i].engine == again[i].engine && first[i].workspace == again[i].workspace, "another plan came back");
    c = fill(folder, "another card", 1, NULL);
    EXPECT_COUNTS(c, 0, PLANS, 0);
    expect_files(2 * PLANS);
    c = fill("", "H200", 2, NULL);
    EXPECT_COUNTS(c, 0, PLANS, 0);
    expect_files(2 * PLANS);
}

static void rewrite(const char *name, const void *data, size_t bytes)
{
    struct error err = {0};
    char *path = path_join(folder, name);
    EXPECT(file_write_atomic(path, data, bytes, &err) == 0, "%s", err.message);
    mem_free(path);
}

/* One file each: a byte altered, cut short, empty, another's, of an older program, no text. */
static void test_damage(void)
{
    char **names;
    int count;
    uint8_t *data, *other;
    size_t bytes, other_bytes;
    struct error err = {0};
    CHECK(folder_remove(folder, &err) == 0, "%s", err.message);
    fill(folder, "H200", 2, NULL);
    CHECK(folder_list(&names, &count, folder, &err) == 0 && count == PLANS, "%s", err.message);
    char *path = path_join(folder, names[0]), *other_path = path_join(folder, names[1]);
    CHECK(file_read(&data, &bytes, path, &err) == 0 && file_read(&other, &other_bytes, other_path, &err) == 0, "%s", err.message);
    data[bytes / 2] ^= 1;
    rewrite(names[0], data, bytes);
    rewrite(names[2], data, bytes / 2);
    rewrite(names[3], "", 0);
    rewrite(names[4], other, other_bytes);
    rewrite(names[5], "ladnn-plan 1 4 00000000\n{}\n\n", 28);
    rewrite(names[6], "\0\0\0\0", 4);
    struct plan_cache_counts c = fill(folder, "H200", 2, NULL);
    EXPECT_COUNTS(c, PLANS - 6, 6, 6);
    c = fill(folder, "H200", 2, NULL);
    EXPECT_COUNTS(c, PLANS, 0, 0);
    mem_free(data), mem_free(other), mem_free(path), mem_free(other_path);
    folder_list_free(names, count);
}

/* Asks for all plans with those of a checkpoint at hand; the text of what it has at the end in *out. */
static struct plan_cache_counts fill_from(const struct text *checkpoint, const char *card, struct text *out, char **other)
{
    struct kept_plan *asked[PLANS];
    struct error err = {0};
    plan_cache_open(&(struct plan_cache_options){.folder = "", .threads = 2, .target = target, .target_name = card});
    for (int i = 0; i < PLANS; i++) asked[i] = plan_ask(graph_of(i), &limits, &err);
    EXPECT(plan_cache_take(checkpoint->data, checkpoint->length, other, &err) == 0, "%s", err.message);
    for (int i = 0; i < PLANS; i++) EXPECT(plan_wait(asked[i], &err) != NULL, "%s", err.message);
    text_clear(out);
    plan_cache_give(out);
    struct plan_cache_counts counts = plan_cache_counts();
    plan_cache_clear();
    return counts;
}

/* A process that stops before it has asked for all plans hands on the rest. */
static void test_handed_on(const struct text *kept)
{
    struct error err = {0};
    struct text handed_on = {0}, again = {0};
    char *other = NULL;
    plan_cache_open(&(struct plan_cache_options){.folder = "", .threads = 2, .target = target, .target_name = "H200"});
    EXPECT(plan_cache_take(kept->data, kept->length, &other, &err) == 0, "%s", err.message);
    EXPECT(plan_wait(plan_ask(graph_of(0), &limits, &err), &err) != NULL, "%s", err.message);
    plan_cache_give(&handed_on);
    plan_cache_clear();
    struct plan_cache_counts c = fill_from(&handed_on, "H200", &again, &other);
    EXPECT(c.taken == PLANS && c.made == 0, "%d taken, %d made", c.taken, c.made);
    EXPECT(again.length == kept->length, "%zu bytes of %zu", again.length, kept->length);
    text_free(&handed_on), text_free(&again);
}

static void test_checkpoint(void)
{
    struct error err = {0};
    struct text kept = {0}, again = {0};
    char *other = NULL;
    plan_cache_open(&(struct plan_cache_options){.folder = "", .threads = 2, .target = target, .target_name = "H200"});
    plan_cache_give(&kept);
    EXPECT(kept.length == 0, "plans of nothing");
    for (int i = 0; i < PLANS; i++) EXPECT(plan_wait(plan_ask(graph_of(i), &limits, &err), &err) != NULL, "%s", err.message);
    plan_cache_give(&kept);
    plan_cache_clear();
    struct plan_cache_counts c = fill_from(&kept, "H200", &again, &other);
    EXPECT(c.taken == PLANS && c.made == 0 && !other, "%d taken, %d made, for %s", c.taken, c.made, other ? other : "this card");
    EXPECT(again.length == kept.length && !memcmp(again.data, kept.data, kept.length), "other plans than those of the checkpoint");
    test_handed_on(&kept);
    c = fill_from(&kept, "another card", &again, &other);
    EXPECT(c.taken == 0 && c.made == PLANS && other && strstr(other, "H200") && strstr(other, "cuDNN"), "%d taken, for %s", c.taken, other ? other : "this card");
    mem_free(other);
    plan_cache_open(&(struct plan_cache_options){.folder = "", .target = target, .target_name = "H200"});
    EXPECT(plan_cache_take(kept.data, kept.length - 1, &other, &err) == -1 && strstr(err.message, "damaged"), "a text cut short was taken");
    EXPECT(plan_cache_take("nonsense\n", 9, &other, &err) == -1 && plan_cache_take("", 0, &other, &err) == -1 && strstr(err.message, "damaged"), "nonsense was taken");
    plan_cache_clear();
    char *at = strstr(kept.data, "ladnn-plan 1"); /* a plan that is damaged is made anew */
    at[13] = at[13] == '1' ? '2' : '1';
    c = fill_from(&kept, "H200", &again, &other);
    EXPECT(c.taken == PLANS - 1 && c.made == 1, "%d taken, %d made", c.taken, c.made);
    text_free(&kept), text_free(&again);
}

/* A folder that cannot be made: plans are made all the same. */
static void test_no_folder(void)
{
    struct plan_cache_counts c = fill("/proc/none/plans", "H200", 2, NULL);
    EXPECT_COUNTS(c, 0, PLANS, 0);
}

static void test_usual_folder(void)
{
    char *base = mem_format("%s.home", folder), *usual = mem_format("%s/ladnn/plans", base);
    setenv("XDG_CACHE_HOME", base, 1);
    fill(NULL, "H200", 2, NULL);
    EXPECT(path_is_folder(usual), "%s is not there", usual);
    folder_remove(base, NULL);
    mem_free(base), mem_free(usual);
}

static void test_refusals(void)
{
    struct error err = {0};
    plan_cache_open(&(struct plan_cache_options){.folder = "", .target = target, .target_name = "H200"});
    struct kept_plan *p = plan_ask(graph_of(0), &(struct dnn_limits){.tensor_cores = true, .exact = true, .workspace = -1}, &err);
    EXPECT(p && !plan_wait(p, &err) && strstr(err.message, "within the limits"), "%s", err.message);
    struct dnn_graph *nonsense = dnn_graph_open();
    int x = dnn_tensor(nonsense, DNN_BF16, 1, 8, 4, 4, 0), w = dnn_tensor(nonsense, DNN_BF16, 8, 16, 3, 3, 0), y = dnn_tensor(nonsense, DNN_BF16, 1, 8, 9, 9, 0);
    dnn_conv_forward(nonsense, x, w, y, (struct dnn_window){3, 1, 0});
    *err.message = 0;
    p = plan_ask(nonsense, &limits, &err);
    EXPECT((!p || !plan_wait(p, &err)) && *err.message, "shapes that do not fit were taken");
    plan_cache_clear();
}

/* A wish that cannot be granted: its kept answer is "none", read back by the next process and from a checkpoint; who must have a plan gets another. */
static struct plan_cache_counts wish(const char *where, const struct text *given, struct text *give)
{
    const struct dnn_limits impossible = {.tensor_cores = true, .exact = true, .workspace = 64 << 20}; /* f32 products on tensor cores are TF32 */
    struct error err = {0};
    char *other = NULL;
    plan_cache_open(&(struct plan_cache_options){.folder = where, .threads = 1, .target = target, .target_name = "H200"});
    if (given) EXPECT(plan_cache_take(given->data, given->length, &other, &err) == 0 && !other, "%s", err.message);
    struct kept_plan *p = plan_wish(graph_of(0), &impossible, &err), *needed = plan_ask(graph_of(0), &impossible, &err);
    EXPECT(p && p == plan_wish(graph_of(0), &impossible, &err) && p != needed, "a wish is asked for like a need");
    EXPECT(!plan_wait(p, &err) && *err.message, "an impossible wish was granted");
    EXPECT(plan_wait(needed, &err) != NULL, "nothing else serves: %s", err.message);
    if (give) plan_cache_give(give);
    struct plan_cache_counts counts = plan_cache_counts();
    plan_cache_clear();
    return counts;
}

static void test_wishes(void)
{
    struct text kept = {0}, none = {0};
    char *place = mem_format("%s.wishes", folder);
    struct plan_cache_counts c = wish(place, NULL, &kept);
    EXPECT(c.made == 1 && c.damaged == 0, "%d made, %d damaged", c.made, c.damaged);
    EXPECT(strstr(kept.data, "\nnone\n") != NULL, "a denied wish does not go with the checkpoint");
    expect_files_in(place, 2);
    c = wish(place, NULL, &none);
    EXPECT(c.restored == 1 && c.made == 0 && c.damaged == 0, "%d restored, %d made, %d damaged", c.restored, c.made, c.damaged);
    EXPECT(kept.length == none.length, "what was read back is not given again");
    c = wish("", &kept, NULL);
    EXPECT(c.taken == 2 && c.made == 0, "%d taken, %d made", c.taken, c.made);
    folder_remove(place, NULL);
    mem_free(place);
    text_free(&kept), text_free(&none);
}

static void open_target(const char *tests_folder)
{
    struct error err = {0};
    uint8_t *json;
    size_t bytes;
    char *name = path_join(tests_folder, "gpu/h200-deviceprop.json");
    CHECK(file_read(&json, &bytes, name, &err) == 0 && (target = dnn_target_from_json((char *)json, &err)), "%s", err.message);
    mem_free(json);
    mem_free(name);
}

/* Before this process has loaded cuDNN. */
static void test_two_processes(const char *tests_folder)
{
    enum { PROCESSES = 3 };
    pid_t child[PROCESSES];
    int status;
    for (int i = 0; i < PROCESSES; i++) {
        if ((child[i] = fork())) continue;
        open_target(tests_folder);
        for (int round = 0; round < 3; round++) fill(folder, "H200", 2, NULL);
        fflush(stdout);
        _exit(check_verdict());
    }
    for (int i = 0; i < PROCESSES; i++) EXPECT(waitpid(child[i], &status, 0) == child[i] && status == 0, "process %d: status %d", i, status);
    open_target(tests_folder);
    struct plan_cache_counts c = fill(folder, "H200", 2, NULL);
    EXPECT_COUNTS(c, PLANS, 0, 0);
    expect_files(PLANS);
    folder_remove(folder, NULL);
}

int main(int argc, char **argv)
{
    const char *tests = argc > 1 ? argv[1] : "tests";
    folder = mem_format("/tmp/ladnn-plans-%d", (int)getpid());
    log_level_set(LOG_ERROR);
    test_two_processes(tests);
    test_keeping();
    test_damage();
    test_checkpoint();
    test_no_folder();
    test_usual_folder();
    test_refusals();
    test_wishes();
    folder_remove(folder, NULL);
    dnn_target_close(target);
    mem_free(folder);
    return check_verdict();
}
