/* What is counted of a cell's attempts, and how a grid file becomes cells. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "check.h"
#include "jobs/commands.h"
#include "jobs/grid/attempts.h"
#include "jobs/grid/grid.h"
#include "jobs/grid/words.h"

static char folder[] = "/tmp/ladnn-grid-XXXXXX";

static void forget(void)
{
    char *path = path_join(folder, "attempts.jsonl");
    unlink(path);
    mem_free(path);
}

static struct attempts now(void)
{
    struct attempts a;
    struct error err = {0};
    EXPECT(!attempts_read(&a, folder, &err), "%s", err.message);
    return a;
}

static void begin(int number, const char *identity, int64_t step)
{
    struct error err = {0};
    EXPECT(!attempts_begin(folder, number, identity, "12", step, &err), "%s", err.message);
}

static void end(int number, enum outcome outcome, const char *why)
{
    struct error err = {0};
    EXPECT(!attempts_end(folder, number, outcome, 1, 1.5, why, &err), "%s", err.message);
}

static void test_crashes(void)
{
    struct error err;
    EXPECT(now().count == 0 && now().outcome == OUTCOME_NONE && !now().open, "nothing yet");
    begin(1, "aa", 0);
    EXPECT(now().open && now().count == 1 && !strcmp(now().job, "12") && now().pid == getpid(), "begun");
    end(1, OUTCOME_CRASHED, "killed \"by\" a\nline");
    EXPECT(!now().open && now().crashes == 1 && !strcmp(now().why, "killed \"by\" a\nline"), "'%s'", now().why);
    begin(2, "aa", 0); /* its end is never written */
    begin(3, "aa", 0);
    EXPECT(now().crashes == 2, "an attempt without an end is a crash: %d", now().crashes);
    end(3, OUTCOME_CRASHED, "x");
    EXPECT(now().crashes == 3, "three in a row: %d", now().crashes);
    begin(4, "aa", 20);
    EXPECT(now().crashes == 0, "at another step they count anew: %d", now().crashes);
    end(4, OUTCOME_STOPPED, "");
    EXPECT(now().crashes == 0 && now().count == 4 && now().counted == 4 && now().seconds == 4.5 && !*now().why, "stopped, %g s", now().seconds);
    begin(5, "bb", 20);
    EXPECT(now().counted == 1 && now().count == 5, "other settings count anew: %d", now().counted);
    end(5, OUTCOME_FAILED, "so");
    EXPECT(now().outcome == OUTCOME_FAILED, "failed");
    EXPECT(!attempts_forgive(folder, &err), "forgiven");
    EXPECT(now().outcome == OUTCOME_NONE && now().counted == 0 && now().count == 5 && !*now().why, "a retry");
}

/* A full disk cuts a line anywhere: the rest is read, and the next line is whole. */
static void test_cut(void)
{
    struct error err;
    char *path = path_join(folder, "attempts.jsonl");
    struct stat info;
    forget();
    begin(1, "aa", 0);
    end(1, OUTCOME_STOPPED, "");
    stat(path, &info);
    for (off_t bytes = info.st_size; bytes >= 0; bytes--) {
        EXPECT(!truncate(path, bytes), "%m");
        EXPECT(!attempts_begin(folder, 2, "aa", "", 3, &err), "%s", err.message);
        struct attempts a = now();
        EXPECT(a.open && a.count <= 2 && a.count >= 1, "%d attempts when cut at %lld", a.count, (long long)bytes);
    }
    mem_free(path);
    forget();
}

/* ---- a grid file ---- */

static int read_grid(struct grid *g, const char *text, struct error *err)
{
    char *path = path_join(folder, "grid.cfg");
    struct settings *s = settings_open(&command_grid);
    EXPECT(!file_write_atomic(path, text, strlen(text), err) && !settings_set(s, "grid.file", path, "--file", err), "%s", err->message);
    settings_set(s, "slurm.lead_s", "77", "--set", err);
    int status = grid_read(g, s, err);
    if (!status) EXPECT(settings_int(s, "slurm.lead_s") == 77 && settings_int(s, "slurm.throttle") == 5, "the command line wins over the file");
    settings_close(s);
    mem_free(path);
    return status;
}

static const char TEXT[] = "grid = { name = \"g\"; datasets = ( { name = \"a\"; data = \"x\"; }, { name = \"b\"; data = \"/y\"; } );\n"
                           "backbones = [\"vgg16\", \"resnet18\"]; methods = [\"baseline\", \"ladnn\"]; seeds = [3, 1];\n"
                           "override = ( { dataset = \"b\"; seed = 1; train = { batch = 4; }; }, { seed = 1; train = { epochs = 9; }; } ); };\n"
                           "train = { batch = 2; };\nslurm = { throttle = 5; lead_s = 11; };\n";

static void test_cells(void)
{
    static const char *const names[] = {"a-vgg16-baseline-s3", "a-vgg16-baseline-s1", "a-vgg16-ladnn-s3", "a-vgg16-ladnn-s1", "a-resnet18-baseline-s3"};
    struct grid g;
    struct error err = {0};
    EXPECT(!read_grid(&g, TEXT, &err), "%s", err.message);
    EXPECT(g.cell_count == 16, "%d cells", g.cell_count);
    for (int i = 0; i < 5 && i < g.cell_count; i++) EXPECT(!strcmp(g.cells[i].name, names[i]), "cell %d is %s", i, g.cells[i].name);
    for (int i = 0; i < g.cell_count; i++) {
        struct settings *s = grid_cell_settings(&g, &g.cells[i], &err);
        const struct grid_cell *c = &g.cells[i];
        bool one = c->seed == 1, b = !strcmp(c->dataset->name, "b");
        EXPECT(settings_int(s, "train.batch") == (one && b ? 4 : 2) && settings_int(s, "train.epochs") == (one ? 9 : 15), "%s", c->name);
        EXPECT(settings_int(s, "train.seed") == c->seed && !strcmp(settings_string(s, "model.backbone"), c->backbone), "%s", c->name);
        EXPECT(!strcmp(settings_string(s, "train.data"), b ? "/y" : "x"), "%s", settings_string(s, "train.data"));
        settings_close(s);
    }
    grid_free(&g);
}

static void test_words(void)
{
    struct words w = {0};
    char *answer = NULL;
    words_add(&w, "sh");
    words_split(&w, "  -c   ");
    words_add(&w, "%s", "printf '%s|' \"$@\"; exit 7");
    words_add(&w, "name");
    words_add(&w, "two words");
    EXPECT(w.count == 5 && words_run(&w, &answer) == 7 && !strcmp(answer, "two words|"), "'%s'", answer);
    mem_free(answer);
    words_free(&w);
    words_add(&w, "/nowhere/at/all");
    EXPECT(words_run(&w, &answer) == 127, "no such program");
    mem_free(answer);
    words_free(&w);
}

int main(void)
{
    EXPECT(mkdtemp(folder) != NULL, "%m");
    test_crashes();
    test_cut();
    test_cells();
    test_words();
    folder_remove(folder, NULL);
    return check_verdict();
}
