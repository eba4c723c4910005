/* input.h - one pixel of the network's input in one store: three channels, then zeros up to 16 bytes. */
#ifndef OPS_CUDA_INPUT_H
#define OPS_CUDA_INPUT_H
#include "ops/cuda/device.h"

static __device__ __forceinline__ void pixel_store(float *p, float red, float green, float blue) { *(float4 *)p = float4{red, green, blue, 0}; }
static __device__ __forceinline__ void pixel_store(bf16 *p, float red, float green, float blue)
{
    *(uint4 *)p = uint4{half_pair(red, green), half_pair(blue, 0), 0, 0};
}
#endif
