/* watch.c - see watch.h. On a terminal the table has the screen to itself: long lines are cut, and where there are more cells than lines,
 * those that run or failed are shown before those that wait or are done. Elsewhere (a file, a pipe) it is written when it has changed. */
#include "jobs/grid/watch.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "jobs/grid/table.h"

enum { EVERY_S = 2, FRAME_LINES = 4 /* heading, "more cells", counts, where the cursor stands */ };

/* Marks the cells to show, at most `room`. */
static void choose(bool *shown, const struct cell_list *list, const struct grid_status *status, int room)
{
    static const enum cell_state order[] = {CELL_RUNNING, CELL_FAILED, CELL_CRASHED, CELL_STALE, CELL_NO_DATA, CELL_STOPPED,
                                            CELL_QUEUED, CELL_PENDING, CELL_DONE};
    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (int i = 0; i < list->count; i++)
            if (status->cell[i].state == order[k] && room > 0) {
                shown[i] = true;
                room--;
            }
}

/* The first `columns` characters of each line. */
static void print_cut(const char *table, int columns)
{
    size_t length;
    for (const char *line; (line = text_line(&table, &length));) {
        size_t kept = 0;
        for (int used = 0; used < columns && kept < length; used++) {
            int n = utf8_length(line + kept, length - kept);
            kept += n > 0 ? (size_t)n : 1;
        }
        fwrite(line, 1, kept, stdout);
        putchar('\n');
    }
}

/* Writes the table; `last` is what was written before. */
static void show(const struct cell_list *list, const struct grid_status *status, struct text *last)
{
    struct winsize size = {0};
    struct text table = {0};
    bool terminal = isatty(STDOUT_FILENO);
    if (terminal && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row > FRAME_LINES && list->count > size.ws_row - FRAME_LINES + 1) {
        bool *shown = NEW_ARRAY(bool, list->count);
        choose(shown, list, status, size.ws_row - FRAME_LINES);
        table_status(&table, list, status, shown);
        mem_free(shown);
    } else {
        table_status(&table, list, status, NULL);
    }
    if (terminal) {
        fputs("\033[H\033[J", stdout); /* to the upper left corner; clear */
        print_cut(table.data, size.ws_col ? size.ws_col : 80);
    } else if (!last->data || strcmp(last->data, table.data) != 0) {
        printf("%s%s", last->data ? "\n" : "", table.data);
    }
    fflush(stdout);
    text_free(last);
    *last = table;
}

int grid_watch(const struct cell_list *list, struct error *err)
{
    struct text last = {0};
    bool ended = false, first = true;
    int rc = 0;
    for (; !ended && !rc; first = false) {
        struct grid_status status;
        struct error now = {0};
        if (!first) sleep(EVERY_S);
        if (!grid_status_read(&status, list, &now)) {
            show(list, &status, &last);
            ended = !status.count[CELL_PENDING] && !status.count[CELL_QUEUED] && !status.count[CELL_RUNNING];
        } else if (first) {
            *err = now;
            rc = -1;
        } else {
            log_warn("%s; asking again", now.message);
        }
        grid_status_free(&status);
    }
    text_free(&last);
    return rc;
}
