/* dnnl_layers.h - the entries of ops_cpu that oneDNN does; contract in ops/ops.h. */
#ifndef OPS_CPU_DNNL_LAYERS_H
#define OPS_CPU_DNNL_LAYERS_H
#include "ops/ops.h"

struct conv *cpu_conv_create(const struct conv_spec *spec, int n, bool training, const struct conv *like, struct error *err);
void cpu_conv_close(struct conv *c);
size_t cpu_conv_weight_count(const struct conv *c);
void cpu_conv_weight_import(const struct conv *c, float *stored, const float *oihw);
void cpu_conv_weight_export(const struct conv *c, float *oihw, const float *stored);
void cpu_conv_forward(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights, const float *bias,
                      int shards);
void cpu_conv_backward_data(struct conv *c, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards);
void cpu_conv_backward_weights(struct conv *c, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy,
                               int shards);
void cpu_conv_describe(const struct conv *c, char *text, size_t bytes);

struct linear *cpu_linear_create(const struct linear_spec *spec, int n, bool training, const struct linear *like,
                                 struct error *err);
void cpu_linear_close(struct linear *l);
size_t cpu_linear_weight_count(const struct linear *l);
void cpu_linear_weight_import(const struct linear *l, float *stored, const float *torch_order);
void cpu_linear_weight_export(const struct linear *l, float *torch_order, const float *stored);
void cpu_linear_forward(struct linear *l, const struct tensor *y, const struct tensor *x, const float *weights,
                        const float *bias, int shards);
void cpu_linear_backward_data(struct linear *l, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards);
void cpu_linear_backward_weights(struct linear *l, float *dweights, float *dbias, const struct tensor *x,
                                 const struct tensor *dy, int shards);
#endif
