/* submit.c - see submit.h. The scripts are slurm/array.sbatch and slurm/collect.sbatch with {{NAME}} filled in. Between jobs and program
 * only file names pass, so that a script can be read, and submitted again, by a person. */
#include "jobs/grid/submit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "jobs/commands.h"
#include "jobs/grid/launch.h"

enum { EXIT_REQUEUE = 99, FIELDS_MAX = 32 };

struct field {
    const char *name;
    char *value;
    bool shell; /* quoted where a shell reads it */
};
struct fields {
    struct field field[FIELDS_MAX];
    int count;
};

static void add_field(struct fields *f, const char *name, bool shell, char *value)
{
    ASSERT(f->count < FIELDS_MAX);
    f->field[f->count++] = (struct field){name, value, shell};
}

static void fields_free(struct fields *f)
{
    for (int i = 0; i < f->count; i++) mem_free(f->field[i].value);
}

/* ---- filling in ---- */

static void add_quoted(struct text *out, const char *value)
{
    text_add(out, "'");
    for (; *value; value++) *value == '\'' ? text_add(out, "'\\''") : text_add(out, "%c", *value);
    text_add(out, "'");
}

/* One line of a template. *empty: a field in it has no value. */
static int fill_line(struct text *out, const char *line, size_t length, const struct fields *f, bool *empty, struct error *err)
{
    bool comment = *line == '#';
    *empty = false;
    for (size_t i = 0; i < length;) {
        const char *end = strncmp(line + i, "{{", 2) ? NULL : strstr(line + i, "}}");
        int known = 0;
        if (!end) {
            text_add(out, "%c", line[i++]);
            continue;
        }
        size_t n = (size_t)(end - line) - i - 2;
        for (; known < f->count; known++)
            if (strlen(f->field[known].name) == n && !strncmp(f->field[known].name, line + i + 2, n)) break;
        if (known == f->count && *line == '#' && line[1] == ' ') text_add(out, "%.*s", (int)n + 4, line + i); /* a remark about {{...}} */
        else if (known == f->count) return error_set(err, "unknown field {{%.*s}}", (int)n, line + i + 2);
        else if (f->field[known].shell && !comment) add_quoted(out, f->field[known].value);
        else text_add(out, "%s", f->field[known].value);
        if (known < f->count && !*f->field[known].value) *empty = true;
        i += n + 4;
    }
    text_add(out, "\n");
    return 0;
}

static int fill_template(struct text *out, const char *name, const struct fields *f, const struct settings *s, const char *options, struct error *err)
{
    const char *set = settings_string(s, "slurm.templates");
    char *path = path_join(*set ? set : LADNN_SLURM, name);
    uint8_t *data = NULL;
    size_t bytes, n;
    int status = file_read(&data, &bytes, path, err), line = 1;
    bool optioned = false;
    if (status) error_hint(err, "slurm.templates names the folder with array.sbatch and collect.sbatch");
    for (const char *at = (char *)data, *p; !status && (p = text_line(&at, &n)); line++) {
        size_t before = out->length;
        bool directive = !strncmp(p, "#SBATCH", 7), empty;
        if (!directive && *p != '#' && !optioned) { /* behind the last #SBATCH line of the head */
            for (const char *o = options + strspn(options, " "); *o; o += strspn(o, " ")) {
                int k = (int)strcspn(o, " ");
                text_add(out, "#SBATCH %.*s\n", k, o);
                o += k;
            }
            optioned = true;
        }
        status = fill_line(out, p, n, f, &empty, err);
        if (status) error_prefix(err, "%s:%d", path, line);
        if (!status && empty && (directive || out->length == before + 1)) {
            out->length = before;
            out->data[before] = 0;
        }
    }
    mem_free(data);
    mem_free(path);
    return status;
}

/* ---- the fields ---- */

/* Between double quotes; sbatch takes %A and the like in a file name. */
static char *log_folder(const char *out)
{
    struct text t = {0};
    for (const char *p = out; *p; p++) text_add(&t, *p == '%' ? "%%%%" : *p == '"' ? "\\%c" : "%c", *p);
    text_add(&t, "/grid/logs");
    return t.data;
}

static char *absolute(const char *path)
{
    char *whole = realpath(path, NULL), *copy = NULL, here[PATH_MAX];
    if (whole) copy = mem_string(whole);
    else if (*path == '/' || !getcwd(here, sizeof here)) copy = mem_string(path);
    else copy = path_join(here, path);
    mem_free(whole); /* from malloc, as everything is */
    return copy;
}

static char *gpus_of_node(const struct settings *s)
{
    int64_t gpus = settings_int(s, "slurm.gpus_per_rank") * settings_int(s, "grid.ranks"), nodes = settings_int(s, "slurm.nodes");
    return gpus ? mem_format("%lld", (long long)((gpus + nodes - 1) / nodes)) : mem_string("");
}

static void common_fields(struct fields *f, const struct cell_list *list, const struct settings *s)
{
    static const char *const plain[][2] = {{"PARTITION", "slurm.partition"}, {"ACCOUNT", "slurm.account"}, {"QOS", "slurm.qos"},
                                           {"TIME", "slurm.time"}, {"MEMORY", "slurm.memory"}, {"SETUP", "slurm.setup"}};
    char *out = absolute(list->out);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) add_field(f, plain[i][0], false, mem_string(settings_string(s, plain[i][1])));
    add_field(f, "GRID", false, mem_string(list->grid_name));
    add_field(f, "LOGS", false, log_folder(out));
    add_field(f, "OUT", true, out);
    add_field(f, "PROGRAM", true, mem_string(launch_program()));
}

static void array_fields(struct fields *f, const char *submission, int first, int count, const struct settings *s)
{
    int64_t throttle = settings_int(s, "slurm.throttle");
    const char *name = settings_string(s, "slurm.signal");
    char range[64];
    snprintf(range, sizeof range, "0-%d%s", count - 1, throttle ? "%" : "");
    add_field(f, "ARRAY", false, throttle ? mem_format("%s%lld", range, (long long)throttle) : mem_string(range));
    add_field(f, "FIRST", false, mem_format("%d", first));
    add_field(f, "SIGNAL", false, mem_string(!strcmp(name, "usr1") ? "USR1" : !strcmp(name, "usr2") ? "USR2" : "TERM"));
    add_field(f, "LEAD", false, mem_format("%lld", (long long)settings_int(s, "slurm.lead_s")));
    add_field(f, "NODES", false, mem_format("%lld", (long long)settings_int(s, "slurm.nodes")));
    add_field(f, "RANKS", false, mem_format("%lld", (long long)settings_int(s, "grid.ranks")));
    add_field(f, "CPUS", false, mem_format("%lld", (long long)settings_int(s, "slurm.cpus_per_rank")));
    add_field(f, "GPUS", false, gpus_of_node(s));
    add_field(f, "TASKS", true, path_join(submission, "tasks.txt"));
    add_field(f, "CONFIG", true, path_join(submission, "grid.cfg"));
}

/* ---- one submission ---- */

struct submission {
    const struct cell_list *list;
    const struct settings *s;
    char *folder; /* OUT/grid/submit-0001 */
    bool dry;
    struct text jobs; /* jobs.txt */
    struct text ids;  /* "1234:1235" */
};

static int write_in(const struct submission *u, const char *name, const struct text *text, struct error *err)
{
    char *path = path_join(u->folder, name);
    int status = file_write_atomic(path, text->data ? text->data : "", text->length, err);
    mem_free(path);
    return status;
}

/* The line "1234" or "1234;cluster" of sbatch's answer; sites let sbatch say more, which is passed on. 0: there is none. */
static long job_number(const char *answer)
{
    long job = 0;
    size_t n;
    for (const char *line; (line = text_line(&answer, &n));) {
        size_t digits = strspn(line, "0123456789");
        if (digits && (digits == n || line[digits] == ';')) job = strtol(line, NULL, 10);
        else if (n) log_info("%.*s", (int)n, line);
    }
    return job;
}

static int call_sbatch(long *job, const char *script, struct error *err)
{
    struct words w = {0};
    char *answer = NULL;
    words_split(&w, "sbatch --parsable");
    words_add(&w, "%s", script);
    int code = words_run(&w, &answer), status = 0;
    if (!code) *job = job_number(answer);
    if (code == 127) status = error_set(err, "sbatch is not on PATH"), error_hint(err, "ladnn grid run runs the cells without Slurm");
    else if (code || !*job) {
        status = error_set(err, "%.*s", (int)strcspn(answer, "\n"), *answer ? answer : "sbatch failed and said nothing");
        if (strstr(answer, "Invalid job array")) error_hint(err, "slurm.max_array must be less than MaxArraySize (scontrol show config)");
        else error_hint(err, "what sbatch was given: %s", script);
    }
    words_free(&w);
    mem_free(answer);
    return status;
}

/* Writes (or prints) a script and submits it. */
static int hand_in(struct submission *u, const char *name, const struct text *script, long *job, struct error *err)
{
    *job = 0;
    if (u->dry) {
        printf("---- %s\n%s", name, script->data);
        return 0;
    }
    char *path = path_join(u->folder, name);
    int status = write_in(u, name, script, err);
    if (!status) status = call_sbatch(job, path, err);
    mem_free(path);
    return status;
}

static int submit_array(struct submission *u, int number, int first, int count, struct error *err)
{
    struct fields f = {.count = 0};
    struct text script = {0};
    char *name = number ? mem_format("array-%d.sbatch", number + 1) : mem_string("array.sbatch");
    long job;
    common_fields(&f, u->list, u->s);
    array_fields(&f, u->folder, first, count, u->s);
    int status = fill_template(&script, "array.sbatch", &f, u->s, settings_string(u->s, "slurm.options"), err);
    if (!status) status = hand_in(u, name, &script, &job, err);
    if (!status) {
        text_add(&u->jobs, "%ld %d\n", job, first);
        u->dry ? text_add(&u->ids, "%sJOB%d", number ? ":" : "", number + 1) : text_add(&u->ids, "%s%ld", number ? ":" : "", job);
        if (!u->dry) log_info("array %ld: %d cells", job, count);
        if (!u->dry) status = write_in(u, "jobs.txt", &u->jobs, err); /* at once: whoever kills us now leaves no unknown array */
    }
    text_free(&script);
    fields_free(&f);
    mem_free(name);
    return status;
}

static int submit_collect(struct submission *u, struct error *err)
{
    struct fields f = {.count = 0};
    struct text script = {0};
    long job;
    common_fields(&f, u->list, u->s);
    add_field(&f, "JOBS", false, mem_string(u->ids.data));
    int status = fill_template(&script, "collect.sbatch", &f, u->s, settings_string(u->s, "slurm.collect_options"), err);
    if (!status) status = hand_in(u, "collect.sbatch", &script, &job, err);
    if (!status && !u->dry) log_info("job %ld collects them in %s/report when all have ended", job, u->list->out);
    text_free(&script);
    fields_free(&f);
    return status;
}

/* All or nothing: what was submitted before the mistake is taken back. */
static void cancel(const struct submission *u)
{
    struct words w = {0};
    char *answer = NULL, *jobs = path_join(u->folder, "jobs.txt");
    words_add(&w, "scancel");
    for (const char *p = u->ids.data; p && *p; p += *p == ':') {
        int n = (int)strcspn(p, ":");
        words_add(&w, "%.*s", n, p);
        p += n;
    }
    if (w.count > 1 && words_run(&w, &answer)) log_warn("scancel: %s", answer);
    else unlink(jobs);
    words_free(&w);
    mem_free(answer);
    mem_free(jobs);
}

static int write_tasks(const struct submission *u, const int *which, int count, struct error *err)
{
    struct text tasks = {0}, config = {0};
    for (int i = 0; i < count; i++) text_add(&tasks, "%s\n", u->list->cells[which[i]].name);
    settings_write(u->s, &config);
    int status = folder_create(u->folder, err) || write_in(u, "tasks.txt", &tasks, err) || write_in(u, "grid.cfg", &config, err) ? -1 : 0;
    text_free(&tasks);
    text_free(&config);
    return status;
}

static char *next_folder(const struct cell_list *list)
{
    char *out = absolute(list->out);
    for (int i = 1;; i++) {
        char *folder = mem_format("%s/grid/submit-%04d", out, i);
        if (!path_exists(folder)) {
            mem_free(out);
            return folder;
        }
        mem_free(folder);
    }
}

int submit_cells(const struct cell_list *list, const int *which, int count, const struct settings *s, struct error *err)
{
    struct submission u = {.list = list, .s = s, .dry = settings_bool(s, "grid.dry_run"), .folder = next_folder(list)};
    int most = (int)settings_int(s, "slurm.max_array"), status = 0;
    if (strpbrk(u.folder, "\\\n"))
        status = error_set(err, "%s: Slurm takes no log file in a folder whose name has a backslash or a line break", list->out);
    if (!status && !u.dry) status = write_tasks(&u, which, count, err);
    for (int first = 0, number = 0; first < count && !status; first += most, number++)
        status = submit_array(&u, number, first, count - first < most ? count - first : most, err);
    if (!status) status = submit_collect(&u, err);
    if (status && !u.dry) cancel(&u);
    text_free(&u.jobs);
    text_free(&u.ids);
    mem_free(u.folder);
    return status;
}

int submit_requeue(void)
{
    const char *job = getenv("SLURM_JOB_ID");
    struct words w = {0};
    char *answer = NULL;
    if (!job) return 75; /* EX_TEMPFAIL: not in a job; the same command continues */
    words_split(&w, "scontrol requeue");
    words_add(&w, "%s", job); /* of an array task this is its own number: the others stay as they are */
    int code = words_run(&w, &answer);
    if (code) log_warn("scontrol requeue %s: %s; ending with status %d (RequeueExit in slurm.conf), else ladnn grid submit continues", job,
                       code == 127 ? "there is no scontrol here" : answer, EXIT_REQUEUE);
    words_free(&w);
    mem_free(answer);
    return code ? EXIT_REQUEUE : 0;
}

bool submit_is_cancelled(void)
{
    const char *job = getenv("SLURM_JOB_ID");
    struct words w = {0};
    char *answer = NULL;
    if (!job) return false;
    words_split(&w, "squeue --noheader --format %T --jobs");
    words_add(&w, "%s", job);
    bool cancelled = !words_run(&w, &answer) && !strncmp(answer, "COMPLETING", 10);
    words_free(&w);
    mem_free(answer);
    return cancelled;
}
