/* stop.c - signal handlers that only set a flag. */
#include "dist/stop.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

static volatile sig_atomic_t came; /* the signal's number, or 0 */
static volatile sig_atomic_t interrupts;

static void on_signal(int signal_number)
{
    enum { EXIT_SIGNAL = 128 }; /* the shell's exit status for a signal */
    if (signal_number == SIGINT && ++interrupts > 1) _exit(EXIT_SIGNAL + SIGINT);
    came = signal_number;
}

static void catch_signal(int signal_number)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART; /* a read or write under way goes on */
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(signal_number, &action, NULL) == 0, "cannot catch %s", strsignal(signal_number));
    sigset_t caught; /* whoever started us may have held it back until now */
    sigemptyset(&caught);
    sigaddset(&caught, signal_number);
    sigprocmask(SIG_UNBLOCK, &caught, NULL);
}

void stop_install(const char *name)
{
    static const struct { const char *name; int signal_number; } warnings[] = {
        {"none", 0}, {"term", SIGTERM}, {"usr1", SIGUSR1}, {"usr2", SIGUSR2}};
    size_t i = 0, count = sizeof warnings / sizeof *warnings;
    while (i < count && strcmp(name, warnings[i].name)) i++;
    CHECK(i < count, "unknown stop signal '%s': none, term, usr1 or usr2", name);
    if (warnings[i].signal_number) {
        catch_signal(warnings[i].signal_number);
        catch_signal(SIGTERM); /* scancel, a preemption, the end of who watches us */
    }
    catch_signal(SIGINT);
}

bool stop_asked(void)
{
    return came != 0;
}

const char *stop_reason(void)
{
    switch (came) {
    case SIGINT: return "SIGINT";
    case SIGTERM: return "SIGTERM";
    case SIGUSR1: return "SIGUSR1";
    case SIGUSR2: return "SIGUSR2";
    default: return "";
    }
}

void stop_clear(void)
{
    came = 0;
    interrupts = 0;
}
