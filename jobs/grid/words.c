/* words.c - see words.h. No shell is between us and the program: a folder's name may hold anything. */
#include "jobs/grid/words.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

enum { EXIT_NO_PROGRAM = 127, EXIT_BY_SIGNAL = 128 };

static void add(struct words *w, char *word)
{
    if (w->count + 1 >= w->room) {
        int room = w->room ? 2 * w->room : 16;
        w->word = mem_grow(w->word, sizeof *w->word * (size_t)w->room, sizeof *w->word * (size_t)room);
        w->room = room;
    }
    w->word[w->count++] = word;
    w->word[w->count] = NULL;
}

void words_add(struct words *w, const char *format, ...)
{
    char *text;
    va_list values;
    va_start(values, format);
    int length = vsnprintf(NULL, 0, format, values);
    va_end(values);
    text = mem_alloc((size_t)length + 1);
    va_start(values, format);
    vsnprintf(text, (size_t)length + 1, format, values);
    va_end(values);
    add(w, text);
}

void words_split(struct words *w, const char *text)
{
    for (const char *p = text + strspn(text, " "); *p; p += strspn(p, " ")) {
        int n = (int)strcspn(p, " ");
        words_add(w, "%.*s", n, p);
        p += n;
    }
}

void words_free(struct words *w)
{
    for (int i = 0; i < w->count; i++) mem_free(w->word[i]);
    mem_free(w->word);
    *w = (struct words){0};
}

/* Signals that we hold back for ourselves are not held back from it. */
static void exec_quietly(const struct words *w, int output)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execvp(w->word[0], w->word);
    _exit(EXIT_NO_PROGRAM);
}

int words_run(const struct words *w, char **output)
{
    int ends[2], status = 0;
    struct text text = {0};
    char part[4096];
    ssize_t got;
    *output = NULL;
    if (pipe(ends)) return EXIT_NO_PROGRAM;
    pid_t pid = fork();
    if (pid == 0) exec_quietly(w, ends[1]);
    close(ends[1]);
    while (pid > 0 && ((got = read(ends[0], part, sizeof part)) > 0 || (got < 0 && errno == EINTR)))
        if (got > 0) text_add_bytes(&text, part, (size_t)got);
    close(ends[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    *output = text.data ? text.data : mem_string("");
    if (pid < 0) return EXIT_NO_PROGRAM;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_BY_SIGNAL + WTERMSIG(status);
}

int words_program_exists(const char *name)
{
    const char *path = getenv("PATH");
    int found = 0;
    for (const char *p = path ? path : ""; *p && !found; p += *p == ':') {
        int n = (int)strcspn(p, ":");
        char *file = mem_format("%.*s/%s", n, p, name);
        found = access(file, X_OK) == 0;
        mem_free(file);
        p += n;
    }
    return found;
}
