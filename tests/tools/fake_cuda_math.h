/* fake_cuda_math.h - what fake_cuda.c needs of fake_cuda_math.c. */
#ifndef TESTS_FAKE_CUDA_MATH_H
#define TESTS_FAKE_CUDA_MATH_H
void fake_math_install(void);
#endif
