/* kernels.h - the CUDA backend's own kernels, one launch function for each operation of ops/ops.h that is not a matrix product, and a few
 * that only this backend needs. Contracts are those of ops/ops.h unless said otherwise.
 *
 * Every pointer is to device memory, but those to structs and `parts` arrays, which are read before the call returns. Tensors are
 * LAYOUT_NHWC (or h = w = 1), f32 or bf16, and may be slices where ops.h allows it. When c, c_offset and c_total of all tensors are multiples
 * of 8 and memory is 16-byte aligned a thread moves 8 channels at a time; anything else works too, slower. At most 2^30 pixels a tensor.
 *
 * A call queues kernels on `stream`; it neither waits nor allocates. `scratch` is memory of at least as many bytes as the scratch function
 * says, 16-byte aligned, of any contents, free again when the call's kernels have run: one buffer serves a whole stream.
 *
 * Sums are made in two stages of fixed order, in double at the end, without atomics: bits depend on the shapes alone.
 * No images: tensors are left alone, sums are written as 0.
 *
 * The same sources compiled by a host compiler (cuda_host.h) run on the host: pointers are then the host's, `stream` is ignored.
 */
#ifndef OPS_CUDA_KERNELS_H
#define OPS_CUDA_KERNELS_H
#ifdef __cplusplus
extern "C" {
#endif
#include "ops/ops.h"

typedef void *cuda_stream; /* a cudaStream_t; NULL: the default stream */

/* ---- batch normalisation (kernels_norm.cu, kernels_norm_backward.cu) ---- */
/* Of launch_norm_sums, launch_norm_backward_sums and launch_channel_sum. */
size_t channel_sums_scratch(const struct tensor *x);
void launch_norm_sums(double *sum, double *sum_squares, const struct tensor *x, void *scratch, cuda_stream stream);
/* sum[c] of t over n, h, w, rounded to float: a bias gradient. t may be a slice. */
void launch_channel_sum(float *sum, const struct tensor *t, void *scratch, cuda_stream stream);
void launch_norm_statistics(const struct norm_memory *m, const struct norm_spec *spec, const double *sum, const double *sum_squares,
                            double count, cuda_stream stream);
void launch_norm_frozen(const struct norm_memory *m, const struct norm_spec *spec, cuda_stream stream);
void launch_norm_forward(const struct tensor *y, const struct tensor *x, const struct tensor *residual, const float *scale,
                         const float *shift, const float *row_scale, enum activation act, cuda_stream stream);
void launch_norm_backward_sums(double *sum_g, double *sum_gx, const struct tensor *dy, const struct tensor *dy2, const struct tensor *x,
                               const struct tensor *y, const float *mean, const float *inv_std, const float *scale, const float *shift,
                               const float *row_scale, enum activation act, void *scratch, cuda_stream stream);
void launch_norm_means(float *mean_g, float *mean_gx, const double *sum_g, const double *sum_gx, int c, double count, cuda_stream stream);
void launch_norm_backward(const struct tensor *dx, const struct tensor *g, const struct tensor *x, const float *mean,
                          const float *inv_std, const float *scale, const float *mean_g, const float *mean_gx, const float *row_scale,
                          bool add, cuda_stream stream);

/* Several of the above in one call each, with the same bits (struct ops: norm_batch, norm_backward_batch): two launches in place of three, and of five. Scratch is
 * that of the sums. */
void launch_norm_batch(const struct norm_memory *m, const struct norm_spec *spec, double *sum, double *sum_squares, const struct tensor *fresh,
                       double count, void *scratch, cuda_stream stream);
void launch_norm_backward_batch(float *dgamma, float *dbeta, float *mean_g, float *mean_gx, const struct tensor *dy, const struct tensor *dy2,
                                const struct tensor *x, const struct tensor *y, const struct norm_memory *m, const float *row_scale,
                                enum activation act, double count, void *scratch, cuda_stream stream);
/* launch_norm_sums and launch_norm_batch where a convolution has summed what it wrote: taken (2, c), the sums of its c channels and of their
 * squares. */
void launch_norm_sums_taken(double *sum, double *sum_squares, const float *taken, int c, cuda_stream stream);
void launch_norm_batch_taken(const struct norm_memory *m, const struct norm_spec *spec, double *sum, double *sum_squares, const float *taken, int c,
                             double count, cuda_stream stream);

/* ---- pooling (kernels_pool.cu) ---- */
void launch_maxpool_forward(const struct tensor *y, uint8_t *index, const struct tensor *x, const struct pool_spec *spec, cuda_stream stream);
void launch_maxpool_backward(const struct tensor *dx, const struct tensor *dy, const uint8_t *index, const struct pool_spec *spec, cuda_stream stream);
void launch_avgpool_forward(const struct tensor *y, const struct tensor *x, const struct pool_spec *spec, cuda_stream stream);
void launch_avgpool_backward(const struct tensor *dx, const struct tensor *dy, const struct pool_spec *spec, cuda_stream stream);

/* ---- depthwise convolution (kernels_depthwise*.cu): groups = in_c = out_c ----
 * Weights are f32 [k*k][c], tap after tap, in `stored` order; PyTorch's are (c, 1, k, k) = [c][k*k]: import and export are transposes.
 * Tuned for k = 3 and 5, stride 1 and 2, and 8 channels a thread; others run on a plain kernel. */
struct depthwise_spec { int kernel, stride, padding; bool relu; };
/* to (columns, rows) = from (rows, columns) transposed. Import: rows = c, columns = k*k; export: rows = k*k, columns = c. */
void launch_transpose(float *to, const float *from, int rows, int columns, cuda_stream stream);
/* y = conv(x) + bias, then max(0, .) when spec->relu. bias (c) or NULL. y may be a slice. */
void launch_depthwise_forward(const struct tensor *y, const struct tensor *x, const float *weights, const float *bias,
                              const struct depthwise_spec *spec, cuda_stream stream);
void launch_depthwise_backward_data(const struct tensor *dx, const struct tensor *dy, const float *weights,
                                    const struct depthwise_spec *spec, cuda_stream stream);
/* Of one shard. dweights [k*k][c] is overwritten. The bias gradient is launch_channel_sum of dy. */
size_t depthwise_weights_scratch(const struct tensor *dy, const struct depthwise_spec *spec);
void launch_depthwise_backward_weights(float *dweights, const struct tensor *x, const struct tensor *dy, const struct depthwise_spec *spec,
                                       void *scratch, cuda_stream stream);

/* ---- squeeze and excitation (kernels_se.cu) ---- */
/* Of both directions; `work` is what backward needs beside the `scratch` of ops.h. squeeze at most 512. */
size_t se_scratch(const struct tensor *x);
void launch_se_forward(const struct tensor *y, float *save, const struct tensor *x, const float *w1, const float *b1, const float *w2,
                       const float *b2, int squeeze, void *work, cuda_stream stream);
void launch_se_backward(const struct tensor *dx, float *dw1, float *db1, float *dw2, float *db2, const struct tensor *x,
                        const struct tensor *dy, const float *save, const float *w1, const float *w2, int squeeze, float *scratch,
                        void *work, cuda_stream stream);

/* ---- element by element (kernels_element.cu, kernels_input.cu) ---- */
void launch_relu_backward(const struct tensor *dy, const struct tensor *y, cuda_stream stream);
void launch_dropout(const struct tensor *y, const struct tensor *x, double p, const uint64_t *row_key, uint64_t layer, cuda_stream stream);
void launch_drop_rows(float *row_scale, const uint64_t *row_key, int images, double p, uint64_t layer, cuda_stream stream);
void launch_add(const struct tensor *y, const struct tensor *x, cuda_stream stream);
/* to = from, same shape and dtype; each may be a slice. */
void launch_copy(const struct tensor *to, const struct tensor *from, cuda_stream stream);
/* Channels of the network's input in memory: 3 and zeros up to 16 bytes, so that matrix engines can read it. */
int input_channels(enum dtype dtype);                                                    /* 8 for bf16, 4 for f32 */
struct tensor input_tensor(void *data, int n, int h, int w, enum dtype dtype);           /* c = 3, c_total = input_channels */
/* x (N, c, H, W), c_offset 0, from f32 NCHW in device memory. Channels c .. c_total of x become 0. */
void launch_input(const struct tensor *x, const float *nchw, cuda_stream stream);

/* ---- pictures (kernels_augment.cu) ---- */
/* x: (N, 3, size, size) with c_offset 0 as launch_input fills it; pictures: N of them in device memory. Values are those of
 * augment_map_apply: positions are rounded alike, weights may differ in the last place. mean and deviation: on the host. */
void launch_augment(const struct tensor *x, const uint8_t *pool, const struct picture *pictures, const float mean[3],
                    const float deviation[3], cuda_stream stream);

/* ---- the ends of a step (kernels_loss.cu, kernels_update.cu) ---- */
void launch_loss(double *sums, float *dlogits, const float *logits, const float *targets, int images, int total_images,
                 const struct loss_spec *spec, cuda_stream stream);
size_t norm_of_scratch(int64_t count);
void launch_norm_of(double *norm, const float *gradients, int64_t count, void *scratch, cuda_stream stream);
/* copy: NULL, or count values of bf16 that become the new parameters, rounded (also when norm[0] is not finite: then the old ones are
 * there already and it is left alone). Pointers are 16-byte aligned. */
void launch_update(float *parameters, float *m, float *v, const float *gradients, int64_t count, const struct optim_spec *spec,
                   const struct optim_now *now, const double *norm, uint16_t *copy, cuda_stream stream);
void launch_tree_sum(float *const parts[], int shards, size_t count, cuda_stream stream);
void launch_tree_sum_double(double *const parts[], int shards, size_t count, cuda_stream stream);
void launch_narrow(float *to, const double *from, size_t count, cuda_stream stream);
/* to = from rounded to bf16. Pointers are 16-byte aligned. */
void launch_round(uint16_t *to, const float *from, int64_t count, cuda_stream stream);
/* The other way: exact. */
void launch_widen(float *to, const uint16_t *from, int64_t count, cuda_stream stream);
#ifdef __cplusplus
}
#endif
#endif
