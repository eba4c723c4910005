/* settings_private.h - what settings.c shares with settings_file.c and settings_arguments.c. Nobody else includes it. */
#ifndef BASE_SETTINGS_PRIVATE_H
#define BASE_SETTINGS_PRIVATE_H
#include "base/settings.h"

struct value {
    char *text;   /* as given: the string or choice itself */
    char *origin; /* "default", "paper.cfg:3", "--batch" */
    int64_t i;
    double f;
    bool b;
};

struct settings {
    const struct command *command;
    int positional_given; /* bare words so far */
    int count;
    struct value *values; /* one for each row of settings_table */
};

/* "train.batch": length of "train", and "batch". */
size_t key_group_length(const char *key);
const char *key_short_name(const char *key);
/* Is `group` one of the blank-separated words of `groups`? */
bool groups_have(const char *groups, const char *group, size_t length);
/* Is the key in a group of the command? In its own (first) one, so that it may be given as --name? */
bool command_takes(const struct command *c, const char *key);
bool command_owns(const struct command *c, const char *key);
/* The key of the command nearest to a mistyped one, or NULL. */
const char *key_nearest(const struct command *c, const char *key);

/* Row of settings_table, or -1. The second asks that the command takes it and says in err why not. */
int row_find(const char *key);
int row_of_command(const struct settings *s, const char *key, const char *origin, struct error *err);
/* true yes on, false no off. Returns false for any other word. */
bool bool_from_word(const char *text, bool *value);
/* Checks type, choice and bounds, and keeps the value. Returns -1 with err; then the old value stays. */
int settings_store(struct settings *s, int row, const char *text, const char *origin, struct error *err);
#endif
