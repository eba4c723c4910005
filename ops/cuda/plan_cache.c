/* plan_cache.c - see plan_cache.h. */
#include "ops/cuda/plan_cache_private.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "ops/cuda/cuda_calls.h"
#include "ops/cuda/cuda_device.h"

enum { THREADS_MAX = 16, WORTH_SAYING = 8 };
struct plan_cache plan_cache;

/* ---- where, and for what ---- */

static char *usual_folder(void)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (base && *base == '/') return mem_format("%s/ladnn/plans", base);
    return home && *home == '/' ? mem_format("%s/.cache/ladnn/plans", home) : NULL;
}

void plan_cache_open(const struct plan_cache_options *o)
{
    plan_cache_clear();
    plan_cache.open = true;
    plan_cache.folder = !o->folder ? usual_folder() : *o->folder ? mem_string(o->folder) : NULL;
    plan_cache.threads = o->threads > 0 ? o->threads : threads_of_rank(0, 1);
    if (plan_cache.threads > THREADS_MAX) plan_cache.threads = THREADS_MAX;
    plan_cache.candidates = o->candidates < 1 ? 1 : o->candidates > CANDIDATES_MAX ? CANDIDATES_MAX : o->candidates;
    plan_cache.target = o->target;
    plan_cache.card = mem_string(o->target ? o->target_name : NULL);
}

/* The target and its name, when they are first needed: by then the card is open. */
int plan_cache_know_target(struct error *err)
{
    if (!plan_cache.open) plan_cache_open(&(struct plan_cache_options){0});
    if (!plan_cache.card) plan_cache.card = device_text();
    if (plan_cache.target || dnn_stand_in()) return 0;
    plan_cache.target = plan_cache.own_target = dnn_target_from_device(device_facts()->index, err);
    return plan_cache.target ? 0 : -1;
}

static void plan_forget(struct kept_plan *p)
{
    for (int i = 0; i < p->found_count; i++) {
        if (dnn_stand_in()) dnn_stand_in()->close(&p->found[i]);
        else dnn_plan_close(&p->found[i]);
    }
    dnn_graph_close(p->graph);
    mem_free(p);
}

void plan_cache_clear(void)
{
    while (plan_cache.plans) {
        struct kept_plan *next = plan_cache.plans->next;
        plan_forget(plan_cache.plans);
        plan_cache.plans = next;
    }
    plan_given_forget();
    dnn_target_close(plan_cache.own_target);
    mem_free(plan_cache.folder);
    mem_free(plan_cache.card);
    memset(&plan_cache, 0, sizeof plan_cache);
}

struct plan_cache_counts plan_cache_counts(void) { return plan_cache.counts; }

/* ---- asking ---- */

static void key_make(char key[65], const struct dnn_graph *g, const struct dnn_limits *l, bool wish)
{
    struct text t = {0};
    uint8_t digest[32];
    dnn_graph_describe(g, &t);
    text_add(&t, "cudnn %zu\ncard %s\nlimits %lld %d %d %d %d\ncandidates %d\n", cuda.cudnnGetVersion(), plan_cache.card, (long long)l->workspace,
             l->deterministic, l->tensor_cores, l->exact, l->no_compilation, plan_cache.candidates);
    if (wish) text_add(&t, "wish\n");
    sha256_of(digest, t.data, t.length);
    hash_hex(key, digest);
    text_free(&t);
}

static struct kept_plan *ask(struct dnn_graph *g, const struct dnn_limits *limits, bool wish, struct error *err)
{
    char key[65];
    if (dnn_graph_error(g, err) || plan_cache_know_target(err)) {
        dnn_graph_close(g);
        return NULL;
    }
    key_make(key, g, limits, wish);
    for (struct kept_plan *p = plan_cache.plans; p; p = p->next) {
        if (strcmp(p->key, key)) continue;
        dnn_graph_close(g);
        return p;
    }
    struct kept_plan *p = NEW(struct kept_plan);
    memcpy(p->key, key, sizeof key);
    p->graph = g;
    p->limits = *limits;
    p->wish = wish;
    p->next = plan_cache.plans;
    plan_cache.plans = p;
    plan_cache.counts.asked++;
    return p;
}

struct kept_plan *plan_ask(struct dnn_graph *g, const struct dnn_limits *limits, struct error *err) { return ask(g, limits, false, err); }
struct kept_plan *plan_wish(struct dnn_graph *g, const struct dnn_limits *limits, struct error *err) { return ask(g, limits, true, err); }

/* ---- making, in any thread ---- */

static int find_within(struct kept_plan *p, const struct dnn_limits *limits)
{
    if (dnn_stand_in()) return dnn_stand_in()->find(p->found, p->graph, limits, &p->err) ? -1 : 1;
    return dnn_plan_find_several(p->found, plan_cache.candidates, p->graph, plan_cache.target, limits, &p->err);
}

static void make_plan(struct kept_plan *p)
{
    struct dnn_limits limits = p->limits;
    int found = find_within(p, &limits);
    if (found < 0 && limits.tensor_cores && !p->wish) {
        limits.tensor_cores = false;
        found = find_within(p, &limits);
    }
    p->found_count = found < 0 ? 0 : found;
    p->state = found < 0 ? FAILED : READY;
}

/* Several candidates: the clock decides, in the thread that owns the card. */
static void choose(struct kept_plan *p)
{
    if (p->found_count < 2) return;
    int best = dnn_plan_fastest(p->found, p->found_count, p->graph);
    if (best < 0) best = 0;
    struct dnn_plan kept = p->found[best];
    p->found[best] = p->found[0];
    p->found[0] = kept;
    for (; p->found_count > 1; p->found_count--) dnn_plan_close(&p->found[p->found_count - 1]);
}

struct work {
    struct kept_plan **plans;
    int count;
    _Atomic int next;
    void (*each)(struct kept_plan *p);
};

static void *work_thread(void *context)
{
    struct work *w = context;
    if (cuda_is_open()) cuda.cudaSetDevice(device_facts()->index); /* compiled kernels are loaded into this thread's context */
    for (int i; (i = atomic_fetch_add(&w->next, 1)) < w->count;) w->each(w->plans[i]);
    return NULL;
}

static void work_all(struct kept_plan **plans, int count, void (*each)(struct kept_plan *p))
{
    struct work w = {.plans = plans, .count = count, .each = each};
    pthread_t threads[THREADS_MAX];
    int started = 0;
    while (started < plan_cache.threads && started < count && count > 1 && pthread_create(&threads[started], NULL, work_thread, &w) == 0) started++;
    if (!started) work_thread(&w);
    for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
}

/* All plans in a state, in a new array. */
static struct kept_plan **plans_in(enum state state, int *count)
{
    struct kept_plan **list = NEW_ARRAY(struct kept_plan *, plan_cache.counts.asked);
    *count = 0;
    for (struct kept_plan *p = plan_cache.plans; p; p = p->next)
        if (p->state == state) list[(*count)++] = p;
    return list;
}

static void make_missing(void)
{
    int count;
    double start = clock_s();
    struct kept_plan **missing = plans_in(MISSING, &count);
    if (count >= WORTH_SAYING && !dnn_stand_in()) log_info("compiling %d cuDNN plans", count);
    work_all(missing, count, make_plan);
    for (int i = 0; i < count; i++) {
        plan_cache.counts.made += missing[i]->state == READY;
        choose(missing[i]);
        if (missing[i]->state == READY || missing[i]->wish) plan_keep(missing[i]);
    }
    if (count >= WORTH_SAYING && !dnn_stand_in())
        log_info("compiled %d cuDNN plans (%.1f s)%s%s", count, clock_s() - start, plan_cache.folder ? ", kept in " : "", plan_cache.folder ? plan_cache.folder : "");
    mem_free(missing);
}

/* What will be done without. */
static void say_denied(struct kept_plan *const *plans, int count)
{
    int wishes = 0, denied = 0;
    for (int i = 0; i < count; i++) {
        wishes += plans[i]->wish;
        denied += plans[i]->wish && plans[i]->state == FAILED;
    }
    if (denied && count >= WORTH_SAYING)
        log_info("cuDNN has no engine within the limits for %d of %d graphs that would save a pass: they are done in two", denied, wishes);
}

static void make_all(void)
{
    int count, taken = 0;
    struct kept_plan **asked = plans_in(ASKED, &count);
    work_all(asked, count, plan_restore);
    for (int i = 0; i < count; i++) {
        plan_cache.counts.restored += asked[i]->state == READY && !asked[i]->taken;
        plan_cache.counts.taken += asked[i]->taken, taken += asked[i]->taken;
        plan_cache.counts.damaged += asked[i]->damaged;
        if (asked[i]->damaged) log_warn("%s/%s.plan: %s: made anew", plan_cache.folder, asked[i]->key, asked[i]->err.message);
    }
    if (plan_cache.given && (taken || count >= WORTH_SAYING)) log_info("%d of %d cuDNN plans are those of the checkpoint", taken, count);
    make_missing();
    say_denied(asked, count);
    for (int i = 0; i < count; i++) {
        dnn_graph_close(asked[i]->graph);
        asked[i]->graph = NULL;
    }
    mem_free(asked);
}

const struct dnn_plan *plan_wait(struct kept_plan *p, struct error *err)
{
    if (p->state == ASKED) make_all();
    if (p->state == READY) return &p->found[0];
    *err = p->err;
    return NULL;
}
