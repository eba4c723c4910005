/* Whole or absent: a write that fails in any way leaves the old file and no stray one. */
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "tests/unit/check.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/ladnn-file-XXXXXX";

static int entries(const char *path)
{
    char **names;
    int count = -1;
    if (folder_list(&names, &count, path, NULL)) return -1;
    folder_list_free(names, count);
    return count;
}

static void expect_content(const char *path, const char *want)
{
    struct error err = {0};
    uint8_t *data;
    size_t bytes;
    EXPECT(file_read(&data, &bytes, path, &err) == 0, "%s", err.message);
    EXPECT(data && bytes == strlen(want) && !strcmp((char *)data, want), "%s holds %zu bytes", path, bytes);
    mem_free(data);
}

static void write_and_replace(const char *path)
{
    struct error err = {0};
    EXPECT(file_write_atomic(path, "old", 3, &err) == 0, "%s", err.message);
    expect_content(path, "old");
    EXPECT(file_write_atomic(path, "newer", 5, &err) == 0, "%s", err.message);
    expect_content(path, "newer");
    EXPECT(file_write_atomic(path, "", 0, &err) == 0, "%s", err.message);
    expect_content(path, "");
    EXPECT(file_write_atomic(path, "old", 3, &err) == 0, "%s", err.message);
    EXPECT(entries(folder) == 1, "stray files: %d entries", entries(folder));
}

/* The temporary name leads to /dev/full, which has never room. */
static void full_disk(const char *path)
{
    struct error err = {0};
    char *temporary = mem_format("%s.tmp-%ld", path, (long)getpid());
    if (access("/dev/full", W_OK) == 0 && symlink("/dev/full", temporary) == 0) {
        EXPECT(file_write_atomic(path, "new", 3, &err) == -1, "a full disk goes unnoticed");
        EXPECT_TEXT(err.message, "No space left");
        EXPECT_TEXT(err.hint, "full");
        EXPECT(access("/dev/full", F_OK) == 0, "/dev/full is gone");
    }
    mem_free(temporary);
    expect_content(path, "old");
    EXPECT(entries(folder) == 1, "stray files: %d entries", entries(folder));
}

/* A limit on the size of files stops the write half way. */
static void half_written(const char *path)
{
    enum { LIMIT = 4096 };
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        static char big[3 * LIMIT];
        struct error err = {0};
        struct rlimit limit = {LIMIT, LIMIT};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit)) _exit(2);
        _exit(file_write_atomic(path, big, sizeof big, &err) == -1 && strstr(err.message, "cannot write") ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    expect_content(path, "old");
    EXPECT(entries(folder) == 1, "stray files: %d entries", entries(folder));
}

static void refuses_what_is_no_file(void)
{
    struct error err = {0};
    EXPECT(file_write_atomic("/dev/null", "x", 1, &err) == -1, "/dev/null was replaced");
    EXPECT_TEXT(err.message, "/dev/null: is not a regular file");
    EXPECT(file_write_atomic(folder, "x", 1, &err) == -1, "a folder was replaced");
    EXPECT(file_write_atomic("/tmp/ladnn-no-such-folder/x", "x", 1, &err) == -1, "written into nothing");
    EXPECT_TEXT(err.message, "No such file");
    uint8_t *data;
    size_t bytes;
    EXPECT(file_read(&data, &bytes, folder, &err) == -1 && !data, "a folder was read");
}

static void folders(void)
{
    struct error err = {0};
    char *deep = path_join(folder, "a/b//c/"), *a = path_join(folder, "a");
    EXPECT(folder_create(deep, &err) == 0 && path_is_folder(deep), "%s", err.message);
    EXPECT(folder_create(deep, &err) == 0, "a folder that exists: %s", err.message);
    char *file = path_join(deep, "f"), *below = path_join(file, "g");
    EXPECT(file_write_atomic(file, "x", 1, &err) == 0, "%s", err.message);
    EXPECT(folder_create(below, &err) == -1, "a folder below a file");
    EXPECT_TEXT(err.message, "c/f");
    EXPECT(folder_remove(file, &err) == -1, "folder_remove takes a file");
    EXPECT(folder_remove(a, &err) == 0 && !path_exists(a), "%s", err.message);
    EXPECT(folder_remove(a, &err) == 0, "a missing folder is fine: %s", err.message);
    EXPECT(!strcmp(path_base("x/y.h5"), "y.h5") && !strcmp(path_base("z"), "z"), "path_base");
    mem_free(below);
    mem_free(file);
    mem_free(a);
    mem_free(deep);
}

static void listing_is_sorted(void)
{
    struct error err = {0};
    char *list = path_join(folder, "list"), **names;
    int count;
    folder_create(list, &err);
    for (int i = 99; i >= 0; i--) {
        char *path = mem_format("%s/%02d", list, i * 37 % 100);
        file_write_atomic(path, "", 0, &err);
        mem_free(path);
    }
    EXPECT(folder_list(&names, &count, list, &err) == 0 && count == 100, "%s", err.message);
    for (int i = 1; i < count; i++) EXPECT(strcmp(names[i - 1], names[i]) < 0, "%s before %s", names[i - 1], names[i]);
    folder_list_free(names, count);
    EXPECT(folder_list(&names, &count, "/tmp/ladnn-no-such-folder", &err) == -1 && !names && !count, "listed nothing");
    folder_remove(list, &err);
    mem_free(list);
}

int main(void)
{
    struct error err = {0};
    if (!mkdtemp(folder)) return 1;
    char *path = path_join(folder, "file");
    write_and_replace(path);
    full_disk(path);
    half_written(path);
    refuses_what_is_no_file();
    folders();
    listing_is_sorted();
    mem_free(path);
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    return check_verdict();
}
