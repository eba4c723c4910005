/* pool.h - memory that is taken in pieces and given back as a whole: pictures by the thousand, at a page fault for every 2 MiB. */
#ifndef BASE_POOL_H
#define BASE_POOL_H
#include <stddef.h>

struct pool;
struct pool *pool_open(void);
void pool_close(struct pool *p); /* and all its pieces; NULL is fine */
/* 64-byte aligned, not cleared; like mem_alloc never NULL. Thread safe. */
void *pool_take(struct pool *p, size_t bytes);
#endif
