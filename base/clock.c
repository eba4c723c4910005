/* clock.c - monotonic durations and wall-clock stamps. */
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

double clock_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double clock_unix_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void clock_iso8601(char *text, size_t bytes)
{
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(text, bytes, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

void clock_duration(char *text, size_t bytes, double seconds)
{
    if (!(seconds >= 0 && seconds < 1e15)) {
        snprintf(text, bytes, "?");
        return;
    }
    long long s = llround(seconds);
    if (s < 3600)
        snprintf(text, bytes, "%lld:%02lld", s / 60, s % 60);
    else
        snprintf(text, bytes, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}
