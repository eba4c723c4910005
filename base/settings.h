/* settings.h - settings are data. One table row per key drives the parser of configuration files (libconfig), the
 * command line (`--name value`, `--set key=value`), `--help`, the start-up listing and the copy kept with a run.
 *
 * A key is "group.name". Command `pack` takes `--size 256` for key `pack.size` (dashes for underscores); any command
 * takes `--set group.name=value`. `--config FILE` reads a libconfig file whose top-level groups are the key groups:
 *     model = { backbone = "resnet18"; };
 * Later sources win: default < file < command line. An unknown key, a wrong type or a value out of range is an error
 * that names file:line (or the option) and, for a near miss, the key that was meant.
 */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/config_tree.h"
#include "base/error.h"
#include "base/text.h"

enum setting_type { SETTING_INT, SETTING_FLOAT, SETTING_BOOL, SETTING_STRING, SETTING_CHOICE };
struct setting_row {
    const char *key;       /* "train.batch" */
    enum setting_type type;
    const char *def;       /* default as text; "" for an empty string */
    double min, max;       /* bounds of numbers, inclusive; both 0: none */
    const char *choices;   /* "a|b|c" for SETTING_CHOICE */
    const char *help;      /* one line, with the unit */
};
/* The one table of the program, ended by a row with key NULL (base/settings_table.c). */
extern const struct setting_row settings_table[];

struct settings; /* opaque: a value and its origin for each row */

/* A sub-command: which groups of the table it takes. Groups are separated by blanks; the first is its own group,
 * whose keys may be given as --name. */
struct command {
    const char *name;
    const char *groups;    /* "train model optim augment dist" */
    const char *summary;   /* one line */
    const char *usage;     /* "--config FILE --data DIR --out RUN" */
    const char *positional;/* keys that take the bare words in turn, separated by blanks, or NULL */
    bool on_ranks;         /* works on several MPI ranks; else rank 0 does it alone */
    int (*run)(struct settings *s, struct error *err); /* exit status; -1 is 1. main prints what is in `err`, once */
};

struct settings *settings_open(const struct command *command);
struct settings *settings_copy(const struct settings *s);
void settings_close(struct settings *s); /* NULL is fine */
/* Reads a libconfig file; @include is refused (give --config several times). Not collective. */
int settings_read_file(struct settings *s, const char *path, struct error *err);
/* The same for one group of a file that holds more than settings: `group` is named after a group of the table. */
int settings_read_group(struct settings *s, const struct config_node *group, const char *path, struct error *err);
/* Reads argv[1..]; handles --config, --set, --help (prints, *help = true). A bool option may stand without a value. */
int settings_read_arguments(struct settings *s, int argc, char **argv, bool *help, struct error *err);
/* key=value from text; origin is printed in errors ("--set", "file.cfg:12"). */
int settings_set(struct settings *s, const char *key, const char *value, const char *origin, struct error *err);

/* For a command that cannot do without `key`: sets the error "KEY is not set: WHY", with the command's usage as hint. Returns 2,
 * the exit status of a wrong command line. */
int settings_missing(const struct command *command, const char *key, const char *why, struct error *err);

/* Typed reads; an unknown key or a wrong type is our bug: dies. settings_string also reads a choice; its string lives
 * until the setting changes or s is closed. */
int64_t settings_int(const struct settings *s, const char *key);
double settings_float(const struct settings *s, const char *key);
bool settings_bool(const struct settings *s, const char *key);
const char *settings_string(const struct settings *s, const char *key);
/* Where the value came from: "default", "paper.cfg:3", "--set". */
const char *settings_origin(const struct settings *s, const char *key);

/* Writes all settings of the command as a libconfig text that settings_read_file accepts, each with its origin. */
void settings_write(const struct settings *s, struct text *out);
/* The help page of a command. */
void settings_help(const struct command *command, struct text *out);
#endif
