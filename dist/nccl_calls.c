/* nccl_calls.c - see nccl_calls.h. */
#ifdef LADNN_HAVE_NCCL
#include "dist/nccl_calls.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#ifndef LADNN_NCCL_LIBRARIES
#define LADNN_NCCL_LIBRARIES "" /* where the build found NCCL */
#endif

#define NCCL_LINKED(name) .name = name,
struct nccl_calls nccl = {NCCL_CUDA_CALLS(NCCL_LINKED)};

static void *open_library(const char *name, char *why, size_t bytes)
{
    char path[1024];
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    snprintf(why, bytes, "%s", library ? "" : dlerror());
    snprintf(path, sizeof path, "%s/%s", LADNN_NCCL_LIBRARIES, name);
    return library || !*LADNN_NCCL_LIBRARIES ? library : dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static bool find(void *field, void *library, const char *name, struct error *err)
{
    void *address = dlsym(library, name);
    if (!address) return error_set(err, "libnccl.so.2 has no %s", name) == 0;
    memcpy(field, &address, sizeof address);
    return true;
}

#define NCCL_FIND(name) &&find(&nccl.name, library, #name, err)

int nccl_load(struct error *err)
{
    char why[600];
    if (nccl.ncclCommInitRankConfig) return 0;
    void *library = open_library("libnccl.so.2", why, sizeof why);
    if (!library) {
        error_set(err, "NCCL is not there: %s", why);
        return error_hint(err, "module load nccl, or --set dist.backend=mpi, which sums through the host");
    }
    if (true NCCL_CALLS(NCCL_FIND)) return 0;
    nccl.ncclCommInitRankConfig = NULL;
    return error_hint(err, "NCCL 2.14 or newer is needed");
}
#endif
