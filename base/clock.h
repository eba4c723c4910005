/* clock.h - time. Durations come from the monotonic clock; the wall clock is only for records people read. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include <stddef.h>
double clock_s(void);                          /* monotonic seconds */
double clock_unix_s(void);                     /* wall clock, seconds since 1970 */
void clock_iso8601(char *text, size_t bytes);  /* wall clock, UTC, "2026-11-23T09:17:39Z" */
void clock_duration(char *text, size_t bytes, double seconds); /* "1:02:03" or "0:35" */
#endif
