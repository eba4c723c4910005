/* log.h - what the program says while it runs. Lines go to standard error with a time; rank 0 speaks unless a line is
 * worth hearing from every rank. Standard output is left to results (tables, --json). */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
void log_level_set(enum log_level level);
/* Ranks other than 0 print only warnings and errors, prefixed "rank R:". Default rank 0. */
void log_rank_set(int rank);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/* One progress line: rewritten in place on a terminal (at most 10 times a second), a plain line every
 * `plain_every_s` seconds elsewhere. Rank 0 only (other ranks: no-op). `tail` is free text ("loss 0.61 12.3 img/s").
 * Prints "label [=====>    ] 120/430 tail ETA 0:35". */
struct progress {
    char label[64];
    int64_t total;
    double started_s, printed_s, plain_every_s;
    bool terminal;
};
void progress_start(struct progress *p, int64_t total, const char *format, ...) __attribute__((format(printf, 3, 4)));
void progress_update(struct progress *p, int64_t done, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Ends the line (clears it on a terminal). */
void progress_end(struct progress *p);
#endif
