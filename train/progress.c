/* progress.c - see progress.h. One table of members drives writing and reading. */
#include "train/progress.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_read.h"
#include "base/memory.h"
#include "base/text.h"
#include "train/fence.h"

const char *const run_state_names[] = {"running", "stopped", "finished", "failed"};
enum { STATES = sizeof run_state_names / sizeof *run_state_names };

enum kind { STATE, WHOLE, WHOLE64, NUMBER, STRING };
struct member {
    const char *name;
    enum kind kind;
    size_t offset, room; /* room: of a string */
};
#define MEMBER(kind, name) {#name, kind, offsetof(struct progress_state, name), sizeof(((struct progress_state *)0)->name)}
static const struct member members[] = {
    MEMBER(STATE, state), MEMBER(WHOLE64, attempt), MEMBER(WHOLE64, pid), MEMBER(STRING, host), MEMBER(STRING, updated),
    MEMBER(NUMBER, updated_unix), MEMBER(WHOLE, epoch), MEMBER(WHOLE, epochs), MEMBER(WHOLE, batch), MEMBER(WHOLE, batches),
    MEMBER(WHOLE64, step), MEMBER(NUMBER, train_loss), MEMBER(NUMBER, seconds), MEMBER(NUMBER, eta_s), MEMBER(STRING, error),
    MEMBER(STRING, signal)};
enum { MEMBERS = sizeof members / sizeof *members };

/* ---- writing ---- */
static void add_member(struct json *j, const struct progress_state *p, const struct member *m)
{
    const void *at = (const char *)p + m->offset;
    switch (m->kind) {
    case STATE: json_string(j, m->name, run_state_names[p->state]); break;
    case WHOLE: json_int(j, m->name, *(const int *)at); break;
    case WHOLE64: json_int(j, m->name, *(const int64_t *)at); break;
    case NUMBER: json_number(j, m->name, *(const double *)at); break;
    case STRING: json_string(j, m->name, *(const char *)at ? at : NULL); break;
    }
}

static void add_state(struct text *out, const struct progress_state *p)
{
    struct json j;
    json_open(&j, out, true);
    json_object(&j, NULL);
    json_string(&j, "notice", "research use only, not for diagnosis");
    for (int i = 0; i < MEMBERS; i++) add_member(&j, p, &members[i]);
    json_end_object(&j);
}

/* Written and renamed, not synced: it is told anew all the time. */
static int replace(const char *path, const struct text *content, struct fence *fence, struct error *err)
{
    char *temporary = mem_format("%s.tmp-%ld", path, (long)getpid());
    FILE *f = fopen(temporary, "wb");
    bool written = f && fwrite(content->data, 1, content->length, f) == content->length;
    if (f && fclose(f)) written = false;
    int code = errno, rc = written ? fence_check(fence, err) : error_set(err, "%s: cannot be written: %s", path, strerror(code));
    if (!rc && rename(temporary, path)) rc = error_set(err, "%s: cannot be replaced: %s", path, strerror(errno));
    if (rc) unlink(temporary);
    mem_free(temporary);
    return rc;
}

int progress_write(const char *path, struct progress_state *p, struct fence *fence, struct error *err)
{
    struct text out = {0};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    p->updated_unix = (double)now.tv_sec + 1e-3 * (double)(now.tv_nsec / 1000000);
    clock_iso8601(p->updated, sizeof p->updated);
    p->attempt = fence_attempt(fence);
    p->pid = getpid();
    gethostname(p->host, sizeof p->host - 1);
    add_state(&out, p);
    int rc = replace(path, &out, fence, err);
    text_free(&out);
    return rc;
}

/* ---- reading ---- */
static bool store_state(struct progress_state *p, const char *name)
{
    for (int i = 0; i < STATES; i++)
        if (!strcmp(name, run_state_names[i])) {
            p->state = (enum run_state)i;
            return true;
        }
    return false;
}

static bool store(struct progress_state *p, const struct member *m, const struct json_value *v)
{
    char *at = (char *)p + m->offset;
    bool is_null = v->type == JSON_NULL, is_number = v->type == JSON_NUMBER, is_string = v->type == JSON_STRING;
    switch (m->kind) {
    case STATE: return is_string && store_state(p, v->string);
    case STRING: snprintf(at, m->room, "%s", is_string ? v->string : ""); return is_string || is_null;
    case WHOLE: *(int *)at = is_number ? (int)v->number : 0; return is_number;
    case WHOLE64: *(int64_t *)at = is_number ? (int64_t)v->number : 0; return is_number;
    case NUMBER: *(double *)at = is_number ? v->number : NAN; return is_number || is_null;
    }
    return false;
}

/* Members it does not know are passed over: a newer program may have written them. */
int progress_read(const char *path, struct progress_state *p, struct error *err)
{
    uint8_t *text;
    size_t bytes;
    *p = (struct progress_state){0};
    if (file_read(&text, &bytes, path, err)) return -1;
    struct json_value *tree = json_read((char *)text, bytes, err);
    int rc = tree ? 0 : error_prefix(err, "%s: not what ladnn train writes there", path);
    for (int i = 0; i < MEMBERS && !rc; i++) {
        const struct json_value *v = json_member(tree, members[i].name);
        if (!v) rc = error_set(err, "%s: has no '%s'", path, members[i].name);
        else if (!store(p, &members[i], v)) rc = error_set(err, "%s: not what ladnn train writes there ('%s')", path, members[i].name);
    }
    json_free(tree);
    mem_free(text);
    return rc;
}
