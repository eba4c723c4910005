/* host.c - memory, and the order of things: on the host a call has happened when it returns. */
#include "ops/host/host.h"

#include <string.h>

#include "base/memory.h"

int host_device(void) { return 0; }
void *host_stream(void) { return NULL; }
void host_tune(const struct ops_tuning *tuning) { (void)tuning; }

void host_describe(char *text, size_t bytes)
{
    if (bytes) *text = 0;
}

int host_input_channels(enum dtype dtype)
{
    (void)dtype;
    return 3;
}

int host_attach(int device, struct error *err)
{
    (void)device, (void)err;
    return 0;
}

void *host_alloc(size_t bytes) { return mem_alloc(bytes); }
void host_free(void *memory) { mem_free(memory); }
void host_zero(void *memory, size_t bytes) { mem_clear(memory, bytes); }

void host_copy(void *to, const void *from, size_t bytes)
{
    if (bytes) memcpy(to, from, bytes);
}

void host_parameters_set(const float *arena, int64_t count, enum dtype dtype)
{
    (void)arena, (void)count, (void)dtype;
}

void host_replay(struct recording **r, void (*body)(void *context), void *context)
{
    (void)r;
    body(context);
}

void host_recording_free(struct recording *r)
{
    ASSERT(r == NULL); /* nothing is ever recorded */
}
