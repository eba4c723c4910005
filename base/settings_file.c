/* settings_file.c - settings from configuration files, and the copy kept with a run. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/config_tree.h"
#include "base/memory.h"
#include "base/settings_private.h"

static const enum config_type type_of_row[] = {
    [SETTING_INT] = CONFIG_INT, [SETTING_FLOAT] = CONFIG_FLOAT, [SETTING_BOOL] = CONFIG_BOOL, [SETTING_STRING] = CONFIG_STRING,
    [SETTING_CHOICE] = CONFIG_STRING};

static int read_member(struct settings *s, const char *key, const struct config_node *member, const char *origin, struct error *err)
{
    int row = row_of_command(s, key, origin, err);
    if (row < 0) return -1;
    enum setting_type type = settings_table[row].type;
    if (member->type != type_of_row[type] && !(type == SETTING_FLOAT && member->type == CONFIG_INT)) {
        error_set(err, "%s: %s must be %s", origin, key, config_type_word(type_of_row[type]));
        bool number = member->type == CONFIG_INT || member->type == CONFIG_FLOAT;
        return number && type == SETTING_STRING ? error_hint(err, "in quotes: %s = \"%s\";", member->name, member->text) : -1;
    }
    return settings_store(s, row, member->text, origin, err);
}

static bool is_group(const char *name)
{
    for (const struct setting_row *row = settings_table; row->key; row++)
        if (key_group_length(row->key) == strlen(name) && !strncmp(row->key, name, strlen(name))) return true;
    return false;
}

static int unknown_group(const struct settings *s, const char *name, const char *origin, struct error *err)
{
    const char *nearest = NULL;
    int least = 3;
    for (const struct setting_row *row = settings_table; row->key; row++) {
        char other[64];
        snprintf(other, sizeof other, "%.*s", (int)key_group_length(row->key), row->key);
        if (!command_takes(s->command, row->key) || text_distance(name, other) >= least) continue;
        least = text_distance(name, other);
        nearest = row->key;
    }
    error_set(err, "%s: unknown group '%s'", origin, name);
    if (nearest) return error_hint(err, "did you mean '%.*s'?", (int)key_group_length(nearest), nearest);
    return error_hint(err, "the groups of command '%s' are: %s", s->command->name, s->command->groups);
}

static int check_group(const struct settings *s, const struct config_node *group, const char *origin, struct error *err)
{
    const char *name = group->name;
    if (!is_group(name)) return unknown_group(s, name, origin, err);
    if (!groups_have(s->command->groups, name, strlen(name)))
        return error_set(err, "%s: command '%s' does not take the group '%s'", origin, s->command->name, name);
    if (group->type == CONFIG_GROUP) return 0;
    return error_set(err, "%s: '%s' must be a group, like %s = { key = value; };", origin, name, name);
}

int settings_read_group(struct settings *s, const struct config_node *group, const char *path, struct error *err)
{
    char *origin = mem_format("%s:%d", path, group->line);
    int status = check_group(s, group, origin, err);
    mem_free(origin);
    for (int i = 0; !status && i < group->count; i++) {
        const struct config_node *member = &group->items[i];
        char *key = mem_format("%s.%s", group->name, member->name);
        origin = mem_format("%s:%d", path, member->line);
        status = read_member(s, key, member, origin, err);
        mem_free(origin);
        mem_free(key);
    }
    return status;
}

int settings_read_file(struct settings *s, const char *path, struct error *err)
{
    struct config_node root;
    int status = config_tree_read(&root, path, err);
    for (int i = 0; !status && i < root.count; i++) status = settings_read_group(s, &root.items[i], path, err);
    config_tree_free(&root);
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
