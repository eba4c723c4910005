/* fake_nccl.c - see fake_nccl.h. */
#include "tests/tools/fake_nccl.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "dist/nccl_calls.h"
#include "ops/tensor.h"
#include "tests/tools/fake_cuda.h"

static MPI_Comm world;
static MPI_Request under_way = MPI_REQUEST_NULL;

struct sum {
    const void *from;
    void *to;
    size_t count;
    MPI_Datatype type;
    bool gather;
};

static void add_bf16(void *in, void *inout, int *count, MPI_Datatype *type)
{
    const uint16_t *a = in;
    uint16_t *b = inout;
    (void)type;
    for (int i = 0; i < *count; i++) b[i] = bf16_from_float(bf16_to_float(a[i]) + bf16_to_float(b[i]));
}

static void start(const void *arguments)
{
    const struct sum *s = arguments;
    int count = (int)s->count;
    static MPI_Op of_bf16;
    if (!of_bf16) MPI_Op_create(add_bf16, 1, &of_bf16);
    if (s->type == MPI_UINT16_T) MPI_Iallreduce(MPI_IN_PLACE, s->to, count, s->type, of_bf16, world, &under_way);
    else if (s->gather) MPI_Iallgather(s->from, count, s->type, s->to, count, s->type, world, &under_way);
    else MPI_Iallreduce(s->from == s->to ? MPI_IN_PLACE : s->from, s->to, count, s->type, MPI_SUM, world, &under_way);
}

static bool done(void)
{
    int flag;
    MPI_Test(&under_way, &flag, MPI_STATUS_IGNORE);
    return flag;
}

static MPI_Datatype type_of(ncclDataType_t type) { return type == ncclFloat64 ? MPI_DOUBLE : type == ncclBfloat16 ? MPI_UINT16_T : MPI_FLOAT; }

static ncclResult_t queue(struct sum s, cudaStream_t stream)
{
    if (!stream) return ncclInvalidArgument;
    fake_queue_until(start, &s, sizeof s, done);
    return ncclSuccess;
}
static ncclResult_t all_reduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
    if (!comm || op != ncclSum || (type == ncclBfloat16 && from != to)) return ncclInvalidArgument;
    return queue((struct sum){from, to, count, type_of(type), false}, stream);
}
static ncclResult_t all_gather(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream)
{
    if (!comm) return ncclInvalidArgument;
    return queue((struct sum){from, to, count, type_of(type), true}, stream);
}

static ncclResult_t unique_id(ncclUniqueId *id) { return snprintf(id->internal, sizeof id->internal, "fake"), ncclSuccess; }
static ncclResult_t init(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config)
{
    int size, mine;
    MPI_Comm_dup(MPI_COMM_WORLD, &world);
    MPI_Comm_size(world, &size), MPI_Comm_rank(world, &mine);
    *comm = (ncclComm_t)mem_alloc(1);
    if (size != ranks || mine != rank || config->blocking || id.internal[0] != 'f') return ncclInvalidArgument;
    return ncclInProgress;
}
static ncclResult_t async_error(ncclComm_t comm, ncclResult_t *result) { return *result = ncclSuccess, comm ? ncclSuccess : ncclInvalidArgument; }
static ncclResult_t destroy(ncclComm_t comm)
{
    while (!fake_progress()) continue;
    MPI_Comm_free(&world);
    mem_free(comm);
    return ncclSuccess;
}
static const char *error_string(ncclResult_t result) { return (void)result, "fake"; }
static const char *last_error(ncclComm_t comm) { return (void)comm, ""; }

static cudaError_t bus_id(char *id, int bytes, int device)
{
    const char *local = getenv("OMPI_COMM_WORLD_LOCAL_RANK");
    return snprintf(id, (size_t)bytes, "0000:%02d:00.%d", getenv("LADNN_SHARED_CARD") || !local ? 0 : atoi(local), device), cudaSuccess;
}
static cudaError_t stream_create(cudaStream_t *s, unsigned flags) { return (void)flags, *s = (cudaStream_t)mem_alloc(1), cudaSuccess; }
static cudaError_t stream_destroy(cudaStream_t s) { return mem_free(s), cudaSuccess; }
static cudaError_t stream_wait(cudaStream_t s, cudaEvent_t e, unsigned flags) { return (void)flags, s && e ? cudaSuccess : cudaErrorInvalidValue; }
static cudaError_t event_create(cudaEvent_t *e, unsigned flags) { return (void)flags, *e = (cudaEvent_t)mem_alloc(1), cudaSuccess; }
static cudaError_t event_destroy(cudaEvent_t e) { return mem_free(e), cudaSuccess; }
static cudaError_t event_record(cudaEvent_t e, cudaStream_t s) { return e && s ? cudaSuccess : cudaErrorInvalidValue; }
static cudaError_t event_query(cudaEvent_t e) { return !e ? cudaErrorInvalidValue : fake_progress() ? cudaSuccess : cudaErrorNotReady; }
static const char *cuda_error_string(cudaError_t e) { return (void)e, "fake"; }

void fake_nccl_install(void)
{
    nccl = (struct nccl_calls){.cudaDeviceGetPCIBusId = bus_id, .cudaStreamCreateWithFlags = stream_create, .cudaStreamDestroy = stream_destroy,
                               .cudaStreamWaitEvent = stream_wait, .cudaEventCreateWithFlags = event_create, .cudaEventDestroy = event_destroy,
                               .cudaEventRecord = event_record, .cudaEventQuery = event_query, .cudaGetErrorString = cuda_error_string,
                               .ncclGetUniqueId = unique_id, .ncclCommInitRankConfig = init, .ncclCommGetAsyncError = async_error,
                               .ncclCommAbort = destroy, .ncclCommDestroy = destroy, .ncclAllReduce = all_reduce, .ncclAllGather = all_gather,
                               .ncclGetErrorString = error_string, .ncclGetLastError = last_error};
}
