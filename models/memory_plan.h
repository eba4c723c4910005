/* memory_plan.h - places buffers with known lifetimes in one arena. */
#ifndef MODELS_MEMORY_PLAN_H
#define MODELS_MEMORY_PLAN_H
#include <stddef.h>

struct block {
    size_t bytes;
    int first, last; /* steps, inclusive; last < first: never used, takes no room */
    size_t offset;   /* result, a multiple of 64 */
};
/* Greedy by size (largest first, lowest offset that is free during its whole life). Returns the arena's size. */
size_t memory_plan(struct block *blocks, int count);
#endif
