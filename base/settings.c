/* settings.c - keys, values and their checks.
 *
 * DESIGN: every source (default, file, option) becomes text and passes through settings_store, the one place that
 * checks type, choice and bounds. Files are read and written in settings_file.c, options in settings_arguments.c.
 */
#include "base/settings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/settings_private.h"

/* ---- keys and groups ---- */

size_t key_group_length(const char *key)
{
    return strcspn(key, ".");
}

bool groups_have(const char *groups, const char *group, size_t length)
{
    for (const char *p = groups; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        if (n == length && !strncmp(p, group, n)) return true;
        p += n;
    }
    return false;
}

bool command_takes(const struct command *c, const char *key)
{
    return groups_have(c->groups, key, key_group_length(key));
}

bool command_owns(const struct command *c, const char *key)
{
    size_t n = strcspn(c->groups, " ");
    return key_group_length(key) == n && !strncmp(c->groups, key, n);
}

const char *key_short_name(const char *key)
{
    return key + key_group_length(key) + 1;
}

int row_find(const char *key)
{
    for (int i = 0; settings_table[i].key; i++)
        if (!strcmp(settings_table[i].key, key)) return i;
    return -1;
}

/* The right name in a wrong group counts as near. */
const char *key_nearest(const struct command *c, const char *key)
{
    const char *best = NULL, *dot = strchr(key, '.'), *name = dot ? dot + 1 : key;
    int least = 2 + (int)strlen(key) / 5;
    for (int i = 0; settings_table[i].key; i++) {
        const char *candidate = settings_table[i].key;
        if (!command_takes(c, candidate)) continue;
        int distance = text_distance(key, candidate);
        if (!strcmp(name, key_short_name(candidate))) distance = 1;
        if (distance < least) {
            least = distance;
            best = candidate;
        }
    }
    return best;
}

int row_of_command(const struct settings *s, const char *key, const char *origin, struct error *err)
{
    int row = row_find(key);
    if (row >= 0 && command_takes(s->command, key)) return row;
    if (row >= 0)
        return error_set(err, "%s: command '%s' does not take '%s'", origin, s->command->name, key);
    error_set(err, "%s: unknown key '%s'", origin, key);
    const char *meant = key_nearest(s->command, key);
    if (meant) return error_hint(err, "did you mean '%s'?", meant);
    return error_hint(err, "ladnn %s --help lists the keys", s->command->name);
}

/* ---- one value ---- */

static int check_bounds(const struct setting_row *row, double x, const char *text, struct error *err)
{
    if ((row->min == 0 && row->max == 0) || (x >= row->min && x <= row->max)) return 0;
    return error_set(err, "%s = %s is out of range: %.10g to %.10g", row->key, text, row->min, row->max);
}

static int parse_int(const struct setting_row *row, const char *text, struct value *v, struct error *err)
{
    char *end;
    errno = 0;
    v->i = strtoll(text, &end, 10);
    if (end == text || *end) return error_set(err, "%s = '%s' is not a whole number", row->key, text);
    if (errno == ERANGE) return error_set(err, "%s = %s does not fit 64 bits", row->key, text);
    return check_bounds(row, (double)v->i, text, err);
}

static int parse_float(const struct setting_row *row, const char *text, struct value *v, struct error *err)
{
    char *end;
    v->f = strtod(text, &end);
    if (end == text || *end) return error_set(err, "%s = '%s' is not a number", row->key, text);
    if (!isfinite(v->f)) return error_set(err, "%s = %s is not a finite number", row->key, text);
    return check_bounds(row, v->f, text, err);
}

bool bool_from_word(const char *text, bool *value)
{
    static const char *const no_yes[2][3] = {{"false", "no", "off"}, {"true", "yes", "on"}};
    for (int i = 0; i < 6; i++)
        if (!strcmp(text, no_yes[i / 3][i % 3])) {
            *value = i / 3;
            return true;
        }
    return false;
}

static int parse_bool(const struct setting_row *row, const char *text, struct value *v, struct error *err)
{
    if (bool_from_word(text, &v->b)) return 0;
    return error_set(err, "%s = '%s' is neither true nor false", row->key, text);
}

static int parse_choice(const struct setting_row *row, const char *text, struct error *err)
{
    char nearest[64] = "";
    int least = 2 + (int)strlen(text) / 4;
    for (const char *p = row->choices; *p; p += *p == '|') {
        char choice[64];
        size_t n = strcspn(p, "|");
        snprintf(choice, sizeof choice, "%.*s", (int)n, p);
        int distance = text_distance(text, choice);
        if (!distance) return 0;
        if (distance < least) {
            least = distance;
            memcpy(nearest, choice, sizeof nearest);
        }
        p += n;
    }
    error_set(err, "%s = '%s' is not one of %s", row->key, text, row->choices);
    return *nearest ? error_hint(err, "did you mean '%s'?", nearest) : -1;
}

static int parse_value(const struct setting_row *row, const char *text, struct value *v, struct error *err)
{
    switch (row->type) {
    case SETTING_INT: return parse_int(row, text, v, err);
    case SETTING_FLOAT: return parse_float(row, text, v, err);
    case SETTING_BOOL: return parse_bool(row, text, v, err);
    case SETTING_CHOICE: return parse_choice(row, text, err);
    case SETTING_STRING: return 0;
    }
    return error_set(err, "%s: unknown type of setting", row->key);
}

int settings_store(struct settings *s, int row, const char *text, const char *origin, struct error *err)
{
    struct value v = {0};
    if (parse_value(&settings_table[row], text, &v, err)) return error_prefix(err, "%s", origin);
    v.text = mem_string(text);
    v.origin = mem_string(origin);
    mem_free(s->values[row].text);
    mem_free(s->values[row].origin);
    s->values[row] = v;
    return 0;
}

struct settings *settings_open(const struct command *command)
{
    struct settings *s = NEW(struct settings);
    s->command = command;
    while (settings_table[s->count].key) s->count++;
    s->values = NEW_ARRAY(struct value, s->count);
    for (int i = 0; i < s->count; i++) {
        struct error err = {0};
        if (settings_store(s, i, settings_table[i].def, "default", &err)) die_error(&err); /* a bad row of the table */
    }
    return s;
}

struct settings *settings_copy(const struct settings *from)
{
    struct settings *s = NEW(struct settings);
    *s = *from;
    s->values = NEW_ARRAY(struct value, s->count);
    for (int i = 0; i < s->count; i++) {
        s->values[i] = from->values[i];
        s->values[i].text = mem_string(from->values[i].text);
        s->values[i].origin = mem_string(from->values[i].origin);
    }
    return s;
}

void settings_close(struct settings *s)
{
    if (!s) return;
    for (int i = 0; i < s->count; i++) {
        mem_free(s->values[i].text);
        mem_free(s->values[i].origin);
    }
    mem_free(s->values);
    mem_free(s);
}

int settings_set(struct settings *s, const char *key, const char *value, const char *origin, struct error *err)
{
    int row = row_of_command(s, key, origin, err);
    return row < 0 ? -1 : settings_store(s, row, value, origin, err);
}

/* ---- typed reads ---- */

static const struct value *read_typed(const struct settings *s, const char *key, enum setting_type type)
{
    int row = row_find(key);
    if (row < 0) die("no setting is called '%s': this is a bug in ladnn", key);
    bool text_like = type == SETTING_STRING && settings_table[row].type == SETTING_CHOICE;
    if (settings_table[row].type != type && !text_like) die("setting '%s' has another type: this is a bug in ladnn", key);
    return &s->values[row];
}

int64_t settings_int(const struct settings *s, const char *key)
{
    return read_typed(s, key, SETTING_INT)->i;
}

double settings_float(const struct settings *s, const char *key)
{
    return read_typed(s, key, SETTING_FLOAT)->f;
}

bool settings_bool(const struct settings *s, const char *key)
{
    return read_typed(s, key, SETTING_BOOL)->b;
}

const char *settings_string(const struct settings *s, const char *key)
{
    return read_typed(s, key, SETTING_STRING)->text;
}

const char *settings_origin(const struct settings *s, const char *key)
{
    int row = row_find(key);
    ASSERT(row >= 0);
    return s->values[row].origin;
}
