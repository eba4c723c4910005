/* ctest: label=system timeout=240 */
/* test_dist_faults.c - what happens to a run when a rank dies, stops, goes its own way or finds a mistake. Starts mpirun on
 * itself (`--rank SCENARIO FOLDER`), does the harm, and wants every process gone in time and the right line on standard error. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "check.h"
#include "dist/buckets.h"
#include "dist/stop.h"

enum { RANKS_MOST = 4 };
static const double LIMIT_S = 2, GONE_AFTER_S = 10;

/* ---- the ranks ---- */

static void write_pid(const struct comm *c, const char *folder)
{
    struct error err;
    char path[512], pid[32];
    snprintf(path, sizeof path, "%s/%d.pid", folder, comm_rank(c));
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    if (file_write_atomic(path, pid, strlen(pid), &err)) die_error(&err);
}

static void loop_of_sums(struct comm *c, bool fixed_order)
{
    enum { COUNT = 1 << 16 };
    float *gradients = NEW_ARRAY(float, COUNT);
    struct buckets *b = buckets_open(c, gradients, COUNT, COUNT, fixed_order, true);
    for (int step = 0;; step++) {
        comm_describe_step(c, "epoch 3 step %d", step);
        buckets_ready(b, COUNT / 2);
        double values[4] = {1, 2, 3, 4};
        comm_sum_double(c, values, 4, "batch statistics");
        buckets_ready(b, COUNT);
        buckets_wait(b);
        comm_any(c, stop_asked(), "agreement on stopping");
    }
}

static int run_rank(const char *scenario, const char *folder)
{
    struct error err;
    struct comm *c = comm_open("auto", LIMIT_S, &err);
    if (!c) die_error(&err);
    bool second = comm_rank(c) == 1;
    write_pid(c, folder);
    if (!strcmp(scenario, "fixed") || !strcmp(scenario, "mpi")) loop_of_sums(c, !strcmp(scenario, "fixed"));
    if (!strcmp(scenario, "die") && second) die("rank 1 has found a mistake");
    if (!strcmp(scenario, "late") && second) sleep(60);
    if (!strcmp(scenario, "astray") && second) {
        double x[3] = {0};
        comm_sum_double(c, x, 3, "evaluation");
    }
    if (!strcmp(scenario, "length")) {
        double x[3] = {0};
        comm_sum_double(c, x, second ? 3 : 2, "odd lengths");
    }
    if (!strcmp(scenario, "finish")) { /* all find the same mistake and leave in order */
        int rc = comm_agree(c, second ? error_set(&err, "truncated") : 0, &err, "reading input");
        comm_close(c);
        return rc ? 3 : 0;
    }
    comm_barrier(c, "meeting");
    comm_close(c);
    return 0;
}

/* ---- the one who does the harm ---- */

struct outcome {
    int status;
    double ended_after_s; /* since the harm */
    bool someone_left;
    char *said;
};

static pid_t start(const char *self, const char *scenario, const char *folder, int ranks)
{
    char count[16], log[512];
    snprintf(count, sizeof count, "%d", ranks);
    snprintf(log, sizeof log, "%s/said", folder);
    pid_t child = fork();
    if (child) return child;
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    dup2(fd, STDERR_FILENO);
    dup2(fd, STDOUT_FILENO);
    execlp("mpirun", "mpirun", "--oversubscribe", "--bind-to", "none", "-np", count, self, "--rank", scenario, folder, (char *)NULL);
    _exit(127);
}

static void read_pids(pid_t *pids, const char *folder, int ranks)
{
    for (int rank = 0; rank < ranks; rank++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%d.pid", folder, rank);
        for (double end_s = clock_s() + 30; !path_exists(path) && clock_s() < end_s;) usleep(10000);
        uint8_t *text;
        size_t bytes;
        struct error err;
        if (file_read(&text, &bytes, path, &err)) die_error(&err);
        pids[rank] = atoi((char *)text);
        mem_free(text);
    }
}

static bool gone(const pid_t *pids, int ranks)
{
    for (int rank = 0; rank < ranks; rank++)
        if (kill(pids[rank], 0) == 0) return false;
    return true;
}

static struct outcome watch_end(pid_t launcher, pid_t *pids, const char *folder, int ranks)
{
    struct outcome o = {.status = -1};
    double from_s = clock_s();
    while (waitpid(launcher, &o.status, WNOHANG) == 0 && clock_s() - from_s < LIMIT_S + 2 * GONE_AFTER_S) usleep(20000);
    o.ended_after_s = clock_s() - from_s;
    for (int i = 0; i < 100 && !gone(pids, ranks); i++) usleep(20000);
    o.someone_left = !gone(pids, ranks);
    for (int rank = 0; rank < ranks; rank++)
        if (o.someone_left) kill(pids[rank], SIGKILL);
    if (o.someone_left) kill(launcher, SIGKILL);
    char path[512];
    snprintf(path, sizeof path, "%s/said", folder);
    size_t bytes;
    struct error err;
    if (file_read((uint8_t **)&o.said, &bytes, path, &err)) die_error(&err);
    return o;
}

/* harm: a signal to `victim` after a moment, or 0. */
static struct outcome play(const char *self, const char *scenario, int ranks, int victim, int harm)
{
    char folder[] = "dist-faults-XXXXXX";
    pid_t pids[RANKS_MOST];
    struct error err;
    CHECK(mkdtemp(folder), "cannot make a folder here");
    pid_t launcher = start(self, scenario, folder, ranks);
    read_pids(pids, folder, ranks);
    if (harm) usleep(300000);
    if (harm) kill(pids[victim], harm);
    struct outcome o = watch_end(launcher, pids, folder, ranks);
    folder_remove(folder, &err);
    return o;
}

/* The run ended itself in time, with a bad status, and said all the parts. */
static void expect_end(struct outcome *o, const char *name, int ranks, double limit_s, const char *const *parts)
{
    EXPECT(!o->someone_left, "%s, %d ranks: processes are left", name, ranks);
    EXPECT(o->ended_after_s < limit_s, "%s, %d ranks: ended after %.1f s", name, ranks, o->ended_after_s);
    EXPECT(o->status != 0, "%s, %d ranks: status %d", name, ranks, o->status);
    for (; *parts; parts++) EXPECT(strstr(o->said, *parts), "%s, %d ranks: '%s' does not contain '%s'", name, ranks, o->said, *parts);
    printf("%s, %d ranks: ended after %.1f s\n", name, ranks, o->ended_after_s);
    mem_free(o->said);
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    while ((text = strstr(text, part))) text += strlen(part), count++;
    return count;
}

static void test_killed_and_stopped(const char *self, int ranks, const char *scenario)
{
    struct outcome o = play(self, scenario, ranks, ranks - 1, SIGKILL);
    expect_end(&o, "killed", ranks, GONE_AFTER_S, (const char *const[]){"signal 9", NULL});
    char name[32];
    snprintf(name, sizeof name, "for rank %d on", ranks - 1);
    o = play(self, scenario, ranks, ranks - 1, SIGSTOP);
    EXPECT(count_of(o.said, "waited ") == 1, "one line, not '%s'", o.said);
    expect_end(&o, "stopped", ranks, LIMIT_S + GONE_AFTER_S, (const char *const[]){name, "waited 2.", "epoch 3 step", "hint: ", NULL});
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "--rank")) return run_rank(argv[2], argv[3]);
    for (int ranks = 2; ranks <= RANKS_MOST; ranks += 2) {
        test_killed_and_stopped(argv[0], ranks, "fixed");
        test_killed_and_stopped(argv[0], ranks, "mpi");
    }
    setenv("LADNN_HOST_RANKS", "2", 1); /* two hosts: the verdict needs the other's answer, or the lack of one */
    test_killed_and_stopped(argv[0], 4, "fixed");
    setenv("LADNN_HOST_RANKS", "1", 1);
    test_killed_and_stopped(argv[0], 2, "mpi");
    unsetenv("LADNN_HOST_RANKS");
    struct outcome o = play(argv[0], "die", 2, 0, 0);
    expect_end(&o, "a rank dies", 2, GONE_AFTER_S, (const char *const[]){"rank 1 has found a mistake", NULL});
    o = play(argv[0], "late", 2, 0, 0);
    expect_end(&o, "a rank is late", 2, LIMIT_S + GONE_AFTER_S, (const char *const[]){"'meeting'", "for rank 1 on", "not there yet", NULL});
    o = play(argv[0], "astray", 2, 0, 0);
    expect_end(&o, "a rank goes astray", 2, LIMIT_S + GONE_AFTER_S, (const char *const[]){"disagree", NULL});
    o = play(argv[0], "length", 2, 0, 0);
    expect_end(&o, "odd lengths", 2, GONE_AFTER_S, (const char *const[]){"disagree on its length", NULL});
    o = play(argv[0], "finish", 3, 0, 0);
    EXPECT(WEXITSTATUS(o.status) == 3 && !strstr(o.said, "rror"), "all leave in order: %d '%s'", o.status, o.said);
    return check_verdict();
}
