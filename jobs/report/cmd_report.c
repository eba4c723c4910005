/* cmd_report.c - `ladnn report RUNS --out DIR`: reads runs, works out the statistics, draws, writes tables, figures and the page.
 * The page is written last: it stands for "whole". */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/settings.h"
#include "jobs/commands.h"
#include "jobs/report/report.h"

static const double PNG_SCALE = 2; /* pixels per CSS pixel: 192 dpi */

/* What an earlier report left must not stand beside this one as if it belonged to it. */
static int remove_old(const char *path, struct error *err)
{
    return !unlink(path) || errno == ENOENT ? 0 : error_set(err, "%s: cannot be removed: %s", path, strerror(errno));
}

/* Letters, digits, . _ -; others become _. */
static void make_file_name(char *name)
{
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c)) *c = '_';
}

static bool has_picture(const struct report *r, const char *name)
{
    for (int i = 0; i < r->pictures; i++)
        if (!strcmp(r->picture[i].name, name)) return true;
    return false;
}

/* "figure4-d0"; a number follows when another data set's picture has that name ("d+0" and "d_0") (mem_free). */
static char *free_file_name(const struct report *r, const char *kind, const char *dataset)
{
    char *name = mem_format("%s-%s", kind, dataset);
    make_file_name(name);
    for (int k = 2; has_picture(r, name); k++) {
        mem_free(name);
        name = mem_format("%s-%s", kind, dataset);
        make_file_name(name);
        char *numbered = mem_format("%s-%d", name, k);
        mem_free(name);
        name = numbered;
    }
    return name;
}

static bool is_synthetic(const struct report *r, const char *dataset)
{
    for (int i = 0; i < r->runs.count; i++)
        if (r->runs.run[i].predictions.synthetic && !strcmp(r->runs.run[i].dataset, dataset)) return true;
    return false;
}

void report_add_picture(struct report *r, const char *kind, const char *dataset, const char *heading, const char *caption, struct plot *plot)
{
    char *name = free_file_name(r, kind, dataset);
    const char *foot = is_synthetic(r, dataset) ? "SYNTHETIC data; research use only" : "research use only";
    plot_text(plot, plot_width(plot) - 4, plot_height(plot) - 4, foot, 9, PLOT_END, PLOT_GREY, false, false);
    r->picture = mem_grow(r->picture, (size_t)r->pictures * sizeof *r->picture, ((size_t)r->pictures + 1) * sizeof *r->picture);
    r->picture[r->pictures++] = (struct picture){name, mem_string(heading), mem_string(caption), plot};
}

static int write_picture(const struct picture *p, const char *out, bool png, struct error *err)
{
    struct text svg = {0};
    char *name = mem_format("%s/%s.svg", out, p->name), *png_name = mem_format("%s/%s.png", out, p->name);
    plot_svg(p->plot, &svg, true);
    int rc = file_write_atomic(name, svg.data, svg.length, err);
    if (!rc) rc = png ? plot_write_png(p->plot, png_name, PNG_SCALE, err) : remove_old(png_name, err);
    text_free(&svg);
    mem_free(name);
    mem_free(png_name);
    return rc;
}

static void draw(struct report *r)
{
    figure_overview_add(r);
    figure4_add(r);
    figure_calibration_add(r);
    figure6_add(r);
    figure3_add(r);
    figure_training_add(r);
}

static int write_all(const struct report *r, const char *out, bool png, struct error *err)
{
    struct text html = {0};
    char *page = path_join(out, "report.html");
    int rc = folder_create(out, err);
    if (!rc) rc = remove_old(page, err);
    if (!rc) rc = tables_write(r, out, err);
    for (int i = 0; !rc && i < r->pictures; i++) rc = write_picture(&r->picture[i], out, png, err);
    if (!rc) rc = sheets_write(r, out, err);
    page_write(&html, r);
    if (!rc) rc = file_write_atomic(page, html.data, html.length, err);
    text_free(&html);
    mem_free(page);
    return rc;
}

static void say(const struct report *r, const char *out, double seconds)
{
    int finished = 0, cells = 0;
    for (int i = 0; i < r->runs.count; i++) finished += !r->runs.run[i].reason;
    for (int i = 0; i < r->study.cells; i++) cells += cell_usable(&r->study.cell[i]);
    for (int i = 0; i < r->notes.count; i++) log_warn("%s", r->notes.line[i]);
    log_info("%d of %d runs finished, %d of %d cells with figures%s", finished, r->runs.count, cells, r->study.cells,
             r->synthetic ? " (SYNTHETIC data)" : "");
    log_info("%s/report.html written in %.1f s (research use only)", out, seconds);
}

static void close_report(struct report *r)
{
    for (int i = 0; i < r->pictures; i++) {
        mem_free(r->picture[i].name);
        mem_free(r->picture[i].heading);
        mem_free(r->picture[i].caption);
        plot_close(r->picture[i].plot);
    }
    mem_free(r->picture);
    sheets_free(r);
    data_free(&r->data);
    study_free(&r->study);
    run_list_free(&r->runs);
    notes_free(&r->notes);
}

/* A result that is there and cannot be used is no hole of the grid: it is said before anything else. */
static void note_refused(struct report *r)
{
    for (int i = 0; i < r->runs.count; i++) {
        const struct run *run = &r->runs.run[i];
        if (run->reason && !run->missing) notes_add(&r->notes, "The result of %s is refused: %s.", run->name, run->reason);
    }
}

/* A report of nothing would look like a result. */
static int check_finished(const struct report *r, struct error *err)
{
    for (int i = 0; i < r->runs.count; i++)
        if (!r->runs.run[i].reason) return 0;
    error_set(err, "%s: none of the %d runs has a result: %s: %s", r->folder, r->runs.count, r->runs.run[0].name, r->runs.run[0].reason);
    return error_hint(err, "a run is finished when its folder has a metrics.json");
}

static int run(struct settings *s, struct error *err)
{
    double started_s = clock_s();
    const char *out = settings_string(s, "report.out");
    bool png = settings_bool(s, "report.png");
    struct report r = {.folder = settings_string(s, "report.runs"), .seed = (uint64_t)settings_int(s, "report.seed")};
    if (!*r.folder) return settings_missing(&command_report, "report.runs", "which folder of runs?", err);
    if (!*out) return settings_missing(&command_report, "report.out", "where to?", err);
    if (png && !plot_png_available()) return plot_write_png(NULL, out, PNG_SCALE, err);
    int rc = run_list_read(&r.runs, r.folder, &r.notes, err);
    if (!rc) rc = check_finished(&r, err);
    if (!rc) rc = sheets_read(&r, settings_string(s, "report.maps"), err);
    if (!rc) {
        for (int i = 0; i < r.runs.count; i++) r.synthetic = r.synthetic || r.runs.run[i].predictions.synthetic;
        note_refused(&r);
        study_make(&r.study, &r.runs, r.seed, &r.notes);
        data_find(&r.data, &r.study, &r.runs, settings_string(s, "report.data"));
        draw(&r);
        rc = write_all(&r, out, png, err);
    }
    if (!rc) say(&r, out, clock_s() - started_s);
    close_report(&r);
    return rc;
}

const struct command command_report = {
    .name = "report", .groups = "report",
    .summary = "one page from a folder of runs: tables with intervals and tests, figures, provenance",
    .usage = "RUNS --out DIR [--data DIR,...] [--maps DIR,...] [--png false]", .positional = "report.runs", .run = run};
