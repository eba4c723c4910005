/* test_dist_stop.c - a signal becomes a flag; the second Ctrl-C ends the process at once. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "dist/stop.h"

static int status_of_two_interrupts(void)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        stop_install("none");
        raise(SIGINT);
        raise(SIGINT);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return status;
}

int main(void)
{
    static const struct { const char *name; int signal_number; const char *reason; } cases[] = {
        {"term", SIGTERM, "SIGTERM"}, {"usr1", SIGUSR1, "SIGUSR1"}, {"usr2", SIGUSR2, "SIGUSR2"}, {"none", SIGINT, "SIGINT"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stop_install(cases[i].name);
        EXPECT(!stop_asked() && !strcmp(stop_reason(), ""), "%s: nothing yet", cases[i].name);
        raise(cases[i].signal_number);
        EXPECT(stop_asked() && !strcmp(stop_reason(), cases[i].reason), "%s: '%s'", cases[i].name, stop_reason());
        stop_clear();
    }
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGUSR2);
    sigprocmask(SIG_BLOCK, &held, NULL);
    raise(SIGUSR2); /* before we were there to catch it */
    stop_install("usr2");
    EXPECT(stop_asked() && !strcmp(stop_reason(), "SIGUSR2"), "held back: '%s'", stop_reason());
    stop_clear();
    raise(SIGTERM);
    EXPECT(stop_asked() && !strcmp(stop_reason(), "SIGTERM"), "TERM, too: '%s'", stop_reason());
    stop_clear();
    int status = status_of_two_interrupts();
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGINT, "status %d", status);
    return check_verdict();
}
