/* host.h - what the backends whose memory is the host's have in common: memory itself, the numbers between the passes of a
 * normalisation, the loss and the optimiser. A few values per channel, image or parameter: plain loops, sums in double. */
#ifndef OPS_HOST_HOST_H
#define OPS_HOST_HOST_H
#include "base/memory.h"
#include "ops/ops.h"

/* Those entries of a backend's table. */
#define HOST_ENTRIES                                                                                                              \
    .on_host = true, .attach = host_attach, .device = host_device, .stream = host_stream, .tune = host_tune, .describe = host_describe, .input_channels = host_input_channels, .alloc = host_alloc, .free = host_free, .room = mem_room_bytes, .zero = host_zero, .upload = host_copy,      \
    .download = host_copy, .copy = host_copy, .parameters_set = host_parameters_set, .replay = host_replay,                       \
    .recording_free = host_recording_free, .tree_sum = shard_tree_sum, .tree_sum_double = shard_tree_sum_double,                  \
    .narrow = host_narrow, .norm_statistics = host_norm_statistics, .norm_frozen = host_norm_frozen,                              \
    .norm_means = host_norm_means, .drop_rows = host_drop_rows, .loss = loss_on_host, .norm_of = host_norm_of, .update = host_update

int host_device(void);
void *host_stream(void);
void host_tune(const struct ops_tuning *tuning);
void host_describe(char *text, size_t bytes);
int host_input_channels(enum dtype dtype);
int host_attach(int device, struct error *err);
void *host_alloc(size_t bytes);
void host_free(void *memory);
void host_zero(void *memory, size_t bytes);
void host_copy(void *to, const void *from, size_t bytes);
void host_parameters_set(const float *arena, int64_t count, enum dtype dtype);
void host_replay(struct recording **r, void (*body)(void *context), void *context);
void host_recording_free(struct recording *r);

void host_norm_statistics(const struct norm_memory *m, const struct norm_spec *spec, const double *sum, const double *sum_squares, double count);
void host_norm_frozen(const struct norm_memory *m, const struct norm_spec *spec);
void host_norm_means(float *mean_g, float *mean_gx, const double *sum_g, const double *sum_gx, int c, double count);
void host_narrow(float *to, const double *from, size_t count);
void host_drop_rows(float *row_scale, const uint64_t *row_key, int images, double p, uint64_t layer);

void host_norm_of(double *norm, const float *gradients, int64_t count);
void host_update(float *parameters, float *m, float *v, const float *gradients, int64_t count, const struct optim_spec *spec,
                 const struct optim_now *now, const double *norm);
#endif
