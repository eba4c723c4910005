/* memory.c - the only file that calls malloc: aligned for the vector kernels, and never NULL. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"

enum { ALIGNMENT = 64, PIECE = 1 << 21, LONG_ROW = 1 << 26 };

static void *checked(void *p, size_t bytes)
{
    CHECK_HINT(p, "lower the batch, or ask for more memory", "out of memory: asked for %zu bytes (%.1f MiB), peak so far %.1f MiB",
               bytes, (double)bytes / 1048576, (double)mem_peak_bytes() / 1048576);
    return p;
}

void *mem_alloc(size_t bytes)
{
    size_t room = bytes ? (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
    return checked(room >= bytes ? aligned_alloc(ALIGNMENT, room) : NULL, bytes);
}

/* Long rows by all threads: the kernel must make their pages. */
void mem_clear(void *memory, size_t bytes)
{
    char *p = memory;
    if (bytes < LONG_ROW) {
        memset(p, 0, bytes);
        return;
    }
#pragma omp parallel for
    for (size_t at = 0; at < bytes; at += PIECE) memset(p + at, 0, bytes - at < PIECE ? bytes - at : PIECE);
}

void *mem_zero(size_t bytes)
{
    void *p = mem_alloc(bytes);
    mem_clear(p, bytes);
    return p;
}

void *mem_grow(void *old, size_t old_bytes, size_t new_bytes)
{
    void *p = mem_alloc(new_bytes);
    if (old) memcpy(p, old, old_bytes < new_bytes ? old_bytes : new_bytes);
    free(old);
    return p;
}

char *mem_string(const char *text)
{
    if (!text) return NULL;
    size_t bytes = strlen(text) + 1;
    return memcpy(checked(malloc(bytes), bytes), text, bytes); /* no vector kernel reads strings, and there may be millions */
}

char *mem_format(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(length >= 0);
    char *text = mem_alloc((size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

void mem_free(void *p)
{
    free(p);
}

size_t mem_peak_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}
