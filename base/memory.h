/* memory.h - allocation that cannot fail quietly. The only file that calls malloc. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H
#include <stddef.h>
#include <stdint.h>

/* 64-byte aligned, not cleared; never NULL (dies, saying how much was asked). `bytes` may be 0. */
void *mem_alloc(size_t bytes);
/* The same, cleared. */
void *mem_zero(size_t bytes);
/* Sets bytes to 0, long rows with all threads. */
void mem_clear(void *memory, size_t bytes);
/* Keeps the old contents; alignment stays 64. `old` may be NULL. */
void *mem_grow(void *old, size_t old_bytes, size_t new_bytes);
char *mem_string(const char *text); /* copy; NULL stays NULL */
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void mem_free(void *p); /* NULL is fine */

#define NEW(type) ((type *)mem_zero(sizeof(type)))
#define NEW_ARRAY(type, count) ((type *)mem_zero((size_t)(count) * sizeof(type)))

/* Largest resident set of this process so far, in bytes (getrusage). */
size_t mem_peak_bytes(void);
/* How much more this process may use now: free memory of the machine (MemAvailable), or what its control groups (a Slurm job's
 * limit) leave, whichever is less. 0 when the system does not say. */
size_t mem_room_bytes(void);
#endif
