/* settings_arguments.c - the command line and the help page. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/settings_private.h"

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
    int row = row_find(key);
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
    const char *meant = row_find(name + 2) >= 0 ? name + 2 : key_nearest(c, key);
    mem_free(key);
    if (!meant) return error_hint(err, "ladnn %s --help lists the options", c->name);
    if (!command_owns(c, meant)) return error_hint(err, "did you mean '--set %s=VALUE'?", meant);
    char *dashed = mem_string(key_short_name(meant));
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
    if (count > 1 && (is_bool ? bool_from_word(words[1], &ignored) : strncmp(words[1], "--", 2) != 0)) {
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
    return is_set ? set_pair(s, o->value, err) : settings_store(s, row, o->value, o->name, err);
}

/* The i-th of the keys that take bare words (mem_free), or NULL. */
static char *positional_key(const struct command *c, int i)
{
    const char *at = c->positional ? c->positional : "";
    for (; i > 0; i--) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    return *at ? mem_format("%.*s", (int)strcspn(at, " "), at) : NULL;
}

static int read_bare_word(struct settings *s, const char *word, enum pass pass, struct error *err)
{
    const struct command *c = s->command;
    if (pass == PASS_FILES) return 0;
    if (word[0] == '-' && word[1]) {
        error_set(err, "unknown option '%s' of command '%s'", word, c->name);
        return error_hint(err, "options are written --name VALUE; ladnn %s --help lists them", c->name);
    }
    char *key = positional_key(c, s->positional_given);
    if (!key) {
        error_set(err, "unexpected word '%s'", word);
        return error_hint(err, "usage: ladnn %s %s", c->name, c->usage);
    }
    s->positional_given++;
    int status = settings_set(s, key, word, "command line", err);
    mem_free(key);
    return status;
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
    s->positional_given = 0;
    if (read_words(s, argc - 1, argv + 1, PASS_FILES, err)) return -1;
    return read_words(s, argc - 1, argv + 1, PASS_OPTIONS, err);
}

/* ---- help ---- */

static void help_bounds(struct text *out, const struct setting_row *row)
{
    const double no_bound = 1e15;
    if ((row->min == 0 && row->max == 0) || (row->type != SETTING_INT && row->type != SETTING_FLOAT)) return;
    if (row->max > no_bound)
        text_add(out, ", from %.10g", row->min);
    else
        text_add(out, ", %.10g to %.10g", row->min, row->max);
}

/* "  --batch INT                 images per step over all ranks (default 32, 1 to 65536)" */
static void help_row(struct text *out, const struct setting_row *row, bool own)
{
    static const char *const word[] = {"INT", "FLOAT", "", "TEXT", "WORD"};
    enum { COLUMN = 32 };
    char left[96];
    if (own) {
        snprintf(left, sizeof left, "--%s %s", key_short_name(row->key), word[row->type]);
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
        if (command_owns(command, row->key)) help_row(out, row, true);
    text_add(out, "  %-32s %s\n", "--config FILE", "read settings from a libconfig file (may be repeated; later files win)");
    text_add(out, "  %-32s %s\n", "--set KEY=VALUE", "set any key listed here (the command line wins over files)");
    text_add(out, "  %-32s %s\n", "--help", "this page");
    for (const char *group = command->groups + strcspn(command->groups, " "); *group;) {
        group += strspn(group, " ");
        size_t n = strcspn(group, " ");
        if (!n) break;
        text_add(out, "\nwith --set, or in group %.*s of a file:\n", (int)n, group);
        for (const struct setting_row *row = settings_table; row->key; row++)
            if (key_group_length(row->key) == n && !strncmp(row->key, group, n)) help_row(out, row, false);
        group += n;
    }
}

int settings_missing(const struct command *command, const char *key, const char *why, struct error *err)
{
    error_set(err, "%s is not set: %s", key, why);
    error_hint(err, "ladnn %s %s", command->name, command->usage);
    return 2;
}
