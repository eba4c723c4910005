/* ops.c - finds a backend by name; the order in which virtual shards are summed. */
#include "ops/ops.h"
#ifdef LADNN_HAVE_CUDA
#include "ops/cuda/backend.h"
#endif

#include <string.h>

const struct ops *ops_find(const char *name, struct error *err)
{
    if (!strcmp(name, "ref")) return &ops_ref;
    if (!strcmp(name, "cpu")) return ops_cpu();
#ifdef LADNN_HAVE_CUDA
    if (!strcmp(name, "cuda")) return ops_cuda();
#else
    if (!strcmp(name, "cuda")) {
        error_set(err, "this ladnn was built without the GPU path");
        error_hint(err, "build again where CMake finds CUDA and cuDNN: module load cuda cudnn, or set CUDA_HOME");
        return NULL;
    }
#endif
    error_set(err, "unknown backend '%s': ref, cpu or cuda", name);
    return NULL;
}

/* Largest power of two below n (n > 1): where the tree over [0, n) splits. */
static int split_point(int n)
{
    int half = 1;
    while (2 * half < n) half *= 2;
    return half;
}

void shard_tree_sum(float *const parts[], int shards, size_t count)
{
    if (shards < 2) return;
    int half = split_point(shards);
    shard_tree_sum(parts, half, count);
    shard_tree_sum(parts + half, shards - half, count);
    float *to = parts[0];
    const float *from = parts[half];
    for (size_t i = 0; i < count; i++) to[i] += from[i];
}

void shard_tree_sum_double(double *const parts[], int shards, size_t count)
{
    if (shards < 2) return;
    int half = split_point(shards);
    shard_tree_sum_double(parts, half, count);
    shard_tree_sum_double(parts + half, shards - half, count);
    for (size_t i = 0; i < count; i++) parts[0][i] += parts[half][i];
}

int conv_out_size(int in, int kernel, int stride, int padding)
{
    int room = in + 2 * padding - kernel;
    return room < 0 ? 0 : room / stride + 1; /* the kernel does not fit: no output */
}
