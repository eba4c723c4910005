/* test_train_progress.c - progress.json reads back as it was written, whatever the texts hold; what is cut, altered or foreign is an
 * error; the file that stands is whole at any moment. */
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "tests/unit/check.h"
#include "train/fence.h"
#include "train/progress.h"

static char folder[] = "/tmp/ladnn-progress-XXXXXX", *path;
static struct fence *fence;
static struct error err;

static struct progress_state sample(void)
{
    return (struct progress_state){.state = RUN_RUNNING, .epoch = 2, .epochs = 15, .batch = 7, .batches = 20, .step = 5000000027,
        .train_loss = 1.0 / 3, .seconds = 12.5, .eta_s = 99.25};
}

static void expect_same(const struct progress_state *a, const struct progress_state *b)
{
    EXPECT(a->state == b->state && a->attempt == b->attempt && a->pid == b->pid && a->step == b->step, "state or counts");
    EXPECT(a->epoch == b->epoch && a->epochs == b->epochs && a->batch == b->batch && a->batches == b->batches, "position");
    EXPECT(a->seconds == b->seconds && a->updated_unix == b->updated_unix, "times");
    EXPECT(isnan(a->train_loss) ? isnan(b->train_loss) : a->train_loss == b->train_loss, "loss %g, want %g", b->train_loss, a->train_loss);
    EXPECT(isnan(a->eta_s) ? isnan(b->eta_s) : a->eta_s == b->eta_s, "eta %g, want %g", b->eta_s, a->eta_s);
    EXPECT(!strcmp(a->host, b->host) && !strcmp(a->updated, b->updated), "'%s' '%s'", b->host, b->updated);
    EXPECT(!strcmp(a->error, b->error) && !strcmp(a->signal, b->signal), "'%s' '%s'", b->error, b->signal);
}

static void round_trip(struct progress_state *p)
{
    struct progress_state got;
    EXPECT(progress_write(path, p, fence, &err) == 0, "%s", err.message);
    EXPECT(progress_read(path, &got, &err) == 0, "%s", err.message);
    expect_same(p, &got);
    EXPECT(got.pid == getpid() && got.attempt == 3 && *got.host && strlen(got.updated) == 20, "pid, host and time are filled in: '%s'", got.updated);
    EXPECT(fabs(got.updated_unix - (double)time(NULL)) < 60, "%.3f", got.updated_unix);
}

static void test_round_trip(void)
{
    struct progress_state p = sample();
    round_trip(&p);
    p.eta_s = p.train_loss = NAN;
    p.state = RUN_STOPPED;
    strcpy(p.signal, "SIGUSR2");
    round_trip(&p);
    p.state = RUN_FAILED;
    strcpy(p.error, "\"a\\b\",\n\t}{: Gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80 \x01 null");
    round_trip(&p);
    p.state = RUN_FINISHED, p.eta_s = 0;
    round_trip(&p);
    memset(p.error, 'x', sizeof p.error - 1);
    round_trip(&p);
}

static void refused(const char *text)
{
    struct progress_state got;
    err = (struct error){0};
    FILE *f = fopen(path, "wb");
    EXPECT(f && fputs(text, f) >= 0 && fclose(f) == 0, "cannot write");
    EXPECT(progress_read(path, &got, &err) == -1, "taken: %.60s", text);
    EXPECT_TEXT(err.message, "progress.json: ");
}

/* Every cut of a good file and every loss of a member. */
static void test_damage(void)
{
    struct progress_state p = sample(), got;
    uint8_t *whole;
    size_t bytes;
    EXPECT(progress_write(path, &p, fence, &err) == 0 && file_read(&whole, &bytes, path, &err) == 0, "%s", err.message);
    char *text = (char *)whole;
    EXPECT_TEXT(text, "research use only");
    for (size_t cut = 0; cut + 2 < bytes; cut++) { /* the last two are "}\n" */
        char *part = mem_format("%.*s", (int)cut, text);
        refused(part);
        mem_free(part);
    }
    for (char *line = strchr(text, '\n') + 1; *line == ' '; line = strchr(line, '\n') + 1) {
        char *part = mem_format("%.*s%s", (int)(line - text), text, strchr(line, '\n') + 1);
        bool notice = !strncmp(line, "  \"notice\"", 10);
        if (!notice) refused(part);
        mem_free(part);
    }
    static const char *const bad[] = {"\"running\"", "\"flying\"", "\"attempt\": 3", "\"attempt\": three", "\"step\": 5000000027", "\"step\": null",
                                      "\"eta_s\": 99.25", "\"eta_s\": \"99\"", "\"error\": null", "\"error\": 7", "\"error\": null", "\"error\": \"\\x\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i += 2) {
        const char *at = strstr(text, bad[i]);
        EXPECT(at != NULL, "%s is not there", bad[i]);
        if (!at) continue;
        char *altered = mem_format("%.*s%s%s", (int)(at - text), text, bad[i + 1], at + strlen(bad[i]));
        refused(altered);
        mem_free(altered);
    }
    char *more = mem_format("{\"new\": 1.5, \"newer\": [true\n%s", text + 1);
    refused(more); /* an array is nothing of ours */
    mem_free(more);
    more = mem_format("{\"new\": 1.5, \"newer\": true,%s", text + 1);
    EXPECT(file_write_atomic(path, more, strlen(more), &err) == 0 && progress_read(path, &got, &err) == 0, "members of a newer program: %s", err.message);
    mem_free(more);
    EXPECT(unlink(path) == 0 && progress_read(path, &got, &err) == -1, "none");
    EXPECT_TEXT(err.message, "progress.json: cannot open");
    mem_free(whole);
}

/* One process replaces the file without pause, this one reads it. */
static void test_whole(void)
{
    struct progress_state p = sample(), got;
    EXPECT(progress_write(path, &p, fence, &err) == 0, "%s", err.message);
    pid_t child = fork();
    for (int i = 0; child == 0 && i < 2000; i++) {
        memset(p.error, 'x', (size_t)i % 1000);
        p.error[i % 1000] = 0;
        if (progress_write(path, &p, fence, &err)) _exit(1);
    }
    if (child == 0) _exit(0);
    int reads = 0, status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (progress_read(path, &got, &err)) break;
        reads++;
    }
    if (!WIFEXITED(status)) waitpid(child, &status, 0);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the writer failed");
    EXPECT(reads > 10, "only %d readings: %s", reads, err.message);
}

int main(void)
{
    EXPECT(mkdtemp(folder) != NULL, "no temporary folder");
    path = path_join(folder, "progress.json");
    for (int i = 0; i < 3; i++) fence_close(fence), fence = fence_raise(folder, &err);
    EXPECT(fence != NULL, "%s", err.message);
    test_round_trip();
    test_damage();
    test_whole();
    EXPECT(progress_write("/nowhere/progress.json", &(struct progress_state){0}, fence, &err) == -1, "written nowhere");
    EXPECT_TEXT(err.message, "/nowhere/progress.json: cannot be written");
    struct fence *newer = fence_raise(folder, &err);
    EXPECT(progress_write(path, &(struct progress_state){0}, fence, &err) == -1 && fence_lost(fence), "an older copy tells its progress");
    EXPECT_TEXT(err.message, "attempt 4 has taken over");
    fence_close(newer);
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    mem_free(path);
    fence_close(fence);
    return check_verdict();
}
