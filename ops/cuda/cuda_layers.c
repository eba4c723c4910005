/* cuda_layers.c - see cuda_layers.h. */
#include "ops/cuda/cuda_layers.h"

const void *parameters_as(const float *parameters, size_t count, enum dtype dtype, enum scratch where)
{
    if (!parameters || dtype == DTYPE_F32) return parameters;
    const uint16_t *twin = device_bf16_of(parameters);
    if (twin) return twin;
    uint16_t *copy = device_scratch(where, sizeof *copy * count);
    launch_round(copy, parameters, (int64_t)count, device_stream());
    return copy;
}

void bias_gradient(float *dbias, const struct tensor *dy)
{
    launch_channel_sum(dbias, dy, device_scratch(SCRATCH_KERNEL, channel_sums_scratch(dy)), device_stream());
}

void parts_start(struct parts *p, float *dweights, size_t weight_count, float *dbias, size_t bias_count, int shards)
{
    enum { ALIGN = 16 }; /* floats */
    ASSERT(shards <= PARTS_SHARDS_MAX);
    size_t weights = (weight_count + ALIGN - 1) / ALIGN * ALIGN, bias = dbias ? (bias_count + ALIGN - 1) / ALIGN * ALIGN : 0;
    float *memory = shards > 1 ? device_scratch(SCRATCH_PARTS, sizeof(float) * (weights + bias) * (size_t)(shards - 1)) : NULL;
    p->weight_count = weight_count, p->bias_count = bias_count, p->shards = shards;
    for (int s = 0; s < shards; s++) {
        float *part = s ? memory + (size_t)(s - 1) * (weights + bias) : NULL;
        p->weights[s] = s ? part : dweights;
        p->bias[s] = !dbias ? NULL : s ? part + weights : dbias;
    }
}

void parts_zero(const struct parts *p, int shard)
{
    device_zero(p->weights[shard], sizeof(float) * p->weight_count);
    if (p->bias[shard]) device_zero(p->bias[shard], sizeof(float) * p->bias_count);
}

void parts_sum(const struct parts *p)
{
    if (p->shards < 2) return;
    launch_tree_sum(p->weights, p->shards, p->weight_count, device_stream());
    if (p->bias[0]) launch_tree_sum(p->bias, p->shards, p->bias_count, device_stream());
}
