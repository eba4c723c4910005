/* words.h - a growing argument vector. */
#ifndef JOBS_GRID_WORDS_H
#define JOBS_GRID_WORDS_H

struct words {
    char **word; /* count of them and a NULL */
    int count, room;
};
void words_add(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Each of the words of a text that blanks separate. */
void words_split(struct words *w, const char *text);
void words_free(struct words *w);
/* Runs a program and waits; *output (mem_free) is what it wrote to standard output and error. Returns its exit status, 128 + signal, or
 * 127 when there is no such program. */
int words_run(const struct words *w, char **output);
/* Whether a program of that name is on PATH. */
int words_program_exists(const char *name);
#endif
