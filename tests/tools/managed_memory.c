/* managed_memory.c - stands in for base/memory.c in tests on a card: after managed_memory_start, memory is CUDA's managed memory, that host and card
 * both reach, so that cases written for the host meet the card's operations unchanged. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "ops/cuda/cuda_calls.h"
#include "tests/tools/managed_memory.h"

enum { HEAD = 256, CLASSES = 40, SLAB = 256 << 20 };
struct block { /* at the beginning of its HEAD bytes */
    struct block *next;
    int class; /* of 2^class bytes; -1: not managed */
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *unused[CLASSES];
static char *slab;
static size_t slab_left;
static int started;

void managed_memory_start(void) { started = 1; }

static void *managed(size_t bytes)
{
    void *p = NULL;
    CUDA_CHECK(cudaMallocManaged(&p, bytes, cudaMemAttachGlobal));
    return p;
}

static struct block *take(int class)
{
    size_t bytes = (size_t)1 << class;
    struct block *b = unused[class];
    if (b) {
        unused[class] = b->next;
        return b;
    }
    if (bytes > SLAB / 4) return managed(bytes);
    if (slab_left < bytes) slab = managed(SLAB), slab_left = SLAB;
    b = (struct block *)slab;
    slab += bytes, slab_left -= bytes;
    return b;
}

void *mem_alloc(size_t bytes)
{
    int class = 9;
    struct block *b;
    while ((size_t)1 << class < bytes + HEAD) class++;
    if (started) {
        pthread_mutex_lock(&lock);
        b = take(class);
        pthread_mutex_unlock(&lock);
    } else {
        b = aligned_alloc(HEAD, (size_t)1 << class);
        class = -1;
    }
    b->class = class;
    return (char *)b + HEAD;
}

void mem_free(void *p)
{
    if (!p) return;
    struct block *b = (struct block *)((char *)p - HEAD);
    if (b->class < 0) {
        free(b);
        return;
    }
    pthread_mutex_lock(&lock);
    b->next = unused[b->class];
    unused[b->class] = b;
    pthread_mutex_unlock(&lock);
}

void mem_clear(void *memory, size_t bytes) { memset(memory, 0, bytes); }
void *mem_zero(size_t bytes) { return memset(mem_alloc(bytes), 0, bytes); }

void *mem_grow(void *old, size_t old_bytes, size_t new_bytes)
{
    void *p = mem_alloc(new_bytes);
    if (old) memcpy(p, old, old_bytes < new_bytes ? old_bytes : new_bytes);
    mem_free(old);
    return p;
}

char *mem_string(const char *text) { return text ? memcpy(mem_alloc(strlen(text) + 1), text, strlen(text) + 1) : NULL; }

char *mem_format(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = mem_alloc((size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(args);
    va_end(again);
    return text;
}

size_t mem_peak_bytes(void) { return 0; }
