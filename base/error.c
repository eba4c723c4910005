/* error.c - error values and the one way to die.
 *
 * DESIGN: messages are formatted into a local buffer before they are stored, so that an error may be built from its
 * own old text (error_prefix). When several threads die at once the first one speaks and ends the process; the others
 * wait, so that the cause is printed once.
 */
#include "base/error.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int rank_to_print = -1;
static void (*end_hook)(int status) = exit;
static atomic_bool dying;
static _Thread_local bool dying_here;

static void copy_cut(char *to, size_t room, const char *from)
{
    snprintf(to, room, "%s", from);
}

int error_set(struct error *err, const char *format, ...)
{
    if (!err) return -1;
    char text[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    copy_cut(err->message, sizeof err->message, text);
    err->hint[0] = 0;
    return -1;
}

int error_hint(struct error *err, const char *format, ...)
{
    if (!err) return -1;
    char text[sizeof err->hint];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    copy_cut(err->hint, sizeof err->hint, text);
    return -1;
}

int error_prefix(struct error *err, const char *format, ...)
{
    if (!err) return -1;
    char text[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    strncat(text, ": ", sizeof text - strlen(text) - 1);
    strncat(text, err->message, sizeof text - strlen(text) - 1);
    copy_cut(err->message, sizeof err->message, text);
    return -1;
}

void die_rank_set(int rank)
{
    rank_to_print = rank;
}

int die_rank(void)
{
    return rank_to_print;
}

void die_hook_set(void (*hook)(int status))
{
    end_hook = hook ? hook : exit;
}

/* Lets the first thread through. A second one waits for the end; a hook that dies itself ends at once. */
static void die_first_only(void)
{
    if (dying_here) _exit(1);
    dying_here = true;
    if (atomic_exchange(&dying, true))
        for (;;) pause();
}

static void die_print(const char *file, int line, const char *hint, const char *message)
{
    char host[256] = "?", rank[32] = "";
    gethostname(host, sizeof host - 1);
    if (rank_to_print >= 0) snprintf(rank, sizeof rank, " rank %d", rank_to_print);
    fflush(stdout);
    if (hint && *hint)
        fprintf(stderr, "%s%s %s:%d: %s\nhint: %s\n", host, rank, file, line, message, hint);
    else
        fprintf(stderr, "%s%s %s:%d: %s\n", host, rank, file, line, message);
    fflush(stderr);
}

/* Handlers that libraries have left for the end of a process may wait for what will not come (a GPU that stands still). */
static void end_now(int signal_number)
{
    (void)signal_number;
    _exit(1);
}
static void end_in_time(void)
{
    enum { PATIENCE_S = 10 };
    signal(SIGALRM, end_now);
    alarm(PATIENCE_S);
}

void die_at(const char *file, int line, const char *hint, const char *format, ...)
{
    die_first_only();
    char message[1600];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    die_print(file, line, hint, message);
    end_in_time();
    end_hook(1);
    _exit(1);
}

void die_error_at(const char *file, int line, const struct error *err)
{
    die_at(file, line, err->hint, "%s", err->message);
}
