/* memory_plan.c - greedy-by-size placement (Pisarchyk & Lee 2020, "Efficient memory management for deep neural net
 * inference"): within a few percent of the peak lower bound on these networks, and simple. */
#include "models/memory_plan.h"

#include <stdlib.h>

#include "base/memory.h"

enum { ALIGN = 64 };

static const struct block *sort_blocks; /* qsort has no context; planning runs on one thread */

static int larger_first(const void *a, const void *b)
{
    const struct block *x = &sort_blocks[*(const int *)a], *y = &sort_blocks[*(const int *)b];
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return *(const int *)a - *(const int *)b;
}

static int lower_first(const void *a, const void *b)
{
    const struct block *x = &sort_blocks[*(const int *)a], *y = &sort_blocks[*(const int *)b];
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static size_t round_up(size_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }

/* Lowest offset where `b` fits between the neighbours that live at the same time (sorted by offset). */
static size_t lowest_gap(const struct block *blocks, const int *neighbours, int count, size_t bytes)
{
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        const struct block *o = &blocks[neighbours[i]];
        if (at + bytes <= o->offset) break;
        size_t end = o->offset + round_up(o->bytes);
        if (end > at) at = end;
    }
    return at;
}

size_t memory_plan(struct block *blocks, int count)
{
    int *order = NEW_ARRAY(int, count), *neighbours = NEW_ARRAY(int, count);
    size_t arena = 0;
    for (int i = 0; i < count; i++) order[i] = i;
    sort_blocks = blocks;
    qsort(order, (size_t)count, sizeof *order, larger_first);
    for (int i = 0; i < count; i++) {
        struct block *b = &blocks[order[i]];
        b->offset = 0;
        if (b->last < b->first || b->bytes == 0) continue;
        int n = 0;
        for (int j = 0; j < i; j++) {
            const struct block *o = &blocks[order[j]];
            if (o->last >= o->first && o->bytes && o->first <= b->last && b->first <= o->last) neighbours[n++] = order[j];
        }
        qsort(neighbours, (size_t)n, sizeof *neighbours, lower_first);
        b->offset = lowest_gap(blocks, neighbours, n, round_up(b->bytes));
        if (b->offset + round_up(b->bytes) > arena) arena = b->offset + round_up(b->bytes);
    }
    mem_free(order);
    mem_free(neighbours);
    return arena;
}
