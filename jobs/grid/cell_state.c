/* cell_state.c - see cell_state.h.
 *
 * A finished cell is recognised by content: metrics.json stands, has the epochs asked for, and identity.txt (settings, data, initial
 * weights) has the hash that planning found. Whether a process is alive is asked of the system on its own host (a number given away again
 * since then is not it); of other hosts, progress.json must not be older than two minutes. The run folder's lock is not touched: a look must
 * not disturb a start. */
#include "jobs/grid/cell_state.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "train/identity.h"

const char *const cell_state_names[] = {"pending", "queued", "running", "stopped", "crashed", "failed", "stale", "no data", "done"};
static const double FRESH_S = 120;

int64_t cell_saved_step(const char *folder)
{
    char *path = path_join(folder, "checkpoints"), **names;
    int count = 0;
    int64_t step = 0;
    if (path_is_folder(path) && !folder_list(&names, &count, path, NULL)) {
        for (int i = 0; i < count; i++) {
            long long found;
            int end = 0;
            if (sscanf(names[i], "step-%lld%n", &found, &end) == 1 && !names[i][end] && found > step) step = found;
        }
        folder_list_free(names, count);
    }
    mem_free(path);
    return step;
}

/* Seconds since a process of this host was started; -1: there is none, or it has ended and nobody has asked how. */
static double process_age(int64_t pid)
{
    char path[64], state = 'Z';
    struct timespec now;
    unsigned long long ticks = 0;
    uint8_t *text;
    size_t bytes;
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    if (file_read(&text, &bytes, path, NULL)) return !kill((pid_t)pid, 0) || errno == EPERM ? INFINITY : -1; /* /proc may hide others' */
    const char *after_name = strrchr((char *)text, ')'); /* the name may hold anything */
    if (after_name) sscanf(after_name, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state, &ticks);
    mem_free(text);
    clock_gettime(CLOCK_BOOTTIME, &now);
    return state == 'Z' || state == 'X' ? -1 : (double)now.tv_sec - (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static bool is_alive(const char *host, int64_t pid, double told_unix)
{
    enum { SLACK_S = 10 };
    char here[256] = "";
    gethostname(here, sizeof here - 1);
    if (!strcmp(host, here) && pid > 0) {
        double age = process_age(pid);
        return age >= 0 && age > clock_unix_s() - told_unix - SLACK_S; /* else it is younger than what it is said to have told */
    }
    return fabs(clock_unix_s() - told_unix) < FRESH_S;
}

static bool is_running(const struct cell_status *s)
{
    const struct progress_state *p = &s->progress;
    if (s->has_progress && p->state == RUN_RUNNING && is_alive(p->host, p->pid, p->updated_unix)) return true;
    return s->attempts.open && is_alive(s->attempts.host, s->attempts.pid, s->attempts.begun_unix);
}

/* *there: the folder keeps an identity; *same: it is the one asked for. */
static int compare_identity(const struct cell *cell, bool *there, bool *same, struct error *err)
{
    char *path = path_join(cell->folder, "identity.txt"), hex[65];
    uint8_t digest[32];
    int status = 0;
    *there = path_exists(path);
    *same = false;
    if (*there) {
        status = sha256_file(digest, path, err);
        if (!status) {
            hash_hex(hex, digest);
            *same = !strcmp(hex, cell->identity);
        }
    }
    mem_free(path);
    return status;
}

static enum cell_state from_ends(struct cell_status *s, const struct cell *cell)
{
    const struct attempts *a = &s->attempts;
    enum outcome o = a->outcome;
    if (a->count && strcmp(a->identity, cell->identity) != 0) return CELL_STALE;
    if (a->open || o == OUTCOME_CRASHED) return CELL_CRASHED;
    if (o == OUTCOME_FAILED) {
        snprintf(s->why, sizeof s->why, "%s", a->why);
        return CELL_FAILED;
    }
    if (o == OUTCOME_STOPPED) return CELL_STOPPED;
    if (a->count || !s->has_progress) return CELL_PENDING;
    switch (s->progress.state) { /* run by hand */
    case RUN_FAILED: snprintf(s->why, sizeof s->why, "%.399s", s->progress.error); return CELL_FAILED;
    case RUN_STOPPED: return CELL_STOPPED;
    case RUN_RUNNING: return CELL_CRASHED;
    default: return CELL_PENDING;
    }
}

int cell_judge(struct cell_status *s, const struct cell *cell, struct error *err)
{
    *s = (struct cell_status){0};
    char *path = path_join(cell->folder, "progress.json");
    s->has_progress = path_exists(path) && !progress_read(path, &s->progress, NULL); /* a damaged one is as none: it is told anew */
    mem_free(path);
    bool there, same, finished = false;
    struct error other = {0};
    if (attempts_read(&s->attempts, cell->folder, err) || compare_identity(cell, &there, &same, err)) return -1;
    if (there && same && run_finished(cell->folder, cell->epochs, &finished, &other)) there = true, same = false;
    if (finished) s->state = CELL_DONE;
    else if (is_running(s)) s->state = CELL_RUNNING;
    else if (cell->no_data) s->state = CELL_NO_DATA;
    else if (there && !same) s->state = CELL_STALE;
    else s->state = from_ends(s, cell);
    if (s->state == CELL_NO_DATA) snprintf(s->why, sizeof s->why, "%.399s", cell->no_data);
    if (s->state == CELL_STALE) snprintf(s->why, sizeof s->why, "%.399s", *other.message ? other.message : "tried with other settings or data");
    return 0;
}
