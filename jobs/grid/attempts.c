/* attempts.c - see attempts.h. */
#include "jobs/grid/attempts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_read.h"
#include "base/memory.h"
#include "base/text.h"

const char *const outcome_names[] = {"none", "finished", "stopped", "crashed", "failed"};
enum { OUTCOMES = sizeof outcome_names / sizeof *outcome_names };

/* ---- reading ---- */

struct reading {
    struct attempts *a;
    int64_t step; /* where the last attempt began */
};

static void take_begin(struct reading *r, const struct json_value *line)
{
    struct attempts *a = r->a;
    int64_t step = (int64_t)json_member_number(line, "step", 0);
    const char *identity = json_member_string(line, "identity", "");
    if (a->open) a->crashes++; /* nobody was left to write its end */
    if (step != r->step) a->crashes = 0;
    if (strcmp(identity, a->identity) != 0) a->crashes = a->counted = 0; /* other settings or data */
    snprintf(a->identity, sizeof a->identity, "%s", identity);
    r->step = step;
    a->count++;
    a->counted++;
    a->open = true;
    a->pid = (int64_t)json_member_number(line, "pid", 0);
    a->begun_unix = json_member_number(line, "unix", 0);
    snprintf(a->job, sizeof a->job, "%s", json_member_string(line, "job", ""));
    snprintf(a->host, sizeof a->host, "%s", json_member_string(line, "host", ""));
}

static void take_end(struct attempts *a, const struct json_value *line)
{
    const char *name = json_member_string(line, "outcome", "");
    a->open = false;
    a->outcome = OUTCOME_NONE;
    for (int i = 0; i < OUTCOMES; i++)
        if (!strcmp(name, outcome_names[i])) a->outcome = (enum outcome)i;
    a->crashes = a->outcome == OUTCOME_CRASHED ? a->crashes + 1 : 0;
    a->seconds += json_member_number(line, "seconds", 0);
    snprintf(a->why, sizeof a->why, "%s", json_member_string(line, "why", ""));
}

static void take_forgive(struct attempts *a)
{
    a->crashes = a->counted = 0;
    a->open = false;
    a->outcome = OUTCOME_NONE;
    *a->why = 0;
}

/* A line that was cut off (a full disk, a power cut) tells nothing, and hides nothing: the next one begins on a line of its own. */
static void take_line(struct reading *r, const char *text, size_t bytes)
{
    struct json_value *line = json_read(text, bytes, NULL);
    const char *type = json_member_string(line, "type", "");
    if (!strcmp(type, "begin")) take_begin(r, line);
    if (!strcmp(type, "end")) take_end(r->a, line);
    if (!strcmp(type, "retry")) take_forgive(r->a);
    json_free(line);
}

int attempts_read(struct attempts *a, const char *folder, struct error *err)
{
    char *path = path_join(folder, "attempts.jsonl");
    uint8_t *text = NULL;
    size_t bytes, length;
    *a = (struct attempts){0};
    int status = path_exists(path) ? file_read(&text, &bytes, path, err) : 0;
    struct reading r = {a, -1};
    for (const char *at = (char *)text, *line; !status && (line = text_line(&at, &length));) take_line(&r, line, length);
    mem_free(text);
    mem_free(path);
    return status;
}

/* ---- writing ---- */

/* One write to the end, so that lines of two writers do not mix. A newline first where the last line was cut off. */
static int append(const char *folder, const struct text *line, struct error *err)
{
    char *path = path_join(folder, "attempts.jsonl");
    FILE *f = fopen(path, "a+b");
    int last = '\n', status = 0;
    if (f && !fseek(f, -1, SEEK_END)) last = fgetc(f);
    char *whole = mem_format("%s%s\n", last == '\n' ? "" : "\n", line->data);
    if (!f || fseek(f, 0, SEEK_END) || fwrite(whole, 1, strlen(whole), f) != strlen(whole) || fflush(f) || fsync(fileno(f)))
        status = error_set(err, "%s: cannot be written: %s", path, strerror(errno));
    if (f) fclose(f);
    mem_free(whole);
    mem_free(path);
    return status;
}

static void open_line(struct json *j, struct text *out, const char *type)
{
    char now[32];
    clock_iso8601(now, sizeof now);
    json_open(j, out, false);
    json_object(j, NULL);
    json_string(j, "type", type);
    json_string(j, "time", now);
}

static int close_line(struct json *j, const char *folder, struct text *line, struct error *err)
{
    json_end_object(j);
    int status = append(folder, line, err);
    text_free(line);
    return status;
}

int attempts_begin(const char *folder, int number, const char *identity, const char *job, int64_t step, struct error *err)
{
    struct text line = {0};
    struct json j;
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    open_line(&j, &line, "begin");
    json_int(&j, "attempt", number);
    json_number(&j, "unix", clock_unix_s());
    json_string(&j, "host", host);
    json_int(&j, "pid", getpid());
    json_string(&j, "job", job);
    json_string(&j, "identity", identity);
    json_int(&j, "step", step);
    return close_line(&j, folder, &line, err);
}

int attempts_end(const char *folder, int number, enum outcome outcome, int status, double seconds, const char *why, struct error *err)
{
    struct text line = {0};
    struct json j;
    open_line(&j, &line, "end");
    json_int(&j, "attempt", number);
    json_string(&j, "outcome", outcome_names[outcome]);
    json_int(&j, "status", status);
    json_number(&j, "seconds", seconds);
    json_string(&j, "why", *why ? why : NULL);
    return close_line(&j, folder, &line, err);
}

int attempts_forgive(const char *folder, struct error *err)
{
    struct text line = {0};
    struct json j;
    open_line(&j, &line, "retry");
    return close_line(&j, folder, &line, err);
}
