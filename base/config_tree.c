/* config_tree.c - reads libconfig files into a plain tree.
 *
 * DESIGN: libconfig parses a text that prepare_text has gone over first, because it passes over three mistakes
 * in silence or worse: whole numbers are cut to 32 bits, a string or comment without an end is accepted, and including
 * a folder ends the process. The only file that includes libconfig.h.
 */
#include "base/config_tree.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libconfig.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

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

/* ---- libconfig's tree to ours ---- */

static void take_value(struct config_node *node, const config_setting_t *setting)
{
    struct text text = {0};
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        node->type = CONFIG_INT;
        text_add(&text, "%lld", config_setting_get_int64(setting));
        break;
    case CONFIG_TYPE_FLOAT:
        node->type = CONFIG_FLOAT;
        text_add_number(&text, config_setting_get_float(setting));
        break;
    case CONFIG_TYPE_BOOL:
        node->type = CONFIG_BOOL;
        text_add(&text, config_setting_get_bool(setting) ? "true" : "false");
        break;
    default:
        node->type = CONFIG_STRING;
        text_add(&text, "%s", config_setting_get_string(setting));
    }
    node->text = text.data ? text.data : mem_string("");
}

static void take(struct config_node *node, const config_setting_t *setting)
{
    *node = (struct config_node){.name = mem_string(config_setting_name(setting)), .line = (int)config_setting_source_line(setting)};
    if (!config_setting_is_aggregate(setting)) {
        take_value(node, setting);
        return;
    }
    node->type = config_setting_is_group(setting) ? CONFIG_GROUP : CONFIG_LIST;
    node->count = config_setting_length(setting);
    node->items = NEW_ARRAY(struct config_node, node->count);
    for (int i = 0; i < node->count; i++) take(&node->items[i], config_setting_get_elem(setting, (unsigned)i));
}

int config_tree_read(struct config_node *root, const char *path, struct error *err)
{
    uint8_t *data;
    size_t bytes;
    config_t config;
    *root = (struct config_node){0};
    if (file_read(&data, &bytes, path, err)) return -1;
    config_init(&config);
    int status = parse_file(&config, path, (char *)data, bytes, err);
    if (!status) take(root, config_root_setting(&config));
    config_destroy(&config);
    mem_free(data);
    return status;
}

void config_tree_free(struct config_node *root)
{
    for (int i = 0; i < root->count; i++) config_tree_free(&root->items[i]);
    mem_free(root->items);
    mem_free(root->name);
    mem_free(root->text);
    *root = (struct config_node){0};
}

const struct config_node *config_find(const struct config_node *group, const char *name)
{
    for (int i = 0; i < group->count; i++)
        if (group->items[i].name && !strcmp(group->items[i].name, name)) return &group->items[i];
    return NULL;
}

const char *config_type_word(enum config_type type)
{
    static const char *const word[] = {"a group", "a list", "a whole number", "a number", "true or false", "a \"string\""};
    return word[type];
}
