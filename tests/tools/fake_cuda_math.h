/* fake_cuda_math.h - what fake_cuda.c needs of fake_cuda_math.c, and that of fake_matmul.c. */
#ifndef TESTS_FAKE_CUDA_MATH_H
#define TESTS_FAKE_CUDA_MATH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ops/tensor.h"

void fake_math_install(void);
void fake_matmul_install(void);

/* Elements in memory. */
static inline double load(const void *p, bool bf16, size_t i) { return bf16 ? bf16_to_float(((const uint16_t *)p)[i]) : ((const float *)p)[i]; }
static inline void store(void *p, bool bf16, size_t i, double v)
{
    if (bf16) ((uint16_t *)p)[i] = bf16_from_float((float)v);
    else ((float *)p)[i] = (float)v;
}
#endif
