/* plan_cache_text.c - plans in files and in checkpoints, see plan_cache.h. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "ops/cuda/plan_cache_private.h"

/* ---- a plan as text: "ladnn-kept KEY", then what dnn_plan_save has made, or for a wish that was not granted "none"; so it is in files and in
 * checkpoints ---- */

static const char first_line[] = "ladnn-kept ", none[] = "none\n";
enum { KEY_LENGTH = 64, FIRST_LINE = sizeof first_line - 1 + KEY_LENGTH + 1 };

static bool is_text_of(const char *text, size_t bytes, const char *key)
{
    const size_t head = strlen(first_line);
    return bytes > FIRST_LINE && !memcmp(text, first_line, head) && !memcmp(text + head, key, KEY_LENGTH) && text[FIRST_LINE - 1] == '\n';
}

static int from_text(struct kept_plan *p, const char *text, size_t bytes)
{
    if (!is_text_of(text, bytes, p->key)) return error_set(&p->err, "a kept plan is damaged or another's");
    const struct dnn_stand_in *other = dnn_stand_in();
    if (p->wish && !strcmp(text + FIRST_LINE, none)) {
        p->state = FAILED;
        error_set(&p->err, "an earlier search has found no engine");
        return 0;
    }
    if (other ? other->restore(p->found, p->graph, text + FIRST_LINE, &p->err) : dnn_plan_restore(p->found, text + FIRST_LINE, plan_cache.target, &p->err)) return -1;
    p->state = READY, p->found_count = 1;
    return 0;
}

/* Is there something to keep? */
static bool is_known(const struct kept_plan *p)
{
    return p->state == READY ? p->found[0].descriptor != NULL : p->state == FAILED && p->wish;
}

/* NULL with err: a plan that cannot be loaded here. mem_free. */
static char *to_text(const struct kept_plan *p, struct error *err)
{
    char *plan = p->state == FAILED ? mem_string(none) : dnn_stand_in() ? dnn_stand_in()->save(&p->found[0]) : dnn_plan_save(&p->found[0], err);
    char *whole = plan ? mem_format("%s%s\n%s", first_line, p->key, plan) : NULL;
    mem_free(plan);
    return whole;
}

static char *file_of(const struct kept_plan *p)
{
    return mem_format("%s/%s.plan", plan_cache.folder, p->key);
}

static bool restore_given(struct kept_plan *p)
{
    for (struct given *g = plan_cache.given; g; g = g->next) {
        if (!is_text_of(g->text, strlen(g->text), p->key)) continue;
        g->asked = true;
        return p->taken = from_text(p, g->text, strlen(g->text)) == 0;
    }
    return false;
}

/* In any thread. */
void plan_restore(struct kept_plan *p)
{
    uint8_t *data = NULL;
    size_t bytes;
    p->state = MISSING;
    if (restore_given(p) || !plan_cache.folder || dnn_stand_in()) return;
    char *path = file_of(p);
    if (path_exists(path)) p->damaged = file_read(&data, &bytes, path, &p->err) || from_text(p, (char *)data, bytes);
    mem_free(data);
    mem_free(path);
}

void plan_keep(const struct kept_plan *p)
{
    struct error err = {0};
    if (!plan_cache.folder || dnn_stand_in() || !is_known(p)) return;
    char *path = file_of(p), *whole = to_text(p, &err);
    if (!whole || folder_create(plan_cache.folder, &err) || file_write_atomic(path, whole, strlen(whole), &err))
        log_warn("a cuDNN plan is not kept: %s", err.message);
    mem_free(whole);
    mem_free(path);
}

/* ---- plans that go with a checkpoint: "ladnn-plans cuDNN VERSION, CARD", then for each its size in a line and its text ---- */

static const char plans_line[] = "ladnn-plans ";

static char *made_for(void) { return mem_format("cuDNN %zu, %s", cuda.cudnnGetVersion(), plan_cache.card); }

void plan_cache_give(struct text *out)
{
    struct error err;
    struct text plans = {0};
    for (const struct kept_plan *p = plan_cache.plans; p; p = p->next) {
        char *text = is_known(p) ? to_text(p, &err) : NULL;
        if (text) text_add(&plans, "%zu\n%s", strlen(text), text);
        mem_free(text);
    }
    for (const struct given *g = plan_cache.given; g; g = g->next)
        if (!g->asked) text_add(&plans, "%zu\n%s", strlen(g->text), g->text);
    if (plans.length) {
        char *what = made_for();
        text_add(out, "%s%s\n%s", plans_line, what, plans.data);
        mem_free(what);
    }
    text_free(&plans);
}

void plan_given_forget(void)
{
    while (plan_cache.given) {
        struct given *next = plan_cache.given->next;
        mem_free(plan_cache.given->text);
        mem_free(plan_cache.given);
        plan_cache.given = next;
    }
}

static int take_each(const char *at, const char *end, struct error *err)
{
    while (at < end) {
        char *after;
        size_t bytes = strtoul(at, &after, 10);
        if (after == at || *after != '\n' || bytes > (size_t)(end - after - 1)) return error_set(err, "the plans of the checkpoint are damaged");
        struct given *g = NEW(struct given);
        *g = (struct given){.text = memcpy(mem_zero(bytes + 1), after + 1, bytes), .next = plan_cache.given};
        plan_cache.given = g;
        at = after + 1 + bytes;
    }
    return 0;
}

int plan_cache_take(const char *text, size_t bytes, char **other, struct error *err)
{
    *other = NULL;
    if (plan_cache_know_target(err)) return -1;
    char *whole = memcpy(mem_zero(bytes + 1), text, bytes), *end = strchr(whole, '\n'), *here = made_for();
    int status = 0;
    plan_given_forget();
    if (strncmp(whole, plans_line, strlen(plans_line)) || !end) status = error_set(err, "the plans of the checkpoint are damaged: their first line");
    else if (*end = 0, strcmp(whole + strlen(plans_line), here)) *other = mem_string(whole + strlen(plans_line));
    else status = take_each(end + 1, whole + bytes, err);
    mem_free(whole);
    mem_free(here);
    return status;
}
