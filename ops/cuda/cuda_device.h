/* cuda_device.h - this process's one GPU: its stream, its libraries' handles, its memory, and the repetition of a recorded step.
 *
 * DESIGN: one process drives one card through one stream, so calls run in the order in which they were made and nothing here locks. All
 * functions are called from the thread that opened the device. Buffers that are shared by all layers (scratch, cuDNN's workspace) grow when a
 * layer is made or first runs; what they outgrow is kept as long as a recording may use it. Inside a recording nothing may grow or wait.
 *
 * Failures of CUDA end the program with one line (cuda_calls.h); only opening and running out of memory are answers. */
#ifndef OPS_CUDA_CUDA_DEVICE_H
#define OPS_CUDA_CUDA_DEVICE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "ops/cuda/kernels.h"

/* ---- the card ---- */
struct device_facts {
    int index;              /* among those that this process sees */
    char name[256];
    int major, minor;       /* compute capability */
    int processors;
    int driver, runtime;    /* 13000 is 13.0 */
    size_t memory;
};
/* Cards that this process sees; -1 with err and hint when there is none to use. */
int cuda_device_count(struct error *err);
/* Takes the card number `index` (the local rank, as a rule). -1 with err and hint: no driver, one too old, no card, a card older than
 * compute capability 8.0, a library missing. Opening the same card again does nothing. */
int cuda_open(int index, struct error *err);
void cuda_close(void);
bool cuda_is_open(void);
const struct device_facts *device_facts(void);
char *device_text(void); /* card, compute capability and driver: what a library's choice depends on besides itself; mem_free */
cuda_stream device_stream(void);
/* Waits until everything queued is done; ends the program when that takes longer than the limit (a card that stands still, a kernel that does
 * not end), instead of waiting for ever as CUDA does. Off at first: 0 s. */
void device_wait(void);
void device_set_limit(double seconds);

/* f32 products in TF32 (tensor cores, 10 bits of mantissa). Off at first; for layers made afterwards. */
void device_set_tf32(bool on);
bool device_tf32(void);

/* ---- memory: see struct ops ---- */
void *device_alloc(size_t bytes);
void device_free(void *memory);
size_t device_room(void);
void device_upload(void *to, const void *host, size_t bytes);
void device_download(void *host, const void *from, size_t bytes);
void device_copy(void *to, const void *from, size_t bytes);
void device_zero(void *memory, size_t bytes);

/* ---- shared buffers: a call uses them and leaves nothing behind ---- */
enum scratch {
    SCRATCH_DNN,     /* cuDNN's workspace */
    SCRATCH_KERNEL,  /* partial sums of the own kernels */
    SCRATCH_X, SCRATCH_Y, /* dense or padded twins of operands */
    SCRATCH_WEIGHTS, SCRATCH_BIAS,
    SCRATCH_SUMS,    /* of channels, that a convolution takes */
    SCRATCH_PARTS,   /* of sums over shards */
    SCRATCH_INPUT,   /* pictures in f32 */
    SCRATCH_COUNT
};
void *device_scratch(enum scratch which, size_t bytes);
/* Rows of `lanes` elements, of which the first `used` are written by the caller and the others are 0. Its own buffer, for the network's
 * input: unlike the others it keeps what was written. */
void *device_stem(size_t bytes, int used, int lanes, enum dtype dtype);

/* ---- parameters in bf16 ---- */
void device_parameters_set(const float *arena, int64_t count, enum dtype dtype);
/* [first, first + count) of the arena was changed: its bf16 twin follows. Does nothing for what is not in the arena. */
void device_parameters_changed(const float *first, int64_t count);
/* The same position in the arena's bf16 twin; NULL when there is none. */
const uint16_t *device_bf16_of(const float *parameter);

/* ---- recordings: see struct ops. The first call runs the body, the second records it as one CUDA graph, all later ones repeat that. ---- */
struct recording;
void device_replay(struct recording **r, void (*body)(void *context), void *context);
void device_recording_free(struct recording *r);
bool device_recording(void); /* a body is being recorded now */
void device_set_capture(bool on); /* off: the body runs each time. On at first. */
#endif
