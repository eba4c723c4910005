/* nccl_calls.c - see nccl_calls.h. */
#ifdef LADNN_HAVE_NCCL
#include "dist/nccl_calls.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/library.h"

#ifndef LADNN_NCCL_LIBRARIES
#define LADNN_NCCL_LIBRARIES "" /* where the build found NCCL */
#endif

#define NCCL_LINKED(name) .name = name,
struct nccl_calls nccl = {NCCL_CUDA_CALLS(NCCL_LINKED)};

#define NCCL_FIND(name) &&library_find(&nccl.name, library, #name, err)

int nccl_load(struct error *err)
{
    if (nccl.ncclCommInitRankConfig) return 0;
    void *library = library_open("libnccl.so.2", LADNN_NCCL_LIBRARIES, err);
    if (!library) {
        error_prefix(err, "NCCL is not there");
        return error_hint(err, "module load nccl, or --set dist.backend=mpi, which sums through the host");
    }
    if (true NCCL_CALLS(NCCL_FIND)) return 0;
    nccl.ncclCommInitRankConfig = NULL;
    error_prefix(err, "libnccl.so.2");
    return error_hint(err, "NCCL 2.14 or newer is needed");
}
#endif
