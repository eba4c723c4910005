/* plan_cache.c - see plan_cache.h. */
#include "ops/cuda/plan_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "ops/cuda/cuda_calls.h"
#include "ops/cuda/cuda_device.h"
#include "ops/cuda/dnn_run.h"

enum { CANDIDATES_MAX = 16, THREADS_MAX = 16, WORTH_SAYING = 8 };
enum state { ASKED, MISSING, READY, FAILED };
struct kept_plan {
    char key[65];
    struct dnn_graph *graph; /* NULL once there is a plan */
    struct dnn_limits limits;
    struct dnn_plan found[CANDIDATES_MAX]; /* found[0] is the plan, in the end */
    int found_count;
    enum state state;
    bool damaged; /* there was a file, of no use */
    struct error err;
    struct kept_plan *next;
};
static struct {
    bool open;
    char *folder, *card;
    int threads, candidates;
    const struct dnn_target *target;
    struct dnn_target *own_target;
    struct kept_plan *plans;
    struct plan_cache_counts counts;
} cache;

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
    cache.open = true;
    cache.folder = !o->folder ? usual_folder() : *o->folder ? mem_string(o->folder) : NULL;
    cache.threads = o->threads > 0 ? o->threads : threads_of_rank(0, 1);
    if (cache.threads > THREADS_MAX) cache.threads = THREADS_MAX;
    cache.candidates = o->candidates < 1 ? 1 : o->candidates > CANDIDATES_MAX ? CANDIDATES_MAX : o->candidates;
    cache.target = o->target;
    cache.card = mem_string(o->target ? o->target_name : NULL);
}

/* The target and its name, when they are first needed: by then the card is open. */
static int know_target(struct error *err)
{
    const struct device_facts *f = device_facts();
    if (!cache.open) plan_cache_open(&(struct plan_cache_options){0});
    if (!cache.card) cache.card = mem_format("%s, compute capability %d.%d, driver %d", f->name, f->major, f->minor, f->driver);
    if (cache.target || dnn_stand_in()) return 0;
    cache.target = cache.own_target = dnn_target_from_device(f->index, err);
    return cache.target ? 0 : -1;
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
    while (cache.plans) {
        struct kept_plan *next = cache.plans->next;
        plan_forget(cache.plans);
        cache.plans = next;
    }
    dnn_target_close(cache.own_target);
    mem_free(cache.folder);
    mem_free(cache.card);
    memset(&cache, 0, sizeof cache);
}

struct plan_cache_counts plan_cache_counts(void) { return cache.counts; }

/* ---- asking ---- */

static void key_make(char key[65], const struct dnn_graph *g, const struct dnn_limits *l)
{
    struct text t = {0};
    uint8_t digest[32];
    dnn_graph_describe(g, &t);
    text_add(&t, "cudnn %zu\ncard %s\nlimits %lld %d %d %d %d\ncandidates %d\n", cuda.cudnnGetVersion(), cache.card, (long long)l->workspace,
             l->deterministic, l->tensor_cores, l->exact, l->no_compilation, cache.candidates);
    sha256_of(digest, t.data, t.length);
    hash_hex(key, digest);
    text_free(&t);
}

struct kept_plan *plan_ask(struct dnn_graph *g, const struct dnn_limits *limits, struct error *err)
{
    char key[65];
    if (dnn_graph_error(g, err) || know_target(err)) {
        dnn_graph_close(g);
        return NULL;
    }
    key_make(key, g, limits);
    for (struct kept_plan *p = cache.plans; p; p = p->next) {
        if (strcmp(p->key, key)) continue;
        dnn_graph_close(g);
        return p;
    }
    struct kept_plan *p = NEW(struct kept_plan);
    memcpy(p->key, key, sizeof key);
    p->graph = g;
    p->limits = *limits;
    p->next = cache.plans;
    cache.plans = p;
    cache.counts.asked++;
    return p;
}

/* ---- files: "ladnn-kept KEY", then the plan's text ---- */

static const char first_line[] = "ladnn-kept ";

static char *file_of(const struct kept_plan *p)
{
    return mem_format("%s/%s.plan", cache.folder, p->key);
}

/* In any thread. */
static void restore(struct kept_plan *p)
{
    uint8_t *data = NULL;
    size_t bytes;
    p->state = MISSING;
    if (!cache.folder || dnn_stand_in()) return;
    char *path = file_of(p);
    if (path_exists(path)) {
        const size_t head = strlen(first_line), body = head + strlen(p->key) + 1;
        int status = file_read(&data, &bytes, path, &p->err);
        if (!status && (bytes <= body || memcmp(data, first_line, head) || memcmp(data + head, p->key, strlen(p->key)) || data[body - 1] != '\n'))
            status = error_set(&p->err, "a kept plan is damaged or another's");
        if (!status) status = dnn_plan_restore(p->found, (char *)data + body, cache.target, &p->err);
        p->damaged = status != 0;
        if (!status) p->state = READY, p->found_count = 1;
    }
    mem_free(data);
    mem_free(path);
}

static void keep(const struct kept_plan *p)
{
    struct error err = {0};
    if (!cache.folder || dnn_stand_in() || !p->found[0].descriptor) return;
    char *path = file_of(p), *plan = dnn_plan_save(&p->found[0], &err);
    char *whole = plan ? mem_format("%s%s\n%s", first_line, p->key, plan) : NULL;
    if (!whole || folder_create(cache.folder, &err) || file_write_atomic(path, whole, strlen(whole), &err))
        log_warn("a cuDNN plan is not kept: %s", err.message);
    mem_free(plan);
    mem_free(whole);
    mem_free(path);
}

/* ---- making, in any thread ---- */

static int find_within(struct kept_plan *p, const struct dnn_limits *limits)
{
    if (dnn_stand_in()) return dnn_stand_in()->find(p->found, p->graph, limits, &p->err) ? -1 : 1;
    return dnn_plan_find_several(p->found, cache.candidates, p->graph, cache.target, limits, &p->err);
}

static void make_plan(struct kept_plan *p)
{
    struct dnn_limits limits = p->limits;
    int found = find_within(p, &limits);
    if (found < 0 && limits.tensor_cores) {
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
    while (started < cache.threads && started < count && count > 1 && pthread_create(&threads[started], NULL, work_thread, &w) == 0) started++;
    if (!started) work_thread(&w);
    for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
}

/* All plans in a state, in a new array. */
static struct kept_plan **plans_in(enum state state, int *count)
{
    struct kept_plan **list = NEW_ARRAY(struct kept_plan *, cache.counts.asked);
    *count = 0;
    for (struct kept_plan *p = cache.plans; p; p = p->next)
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
        cache.counts.made += missing[i]->state == READY;
        choose(missing[i]);
        if (missing[i]->state == READY) keep(missing[i]);
    }
    if (count >= WORTH_SAYING && !dnn_stand_in())
        log_info("compiled %d cuDNN plans (%.1f s)%s%s", count, clock_s() - start, cache.folder ? ", kept in " : "", cache.folder ? cache.folder : "");
    mem_free(missing);
}

static void make_all(void)
{
    int count;
    struct kept_plan **asked = plans_in(ASKED, &count);
    work_all(asked, count, restore);
    for (int i = 0; i < count; i++) {
        cache.counts.restored += asked[i]->state == READY;
        cache.counts.damaged += asked[i]->damaged;
        if (asked[i]->damaged) log_warn("%s/%s.plan: %s: made anew", cache.folder, asked[i]->key, asked[i]->err.message);
    }
    make_missing();
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
