/* library.h - libraries that are loaded when they are first needed, so that the program starts on machines without them. */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H
#include <stdbool.h>
#include "base/error.h"

/* By the loader's rules (LD_LIBRARY_PATH, `module load`), else from `folder`, "" for none. It stays loaded. NULL with err. */
void *library_open(const char *name, const char *folder, struct error *err);
/* Stores the address of a function into `field`, a pointer to functions; false with err when the library has none of that name. */
bool library_find(void *field, void *library, const char *function, struct error *err);
#endif
