/* table.c - see table.h. The time of a cell that is not done is the median of those with its backbone and data set that are, else of those
 * with its backbone. */
#include "jobs/grid/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

/* ---- reading ---- */

static double seconds_of(const struct cell_status *s)
{
    return s->attempts.seconds > 0 ? s->attempts.seconds : s->has_progress ? s->progress.seconds : NAN;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* NaN: no such cell is done. */
static double estimate(const struct cell_list *list, const struct grid_status *status, int cell)
{
    double *found = NEW_ARRAY(double, list->count), answer = NAN;
    for (int exact = 1; exact >= 0 && isnan(answer); exact--) {
        int count = 0;
        for (int i = 0; i < list->count; i++) {
            if (status->cell[i].state != CELL_DONE || strcmp(list->cells[i].backbone, list->cells[cell].backbone) != 0) continue;
            if (exact && strcmp(list->cells[i].dataset, list->cells[cell].dataset) != 0) continue;
            if (!isnan(seconds_of(&status->cell[i]))) found[count++] = seconds_of(&status->cell[i]);
        }
        qsort(found, (size_t)count, sizeof *found, by_value);
        if (count) answer = found[count / 2];
    }
    mem_free(found);
    return answer;
}

static double left_of(const struct cell_list *list, const struct grid_status *status, int cell)
{
    const struct cell_status *s = &status->cell[cell];
    if (s->state == CELL_DONE || s->state == CELL_NO_DATA) return 0;
    if (s->state == CELL_RUNNING && s->has_progress && !isnan(s->progress.eta_s)) return s->progress.eta_s;
    return status->count[CELL_DONE] ? estimate(list, status, cell) : NAN;
}

static void apply_queue(struct cell_status *s, const struct queue_entry *queue)
{
    if (queue->state == QUEUE_WAITING && s->state != CELL_DONE && s->state != CELL_RUNNING) {
        s->state = CELL_QUEUED;
        snprintf(s->why, sizeof s->why, "%s", queue->reason);
    }
    if (queue->state == QUEUE_RUNNING && s->state != CELL_DONE) {
        s->state = CELL_RUNNING;
        *s->why = 0; /* of an earlier attempt */
    }
}

int grid_status_read(struct grid_status *status, const struct cell_list *list, struct error *err)
{
    struct queue_entry *queue = NEW_ARRAY(struct queue_entry, list->count);
    bool asked;
    *status = (struct grid_status){.cell = NEW_ARRAY(struct cell_status, list->count)};
    int rc = queue_read(queue, &asked, list, err);
    for (int i = 0; i < list->count && !rc; i++) {
        rc = cell_judge(&status->cell[i], &list->cells[i], err);
        apply_queue(&status->cell[i], &queue[i]);
        status->count[status->cell[i].state]++;
    }
    for (int i = 0; i < list->count && !rc && !isnan(status->left_s); i++) status->left_s += left_of(list, status, i);
    mem_free(queue);
    return rc;
}

void grid_status_free(struct grid_status *status)
{
    mem_free(status->cell);
    *status = (struct grid_status){0};
}

/* ---- writing ---- */

static int widest_name(const struct cell_list *list)
{
    int widest = 4;
    for (int i = 0; i < list->count; i++)
        if ((int)strlen(list->cells[i].name) > widest) widest = (int)strlen(list->cells[i].name);
    return widest;
}

static void duration(char text[32], double seconds, bool estimated)
{
    char plain[30];
    clock_duration(plain, sizeof plain, seconds);
    snprintf(text, 32, "%s%s", estimated ? "~" : "", plain);
    if (isnan(seconds)) snprintf(text, 32, "-");
}

static void add_counts(struct text *out, const struct cell_list *list, const struct grid_status *status)
{
    char left[32];
    text_add(out, "%d cells", list->count);
    for (int s = 0; s < CELL_STATES; s++)
        if (status->count[s]) text_add(out, ", %d %s", status->count[s], cell_state_names[s]);
    duration(left, status->left_s, true);
    if (!isnan(status->left_s) && status->left_s > 0) text_add(out, "; %s of work left", left);
    text_add(out, "\n");
}

void table_plan(struct text *out, const struct cell_list *list, const struct grid_status *status)
{
    int width = widest_name(list);
    text_add(out, "%5s  %-*s  %-8s %9s  %-*s  %s\n", "index", width, "cell", "state", "time", width + (int)strlen(list->out) + 1, "run folder", "settings");
    for (int i = 0; i < list->count; i++) {
        const struct cell *c = &list->cells[i];
        char time[32];
        bool done = status->cell[i].state == CELL_DONE;
        duration(time, done ? seconds_of(&status->cell[i]) : left_of(list, status, i), !done);
        text_add(out, "%5d  %-*s  %-8s %9s  %-*s  %s%s%s\n", i, width, c->name, cell_state_names[status->cell[i].state], time,
                 width + (int)strlen(list->out) + 1, c->folder, c->summary, *status->cell[i].why ? "; " : "", status->cell[i].why);
    }
    add_counts(out, list, status);
}

void table_status(struct text *out, const struct cell_list *list, const struct grid_status *status, const bool *shown)
{
    int width = widest_name(list), hidden = 0;
    text_add(out, "%-*s  %-8s %9s %10s %9s\n", width, "cell", "state", "epoch", "time to go", "attempts");
    for (int i = 0; i < list->count; i++) {
        const struct cell_status *s = &status->cell[i];
        char epoch[32] = "-", time[32];
        if (shown && !shown[i] && ++hidden) continue;
        if (s->has_progress) snprintf(epoch, sizeof epoch, "%d/%d", s->progress.epoch, s->progress.epochs);
        duration(time, left_of(list, status, i), s->state != CELL_RUNNING);
        text_add(out, "%-*s  %-8s %9s %10s %9d  %s", width, list->cells[i].name, cell_state_names[s->state], epoch, s->state == CELL_DONE ? "" : time,
                 s->attempts.count, s->why);
        if (s->state == CELL_RUNNING && s->has_progress && !isnan(s->progress.train_loss)) text_add(out, "loss %.4f", s->progress.train_loss);
        while (out->length && out->data[out->length - 1] == ' ') out->data[--out->length] = 0;
        text_add(out, "\n");
    }
    if (hidden) text_add(out, "... and %d more\n", hidden);
    add_counts(out, list, status);
}

void table_json(struct text *out, const struct cell_list *list, const struct grid_status *status)
{
    struct json j;
    json_open(&j, out, true);
    json_object(&j, NULL);
    json_string(&j, "notice", "research use only, not for diagnosis");
    json_string(&j, "grid", list->grid_name);
    json_array(&j, "cells");
    for (int i = 0; i < list->count; i++) {
        const struct cell *c = &list->cells[i];
        const struct cell_status *s = &status->cell[i];
        json_object(&j, NULL);
        json_int(&j, "index", i);
        json_string(&j, "name", c->name);
        json_string(&j, "dataset", c->dataset);
        json_string(&j, "backbone", c->backbone);
        json_string(&j, "method", c->method);
        json_int(&j, "seed", c->seed);
        json_string(&j, "folder", c->folder);
        json_string(&j, "identity", *c->identity ? c->identity : NULL);
        json_string(&j, "state", cell_state_names[s->state]);
        json_int(&j, "epoch", s->has_progress ? s->progress.epoch : 0);
        json_int(&j, "epochs", c->epochs);
        json_number(&j, "left_s", left_of(list, status, i));
        json_number(&j, "seconds", s->attempts.seconds);
        json_int(&j, "attempts", s->attempts.count);
        json_string(&j, "why", *s->why ? s->why : NULL);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
    text_add(out, "\n");
}
