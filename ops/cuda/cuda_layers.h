/* cuda_layers.h - convolution and linear layers of the CUDA backend (contracts: ops/ops.h), and what they share. */
#ifndef OPS_CUDA_CUDA_LAYERS_H
#define OPS_CUDA_CUDA_LAYERS_H
#include "ops/ops.h"
#include "ops/cuda/cuda_device.h"

/* May convolutions sum what they write? On at first; for layers made afterwards. */
void cuda_conv_set_sums(bool on);
struct conv *cuda_conv_create(const struct conv_spec *spec, int n, bool training, const struct conv *like, struct error *err);
void cuda_conv_expect(struct conv *c, int n, bool training);
void cuda_conv_close(struct conv *c);
size_t cuda_conv_weight_count(const struct conv *c);
void cuda_conv_weight_import(const struct conv *c, float *stored, const float *oihw); /* both on the host */
void cuda_conv_weight_export(const struct conv *c, float *oihw, const float *stored);
void cuda_conv_forward(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights, const float *bias, int shards);
void cuda_conv_forward_sums(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights, double *const sums[], int shards);
void cuda_conv_forward_batch(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights, const struct norm_memory *m,
                             const struct norm_spec *spec, double *sum, double *sum_squares, double count);
void cuda_conv_backward_data(struct conv *c, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards);
void cuda_conv_backward_weights(struct conv *c, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy, int shards);
void cuda_conv_backward(struct conv *c, const struct tensor *dx, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy,
                        const float *weights, int shards);
void cuda_conv_describe(const struct conv *c, char *text, size_t bytes);

struct linear *cuda_linear_create(const struct linear_spec *spec, int n, bool training, const struct linear *like, struct error *err);
void cuda_linear_expect(struct linear *l, int n, bool training);
void cuda_linear_close(struct linear *l);
size_t cuda_linear_weight_count(const struct linear *l);
void cuda_linear_weight_import(const struct linear *l, float *stored, const float *torch_order); /* both on the host */
void cuda_linear_weight_export(const struct linear *l, float *torch_order, const float *stored);
void cuda_linear_forward(struct linear *l, const struct tensor *y, const struct tensor *x, const float *weights, const float *bias, int shards);
void cuda_linear_backward_data(struct linear *l, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards);
void cuda_linear_backward_weights(struct linear *l, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy, int shards);

/* ---- operands ---- */
/* Parameters as `dtype`: themselves, their place in the bf16 twin, or (of what is in no arena) a copy in a shared buffer. */
const void *parameters_as(const float *parameters, size_t count, enum dtype dtype, enum scratch where);
void bias_gradient(float *dbias, const struct tensor *dy);

/* ---- sums over shards: part 0 is the result itself, the others lie in a shared buffer ---- */
enum { PARTS_SHARDS_MAX = 64 };
struct parts {
    float *weights[PARTS_SHARDS_MAX], *bias[PARTS_SHARDS_MAX]; /* bias: NULL when there is none */
    size_t weight_count, bias_count;
    int shards;
};
void parts_start(struct parts *p, float *dweights, size_t weight_count, float *dbias, size_t bias_count, int shards);
void parts_zero(const struct parts *p, int shard); /* a shard without images */
void parts_sum(const struct parts *p);
#endif
