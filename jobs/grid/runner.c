/* runner.c - see runner.h.
 *
 * DESIGN: one thread, which waits for signals (sigtimedwait) and never is interrupted elsewhere: a child that ends, a warning, Ctrl-C. Each
 * child is the launcher of a cell's ranks, with its output in FOLDER/train.log. How an attempt ended is read from what the run left behind
 * (metrics.json, progress.json) before the exit status is looked at, because launchers answer with statuses of their own. */
#include "jobs/grid/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "jobs/grid/launch.h"
#include "train/commands.h"

enum { EXIT_CONTINUE = 75, EXIT_ERROR = 1, EXIT_NOT_STARTED = 126, EXIT_NO_PROGRAM = 127, EXIT_BY_SIGNAL = 128 };
static const double WARN_AGAIN_S = 2;

struct slot {
    pid_t pid; /* 0: free */
    const struct cell *cell;
    int number;        /* of the attempt */
    int64_t fence;     /* progress.attempt before it */
    double started_s;
    int64_t log_bytes; /* of train.log before it */
};
struct runner {
    const struct runner_options *o;
    const struct cell_list *list;
    struct runner_result *result;
    const char *launcher;
    struct slot *slot;
    sigset_t awaited;
    int ended, count;
    int stops; /* signals that asked for a stop */
    int warning; /* slurm.signal */
    double warned_s; /* when the cells were told last */
    struct progress progress;
};

/* ---- starting ---- */

static int64_t file_bytes(const char *path)
{
    struct stat info;
    return stat(path, &info) ? 0 : (int64_t)info.st_size;
}

/* In the child. A warning may come before `ladnn train` is there to catch it: it stays blocked until then (stop_install). Launchers do not
 * unblock signals, so they get it as it is. */
static void become(const struct words *w, const char *log, const char *gpus, bool is_launcher, pid_t runner)
{
    sigset_t held;
    sigemptyset(&held);
    if (!is_launcher) sigaddset(&held, SIGUSR2);
    sigprocmask(SIG_SETMASK, &held, NULL);
    setpgid(0, 0);                      /* Ctrl-C comes to the runner, which tells the cells */
    prctl(PR_SET_PDEATHSIG, SIGTERM);   /* no runner, no cell */
    if (getppid() != runner) _exit(EXIT_NOT_STARTED);
    int in = open("/dev/null", O_RDONLY), out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (in < 0 || out < 0) _exit(EXIT_NOT_STARTED);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    if (gpus) setenv("CUDA_VISIBLE_DEVICES", gpus, 1);
    execvp(w->word[0], w->word);
    _exit(EXIT_NO_PROGRAM);
}

/* The GPUs of a slot, as CUDA_VISIBLE_DEVICES takes them; NULL: not ours to say. */
static char *gpus_of(const struct runner *r, int slot)
{
    int64_t gpus = settings_int(r->o->s, "grid.gpus"), ranks = settings_int(r->o->s, "grid.ranks");
    struct text list = {0};
    for (int64_t i = 0; i < ranks && i < gpus; i++) text_add(&list, "%s%lld", i ? "," : "", (long long)((slot * ranks + i) % gpus));
    return list.data;
}

/* Cells at the same time share the cores, unless the cell's own settings say how many threads it wants. */
static int threads_of(const struct runner *r, const char *config)
{
    struct settings *s = settings_open(&command_train);
    int own = settings_read_file(s, config, NULL) ? 1 : (int)settings_int(s, "train.threads");
    settings_close(s);
    if (own || r->o->jobs == 1) return 0;
    return threads_of_rank(0, r->o->jobs * (int)settings_int(r->o->s, "grid.ranks"));
}

static int launch(struct runner *r, struct slot *slot, const struct cell_status *before, bool again, struct error *err)
{
    struct words w = {0};
    char *config = cells_config(r->list, slot->cell), *log = path_join(slot->cell->folder, "train.log"), *gpus = gpus_of(r, (int)(slot - r->slot));
    struct launch l = {.launcher = r->launcher, .cell = slot->cell, .config = config, .overwrite = before->state == CELL_STALE,
                       .take_over = again || r->o->take_over, .threads = threads_of(r, config), .lead_s = r->o->lead_s};
    const char *job = getenv("SLURM_JOB_ID");
    bool is_launcher = strcmp(r->launcher, "none") != 0;
    pid_t runner = getpid();
    launch_words(&w, &l, r->o->s);
    slot->number = before->attempts.count + 1;
    slot->fence = before->has_progress ? before->progress.attempt : 0;
    slot->log_bytes = file_bytes(log);
    slot->started_s = clock_s();
    int status = attempts_begin(slot->cell->folder, slot->number, slot->cell->identity, job ? job : "", cell_saved_step(slot->cell->folder), err);
    if (!status) {
        slot->pid = fork();
        if (slot->pid == 0) become(&w, log, gpus, is_launcher, runner);
        if (slot->pid < 0) {
            status = error_set(err, "cannot start a process: %s", strerror(errno));
            slot->pid = 0;
        }
    }
    words_free(&w);
    mem_free(config);
    mem_free(log);
    mem_free(gpus);
    return status;
}

static void tell_end(struct runner *r, const struct cell *cell, const char *how, const char *why)
{
    r->ended++;
    log_info("%s %s%s%s (%d of %d)", cell->name, how, *why ? ": " : "", why, r->ended, r->count);
}

/* Why no further attempt is made, or NULL. mem_free. */
static char *given_up(const struct runner *r, const struct attempts *a, int64_t step)
{
    int64_t attempts = settings_int(r->o->s, "grid.attempts"), crashes = settings_int(r->o->s, "grid.crashes");
    if (a->crashes >= crashes)
        return mem_format("given up after %d crashes at step %lld: %s", a->crashes, (long long)step, *a->why ? a->why : "nobody saw why");
    if (a->counted >= attempts) return mem_format("given up after %d attempts (grid.attempts)", a->counted);
    return NULL;
}

/* Starts the slot's cell, unless it is done or hopeless; then the slot is free again. */
static int begin(struct runner *r, struct slot *slot, bool again, struct error *err)
{
    const struct cell *cell = slot->cell;
    struct cell_status before;
    if (folder_create(cell->folder, err) || cell_judge(&before, cell, err)) return -1;
    if (before.state == CELL_DONE) {
        r->result->finished++;
        tell_end(r, cell, "was finished already", "");
        return 0;
    }
    if (before.state == CELL_NO_DATA || (before.state == CELL_RUNNING && !r->o->take_over)) {
        r->result->failed++;
        tell_end(r, cell, "cannot be started", before.state == CELL_RUNNING ? "it is running already" : before.why);
        return 0;
    }
    char *hopeless = given_up(r, &before.attempts, cell_saved_step(cell->folder));
    if (!hopeless) return launch(r, slot, &before, again, err);
    bool known = before.attempts.outcome == OUTCOME_FAILED && !before.attempts.open;
    int status = known ? 0 : attempts_end(cell->folder, before.attempts.count, OUTCOME_FAILED, EXIT_ERROR, 0, hopeless, err);
    r->result->failed++;
    tell_end(r, cell, "failed", hopeless);
    mem_free(hopeless);
    return status;
}

/* ---- ending ---- */

/* What went wrong, from the log of this attempt: the first line in which ladnn says so (*own), else the last line. mem_free. */
static char *first_error(const struct slot *slot, bool *own)
{
    char *path = path_join(slot->cell->folder, "train.log"), *found = NULL, *last = NULL;
    uint8_t *text = NULL;
    size_t bytes, n;
    if (!file_read(&text, &bytes, path, NULL) && (int64_t)bytes > slot->log_bytes)
        for (const char *at = (char *)text + slot->log_bytes, *p; !found && (p = text_line(&at, &n));) {
            if (n && !strncmp(p, "ladnn train: ", 13)) found = mem_format("%.*s", (int)(n - 13), p + 13);
            if (n > 3 && strncmp(p, "hint:", 5) != 0 && p[0] != '-') {
                mem_free(last);
                last = mem_format("%.*s", (int)n, p);
            }
        }
    mem_free(text);
    mem_free(path);
    *own = found != NULL;
    if (found) mem_free(last);
    return found ? found : last ? last : mem_string("it said nothing");
}

static bool wrote_progress(const struct slot *slot, const struct cell_status *after)
{
    return after->has_progress && after->progress.attempt > slot->fence;
}

/* It trained to the end, but its identity is not the one that was planned: the shards were packed anew meanwhile. */
static bool finished_another(const struct slot *slot, const struct cell_status *after)
{
    return after->state != CELL_DONE && wrote_progress(slot, after) && after->progress.state == RUN_FINISHED;
}

/* own_error: ladnn itself said what is wrong. A launcher that fails before (a step that Slurm could not create) may do better next time. */
static enum outcome judge(const struct runner *r, const struct slot *slot, const struct cell_status *after, int status, bool own_error)
{
    enum run_state state = after->progress.state;
    bool own = wrote_progress(slot, after);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    bool warned = r->stops && (code == EXIT_BY_SIGNAL + SIGUSR2 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2));
    if (after->state == CELL_DONE) return OUTCOME_FINISHED;
    if ((own && state == RUN_STOPPED) || code == EXIT_CONTINUE) return OUTCOME_STOPPED;
    if (own && (state == RUN_FAILED || state == RUN_FINISHED)) return OUTCOME_FAILED;
    if (own) return OUTCOME_CRASHED;
    if (warned) return OUTCOME_STOPPED; /* launcher or ranks did not yet catch it: nothing was begun */
    return own_error || code == EXIT_NOT_STARTED || code == EXIT_NO_PROGRAM ? OUTCOME_FAILED : OUTCOME_CRASHED;
}

static char *why_of(const struct slot *slot, const struct cell_status *after, enum outcome outcome, int status, const char *line)
{
    if (outcome == OUTCOME_FINISHED || outcome == OUTCOME_STOPPED) return mem_string("");
    if (finished_another(slot, after)) return mem_string("its data are not those that were planned; with --file the grid is planned anew");
    if (WIFSIGNALED(status)) return mem_format("killed by %s: %s", strsignal(WTERMSIG(status)), line);
    if (WEXITSTATUS(status) == EXIT_NO_PROGRAM) return mem_string("the launcher could not be started");
    return mem_string(line);
}

static int settle(struct runner *r, struct slot *slot, enum outcome outcome, const char *why, struct error *err)
{
    const struct cell *cell = slot->cell;
    char took[32], *how;
    clock_duration(took, sizeof took, clock_s() - slot->started_s);
    how = mem_format("%s after %s, attempt %d", outcome_names[outcome], took, slot->number);
    if (outcome == OUTCOME_CRASHED && !r->stops) {
        log_warn("%s crashed after %s, attempt %d, and is started again: %s", cell->name, took, slot->number, why);
        mem_free(how);
        return begin(r, slot, true, err);
    }
    if (outcome == OUTCOME_FINISHED) r->result->finished++;
    else if (outcome == OUTCOME_FAILED) r->result->failed++;
    else r->result->stopped++;
    tell_end(r, cell, how, why);
    mem_free(how);
    return 0;
}

static int end(struct runner *r, struct slot *slot, int status, struct error *err)
{
    struct cell_status after;
    if (cell_judge(&after, slot->cell, err)) return -1;
    bool own_error;
    char *line = first_error(slot, &own_error);
    enum outcome outcome = judge(r, slot, &after, status, own_error);
    char *why = why_of(slot, &after, outcome, status, line);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_BY_SIGNAL + WTERMSIG(status);
    int rc = attempts_end(slot->cell->folder, slot->number, outcome, code, clock_s() - slot->started_s, why, err);
    if (!rc) rc = settle(r, slot, outcome, why, err);
    mem_free(line);
    mem_free(why);
    return rc;
}

/* What is wrong with one cell's folder (deleted, not ours to write, a full disk) does not end the others. */
static void give_up(struct runner *r, const struct cell *cell, const struct error *why)
{
    r->result->failed++;
    tell_end(r, cell, "failed", why->message);
}

static void reap(struct runner *r)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int i = 0; i < r->o->jobs; i++) {
            struct slot *slot = &r->slot[i];
            struct error err = {0};
            if (slot->pid != pid) continue;
            slot->pid = 0;
            if (end(r, slot, status, &err)) give_up(r, slot->cell, &err);
        }
}

/* ---- waiting ---- */

static const char *word_of(int signal_number)
{
    switch (signal_number) {
    case SIGINT: return "SIGINT";
    case SIGTERM: return "SIGTERM";
    case SIGHUP: return "SIGHUP";
    default: return "warning before the time limit";
    }
}

static void warn_cells(struct runner *r)
{
    for (int i = 0; i < r->o->jobs; i++)
        if (r->slot[i].pid > 0) kill(r->slot[i].pid, SIGUSR2);
    r->warned_s = clock_s();
}

/* The first asks every cell for a checkpoint, a second Ctrl-C ends them now. */
static void take_stop(struct runner *r, int signal_number)
{
    if (r->stops++ == 0) {
        r->result->signal_number = signal_number;
        log_info("%s: the cells stop with a checkpoint", word_of(signal_number));
        warn_cells(r);
    } else if (signal_number == SIGINT) {
        for (int i = 0; i < r->o->jobs; i++)
            if (r->slot[i].pid > 0) kill(-r->slot[i].pid, SIGKILL);
    }
}

static void take_signal(struct runner *r, long wait_ns)
{
    const struct timespec wait = {0, wait_ns};
    int came = sigtimedwait(&r->awaited, NULL, &wait);
    if (came == SIGINT || came == SIGTERM || came == SIGHUP || came == r->warning) take_stop(r, came);
}

static int busy(const struct runner *r)
{
    int count = 0;
    for (int i = 0; i < r->o->jobs; i++) count += r->slot[i].pid > 0;
    return count;
}

static void show(struct runner *r)
{
    if (r->o->quiet) return;
    progress_update(&r->progress, r->ended, "cells, %d running, %d failed", busy(r), r->result->failed);
}

static void fill(struct runner *r, const int *which, int *next)
{
    for (int i = 0; i < r->o->jobs && *next < r->count && !r->stops; i++)
        while (!r->slot[i].pid && *next < r->count) {
            r->slot[i].cell = &r->list->cells[which[(*next)++]];
            struct error err = {0};
            if (begin(r, &r->slot[i], false, &err)) give_up(r, r->slot[i].cell, &err);
        }
}

static void loop(struct runner *r, const int *which)
{
    enum { HALF_A_SECOND_NS = 500000000 };
    int next = 0;
    take_signal(r, 0); /* what came while the grid was read */
    for (;;) {
        fill(r, which, &next);
        show(r);
        if (!busy(r)) break;
        take_signal(r, HALF_A_SECOND_NS);
        reap(r);
        if (r->stops && clock_s() - r->warned_s > WARN_AGAIN_S) warn_cells(r); /* mpirun loses what comes while it starts */
    }
    r->result->stopped += r->count - r->ended; /* never begun */
}

static int warning_signal(const struct settings *s)
{
    const char *name = settings_string(s, "slurm.signal");
    return !strcmp(name, "usr1") ? SIGUSR1 : !strcmp(name, "usr2") ? SIGUSR2 : SIGTERM;
}

sigset_t runner_hold_signals(void)
{
    static const int signals[] = {SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    sigset_t awaited;
    struct sigaction hangup;
    sigemptyset(&awaited);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaddset(&awaited, signals[i]);
    if (!sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN) sigaddset(&awaited, SIGHUP); /* nohup ignores it */
    sigprocmask(SIG_BLOCK, &awaited, NULL);
    return awaited;
}

int runner_run(struct runner_result *result, const struct cell_list *list, const int *which, int count, const struct runner_options *o,
               struct error *err)
{
    struct runner r = {.o = o, .list = list, .result = result, .count = count, .warning = warning_signal(o->s)};
    *result = (struct runner_result){0};
    if (launch_find(&r.launcher, o->s, err)) return -1;
    r.slot = NEW_ARRAY(struct slot, o->jobs);
    r.awaited = runner_hold_signals();
    progress_start(&r.progress, count, "grid");
    loop(&r, which);
    if (!o->quiet) progress_end(&r.progress);
    mem_free(r.slot);
    return 0;
}
