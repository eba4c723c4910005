/* progress.c - see progress.h. One table of members drives writing and reading. */
#include "train/progress.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
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

/* ---- reading: one JSON object of plain values ---- */
static bool skip(const char **at, char c)
{
    *at += strspn(*at, " \t\r\n");
    if (**at != c) return false;
    (*at)++;
    return true;
}

/* \uXXXX as UTF-8; of what lies above U+FFFF our writer keeps the bytes. */
static bool add_code(struct text *out, const char *hex)
{
    char digits[5] = {0}, *end;
    memcpy(digits, hex, strnlen(hex, 4));
    long code = strtol(digits, &end, 16);
    if (end != digits + 4 || code <= 0 || (code >= 0xD800 && code < 0xE000)) return false;
    char bytes[] = {(char)(0xE0 | code >> 12), (char)(0x80 | (code >> 6 & 0x3F)), (char)(0x80 | (code & 0x3F))};
    if (code < 0x80) bytes[2] = (char)code;
    if (code < 0x800) bytes[1] = (char)(0xC0 | code >> 6);
    int count = code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
    text_add_bytes(out, bytes + 3 - count, (size_t)count);
    return true;
}

static bool read_string(struct text *out, const char **at)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    text_clear(out);
    if (!skip(at, '"')) return false;
    for (; **at != '"'; (*at)++) {
        if (!**at) return false;
        if (**at != '\\') {
            text_add_bytes(out, *at, 1);
            continue;
        }
        const char *letter = *++*at ? strchr(letters, **at) : NULL;
        if (letter)
            text_add_bytes(out, &meant[letter - letters], 1);
        else if (**at == 'u' && add_code(out, *at + 1))
            *at += 4;
        else
            return false;
    }
    (*at)++;
    return true;
}

/* The value of a member, as text; *null: it is none. */
static bool read_value(struct text *out, bool *is_string, bool *is_null, const char **at)
{
    *at += strspn(*at, " \t\r\n");
    *is_string = **at == '"', *is_null = false;
    if (*is_string) return read_string(out, at);
    size_t length = strcspn(*at, ",} \t\r\n");
    text_clear(out);
    text_add_bytes(out, *at, length);
    *at += length;
    *is_null = length == 4 && !memcmp(out->data, "null", 4);
    return length > 0;
}

static bool store_state(struct progress_state *p, const char *name)
{
    for (int i = 0; i < STATES; i++)
        if (!strcmp(name, run_state_names[i])) {
            p->state = (enum run_state)i;
            return true;
        }
    return false;
}

static bool store(struct progress_state *p, const struct member *m, const char *text, bool is_string, bool is_null)
{
    char *at = (char *)p + m->offset, *end = (char *)"";
    switch (m->kind) {
    case STATE: return is_string && store_state(p, text);
    case STRING: snprintf(at, m->room, "%s", is_null ? "" : text); return is_string || is_null;
    case WHOLE: *(int *)at = (int)strtol(text, &end, 10); break;
    case WHOLE64: *(int64_t *)at = strtoll(text, &end, 10); break;
    case NUMBER: *(double *)at = is_null ? NAN : strtod(text, &end); break;
    }
    return !is_string && !*end && (!is_null || m->kind == NUMBER);
}

/* Members it does not know are passed over: a newer program may have written them. */
static bool parse(struct progress_state *p, const char *at, bool seen[MEMBERS])
{
    struct text name = {0}, value = {0};
    bool is_string, is_null, well = skip(&at, '{');
    while (well) {
        well = read_string(&name, &at) && skip(&at, ':') && read_value(&value, &is_string, &is_null, &at);
        for (int i = 0; i < MEMBERS && well; i++)
            if (name.data && !strcmp(name.data, members[i].name)) seen[i] = well = store(p, &members[i], value.data ? value.data : "", is_string, is_null);
        if (!skip(&at, ',')) break;
    }
    well = well && skip(&at, '}');
    text_free(&name);
    text_free(&value);
    return well;
}

int progress_read(const char *path, struct progress_state *p, struct error *err)
{
    uint8_t *text;
    size_t bytes;
    bool seen[MEMBERS] = {false};
    *p = (struct progress_state){0};
    if (file_read(&text, &bytes, path, err)) return -1;
    int rc = parse(p, (char *)text, seen) ? 0 : error_set(err, "%s: not what ladnn train writes there", path);
    for (int i = 0; i < MEMBERS && !rc; i++)
        if (!seen[i]) rc = error_set(err, "%s: has no '%s'", path, members[i].name);
    mem_free(text);
    return rc;
}
