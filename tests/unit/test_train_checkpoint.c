/* ctest: timeout=180 */
/* test_train_checkpoint.c - the newest whole checkpoint is found whatever happened: kill -9 of the writer at a hundred random
 * moments, damage, folders left over, the same step twice, a disk that fills up. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "check.h"
#include "train/checkpoint.h"

static struct error err;
enum { COUNT = 1 << 16 };
static float weights[COUNT];
static double position[2];
static const struct tensor_entry entries[] = {
    {.name = "weights", .type = TENSOR_F32, .ndim = 1, .dims = {COUNT}, .data = weights},
    {.name = "position", .type = TENSOR_F64, .ndim = 1, .dims = {2}, .data = position},
};

static int save(const char *run, int64_t step, int keep)
{
    static const struct tensor_attribute note = {"note", "a test"};
    for (int i = 0; i < COUNT; i++) weights[i] = (float)(step + i);
    position[0] = (double)step;
    return checkpoint_write(run, step, keep, entries, 2, &note, 1, NULL, &err);
}

/* Step of the newest whole one, whose contents are that step's; -1: none. */
static int64_t newest(const char *run, struct text *damaged)
{
    char *path;
    int64_t step;
    float *loaded = NEW_ARRAY(float, COUNT);
    struct tensor_entry e = entries[0];
    e.data = loaded;
    EXPECT(checkpoint_newest(run, &path, &step, damaged, &err) == 0, "%s", err.message);
    if (path) {
        struct tensor_file *f = tensor_file_open(path, &err);
        EXPECT(f && tensor_file_read(f, &e, &err) == 0, "%s", err.message);
        int wrong = 0;
        for (int i = 0; i < COUNT; i++) wrong += loaded[i] != (float)(step + i);
        EXPECT(wrong == 0, "step %lld: %d wrong values", (long long)step, wrong);
        tensor_file_close(f);
    }
    mem_free(loaded);
    mem_free(path);
    return step;
}

static int folders(const char *run, const char *start)
{
    char *path = path_join(run, "checkpoints"), **names;
    int count, matching = 0;
    EXPECT(folder_list(&names, &count, path, &err) == 0, "%s", err.message);
    for (int i = 0; i < count; i++) matching += !strncmp(names[i], start, strlen(start));
    folder_list_free(names, count);
    mem_free(path);
    return matching;
}

static void flip(const char *run, const char *file, off_t at)
{
    char *path = mem_format("%s/checkpoints/%s", run, file);
    uint8_t byte;
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1, "%s", path);
    byte ^= 16;
    CHECK(pwrite(fd, &byte, 1, at) == 1, "%s", path);
    close(fd);
    mem_free(path);
}

static void test_keep_and_damage(const char *run)
{
    struct text damaged = {NULL, 0, 0};
    EXPECT(newest(run, &damaged) == -1 && !damaged.length, "no folder yet");
    for (int step = 10; step <= 50; step += 10) EXPECT(save(run, step, 3) == 0, "%s", err.message);
    EXPECT(newest(run, &damaged) == 50 && !damaged.length && folders(run, "") == 3, "%d are kept", folders(run, ""));
    flip(run, "step-0000000050/state.h5", 200000);
    flip(run, "step-0000000040/SHA256", 5);
    EXPECT(newest(run, &damaged) == 30, "the damaged ones are passed over");
    EXPECT_TEXT(damaged.data, "step-0000000050/state.h5: is damaged: wrong checksum of tensor 'weights'");
    EXPECT_TEXT(damaged.data, "step-0000000040/SHA256");
    EXPECT(save(run, 35, 1) == 0, "%s", err.message);
    text_clear(&damaged);
    EXPECT(newest(run, &damaged) == 35 && folders(run, "") == 3, "keep 1: later ones stay, earlier ones go");
    EXPECT(save(run, 50, 1) == 0, "a damaged one is written again: %s", err.message);
    text_clear(&damaged);
    EXPECT(newest(run, &damaged) == 50 && !damaged.length && folders(run, "") == 1, "only the last: %s", damaged.data);
    text_free(&damaged);
}

/* What a kill between the two renames leaves. */
static void test_replaced_twice(const char *run)
{
    struct text damaged = {NULL, 0, 0};
    char *from = mem_format("%s/checkpoints/step-0000000050", run), *to = mem_format("%s.old", from);
    EXPECT(file_rename(from, to, &err) == 0 && newest(run, &damaged) == 50, "the one put aside is used");
    EXPECT(save(run, 50, 1) == 0 && newest(run, &damaged) == 50 && folders(run, "") == 1, "and goes in the end");
    char *left = mem_format("%s/checkpoints/tmp-write-60-1", run);
    EXPECT(folder_create(left, &err) == 0 && newest(run, &damaged) == 50 && folders(run, "tmp-") == 0, "leftovers go");
    EXPECT(!damaged.length, "%s", damaged.data);
    mem_free(from);
    mem_free(to);
    mem_free(left);
    text_free(&damaged);
}

/* ---- kill -9 ---- */

/* Writes checkpoints without end; tells the number of each that stands. */
static void write_for_ever(const char *run, int64_t step, int tell)
{
    for (;; step++) {
        if (save(run, step, 2)) _exit(2);
        if (save(run, step, 2)) _exit(2); /* the same step again: replaced */
        if (write(tell, &step, sizeof step) != sizeof step) _exit(2);
    }
}

static void test_kills(const char *run)
{
    enum { KILLS = 100 };
    struct random r = random_stream((uint64_t)time(NULL), RANDOM_TEST, 0, 0);
    struct text damaged = {NULL, 0, 0};
    int64_t stood = 50;
    for (int kill_number = 0; kill_number < KILLS; kill_number++) {
        int ends[2], status;
        CHECK(pipe(ends) == 0, "no pipe");
        pid_t writer = fork();
        if (writer == 0) write_for_ever(run, stood + 1, ends[1]);
        close(ends[1]);
        usleep((useconds_t)random_below(&r, 60000));
        kill(writer, SIGKILL);
        waitpid(writer, &status, 0);
        EXPECT(WIFSIGNALED(status), "the writer has ended by itself: status %d", status);
        int64_t told;
        while (read(ends[0], &told, sizeof told) == sizeof told) stood = told;
        close(ends[0]);
        int64_t found = newest(run, &damaged);
        EXPECT(found == stood || found == stood + 1, "%lld stood, %lld was found", (long long)stood, (long long)found);
        EXPECT(!damaged.length && folders(run, "tmp-") == 0, "nothing damaged, nothing left: %s", damaged.length ? damaged.data : "");
        stood = found;
    }
    printf("%d kills, %lld checkpoints\n", KILLS, (long long)stood - 50);
    text_free(&damaged);
}

static void test_full_disk(const char *folder)
{
    char *run = path_join(folder, "disk");
    struct text damaged = {NULL, 0, 0};
    CHECK(folder_create(run, &err) == 0, "%s", err.message);
    if (mount("tmpfs", run, "tmpfs", 0, "size=900k") == 0) { /* room for two, but a third must stand before one goes */
        EXPECT(save(run, 1, 2) == 0 && save(run, 2, 2) == 0, "%s", err.message);
        EXPECT(save(run, 3, 2) == -1, "the disk is full");
        EXPECT_TEXT(err.message, "state.h5: cannot write: No space left on device");
        EXPECT(folders(run, "tmp-") == 0 && newest(run, &damaged) == 2 && !damaged.length, "the earlier ones stand");
        umount(run);
    } else {
        printf("note: no mount here, the full disk was not tried\n");
    }
    mem_free(run);
}

int main(void)
{
    char folder[] = "checkpoint-XXXXXX";
    CHECK(mkdtemp(folder), "cannot make a folder here");
    char *run = path_join(folder, "run");
    CHECK(folder_create(run, &err) == 0, "%s", err.message);
    test_keep_and_damage(run);
    test_replaced_twice(run);
    test_kills(run);
    test_full_disk(folder);
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    mem_free(run);
    return check_verdict();
}
