/* fault.c - nothing happens. In a file of its own, so that another fault_point can be linked instead. */
#include "base/fault.h"

void fault_point(const char *name) { (void)name; }
