/* config_tree.h - a libconfig file as a plain tree, with the line of every entry. What a key means is the reader's business
 * (base/settings.h for settings, jobs/grid/grid_file.c for grids). */
#ifndef BASE_CONFIG_TREE_H
#define BASE_CONFIG_TREE_H
#include "base/error.h"

enum config_type { CONFIG_GROUP, CONFIG_LIST, CONFIG_INT, CONFIG_FLOAT, CONFIG_BOOL, CONFIG_STRING };
struct config_node {
    enum config_type type;
    char *name; /* NULL for a list's element and for the root */
    int line;
    char *text; /* of a single value: "32", "5e-05", "true", or the string itself; else NULL */
    struct config_node *items; /* of a group or list (an array is a list), in the file's order */
    int count;
};

/* The whole file as a group. Whole numbers have 64 bits. A string or comment without an end, a number that does not fit, a NUL byte and
 * @include are errors with file:line. */
int config_tree_read(struct config_node *root, const char *path, struct error *err);
void config_tree_free(struct config_node *root);
/* A group's entry, or NULL. */
const struct config_node *config_find(const struct config_node *group, const char *name);
/* "a group", "a list", "a whole number", ...: for messages. */
const char *config_type_word(enum config_type type);
#endif
