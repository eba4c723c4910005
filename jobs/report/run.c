/* run.c - one run folder (train/run_folder.h, train/loop.c say what writes it); its result is read by run_result.c. */
#include "jobs/report/run_private.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json_read.h"
#include "base/memory.h"
#include "base/settings.h"
#include "train/commands.h"

void notes_add(struct notes *n, const char *format, ...)
{
    char line[2400];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    n->line = mem_grow(n->line, (size_t)n->count * sizeof *n->line, ((size_t)n->count + 1) * sizeof *n->line);
    n->line[n->count++] = mem_string(line);
}

void notes_free(struct notes *n)
{
    for (int i = 0; i < n->count; i++) mem_free(n->line[i]);
    mem_free(n->line);
    *n = (struct notes){0};
}

static char *read_text(const char *folder, const char *name, struct error *err)
{
    char *path = path_join(folder, name);
    uint8_t *data = NULL;
    size_t bytes;
    int rc = file_read(&data, &bytes, path, err);
    if (!rc && strlen((char *)data) != bytes) { /* a text has no NUL */
        rc = error_set(err, "%s: not a text", path);
        mem_free(data);
    }
    mem_free(path);
    return rc ? NULL : (char *)data;
}

static struct json_value *read_json(const char *folder, const char *name, struct error *err)
{
    char *text = read_text(folder, name, err);
    struct json_value *v = text ? json_read(text, strlen(text), err) : NULL;
    if (text && !v) error_prefix(err, "%s/%s", folder, name);
    mem_free(text);
    return v;
}

static void set(char **field, const char *value)
{
    mem_free(*field);
    *field = mem_string(value);
}

static void refuse(struct run *r, bool missing, const char *reason)
{
    set(&r->reason, reason);
    r->missing = missing;
}

/* ---- identity.txt and config.cfg ---- */

char *identity_value(const char *identity, const char *key)
{
    size_t n = strlen(key);
    for (const char *line = identity; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (!strncmp(line, key, n) && !strncmp(line + n, " = ", 3)) return mem_format("%.*s", (int)strcspn(line + n + 3, "\n"), line + n + 3);
    return NULL;
}

/* He 2020's recipe trains the baseline's network, too; what tells it apart is its loss. */
static void read_identity(struct run *r)
{
    char *backbone = identity_value(r->identity, "model.backbone"), *method = identity_value(r->identity, "model.method");
    char *seed = identity_value(r->identity, "train.seed"), *loss = identity_value(r->identity, "train.loss");
    char *hash = identity_value(r->identity, "data sha256");
    if (!r->backbone) {
        set(&r->backbone, backbone ? backbone : "unknown");
        set(&r->method, loss && !strcmp(loss, "softmax") ? "he2020" : method ? method : "unknown");
        r->seed = seed ? atoll(seed) : -1;
    }
    if (hash) set(&r->data_hash, hash);
    mem_free(backbone), mem_free(method), mem_free(seed), mem_free(loss), mem_free(hash);
}

/* The rest of the line behind `lead`, or NULL (mem_free). */
static char *line_after(const char *text, const char *lead)
{
    const char *at = strstr(text, lead);
    return at ? mem_format("%.*s", (int)strcspn(at + strlen(lead), "\n"), at + strlen(lead)) : NULL;
}

/* The comments at the top of config.cfg: program, time, machine. */
static void read_comments(struct run *r, const char *config)
{
    char *first = line_after(config, "// ladnn "), *program = line_after(config, "// program sha256 ");
    char *device = line_after(config, "// rank 0 computes on "), *ranks = line_after(config, "// ranks ");
    char *comma = first ? strchr(first, ',') : NULL, *dot = comma ? strchr(comma, '.') : NULL;
    if (comma) {
        *comma = 0;
        if (dot) *dot = 0;
        set(&r->version, first);
        set(&r->written, comma + 1 + (comma[1] == ' '));
    }
    if (program) set(&r->program_hash, program);
    struct json_value *progress = read_json(r->folder, "progress.json", NULL);
    const char *host = json_member_string(progress, "host", "");
    char *place = mem_format("%s%sranks %s%s%s", host, *host ? ", " : "", ranks ? ranks : "?", device ? ", " : "", device ? device : "");
    json_free(progress);
    set(&r->place, place);
    mem_free(first), mem_free(program), mem_free(device), mem_free(ranks), mem_free(place);
}

static void read_config(struct run *r, struct notes *notes)
{
    struct error err = {0};
    char *path = path_join(r->folder, "config.cfg"), *text = read_text(r->folder, "config.cfg", &err);
    struct settings *s = settings_open(&command_train);
    if (text) read_comments(r, text);
    if (text && !settings_read_file(s, path, &err)) set(&r->data_path, settings_string(s, "train.data"));
    if (*err.message) notes_add(notes, "%s: its settings cannot be read: %s", r->name, err.message);
    settings_close(s);
    mem_free(text);
    mem_free(path);
}

/* ---- record.jsonl ---- */

static void add_epoch(struct run *r, const struct json_value *line, int *room)
{
    int e = (int)json_member_number(line, "epoch", 0);
    if (e < 1 || e > 1000000) return;
    if (e > *room) {
        int more = e > 2 * *room ? e : 2 * *room;
        r->epoch = mem_grow(r->epoch, (size_t)*room * sizeof *r->epoch, (size_t)more * sizeof *r->epoch);
        for (int i = *room; i < more; i++) r->epoch[i] = (struct epoch){NAN, NAN, NAN, NAN, NAN};
        *room = more;
    }
    if (e > r->epoch_count) r->epoch_count = e;
    r->epoch[e - 1] = (struct epoch){json_member_number(line, "train_loss", NAN), json_member_number(line, "val_loss", NAN),
                                     json_member_number(line, "train_covid_loss", NAN), json_member_number(line, "val_covid_loss", NAN),
                                     json_member_number(line, "seconds", NAN)};
}

static void add_record_line(struct run *r, const struct json_value *line, int *room)
{
    const char *type = json_member_string(line, "type", "");
    if (!strcmp(type, "epoch")) add_epoch(r, line, room);
    if (strcmp(type, "start")) return;
    if (!*r->dataset) set(&r->dataset, json_member_string(line, "dataset", ""));
    r->train_images = (int64_t)json_member_number(line, "train_images", 0);
    r->validation_images = (int64_t)json_member_number(line, "val_images", 0);
}

static void read_record(struct run *r, struct notes *notes)
{
    struct error err = {0};
    char *text = read_text(r->folder, "record.jsonl", &err);
    int room = 0, number = 1;
    if (!text) notes_add(notes, "%s: no training curve: %s", r->name, err.message);
    size_t n;
    for (const char *at = text, *line; (line = text_line(&at, &n)); number++) {
        struct json_value *v = json_read(line, n, &err);
        if (!v) notes_add(notes, "%s/record.jsonl:%d: %s; the training curve is without this line", r->name, number, err.message);
        add_record_line(r, v, &room);
        json_free(v);
    }
    for (int e = 0; e < r->epoch_count; e++)
        if (!isnan(r->epoch[e].seconds)) r->seconds += r->epoch[e].seconds;
    mem_free(text);
}

/* ---- what the folder says it is ---- */

/* By the list of a grid, identity.txt has this sum. */
static int compare_plan(const struct run *r, struct error *err)
{
    uint8_t digest[32];
    char hex[65];
    if (!r->planned || !*r->planned) return 0;
    sha256_of(digest, r->identity, strlen(r->identity));
    hash_hex(hex, digest);
    return strcmp(hex, r->planned) ? error_set(err, "%s: made with other settings or data than the grid's list says now", r->name) : 0;
}

/* The result is that of the run that the folder's identity and the list say. */
static int compare_names(const struct run *r, const struct json_value *told, struct error *err)
{
    char *backbone = identity_value(r->identity, "model.backbone"), *method = identity_value(r->identity, "model.method");
    char *votes = identity_value(r->identity, "train.vote_last"); /* older runs do not say */
    bool known = !strcmp(r->method, "baseline") || !strcmp(r->method, "ladnn");
    const char *theirs = json_member_string(told, "backbone", "");
    double seed = json_member_number(told, "seed", -1);
    int rc = 0;
    if (!backbone || strcmp(backbone, theirs) || strcmp(r->backbone, theirs))
        rc = error_set(err, "%s: metrics.json is of '%s', identity.txt of '%s', the run is listed as '%s'", r->name, theirs, backbone ? backbone : "",
                       r->backbone);
    else if (known && method && strcmp(method, r->method))
        rc = error_set(err, "%s: identity.txt is of method '%s', the run is listed as '%s'", r->name, method, r->method);
    else if (method && strcmp(method, json_member_string(told, "method", method)))
        rc = error_set(err, "%s: metrics.json is of method '%s', identity.txt of '%s'", r->name, json_member_string(told, "method", method), method);
    else if (json_member_number(told, "votes", 0) != (votes ? atof(votes) : 0))
        rc = error_set(err, "%s: metrics.json is a vote of %g epochs, by its settings (train.vote_last) of %s", r->name,
                       json_member_number(told, "votes", 0), votes ? votes : "0");
    else if (seed != (double)r->seed)
        rc = error_set(err, "%s: metrics.json is of seed %g, the run is listed with %lld", r->name, seed, (long long)r->seed);
    mem_free(backbone);
    mem_free(method);
    mem_free(votes);
    return rc;
}

/* ---- what is missing ---- */

/* "why" of the last attempt that ended, by attempts.jsonl (mem_free), or NULL. */
static char *attempt_reason(const struct run *r)
{
    char *text = read_text(r->folder, "attempts.jsonl", NULL), *why = NULL;
    size_t n;
    for (const char *at = text, *line; (line = text_line(&at, &n));) {
        struct json_value *v = json_read(line, n, NULL);
        const char *type = json_member_string(v, "type", "");
        if (!strcmp(type, "end") || !strcmp(type, "begin")) set(&why, json_member_string(v, "why", NULL));
        json_free(v);
    }
    mem_free(text);
    return why;
}

/* What progress.json says of a run that is not finished (mem_free), or NULL. */
static char *progress_reason(const struct run *r)
{
    struct json_value *v = read_json(r->folder, "progress.json", NULL);
    const char *state = json_member_string(v, "state", ""), *error = json_member_string(v, "error", "");
    int epoch = (int)json_member_number(v, "epoch", 0), epochs = (int)json_member_number(v, "epochs", 0);
    char *why = NULL;
    if (*error) why = mem_string(error);
    else if (*state) why = mem_format("%s in epoch %d of %d when last heard of, %s", state, epoch, epochs, json_member_string(v, "updated", "?"));
    json_free(v);
    return why;
}

static void say_missing(struct run *r)
{
    char *told = attempt_reason(r);
    if (!told || !*told) {
        mem_free(told);
        told = progress_reason(r);
    }
    refuse(r, true, told ? told : !r->identity ? "not started" : "not finished");
    mem_free(told);
}

void run_read(struct run *r, struct notes *notes)
{
    struct error err = {0};
    char **fields[] = {&r->dataset, &r->data_hash, &r->program_hash, &r->version, &r->written, &r->place, &r->data_path};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!*fields[i]) *fields[i] = mem_string("");
    char *metrics = path_join(r->folder, "metrics.json");
    bool finished = path_exists(metrics);
    mem_free(metrics);
    r->identity = read_text(r->folder, "identity.txt", finished ? &err : NULL);
    if (r->identity) {
        read_identity(r);
        read_config(r, notes);
        read_record(r, notes);
    }
    if (!finished) {
        say_missing(r);
        return;
    }
    struct json_value *told = r->identity ? read_json(r->folder, "metrics.json", &err) : NULL;
    if (told && !*r->dataset) set(&r->dataset, json_member_string(told, "dataset", ""));
    if (!told || compare_plan(r, &err) || compare_names(r, told, &err) || run_read_result(r, told, notes, &err)) refuse(r, false, err.message);
    json_free(told);
}
