/* queue.c - see queue.h. jobs.txt of a submission: "ARRAY_JOB_ID FIRST_LINE" for each array that was made of its tasks.txt. */
#include "jobs/grid/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "jobs/grid/words.h"

struct array { /* of a submission */
    long job;
    int first; /* line of tasks.txt that index 0 stands for */
    char **task;
    int task_count;
    char *text; /* what the lines lie in; ours in a submission's first array */
};
struct arrays {
    struct array *array;
    int count, room;
};

/* Lines of a small text, NULL-ended; the first owns all. */
static char **lines_of(char *text, int *count)
{
    int room = 2;
    for (const char *p = text; *p; p++) room += *p == '\n';
    char **lines = NEW_ARRAY(char *, room);
    *count = 0;
    for (char *line; (line = strsep(&text, "\n"));)
        if (*line) lines[(*count)++] = line;
    return lines;
}

/* Takes the text. */
static void add_arrays(struct arrays *all, char **jobs, int jobs_count, char *text)
{
    int task_count;
    char **tasks = lines_of(text, &task_count);
    for (int i = 0; i < jobs_count; i++) {
        struct array a = {.job = -1, .task = tasks, .task_count = task_count, .text = i ? NULL : text};
        sscanf(jobs[i], "%ld %d", &a.job, &a.first);
        if (all->count == all->room) {
            int room = all->room ? 2 * all->room : 16;
            all->array = mem_grow(all->array, sizeof *all->array * (size_t)all->room, sizeof *all->array * (size_t)room);
            all->room = room;
        }
        all->array[all->count++] = a;
    }
}

static void arrays_free(struct arrays *all)
{
    for (int i = 0; i < all->count; i++)
        if (all->array[i].text) {
            mem_free(all->array[i].task);
            mem_free(all->array[i].text);
        }
    mem_free(all->array);
}

/* A submission that sbatch refused has no jobs.txt. */
static int read_submission(struct arrays *all, const char *folder, struct error *err)
{
    char *jobs_path = path_join(folder, "jobs.txt"), *tasks_path = path_join(folder, "tasks.txt"), **job;
    uint8_t *jobs = NULL, *tasks = NULL;
    size_t bytes;
    int status = 0, count;
    if (path_exists(jobs_path)) status = file_read(&jobs, &bytes, jobs_path, err) || file_read(&tasks, &bytes, tasks_path, err) ? -1 : 0;
    if (!status && jobs) {
        job = lines_of((char *)jobs, &count);
        if (count) add_arrays(all, job, count, (char *)tasks);
        else mem_free(tasks);
        mem_free(job);
    }
    mem_free(jobs);
    mem_free(jobs_path);
    mem_free(tasks_path);
    return status;
}

static int read_submissions(struct arrays *all, const struct cell_list *list, struct error *err)
{
    char *folder = mem_format("%s/grid", list->out), **names = NULL;
    int count = 0, status = path_is_folder(folder) ? folder_list(&names, &count, folder, err) : 0;
    for (int i = 0; i < count && !status; i++) {
        char *one = path_join(folder, names[i]);
        if (!strncmp(names[i], "submit-", 7)) status = read_submission(all, one, err);
        mem_free(one);
    }
    if (names) folder_list_free(names, count);
    mem_free(folder);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct cell *const *)a)->name, (*(const struct cell *const *)b)->name);
}

/* "1234 17 PENDING (Priority)" */
static void take_job(struct queue_entry *entry, const struct cell_list *list, const struct cell **sorted, const struct arrays *all, const char *line)
{
    long job;
    int index;
    char word[32], reason[80] = "";
    if (sscanf(line, "%ld %d %31s %79[^\n]", &job, &index, word, reason) < 3) return;
    for (int i = 0; i < all->count; i++) {
        const struct array *a = &all->array[i];
        if (a->job != job || index + a->first >= a->task_count) continue;
        struct cell key = {.name = a->task[index + a->first]}, *p = &key;
        const struct cell **found = bsearch(&p, sorted, (size_t)list->count, sizeof *sorted, by_name);
        bool waits = !strcmp(word, "PENDING") || !strncmp(word, "REQUEUE", 7) || !strcmp(word, "SPECIAL_EXIT") || !strcmp(word, "SUSPENDED");
        if (!found) continue;
        struct queue_entry *e = &entry[*found - list->cells];
        e->state = waits ? QUEUE_WAITING : QUEUE_RUNNING;
        if (waits && strcmp(reason, "None") != 0) snprintf(e->reason, sizeof e->reason, "%s", reason);
    }
}

int queue_read(struct queue_entry *entry, bool *asked, const struct cell_list *list, struct error *err)
{
    struct arrays all = {0};
    memset(entry, 0, sizeof *entry * (size_t)list->count);
    *asked = false;
    int rc = read_submissions(&all, list, err);
    if (rc || !all.count || !words_program_exists("squeue")) {
        arrays_free(&all);
        return rc;
    }
    const struct cell **sorted = NEW_ARRAY(const struct cell *, list->count);
    for (int i = 0; i < list->count; i++) sorted[i] = &list->cells[i];
    qsort(sorted, (size_t)list->count, sizeof *sorted, by_name);
    struct words w = {0};
    char *answer;
    int count;
    words_split(&w, "squeue --noheader --array --me --format");
    words_add(&w, "%%F %%K %%T %%r");
    rc = words_run(&w, &answer);
    if (rc) error_set(err, "squeue answers: %.*s", (int)strcspn(answer, "\n"), answer);
    char **lines = lines_of(answer, &count);
    for (int i = 0; i < count && !rc; i++) take_job(entry, list, sorted, &all, lines[i]);
    *asked = !rc;
    words_free(&w);
    mem_free(lines);
    mem_free(answer);
    mem_free(sorted);
    arrays_free(&all);
    return rc ? -1 : 0;
}
