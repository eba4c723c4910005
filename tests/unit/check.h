/* check.h - the test helpers: a failed EXPECT prints its line and is counted; the exit status is the verdict. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H
#include <math.h>
#include <stdio.h>
#include <string.h>

static int check_failed, check_passed;

#define EXPECT(condition, ...)                                              \
    do {                                                                    \
        if (condition) {                                                    \
            check_passed++;                                                 \
        } else {                                                            \
            check_failed++;                                                 \
            printf("%s:%d: expected %s: ", __FILE__, __LINE__, #condition); \
            printf(" " __VA_ARGS__);                                         \
            printf("\n");                                                   \
        }                                                                   \
    } while (0)
#define EXPECT_NEAR(got, want, limit)                                                                            \
    EXPECT(fabs((double)(got) - (double)(want)) <= (double)(limit), "got %.9g, want %.9g, difference %.3g, limit %.3g", \
           (double)(got), (double)(want), fabs((double)(got) - (double)(want)), (double)(limit))
#define EXPECT_TEXT(got, part) EXPECT(strstr((got), (part)) != NULL, "'%s' does not contain '%s'", (got), (part))

/* Ends a test's main. A test that checked nothing fails. */
static inline int check_verdict(void)
{
    printf("%d passed, %d failed\n", check_passed, check_failed);
    return check_failed || !check_passed;
}
#endif
