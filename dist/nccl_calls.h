/* nccl_calls.h - private to dist/: every function of NCCL's, and of CUDA's beside it, that the `nccl` kind calls, in one table.
 *
 * DESIGN: NCCL is loaded when a run first needs it, so that the program starts on machines without it. The CUDA runtime is the one that the
 * program is linked with (ops/cuda/cuda_calls.h). Tests put functions of their own here (tests/tools/fake_nccl.h). */
#ifndef DIST_NCCL_CALLS_H
#define DIST_NCCL_CALLS_H
#include <cuda_runtime_api.h>
#include <nccl.h>

#include "base/error.h"

#define NCCL_CALLS(X)                                                                                                              \
    X(ncclGetUniqueId) X(ncclCommInitRankConfig) X(ncclCommGetAsyncError) X(ncclCommAbort) X(ncclCommDestroy) X(ncclAllReduce)      \
    X(ncclAllGather) X(ncclGetErrorString) X(ncclGetLastError)
#define NCCL_CUDA_CALLS(X)                                                                                                         \
    X(cudaDeviceGetPCIBusId) X(cudaStreamCreateWithFlags) X(cudaStreamDestroy) X(cudaStreamWaitEvent) X(cudaEventCreateWithFlags)   \
    X(cudaEventDestroy) X(cudaEventRecord) X(cudaEventQuery) X(cudaGetErrorString)

struct nccl_calls {
#define NCCL_FIELD(name) __typeof__(&name) name;
    NCCL_CUDA_CALLS(NCCL_FIELD) /* always there */
    NCCL_CALLS(NCCL_FIELD)      /* NULL until nccl_load */
#undef NCCL_FIELD
};
extern struct nccl_calls nccl;

/* Once loaded, it stays. -1 with err and hint. Not collective. */
int nccl_load(struct error *err);
#endif
