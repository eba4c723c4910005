/* ref.h - what the files of the reference backend share. Everything is f32 in LAYOUT_NCHW with sums in double; an (N, C)
 * matrix is the same memory in NCHW and NHWC. */
#ifndef OPS_REF_REF_H
#define OPS_REF_REF_H
#include "ops/ops.h"

/* Plane (h, w) of channel c of image n of a view. */
static inline float *ref_plane(const struct tensor *t, int n, int c)
{
    return (float *)t->data + ((size_t)n * (size_t)t->c_total + (size_t)(t->c_offset + c)) * (size_t)t->h * (size_t)t->w;
}
static inline size_t ref_pixels(const struct tensor *t) { return (size_t)t->h * (size_t)t->w; }

struct conv *ref_conv_create(const struct conv_spec *spec, int n, bool training, const struct conv *like, struct error *err);
void ref_conv_close(struct conv *c);
size_t ref_conv_weight_count(const struct conv *c);
void ref_conv_weight_import(const struct conv *c, float *stored, const float *oihw);
void ref_conv_weight_export(const struct conv *c, float *oihw, const float *stored);
void ref_conv_forward(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights, const float *bias, int shards);
void ref_conv_backward_data(struct conv *c, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards);
void ref_conv_backward_weights(struct conv *c, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy, int shards);
void ref_conv_describe(const struct conv *c, char *text, size_t bytes);

struct linear *ref_linear_create(const struct linear_spec *spec, int n, bool training, const struct linear *like, struct error *err);
void ref_linear_close(struct linear *l);
size_t ref_linear_weight_count(const struct linear *l);
void ref_linear_weight_import(const struct linear *l, float *stored, const float *torch_order);
void ref_linear_weight_export(const struct linear *l, float *torch_order, const float *stored);
void ref_linear_forward(struct linear *l, const struct tensor *y, const struct tensor *x, const float *weights, const float *bias, int shards);
void ref_linear_backward_data(struct linear *l, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards);
void ref_linear_backward_weights(struct linear *l, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy, int shards);

void ref_norm_sums(double *sum, double *sum_squares, const struct tensor *x);
void ref_norm_forward(const struct tensor *y, const struct tensor *x, const struct tensor *residual, const float *scale,
                      const float *shift, const float *row_scale, enum activation act);
void ref_norm_backward_sums(double *sum_g, double *sum_gx, const struct tensor *dy, const struct tensor *dy2, const struct tensor *x,
                            const struct tensor *y, const float *mean, const float *inv_std, const float *scale, const float *shift,
                            const float *row_scale, enum activation act);
void ref_norm_backward(const struct tensor *dx, const struct tensor *g, const struct tensor *x, const float *mean, const float *inv_std,
                       const float *scale, const float *mean_g, const float *mean_gx, const float *row_scale, bool add);

void ref_maxpool_forward(const struct tensor *y, uint8_t *index, const struct tensor *x, const struct pool_spec *spec);
void ref_maxpool_backward(const struct tensor *dx, const struct tensor *dy, const uint8_t *index, const struct pool_spec *spec);
void ref_avgpool_forward(const struct tensor *y, const struct tensor *x, const struct pool_spec *spec);
void ref_avgpool_backward(const struct tensor *dx, const struct tensor *dy, const struct pool_spec *spec);

void ref_se_forward(const struct tensor *y, float *save, const struct tensor *x, const float *w1, const float *b1, const float *w2,
                    const float *b2, int squeeze);
void ref_se_backward(const struct tensor *dx, float *dw1, float *db1, float *dw2, float *db2, const struct tensor *x,
                     const struct tensor *dy, const float *save, const float *w1, const float *w2, int squeeze, float *scratch);

void ref_relu_backward(const struct tensor *dy, const struct tensor *y);
void ref_dropout(const struct tensor *y, const struct tensor *x, double p, const uint64_t *row_key, uint64_t layer);
void ref_add(const struct tensor *y, const struct tensor *x);
void ref_input(const struct tensor *x, const float *nchw);
#endif
