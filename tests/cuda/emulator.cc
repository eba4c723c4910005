/* emulator.cc - kernels that try the emulator itself: right ones, and ones that it must refuse. */
#include "tests/cuda/emulator.h"

#include "ops/cuda/device.h"

void emulator_reverse(bool reverse) { host_reverse = reverse; }
void emulator_queue(void (*queue)(void (*f)(const void *launch), const void *launch, size_t bytes)) { host_queue = queue; }

static __global__ void sums_kernel(float *sums)
{
    __shared__ float cell[64];
    float v = (float)threadIdx.x, whole = 0, down = (float)threadIdx.x;
    cell[threadIdx.x] = v;
    for (int half = 16; half > 0; half /= 2) v += __shfl_xor_sync(FULL_WARP, v, half);
    for (int half = 16; half > 0; half /= 2) down += __shfl_down_sync(FULL_WARP, down, half);
    if (threadIdx.x % 32 == 0 && down != v) v = -1;
    __syncthreads();
    for (int i = 0; i < 64; i++) whole += cell[i];
    sums[threadIdx.x] = v;
    if (threadIdx.x == 63) sums[64] = whole;
}
void probe_sums(float sums[65]) { LAUNCH(sums_kernel, 2, 64, NULL, sums); }

static __global__ void wrong_kernel(enum probe which, int *value)
{
    __shared__ int last;
    if (which == PROBE_ABSENT && threadIdx.x != 5) __syncthreads();
    if (which == PROBE_SHUFFLE && threadIdx.x != 5) last = __shfl_down_sync(FULL_WARP, (int)threadIdx.x, 1);
    if (which == PROBE_TWO_BARRIERS) {
        if (threadIdx.x < 32)
            __syncthreads();
        else
            __syncthreads();
    }
    if (which == PROBE_RACE) {
        last = (int)threadIdx.x;
        __syncthreads();
    }
    *value = last;
}
void probe_wrong(enum probe which, int *value) { LAUNCH(wrong_kernel, 1, 64, NULL, which, value); }
