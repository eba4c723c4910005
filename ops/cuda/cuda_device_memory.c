/* cuda_device_memory.c - memory of the card, buffers that all layers share, and the parameters' bf16 twin, see cuda_device.h. */
#include <string.h>

#include "base/memory.h"
#include "ops/cuda/cuda_device_private.h"

/* ---- plain memory ---- */

void *device_alloc(size_t bytes)
{
    void *memory = NULL;
    ASSERT(device.open && !device.recording);
    cudaError_t status = cuda.cudaMalloc(&memory, bytes ? bytes : 1);
    if (status == cudaErrorMemoryAllocation) {
        cuda.cudaGetLastError();
        return NULL;
    }
    CHECK(status == cudaSuccess, "CUDA: %zu bytes: %s", bytes, cuda.cudaGetErrorString(status));
    device_zero(memory, bytes);
    return memory;
}

void device_free(void *memory)
{
    if (!memory) return;
    ASSERT(!device.recording);
    CUDA_CHECK(cudaFree(memory)); /* waits for what uses it */
}

size_t device_room(void)
{
    size_t free_bytes = 0, total = 0;
    CUDA_CHECK(cudaMemGetInfo(&free_bytes, &total));
    return free_bytes;
}

void device_zero(void *memory, size_t bytes)
{
    if (bytes) CUDA_CHECK(cudaMemsetAsync(memory, 0, bytes, device.stream));
}

void device_copy(void *to, const void *from, size_t bytes)
{
    if (bytes) CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, device.stream));
}

/* ---- between host and card: through two pinned pieces, uploads fill one while the other travels ---- */

enum { PIECE = 8 << 20, PIECES = 2, COPY_BLOCK = 1 << 18 };
static struct {
    char *piece[PIECES];
    cudaEvent_t gone[PIECES];
    int next;
} staging;

static void copy_threaded(char *to, const char *from, size_t bytes)
{
    int64_t blocks = (int64_t)((bytes + COPY_BLOCK - 1) / COPY_BLOCK);
#pragma omp parallel for schedule(static) if (blocks > 3)
    for (int64_t b = 0; b < blocks; b++) {
        size_t at = (size_t)b * COPY_BLOCK, left = bytes - at;
        memcpy(to + at, from + at, left < COPY_BLOCK ? left : COPY_BLOCK);
    }
}

void device_upload(void *to, const void *host, size_t bytes)
{
    ASSERT(!device.recording); /* a repetition would not see what the host has by then */
    for (size_t at = 0; at < bytes; at += PIECE) {
        int i = staging.next;
        size_t part = bytes - at < PIECE ? bytes - at : PIECE;
        staging.next = (i + 1) % PIECES;
        device_wait_for(staging.gone[i]);
        copy_threaded(staging.piece[i], (const char *)host + at, part);
        CUDA_CHECK(cudaMemcpyAsync((char *)to + at, staging.piece[i], part, cudaMemcpyHostToDevice, device.stream));
        CUDA_CHECK(cudaEventRecord(staging.gone[i], device.stream));
    }
}

/* From the card's memory to the host's own CUDA would copy while the caller stands inside, with no limit: so to pinned memory first. */
void device_download(void *host, const void *from, size_t bytes)
{
    ASSERT(!device.recording);
    for (size_t at = 0; at < bytes; at += PIECE) {
        size_t part = bytes - at < PIECE ? bytes - at : PIECE;
        CUDA_CHECK(cudaMemcpyAsync(staging.piece[0], (const char *)from + at, part, cudaMemcpyDeviceToHost, device.stream));
        device_wait();
        copy_threaded((char *)host + at, staging.piece[0], part);
    }
    if (!bytes) device_wait();
}

/* ---- shared buffers ---- */

struct buffer {
    void *data;
    size_t bytes;
};
static struct {
    struct buffer of[SCRATCH_COUNT], stem;
    int stem_used, stem_lanes;
    enum dtype stem_dtype;
    void **retired;
    int retired_count;
} scratch;

static void retire(void *memory)
{
    if (!memory) return;
    scratch.retired = mem_grow(scratch.retired, sizeof(void *) * (size_t)scratch.retired_count, sizeof(void *) * (size_t)(scratch.retired_count + 1));
    scratch.retired[scratch.retired_count++] = memory;
    if (!device.recordings) device_retired_free();
}

void device_retired_free(void)
{
    for (int i = 0; i < scratch.retired_count; i++) device_free(scratch.retired[i]);
    scratch.retired_count = 0;
}

static void *buffer_room(struct buffer *b, size_t bytes)
{
    enum { GRAIN = 1 << 16 };
    if (bytes <= b->bytes) return b->data;
    ASSERT(!device.recording); /* the first run of a body has met all sizes */
    size_t wanted = (bytes + GRAIN - 1) / GRAIN * GRAIN;
    retire(b->data);
    *b = (struct buffer){device_alloc(wanted), wanted};
    CHECK_HINT(b->data, "a smaller batch, or another process is using the card", "the GPU has no %zu MiB left for working memory", wanted >> 20);
    return b->data;
}

void *device_scratch(enum scratch which, size_t bytes) { return buffer_room(&scratch.of[which], bytes); }

void *device_stem(size_t bytes, int used, int lanes, enum dtype dtype)
{
    bool same = scratch.stem_used == used && scratch.stem_lanes == lanes && scratch.stem_dtype == dtype;
    if (!same) { /* other lanes were written: recordings go on with the old ones */
        ASSERT(!device.recording);
        retire(scratch.stem.data);
        scratch.stem = (struct buffer){0};
        scratch.stem_used = used, scratch.stem_lanes = lanes, scratch.stem_dtype = dtype;
    }
    return buffer_room(&scratch.stem, bytes); /* fresh memory is 0 */
}

/* ---- the parameters' bf16 twin ---- */

static struct {
    const float *arena;
    int64_t count;
    uint16_t *twin;
} parameters;

void device_parameters_set(const float *arena, int64_t count, enum dtype dtype)
{
    bool wanted = arena && dtype == DTYPE_BF16;
    if (!wanted || count != parameters.count) {
        retire(parameters.twin);
        parameters.twin = NULL;
        parameters.count = 0;
    }
    parameters.arena = wanted ? arena : NULL;
    if (!wanted) return;
    if (!parameters.twin) parameters.twin = device_alloc(sizeof(uint16_t) * (size_t)count);
    CHECK(parameters.twin, "the GPU has no %zu MiB left for the parameters in bf16", sizeof(uint16_t) * (size_t)count >> 20);
    parameters.count = count;
    device_parameters_changed(arena, count);
}

const uint16_t *device_bf16_of(const float *parameter)
{
    bool inside = parameters.arena && parameter >= parameters.arena && parameter < parameters.arena + parameters.count;
    return inside ? parameters.twin + (parameter - parameters.arena) : NULL;
}

void device_parameters_changed(const float *first, int64_t count)
{
    const uint16_t *twin = device_bf16_of(first);
    if (twin && count) launch_round((uint16_t *)twin, first, count, device.stream);
}

/* ---- opening and closing ---- */

void device_memory_open(void)
{
    for (int i = 0; i < PIECES; i++) {
        CUDA_CHECK(cudaHostAlloc((void **)&staging.piece[i], PIECE, cudaHostAllocDefault));
        CUDA_CHECK(cudaEventCreateWithFlags(&staging.gone[i], cudaEventDisableTiming));
    }
}

void device_memory_close(void)
{
    if (device.stream) cuda.cudaStreamSynchronize(device.stream);
    for (int i = 0; i < PIECES; i++) {
        if (staging.gone[i]) cuda.cudaEventDestroy(staging.gone[i]);
        if (staging.piece[i]) cuda.cudaFreeHost(staging.piece[i]);
    }
    for (int i = 0; i < SCRATCH_COUNT; i++) cuda.cudaFree(scratch.of[i].data);
    cuda.cudaFree(scratch.stem.data);
    cuda.cudaFree(parameters.twin);
    device_retired_free();
    mem_free(scratch.retired);
    memset(&staging, 0, sizeof staging);
    memset(&scratch, 0, sizeof scratch);
    memset(&parameters, 0, sizeof parameters);
}
