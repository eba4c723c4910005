/* pool.c - see pool.h. Memory comes in blocks that ask for the system's large pages; where it has none they are as any other. */
#include "base/pool.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/memory.h"

enum { ALIGNMENT = 64, LARGE_PAGE = 1 << 21, BLOCK_BYTES = 1 << 25 };

struct block {
    struct block *next;
    void *memory;
    uint8_t *at, *end; /* what is left */
};

struct pool {
    pthread_mutex_t lock;
    struct block *blocks; /* the newest first */
};

struct pool *pool_open(void)
{
    struct pool *p = NEW(struct pool);
    CHECK(pthread_mutex_init(&p->lock, NULL) == 0, "no lock for a pool");
    return p;
}

static void add_block(struct pool *p, size_t bytes)
{
    struct block *b = NEW(struct block);
    size_t room = ((bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES) + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
    b->memory = mem_alloc(room + LARGE_PAGE);
    b->at = (uint8_t *)(((uintptr_t)b->memory + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE);
    b->end = b->at + room;
    madvise(b->at, room, MADV_HUGEPAGE); /* advice: it may fail */
    b->next = p->blocks;
    p->blocks = b;
}

void *pool_take(struct pool *p, size_t bytes)
{
    size_t room = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    pthread_mutex_lock(&p->lock);
    if (!p->blocks || (size_t)(p->blocks->end - p->blocks->at) < room) add_block(p, room);
    void *piece = p->blocks->at;
    p->blocks->at += room;
    pthread_mutex_unlock(&p->lock);
    return piece;
}

void pool_close(struct pool *p)
{
    if (!p) return;
    for (struct block *b = p->blocks, *next; b; b = next) {
        next = b->next;
        mem_free(b->memory);
        mem_free(b);
    }
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}
