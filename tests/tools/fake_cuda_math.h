/* fake_cuda_math.h - what fake_cuda.c needs of fake_cuda_dnn.c and fake_cuda_math.c, and they of each other. */
#ifndef TESTS_FAKE_CUDA_MATH_H
#define TESTS_FAKE_CUDA_MATH_H
#include <stdbool.h>

#include "ops/tensor.h"

void fake_dnn_install(void);
void fake_math_install(void);

/* Values in memory. */
static inline double fake_load(const void *p, bool bf16, size_t i) { return bf16 ? bf16_to_float(((const uint16_t *)p)[i]) : ((const float *)p)[i]; }
static inline void fake_store(void *p, bool bf16, size_t i, double v)
{
    if (bf16) ((uint16_t *)p)[i] = bf16_from_float((float)v);
    else ((float *)p)[i] = (float)v;
}
#endif
