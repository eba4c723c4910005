/* error.h - how every part of the program says that something is wrong.
 *
 * Two families:
 *   - Judging input (settings, images, shards, checkpoints): the function takes a `struct error *`, fills it and
 *     returns -1; the caller decides. `error_set` returns -1 so that `return error_set(err, ...)` reads naturally.
 *   - A mistake that nothing can continue from: CHECK prints ONE line `host rank R file:line what: why`, a `hint:`
 *     line when one is known, and ends all ranks. ASSERT is for our own bugs.
 *
 * DESIGN: only `die`, the logger and the mains print. `die` ends the process through `die_hook`, which dist/ sets to
 * an abort of all ranks. All functions here are thread safe except `die_hook_set` and `die_rank_set`.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

struct error {
    char message[1600]; /* "file.csv:12: unknown lesion 'Foo'"; empty = no error */
    char hint[400];     /* likely cause and mend, or empty */
};

/* Fills the message; the hint is cleared. Returns -1. `err` may be NULL. Not collective. */
int error_set(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds a hint to an error that is set. Returns -1. */
int error_hint(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts "<text>: " before the message (where the error happened). Returns -1. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints the line and the hint, then calls the hook (default: exit with status 1). Never returns. */
void die_at(const char *file, int line, const char *hint, const char *format, ...)
    __attribute__((noreturn, format(printf, 4, 5)));
/* Prints `err` the same way. */
void die_error_at(const char *file, int line, const struct error *err) __attribute__((noreturn));

/* The rank to print; -1 (the default) prints none. */
void die_rank_set(int rank);
int die_rank(void);
/* What ends the program; must not return. */
void die_hook_set(void (*hook)(int status));

#define die(...) die_at(__FILE__, __LINE__, 0, __VA_ARGS__)
#define die_hint(hint, ...) die_at(__FILE__, __LINE__, (hint), __VA_ARGS__)
#define die_error(err) die_error_at(__FILE__, __LINE__, (err))
/* Always on: a user's or the machine's mistake. */
#define CHECK(condition, ...)                            \
    do {                                                 \
        if (!(condition)) die_at(__FILE__, __LINE__, 0, __VA_ARGS__); \
    } while (0)
#define CHECK_HINT(condition, hint, ...)                 \
    do {                                                 \
        if (!(condition)) die_at(__FILE__, __LINE__, (hint), __VA_ARGS__); \
    } while (0)
/* Always on: our own bug. */
#define ASSERT(condition)                                                               \
    do {                                                                                \
        if (!(condition)) die_at(__FILE__, __LINE__, "this is a bug in ladnn", "assertion failed: %s", #condition); \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
