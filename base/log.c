/* log.c - log lines and the progress line.
 *
 * DESIGN: one lock keeps lines whole. A log line that comes while a progress line stands on a terminal first clears
 * it; the next update draws it again.
 */
#include "base/log.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum log_level loudest = LOG_INFO;
static int my_rank;
static bool line_standing; /* a progress line is on the terminal */

static const char CLEAR_LINE[] = "\r\033[K";
static const double REDRAW_S = 0.1, PLAIN_EVERY_S = 10;

void log_level_set(enum log_level level)
{
    loudest = level;
}

void log_rank_set(int rank)
{
    my_rank = rank;
}

static void clear_standing(void)
{
    if (line_standing) fputs(CLEAR_LINE, stderr);
    line_standing = false;
}

void log_line(enum log_level level, const char *format, ...)
{
    static const char *const name[] = {"error: ", "warning: ", "", "debug: "};
    if (level > loudest || (my_rank > 0 && level > LOG_WARN)) return;
    char stamp[16], rank[32] = "";
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(stamp, sizeof stamp, "%H:%M:%S", &local);
    if (my_rank > 0) snprintf(rank, sizeof rank, "rank %d: ", my_rank);

    char line[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    clear_standing();
    fprintf(stderr, "%s %s%s%s\n", stamp, rank, name[level], line);
    fflush(stderr);
    pthread_mutex_unlock(&lock);
}

void progress_start(struct progress *p, int64_t total, const char *format, ...)
{
    *p = (struct progress){.total = total, .plain_every_s = PLAIN_EVERY_S, .terminal = isatty(STDERR_FILENO)};
    va_list args;
    va_start(args, format);
    vsnprintf(p->label, sizeof p->label, format, args);
    va_end(args);
    p->started_s = p->printed_s = clock_s();
}

/* "label [=====>    ] 120/430 tail ETA 0:35"; a total of 0 is unknown: no bar. */
static void progress_line(const struct progress *p, int64_t done, const char *tail, double now_s, char *line, size_t bytes)
{
    enum { CELLS = 24 };
    char bar[CELLS + 1] = "", eta[32] = "";
    if (p->total <= 0) {
        snprintf(line, bytes, "%s %lld %s", p->label, (long long)done, tail);
        return;
    }
    double share = (double)done / (double)p->total;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    int full = (int)(share * CELLS);
    for (int i = 0; i < CELLS; i++) bar[i] = i < full ? '=' : i == full ? '>' : ' ';
    clock_duration(eta, sizeof eta, done > 0 ? (now_s - p->started_s) * (1 / share - 1) : -1);
    snprintf(line, bytes, "%s [%s] %lld/%lld %s%sETA %s", p->label, bar, (long long)done, (long long)p->total, tail,
             *tail ? " " : "", eta);
}

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void progress_update(struct progress *p, int64_t done, const char *format, ...)
{
    double now_s = clock_s();
    bool last = p->total > 0 && done >= p->total;
    if (my_rank > 0 || LOG_INFO > loudest) return;
    if (!last && now_s - p->printed_s < (p->terminal ? REDRAW_S : p->plain_every_s)) return;
    p->printed_s = now_s;

    char tail[256], line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(tail, sizeof tail, format, args);
    va_end(args);
    progress_line(p, done, tail, now_s, line, sizeof line);
    pthread_mutex_lock(&lock);
    if (p->terminal)
        fprintf(stderr, "%s%.*s", CLEAR_LINE, terminal_columns() - 1, line);
    else
        fprintf(stderr, "%s\n", line);
    line_standing = p->terminal;
    fflush(stderr);
    pthread_mutex_unlock(&lock);
}

void progress_end(struct progress *p)
{
    if (my_rank > 0 || !p->terminal) return;
    pthread_mutex_lock(&lock);
    clear_standing();
    fflush(stderr);
    pthread_mutex_unlock(&lock);
}
