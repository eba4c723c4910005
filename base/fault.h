/* fault.h - moments at which the worst can happen. A test program ends itself there (tests/tools/fault_points.c takes this function's place when
 * it is linked); in `ladnn` they are empty calls, outside of anything that is done often. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H
void fault_point(const char *name);
#endif
