/* settings.c - the table's parser: libconfig files, command-line options, help page and the copy kept with a run.
 *
 * Every source (default, file, option) becomes text and passes through store(), the one place that checks type,
 * choice and bounds. The only file that includes libconfig.h.
 */
#include "base/settings.h"

#include <errno.h>
#include <libconfig.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

struct value {
    char *text;   /* as given: the string or choice itself */
    char *origin; /* "default", "paper.cfg:3", "--batch" */
    int64_t i;
    double f;
    bool b;
};

struct settings {
    const struct command *command;
    bool positional_given;
    int count;
    struct value *values; /* one for each row of settings_table */
};

/* ---- keys and groups ---- */

static size_t group_length(const char *key)
{
    return strcspn(key, ".");
}

/* Is `group` one of the blank-separated words of `groups`? */
static bool has_group(const char *groups, const char *group, size_t length)
{
    for (const char *p = groups; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        if (n == length && !strncmp(p, group, n)) return true;
        p += n;
    }
    return false;
}

static bool takes(const struct command *c, const char *key)
{
    return has_group(c->groups, key, group_length(key));
}

/* Belongs to the command's own group, so that it may be given as --name. */
static bool is_own(const struct command *c, const char *key)
{
    size_t n = strcspn(c->groups, " ");
    return group_length(key) == n && !strncmp(c->groups, key, n);
}

static const char *short_name(const char *key)
{
    return key + group_length(key) + 1;
}

static int find_row(const char *key)
{
    for (int i = 0; settings_table[i].key; i++)
        if (!strcmp(settings_table[i].key, key)) return i;
    return -1;
}

/* The key of the command nearest to a mistyped one, or NULL. The right name in a wrong group counts as near. */
static const char *nearest_key(const struct command *c, const char *key)
{
    const char *best = NULL, *dot = strchr(key, '.'), *name = dot ? dot + 1 : key;
    int least = 2 + (int)strlen(key) / 5;
    for (int i = 0; settings_table[i].key; i++) {
        const char *candidate = settings_table[i].key;
        if (!takes(c, candidate)) continue;
        int distance = text_distance(key, candidate);
        if (!strcmp(name, short_name(candidate))) distance = 1;
        if (distance < least) {
            least = distance;
            best = candidate;
        }
    }
    return best;
}

/* The row of a key that the command takes, or -1 with err. */
static int row_of(const struct settings *s, const char *key, const char *origin, struct error *err)
{
    int row = find_row(key);
    if (row >= 0 && takes(s->command, key)) return row;
    if (row >= 0)
        return error_set(err, "%s: command '%s' does not take '%s'", origin, s->command->name, key);
    error_set(err, "%s: unknown key '%s'", origin, key);
    const char *meant = nearest_key(s->command, key);
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

static bool bool_word(const char *text, bool *value)
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
    if (bool_word(text, &v->b)) return 0;
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

/* Checks and keeps a value. */
static int store(struct settings *s, int row, const char *text, const char *origin, struct error *err)
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
        if (store(s, i, settings_table[i].def, "default", &err)) die_error(&err); /* a bad row of the table */
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
    int row = row_of(s, key, origin, err);
    return row < 0 ? -1 : store(s, row, value, origin, err);
}

/* ---- configuration files ---- */

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
    int row = row_of(s, key, origin, err);
    if (row < 0) return -1;
    struct text text = {0};
    int status = member_text(settings_table[row].type, member, &text);
    if (status)
        error_set(err, "%s: %s must be %s", origin, key, type_word(settings_table[row].type));
    else
        status = store(s, row, text.data ? text.data : "", origin, err);
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
        size_t n = group_length(row->key);
        char other[64];
        snprintf(other, sizeof other, "%.*s", (int)n, row->key);
        known = known || !strcmp(other, name);
        if (takes(s->command, row->key) && text_distance(name, other) < least) {
            least = text_distance(name, other);
            nearest = row->key;
        }
    }
    if (known && !has_group(s->command->groups, name, length))
        return error_set(err, "%s: command '%s' does not take the group '%s'", origin, s->command->name, name);
    if (known && config_setting_is_group(group)) return 0;
    if (known) return error_set(err, "%s: '%s' must be a group, like %s = { key = value; };", origin, name, name);
    error_set(err, "%s: unknown group '%s'", origin, name);
    if (nearest) return error_hint(err, "did you mean '%.*s'?", (int)group_length(nearest), nearest);
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

/* Length of the string or comment that starts at p, or 0. */
static size_t skipped_length(const char *p)
{
    if (*p == '#' || (*p == '/' && p[1] == '/')) return strcspn(p, "\n");
    if (*p == '/' && p[1] == '*') {
        const char *end = strstr(p + 2, "*/");
        return end ? (size_t)(end + 2 - p) : strlen(p);
    }
    if (*p != '"') return 0;
    size_t n = 1;
    while (p[n] && p[n] != '"') n += p[n] == '\\' && p[n + 1] ? 2 : 1;
    return n + (p[n] == '"');
}

/* Copies one word (a name or a number). Older libconfig cuts whole numbers to 32 bits unless they end in L: it is
 * added here where it is needed. */
static int copy_word(struct text *out, const char *word, size_t length, const char *path, int line, struct error *err)
{
    char number[64], *end;
    text_add_bytes(out, word, length);
    if (length >= sizeof number || word[0] < '0' || word[0] > '9') return 0;
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
        size_t n = skipped_length(p);
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
    text_add(&text, "%s", "");
    int status = prepare_text(&text, data, path, err);
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

/* ---- command line ---- */

struct option {
    char *name;        /* "--batch" */
    const char *value; /* NULL when none was given */
    int words;         /* of the command line that it takes */
};

/* Files are read first, so that the command line wins wherever --config stands. */
enum pass { PASS_FILES, PASS_OPTIONS };

static int set_pair(struct settings *s, const char *pair, struct error *err)
{
    const char *equals = strchr(pair, '=');
    if (!equals) return error_set(err, "--set %s: expected KEY=VALUE", pair);
    char *key = mem_format("%.*s", (int)(equals - pair), pair);
    int status = settings_set(s, key, equals + 1, "--set", err);
    mem_free(key);
    return status;
}

/* --some-name -> the row of own-group key "GROUP.some_name", or -1. */
static int row_of_option(const struct command *c, const char *name)
{
    char *key = mem_format("%.*s.%s", (int)strcspn(c->groups, " "), c->groups, name + 2);
    for (char *p = strchr(key, '.'); *p; p++)
        if (*p == '-') *p = '_';
    int row = find_row(key);
    mem_free(key);
    return row;
}

static int unknown_option(const struct settings *s, const char *name, struct error *err)
{
    const struct command *c = s->command;
    error_set(err, "unknown option '%s' of command '%s'", name, c->name);
    char *key = mem_format("%.*s.%s", (int)strcspn(c->groups, " "), c->groups, name + 2);
    for (char *p = key; *p; p++)
        if (*p == '-') *p = '_';
    const char *meant = find_row(name + 2) >= 0 ? name + 2 : nearest_key(c, key);
    mem_free(key);
    if (!meant) return error_hint(err, "ladnn %s --help lists the options", c->name);
    if (!is_own(c, meant)) return error_hint(err, "did you mean '--set %s=VALUE'?", meant);
    char *dashed = mem_string(short_name(meant));
    for (char *p = dashed; *p; p++)
        if (*p == '_') *p = '-';
    error_hint(err, "did you mean '--%s'?", dashed);
    mem_free(dashed);
    return -1;
}

/* Splits words[0] = "--name" or "--name=value" and takes the next word as the value where one belongs to it. */
static void split_option(struct option *o, const struct command *c, int count, char **words)
{
    size_t n = strcspn(words[0], "=");
    *o = (struct option){.name = mem_format("%.*s", (int)n, words[0]), .words = 1};
    if (words[0][n]) {
        o->value = words[0] + n + 1;
        return;
    }
    int row = row_of_option(c, o->name);
    bool is_bool = row >= 0 && settings_table[row].type == SETTING_BOOL, ignored;
    if (count > 1 && (is_bool ? bool_word(words[1], &ignored) : strncmp(words[1], "--", 2) != 0)) {
        o->value = words[1];
        o->words = 2;
    } else if (is_bool) {
        o->value = "true";
    }
}

static int read_option(struct settings *s, const struct option *o, enum pass pass, struct error *err)
{
    bool is_config = !strcmp(o->name, "--config"), is_set = !strcmp(o->name, "--set");
    int row = row_of_option(s->command, o->name);
    if (!is_config && !is_set && row < 0) return unknown_option(s, o->name, err);
    if (!o->value) {
        error_set(err, "option '%s' needs a value", o->name);
        return error_hint(err, "a value that begins with -- is written %s=VALUE", o->name);
    }
    if (is_config) return pass == PASS_FILES ? settings_read_file(s, o->value, err) : 0;
    if (pass == PASS_FILES) return 0;
    return is_set ? set_pair(s, o->value, err) : store(s, row, o->value, o->name, err);
}

static int read_bare_word(struct settings *s, const char *word, enum pass pass, struct error *err)
{
    const struct command *c = s->command;
    if (pass == PASS_FILES) return 0;
    if (word[0] == '-' && word[1]) {
        error_set(err, "unknown option '%s' of command '%s'", word, c->name);
        return error_hint(err, "options are written --name VALUE; ladnn %s --help lists them", c->name);
    }
    if (!c->positional || s->positional_given) {
        error_set(err, "unexpected word '%s'", word);
        return error_hint(err, "usage: ladnn %s %s", c->name, c->usage);
    }
    s->positional_given = true;
    return settings_set(s, c->positional, word, "command line", err);
}

static int read_words(struct settings *s, int count, char **words, enum pass pass, struct error *err)
{
    for (int i = 0; i < count;) {
        if (strncmp(words[i], "--", 2) != 0) {
            if (read_bare_word(s, words[i++], pass, err)) return -1;
            continue;
        }
        struct option o;
        split_option(&o, s->command, count - i, words + i);
        int status = read_option(s, &o, pass, err);
        mem_free(o.name);
        if (status) return -1;
        i += o.words;
    }
    return 0;
}

int settings_read_arguments(struct settings *s, int argc, char **argv, bool *help, struct error *err)
{
    *help = false;
    for (int i = 1; i < argc && !*help; i++) *help = !strcmp(argv[i], "--help") || !strcmp(argv[i], "-h");
    if (*help) {
        struct text page = {0};
        settings_help(s->command, &page);
        fputs(page.data, stdout);
        text_free(&page);
        return 0;
    }
    s->positional_given = false;
    if (read_words(s, argc - 1, argv + 1, PASS_FILES, err)) return -1;
    return read_words(s, argc - 1, argv + 1, PASS_OPTIONS, err);
}

/* ---- typed reads ---- */

static const struct value *read_typed(const struct settings *s, const char *key, enum setting_type type)
{
    int row = find_row(key);
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
    int row = find_row(key);
    ASSERT(row >= 0);
    return s->values[row].origin;
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
            if (group_length(key) != (size_t)n || strncmp(key, group, (size_t)n) != 0) continue;
            text_add(out, "  %s = ", short_name(key));
            write_value(out, &settings_table[i], &s->values[i]);
            write_origin(out, s->values[i].origin);
        }
        text_add(out, "};\n");
        group += n;
    }
}

/* ---- help ---- */

static void help_bounds(struct text *out, const struct setting_row *row)
{
    if (row->min == 0 && row->max == 0) return;
    if (row->type == SETTING_INT || row->type == SETTING_FLOAT) text_add(out, ", %.10g to %.10g", row->min, row->max);
}

/* "  --batch INT                 images per step over all ranks (default 32, 1 to 65536)" */
static void help_row(struct text *out, const struct setting_row *row, bool own)
{
    static const char *const word[] = {"INT", "FLOAT", "", "TEXT", "WORD"};
    enum { COLUMN = 32 };
    char left[96];
    if (own) {
        snprintf(left, sizeof left, "--%s %s", short_name(row->key), word[row->type]);
        for (char *p = left; *p; p++)
            if (*p == '_') *p = '-';
    } else {
        snprintf(left, sizeof left, "%s=%s", row->key, row->type == SETTING_BOOL ? "BOOL" : word[row->type]);
    }
    text_add(out, "  %-*s %s (default %s", COLUMN, left, row->help, *row->def ? row->def : "none");
    help_bounds(out, row);
    text_add(out, ")\n");
    if (row->type == SETTING_CHOICE) text_add(out, "  %-*s   %s\n", COLUMN, "", row->choices);
}

void settings_help(const struct command *command, struct text *out)
{
    text_add(out, "ladnn %s - %s\nusage: ladnn %s %s\n\n", command->name, command->summary, command->name, command->usage);
    for (const struct setting_row *row = settings_table; row->key; row++)
        if (is_own(command, row->key)) help_row(out, row, true);
    text_add(out, "  %-32s %s\n", "--config FILE", "read settings from a libconfig file (may be repeated; later files win)");
    text_add(out, "  %-32s %s\n", "--set KEY=VALUE", "set any key listed here (the command line wins over files)");
    text_add(out, "  %-32s %s\n", "--help", "this page");
    for (const char *group = command->groups + strcspn(command->groups, " "); *group;) {
        group += strspn(group, " ");
        size_t n = strcspn(group, " ");
        if (!n) break;
        text_add(out, "\nwith --set, or in group %.*s of a file:\n", (int)n, group);
        for (const struct setting_row *row = settings_table; row->key; row++)
            if (group_length(row->key) == n && !strncmp(row->key, group, n)) help_row(out, row, false);
        group += n;
    }
}
