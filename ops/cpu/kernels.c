/* kernels.c - own vector code for all that oneDNN does not do, or does slowly. Compiled once for each instruction set
 * with -DKERNEL_ISA=baseline|avx2|avx512; the only symbol of the object is the table kernels_<isa> (ops/cpu/cpu.h).
 *
 * These kernels are bound by memory: each reads its operands once and writes its result once, in memory order, with no
 * temporaries but small sums and tiles on the threads' stacks. vector.h has the vectors, kernels_walk.inc the walk that
 * serves both layouts, the other files the operations.
 */
#include <omp.h>
#include <stdbool.h>
#include <string.h>
#include "base/random.h"
#include "ops/cpu/cpu.h"
#include "ops/cpu/vector.h"
#include "ops/host/host.h"

#include "ops/cpu/kernels_walk.inc"

#include "ops/cpu/kernels_norm.inc"

#include "ops/cpu/kernels_pool.inc"

#include "ops/cpu/kernels_se.inc"

#include "ops/cpu/kernels_element.inc"

#include "ops/cpu/kernels_depthwise.inc"

#define NAME_OF(isa) kernels_##isa
#define TABLE(isa) NAME_OF(isa)
#define TEXT_OF(isa) #isa
#define TEXT(isa) TEXT_OF(isa)

const struct kernels TABLE(KERNEL_ISA) = {
    .isa = TEXT(KERNEL_ISA),
    .ops = {
        HOST_ENTRIES,
        .norm_sums = norm_sums,
        .norm_forward = norm_forward,
        .norm_backward_sums = norm_backward_sums,
        .norm_backward = norm_backward,
        .maxpool_forward = maxpool_forward,
        .maxpool_backward = maxpool_backward,
        .avgpool_forward = avgpool_forward,
        .avgpool_backward = avgpool_backward,
        .se_forward = se_forward,
        .se_backward = se_backward,
        .relu_backward = relu_backward,
        .dropout = dropout,
        .add = add,
        .input = input,
    },
    .depthwise_backward_weights = depthwise_backward_weights,
    .copy = copy,
};
