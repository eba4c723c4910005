/* library.c - see library.h. */
#include "base/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

void *library_open(const char *name, const char *folder, struct error *err)
{
    char path[1024], why[600];
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    snprintf(why, sizeof why, "%s", library ? "" : dlerror());
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!library && *folder) library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) error_set(err, "%s", why); /* where users would put it, not where the build found it */
    return library;
}

bool library_find(void *field, void *library, const char *function, struct error *err)
{
    void *address = dlsym(library, function);
    if (!address) return error_set(err, "the library has no %s", function) == 0;
    memcpy(field, &address, sizeof address);
    return true;
}
