/* Errors as values, the one line of die, and the proof that the check helpers fail when they should. */
#include "base/error.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs `body` in a child; returns its exit status, and what it printed in `said`. */
static int in_child(void (*body)(void), char *said, size_t bytes)
{
    int ends[2];
    if (pipe(ends)) return -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        body();
        fflush(stdout);
        _exit(0);
    }
    close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while (used + 1 < bytes && (got = read(ends[0], said + used, bytes - 1 - used)) > 0) used += (size_t)got;
    said[used] = 0;
    close(ends[0]);
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void error_values(void)
{
    struct error err = {0};
    EXPECT(error_set(&err, "unknown lesion '%s'", "Foo") == -1, "returns -1");
    EXPECT(error_hint(&err, "did you mean '%s'?", "GGO") == -1, "returns -1");
    EXPECT(error_prefix(&err, "d0.csv:%d", 12) == -1, "returns -1");
    EXPECT(!strcmp(err.message, "d0.csv:12: unknown lesion 'Foo'"), "%s", err.message);
    EXPECT(!strcmp(err.hint, "did you mean 'GGO'?"), "%s", err.hint);
    error_set(&err, "again: %s", err.message); /* its own text as argument */
    EXPECT(!strcmp(err.message, "again: d0.csv:12: unknown lesion 'Foo'") && !*err.hint, "%s", err.message);
    for (int i = 0; i < 1000; i++) error_prefix(&err, "a long way");
    EXPECT(strlen(err.message) == sizeof err.message - 1, "cut to %zu", strlen(err.message));
    EXPECT(error_set(NULL, "x") == -1 && error_hint(NULL, "x") == -1 && error_prefix(NULL, "x") == -1, "NULL is fine");
}

static void dies_with_rank(void)
{
    die_rank_set(3);
    CHECK_HINT(1 + 1 == 3, "use a ruler", "the shard %s is short", "d0.h5");
}

static void dies_of_bug(void)
{
    ASSERT(1 == 2);
}

static void hook_to_7(int status)
{
    _exit(6 + status);
}

static void dies_by_hook(void)
{
    die_hook_set(hook_to_7);
    die("over");
}

static void hook_dies_too(int status)
{
    die("again %d", status);
}

static void dies_twice(void)
{
    die_hook_set(hook_dies_too);
    die("cause");
}

static void ways_to_die(void)
{
    char said[4096];
    EXPECT(in_child(dies_with_rank, said, sizeof said) == 1, "%s", said);
    EXPECT_TEXT(said, " rank 3 ");
    EXPECT_TEXT(said, "test_base_error.c:");
    EXPECT_TEXT(said, ": the shard d0.h5 is short\nhint: use a ruler\n");
    EXPECT(in_child(dies_of_bug, said, sizeof said) == 1, "%s", said);
    EXPECT_TEXT(said, "assertion failed: 1 == 2\nhint: this is a bug");
    EXPECT(strstr(said, "rank") == NULL, "%s", said);
    EXPECT(in_child(dies_by_hook, said, sizeof said) == 7, "%s", said);
    EXPECT(in_child(dies_twice, said, sizeof said) == 1, "%s", said);
    EXPECT_TEXT(said, "cause");
    EXPECT(strstr(said, "again") == NULL, "the cause is printed once: %s", said);
}

/* Each ends with the verdict of a test that had exactly one check. */
static void forget(void)
{
    check_failed = check_passed = 0;
}
static void good(void)
{
    forget();
    EXPECT(1, "fine");
    _exit(check_verdict());
}
static void false_condition(void)
{
    forget();
    EXPECT(0, "reason %d", 42);
    int verdict = check_verdict();
    fflush(stdout);
    _exit(verdict);
}
static void too_far(void)
{
    forget();
    EXPECT_NEAR(1.0, 1.1, 0.05);
    _exit(check_verdict());
}
static void not_a_number(void)
{
    forget();
    EXPECT_NEAR(NAN, 1, 1e9);
    _exit(check_verdict());
}
static void missing_text(void)
{
    forget();
    EXPECT_TEXT("abc", "x");
    _exit(check_verdict());
}
static void nothing_checked(void)
{
    forget();
    _exit(check_verdict());
}
static void one_of_two_fails(void)
{
    forget();
    EXPECT(0, "first");
    EXPECT(1, "second");
    _exit(check_verdict());
}

static void helpers_fail_when_they_should(void)
{
    void (*const failing[])(void) = {false_condition, too_far, not_a_number, missing_text, nothing_checked, one_of_two_fails};
    char said[4096];
    EXPECT(in_child(good, said, sizeof said) == 0, "a good test fails");
    for (size_t i = 0; i < sizeof failing / sizeof failing[0]; i++)
        EXPECT(in_child(failing[i], said, sizeof said) == 1, "helper %zu does not fail", i);
    in_child(false_condition, said, sizeof said);
    EXPECT_TEXT(said, "expected 0:  reason 42");
    EXPECT_TEXT(said, "0 passed, 1 failed");
}

int main(void)
{
    error_values();
    ways_to_die();
    helpers_fail_when_they_should();
    return check_verdict();
}
