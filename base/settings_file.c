/* settings_file.c - configuration files: reading them with libconfig, and the copy kept with a run.
 *
 * DESIGN: libconfig parses a text that prepare_text has gone over first, because it passes over three mistakes
 * in silence or worse: whole numbers are cut to 32 bits, a string or comment without an end is accepted, and including
 * a folder ends the process. The only file that includes libconfig.h.
 */
#include <errno.h>
#include <libconfig.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/settings_private.h"

static const char *type_word(enum setting_type type)
{
    static const char *const word[] = {"a whole number", "a number", "true or false", "a \"string\"", "a \"string\""};
    return word[type];
}

/* The value of a file's entry as text. Returns -1 when its type is not the row's. */
static int member_text(enum setting_type type, const config_setting_t *member, struct text *out)
{
    int kind = config_setting_type(member);
    if ((type == SETTING_INT || type == SETTING_FLOAT) && (kind == CONFIG_TYPE_INT || kind == CONFIG_TYPE_INT64))
        text_add(out, "%lld", config_setting_get_int64(member));
    else if (type == SETTING_FLOAT && kind == CONFIG_TYPE_FLOAT)
        text_add_number(out, config_setting_get_float(member));
    else if (type == SETTING_BOOL && kind == CONFIG_TYPE_BOOL)
        text_add(out, config_setting_get_bool(member) ? "true" : "false");
    else if ((type == SETTING_STRING || type == SETTING_CHOICE) && kind == CONFIG_TYPE_STRING)
        text_add(out, "%s", config_setting_get_string(member));
    else
        return -1;
    return 0;
}

static int read_member(struct settings *s, const char *key, const config_setting_t *member, const char *origin,
                       struct error *err)
{
    int row = row_of_command(s, key, origin, err);
    if (row < 0) return -1;
    struct text text = {0};
    int status = member_text(settings_table[row].type, member, &text);
    if (status)
        error_set(err, "%s: %s must be %s", origin, key, type_word(settings_table[row].type));
    else
        status = settings_store(s, row, text.data ? text.data : "", origin, err);
    text_free(&text);
    return status;
}

static char *origin_of(const config_setting_t *setting, const char *path)
{
    return mem_format("%s:%u", path, config_setting_source_line(setting));
}

static int check_group(const struct settings *s, const config_setting_t *group, const char *origin, struct error *err)
{
    const char *name = config_setting_name(group), *nearest = NULL;
    size_t length = strlen(name);
    bool known = false;
    int least = 3;
    for (const struct setting_row *row = settings_table; row->key; row++) {
        size_t n = key_group_length(row->key);
        char other[64];
        snprintf(other, sizeof other, "%.*s", (int)n, row->key);
        known = known || !strcmp(other, name);
        if (command_takes(s->command, row->key) && text_distance(name, other) < least) {
            least = text_distance(name, other);
            nearest = row->key;
        }
    }
    if (known && !groups_have(s->command->groups, name, length))
        return error_set(err, "%s: command '%s' does not take the group '%s'", origin, s->command->name, name);
    if (known && config_setting_is_group(group)) return 0;
    if (known) return error_set(err, "%s: '%s' must be a group, like %s = { key = value; };", origin, name, name);
    error_set(err, "%s: unknown group '%s'", origin, name);
    if (nearest) return error_hint(err, "did you mean '%.*s'?", (int)key_group_length(nearest), nearest);
    return error_hint(err, "the groups of command '%s' are: %s", s->command->name, s->command->groups);
}

static int read_group(struct settings *s, const config_setting_t *group, const char *path, struct error *err)
{
    char *origin = origin_of(group, path);
    int status = check_group(s, group, origin, err);
    mem_free(origin);
    for (int i = 0; !status && i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
        char *key = mem_format("%s.%s", config_setting_name(group), config_setting_name(member));
        origin = origin_of(member, path);
        status = read_member(s, key, member, origin, err);
        mem_free(origin);
        mem_free(key);
    }
    return status;
}

/* Length of the string or comment that starts at p, or 0. Sets *cut_off when the file ends inside it. */
static size_t skipped_length(const char *p, bool *cut_off)
{
    *cut_off = false;
    if (*p == '#' || (*p == '/' && p[1] == '/')) return strcspn(p, "\n");
    if (*p == '/' && p[1] == '*') {
        const char *end = strstr(p + 2, "*/");
        *cut_off = !end;
        return end ? (size_t)(end + 2 - p) : strlen(p);
    }
    if (*p != '"') return 0;
    size_t n = 1;
    while (p[n] && p[n] != '"') n += p[n] == '\\' && p[n + 1] ? 2 : 1;
    *cut_off = !p[n];
    return n + !*cut_off;
}

/* Copies one word (a name or a number). Older libconfig cuts whole numbers to 32 bits unless they end in L: it is
 * added here where it is needed. */
static int copy_word(struct text *out, const char *word, size_t length, const char *path, int line, struct error *err)
{
    char number[64], *end;
    text_add_bytes(out, word, length);
    if (word[0] < '0' || word[0] > '9') return 0;
    if (length >= sizeof number) return error_set(err, "%s:%d: a number of %zu digits", path, line, length);
    snprintf(number, sizeof number, "%.*s", (int)length, word);
    bool hex = word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
    errno = 0;
    long long value = strtoll(number, &end, hex ? 16 : 10);
    if (errno == ERANGE) return error_set(err, "%s:%d: %s does not fit 64 bits", path, line, number);
    if (!*end && value > INT_MAX) text_add(out, "L");
    return 0;
}

/* The file's text as libconfig shall see it; line numbers stay. */
static int prepare_text(struct text *out, const char *data, const char *path, struct error *err)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.*-+";
    int line = 1;
    for (const char *p = data; *p;) {
        bool cut_off;
        size_t n = skipped_length(p, &cut_off);
        if (cut_off) return error_set(err, "%s:%d: this %s has no end", path, line, *p == '"' ? "string" : "comment");
        if (n) {
            text_add_bytes(out, p, n);
        } else if ((n = strspn(p, word)) > 0) {
            size_t sign = *p == '-' || *p == '+';
            text_add_bytes(out, p, sign);
            if (copy_word(out, p + sign, n - sign, path, line, err)) return -1;
        } else if (!strncmp(p, "@include", 8)) {
            error_set(err, "%s:%d: @include is not supported", path, line);
            return error_hint(err, "give --config several times instead");
        } else {
            text_add_bytes(out, p, n = 1);
        }
        for (size_t i = 0; i < n; i++) line += p[i] == '\n';
        p += n;
    }
    return 0;
}

/* libconfig reads from memory: given a folder's name its scanner would end the process. */
static int parse_file(config_t *config, const char *path, const char *data, size_t bytes, struct error *err)
{
    if (strlen(data) != bytes) return error_set(err, "%s: is not a text file (it holds a NUL byte)", path);
    struct text text = {0};
    int status = prepare_text(&text, data, path, err);
    text_add(&text, "\n"); /* libconfig does not take a comment as the last line without it */
    if (!status && config_read_string(config, text.data) != CONFIG_TRUE)
        status = error_set(err, "%s:%d: %s", path, config_error_line(config), config_error_text(config));
    text_free(&text);
    return status;
}

int settings_read_file(struct settings *s, const char *path, struct error *err)
{
    uint8_t *data;
    size_t bytes;
    if (file_read(&data, &bytes, path, err)) return -1;
    config_t config;
    config_init(&config);
    int status = parse_file(&config, path, (char *)data, bytes, err);
    const config_setting_t *root = status ? NULL : config_root_setting(&config);
    for (int i = 0; !status && i < config_setting_length(root); i++)
        status = read_group(s, config_setting_get_elem(root, (unsigned)i), path, err);
    config_destroy(&config);
    mem_free(data);
    return status;
}

/* ---- the copy kept with a run ---- */

static void write_string(struct text *out, const char *value)
{
    text_add(out, "\"");
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        if (*p == '"' || *p == '\\')
            text_add(out, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7F)
            text_add(out, "\\x%02X", *p);
        else
            text_add(out, "%c", *p);
    }
    text_add(out, "\"");
}

/* libconfig tells floats by a point or an exponent, and 64-bit whole numbers by an L. */
static void write_float(struct text *out, double value)
{
    size_t start = out->length;
    text_add_number(out, value);
    if (!strpbrk(out->data + start, ".e")) text_add(out, ".0");
}

static void write_value(struct text *out, const struct setting_row *row, const struct value *v)
{
    switch (row->type) {
    case SETTING_INT: text_add(out, "%lld%s", (long long)v->i, v->i > INT_MAX || v->i < INT_MIN ? "L" : ""); break;
    case SETTING_FLOAT: write_float(out, v->f); break;
    case SETTING_BOOL: text_add(out, v->b ? "true" : "false"); break;
    case SETTING_STRING:
    case SETTING_CHOICE: write_string(out, v->text); break;
    }
}

static void write_origin(struct text *out, const char *origin)
{
    text_add(out, "; // ");
    for (; *origin; origin++) text_add(out, "%c", (unsigned char)*origin < 0x20 ? '?' : *origin);
    text_add(out, "\n");
}

void settings_write(const struct settings *s, struct text *out)
{
    text_add(out, "// settings of ladnn %s; each with its origin\n", s->command->name);
    for (const char *group = s->command->groups; *group; group += strspn(group, " ")) {
        int n = (int)strcspn(group, " ");
        text_add(out, "%.*s = {\n", n, group);
        for (int i = 0; i < s->count; i++) {
            const char *key = settings_table[i].key;
            if (key_group_length(key) != (size_t)n || strncmp(key, group, (size_t)n) != 0) continue;
            text_add(out, "  %s = ", key_short_name(key));
            write_value(out, &settings_table[i], &s->values[i]);
            write_origin(out, s->values[i].origin);
        }
        text_add(out, "};\n");
        group += n;
    }
}
