/* cmd_grid.c - `ladnn grid`: the cells of a grid file planned, submitted to Slurm, run here, looked at, tried again.
 *
 * Exit status: 0 all is well (for run: all cells are done), 1 an error or failed cells, 2 usage, 75 stopped by a signal: the same command
 * continues. An array task (cell) that wants to be started again by Slurm ends with 0, or with 99 where scontrol is missing. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "jobs/commands.h"
#include "jobs/grid/runner.h"
#include "jobs/grid/submit.h"
#include "jobs/grid/table.h"
#include "jobs/grid/watch.h"

enum { EXIT_FAILED = 1, EXIT_CONTINUE = 75, EXIT_BY_SIGNAL = 128 };

struct chosen {
    int *which, count;
};

/* ---- looking ---- */

static int print_table(const struct cell_list *list, const struct settings *s, bool plan, struct error *err)
{
    struct grid_status status;
    struct text out = {0};
    int rc = grid_status_read(&status, list, err);
    if (!rc && settings_bool(s, "grid.json")) table_json(&out, list, &status);
    else if (!rc && plan) table_plan(&out, list, &status);
    else if (!rc) table_status(&out, list, &status, NULL);
    if (!rc) fputs(out.data, stdout);
    text_free(&out);
    grid_status_free(&status);
    return rc;
}

/* ---- choosing cells ---- */

static bool wanted(enum cell_state state, bool retry)
{
    if (retry) return state == CELL_FAILED || state == CELL_STALE;
    return state != CELL_DONE && state != CELL_RUNNING && state != CELL_QUEUED;
}

/* Missing shards are told before anything starts. */
static int refuse_no_data(const struct cell_list *list, const struct grid_status *status, struct error *err)
{
    for (int i = 0; i < list->count; i++)
        if (status->cell[i].state == CELL_NO_DATA) {
            error_set(err, "%s: %s", list->cells[i].name, status->cell[i].why);
            return error_hint(err, "pack the data first (ladnn pack), or name their folder with grid.shards");
        }
    return 0;
}

static int choose(struct chosen *c, const struct cell_list *list, bool retry, struct error *err)
{
    struct grid_status status;
    int rc = grid_status_read(&status, list, err);
    if (!rc) rc = refuse_no_data(list, &status, err);
    c->which = NEW_ARRAY(int, list->count);
    c->count = 0;
    for (int i = 0; i < list->count && !rc; i++) {
        if (!wanted(status.cell[i].state, retry)) continue;
        c->which[c->count++] = i;
    }
    if (!rc)
        log_info("%d of %d cells%s: %d done, %d running, %d queued, %d failed, %d stale", c->count, list->count, retry ? " to try again" : "",
                 status.count[CELL_DONE], status.count[CELL_RUNNING], status.count[CELL_QUEUED], status.count[CELL_FAILED], status.count[CELL_STALE]);
    grid_status_free(&status);
    return rc;
}

/* What was counted against a cell so far is forgotten: somebody has looked at it. */
static int forgive(const struct cell_list *list, const struct chosen *c, struct error *err)
{
    for (int i = 0; i < c->count; i++) {
        struct attempts a;
        const char *folder = list->cells[c->which[i]].folder;
        if (attempts_read(&a, folder, err) || (a.count && attempts_forgive(folder, err))) return -1;
    }
    return 0;
}

/* ---- running ---- */

/* One `ladnn grid` writes a grid's folder at a time. File systems without locks do without. Held until the process ends. */
static int lock_grid(const struct cell_list *list, struct error *err)
{
    char *folder = mem_format("%s/grid", list->out), *path = path_join(folder, "lock");
    int fd = -1, rc = folder_create(folder, err);
    if (!rc && (fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) < 0) rc = error_set(err, "%s: cannot be written: %m", path);
    if (!rc && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) rc = error_set(err, "%s: another ladnn grid is at work in this folder", list->out);
    mem_free(path);
    mem_free(folder);
    return rc;
}

static int run_here(const struct cell_list *list, const struct chosen *c, struct settings *s, struct error *err)
{
    struct runner_result result;
    struct runner_options o = {.s = s, .jobs = (int)settings_int(s, "grid.jobs")};
    if (o.jobs > c->count) o.jobs = c->count;
    if (!c->count) return 0;
    if (runner_run(&result, list, c->which, c->count, &o, err)) return -1;
    log_info("%d cells done, %d failed, %d to be continued; ladnn grid status --out %s shows them, ladnn report %s --out DIR the table", result.finished,
             result.failed, result.stopped, list->out, list->out);
    return result.stopped ? EXIT_CONTINUE : result.failed ? EXIT_FAILED : 0;
}

static int start(struct cell_list *list, struct settings *s, bool local, bool retry, struct error *err)
{
    struct chosen c = {0};
    bool dry = !local && settings_bool(s, "grid.dry_run");
    int rc = dry ? 0 : lock_grid(list, err);
    if (!rc && !dry && *settings_string(s, "grid.file")) rc = cells_write(list, s, err);
    if (!rc) rc = cells_select(list, settings_string(s, "grid.only"), err);
    if (!rc) rc = choose(&c, list, retry, err);
    if (!rc && !dry) rc = forgive(list, &c, err);
    if (!rc && local) rc = run_here(list, &c, s, err);
    else if (!rc && c.count) rc = submit_cells(list, c.which, c.count, s, err);
    mem_free(c.which);
    return rc;
}

/* ---- an array task of Slurm ---- */

static int task_name(char **name, const struct settings *s, struct error *err)
{
    const char *path = settings_string(s, "grid.tasks");
    int64_t index = settings_int(s, "grid.index"), line = 0;
    uint8_t *text;
    size_t bytes, n;
    if (!*path) return settings_missing(&command_grid, "grid.tasks", "a file with a cell's name a line (made by ladnn grid submit)", err);
    if (file_read(&text, &bytes, path, err)) return -1;
    *name = NULL;
    for (const char *at = (char *)text, *p; !*name && (p = text_line(&at, &n)); line++)
        if (line == index) *name = mem_format("%.*s", (int)n, p);
    mem_free(text);
    return *name ? 0 : error_set(err, "%s: has no line %lld", path, (long long)index);
}

/* TERM and INT are scancel's: no more of it. TERM may be the warning, too. */
static int end_of_task(const struct runner_result *result, bool term_warns)
{
    int came = result->signal_number;
    if (result->failed) return EXIT_FAILED;
    if (!result->stopped) return 0;
    if (came == SIGINT || (came == SIGTERM && (!term_warns || submit_is_cancelled()))) return EXIT_BY_SIGNAL + came;
    return submit_requeue();
}

static int run_task(struct cell_list *list, struct settings *s, struct error *err)
{
    struct runner_result result;
    char *name = NULL;
    const char *restarts = getenv("SLURM_RESTART_COUNT"), *job = getenv("SLURM_JOB_ID");
    struct runner_options o = {.s = s, .jobs = 1, .quiet = true, .lead_s = job ? (int)settings_int(s, "slurm.lead_s") : 0,
                               .take_over = restarts && atoi(restarts) > 0};
    int rc = task_name(&name, s, err), which = -1;
    const struct cell *cell = rc ? NULL : cells_find(list, name);
    if (!rc && !cell) rc = error_set(err, "%s: the grid has no cell '%s' any more", list->out, name);
    if (!rc) {
        which = (int)(cell - list->cells);
        log_info("%s%s%s%s; its log: %s/train.log", name, job ? ", job " : "", job ? job : "",
                 o.take_over ? ", started again by Slurm" : "", cell->folder);
        rc = runner_run(&result, list, &which, 1, &o, err) ? -1 : end_of_task(&result, !strcmp(settings_string(s, "slurm.signal"), "term"));
    }
    mem_free(name);
    return rc;
}

/* ---- the command ---- */

static int check_file(const char *what, const struct settings *s, struct error *err)
{
    if (*settings_string(s, "grid.file") || !strcmp(what, "status") || !strcmp(what, "retry") || !strcmp(what, "cell")) return 0;
    char *path = path_join(settings_string(s, "grid.out"), "grid/cells.csv");
    bool there = path_exists(path);
    mem_free(path);
    return there ? 0 : settings_missing(&command_grid, "grid.file", "the grid file, e.g. --file jobs/cfg/paper.cfg", err);
}

static int run(struct settings *s, struct error *err)
{
    struct cell_list list = {0};
    const char *what = settings_string(s, "grid.what");
    if (settings_bool(s, "grid.watch") && settings_bool(s, "grid.json")) return error_set(err, "--watch shows a table: it goes not with --json");
    int rc = check_file(what, s, err);
    if (rc) return rc;
    if (!strcmp(what, "cell")) {
        runner_hold_signals();
        settings_set(s, "grid.file", "", "grid cell", err); /* what was submitted, whatever the file says now */
    }
    rc = cells_open(&list, s, err);
    if (!rc && (!strcmp(what, "plan") || !strcmp(what, "status"))) rc = cells_select(&list, settings_string(s, "grid.only"), err);
    if (rc) rc = -1;
    else if (!strcmp(what, "plan")) rc = print_table(&list, s, true, err);
    else if (!strcmp(what, "status")) rc = settings_bool(s, "grid.watch") ? grid_watch(&list, err) : print_table(&list, s, false, err);
    else if (!strcmp(what, "run")) rc = start(&list, s, true, false, err);
    else if (!strcmp(what, "submit")) rc = start(&list, s, false, false, err);
    else if (!strcmp(what, "retry")) rc = start(&list, s, settings_bool(s, "grid.local"), true, err);
    else rc = run_task(&list, s, err);
    cells_close(&list);
    return rc;
}

const struct command command_grid = {
    .name = "grid", .groups = "grid slurm",
    .summary = "run the experiment grid: plan, submit to Slurm, run here, status, retry",
    .usage = "plan|submit|run|status|retry --file GRID.cfg --out DIR [--config slurm/site.cfg] [--jobs N]", .positional = "grid.what", .run = run};
