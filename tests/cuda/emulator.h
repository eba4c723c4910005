/* emulator.h - what tests ask of the kernels that run on the host (ops/cuda/cuda_host.h). */
#ifndef TESTS_CUDA_EMULATOR_H
#define TESTS_CUDA_EMULATOR_H
#include <stdbool.h>
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
/* Blocks and threads of later launches run from the last to the first. */
void emulator_reverse(bool reverse);
/* Later launches are handed to `queue` (fake_queue of tests/tools/fake_cuda.h), to be run or kept. NULL: they run at once. */
void emulator_queue(void (*queue)(void (*f)(const void *launch), const void *launch, size_t bytes));
/* sums[0..64): of each warp lane the sum over its warp, by shuffles; [64]: of all threads, through shared memory. */
void probe_sums(float sums[65]);
/* Wrong on purpose: one thread stays away from a barrier; threads meet at two barriers; a lane stays away from a shuffle; the result
 * depends on which thread comes first. */
enum probe { PROBE_ABSENT, PROBE_TWO_BARRIERS, PROBE_SHUFFLE, PROBE_RACE };
void probe_wrong(enum probe which, int *value);
#ifdef __cplusplus
}
#endif
#endif
