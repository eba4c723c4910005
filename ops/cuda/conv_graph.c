/* conv_graph.c - see conv_graph.h. Activations, weights and bias have the type of the spec, statistics and gradients of weights are f32. */
#include "ops/cuda/conv_graph.h"

const char *const conv_fusion_names[CONV_FUSIONS] = {"plain",         "bias",         "bias + relu", "statistics", "norm + statistics",
                                                     "data gradient", "data gradient + relu", "weight gradient"};

struct sizes {
    int n, c, h, w, k, p, q; /* x is (n, c, h, w), y (n, k, p, q) */
    enum dnn_type type;
    struct dnn_window window;
};

static struct sizes sizes_of(const struct conv_place *place)
{
    const struct conv_spec *s = &place->spec;
    return (struct sizes){place->n, conv_lanes_round(s->in_c, s->dtype), s->in_h, s->in_w, conv_lanes_round(s->out_c, s->dtype),
                          conv_out_size(s->in_h, s->kernel, s->stride, s->padding), conv_out_size(s->in_w, s->kernel, s->stride, s->padding),
                          s->dtype == DTYPE_BF16 ? DNN_BF16 : DNN_F32, {s->kernel, s->stride, s->padding}};
}

static int tensor_x(struct dnn_graph *g, const struct conv_place *p, const struct sizes *s)
{
    return dnn_tensor(g, s->type, s->n, s->c, s->h, s->w, p->x_buffer_c);
}

static int tensor_y(struct dnn_graph *g, const struct conv_place *p, const struct sizes *s)
{
    return dnn_tensor(g, s->type, s->n, s->k, s->p, s->q, p->y_buffer_c);
}

/* No engine on tensor cores takes a slice for dy in the fused gradients: a DenseNet layer's 32 channels are copied out first. */
static int tensor_dy(struct dnn_graph *g, const struct sizes *s)
{
    return dnn_tensor(g, s->type, s->n, s->k, s->p, s->q, 0);
}

static int tensor_w(struct dnn_graph *g, const struct sizes *s)
{
    return dnn_tensor(g, s->type, s->k, s->c, s->window.kernel, s->window.kernel, 0);
}

static int per_channel(struct dnn_graph *g, enum dnn_type type, int channels)
{
    return dnn_tensor(g, type, 1, channels, 1, 1, 0);
}

static int virtual_y(struct dnn_graph *g, const struct sizes *s)
{
    return dnn_virtual(g, DNN_F32, s->n, s->k, s->p, s->q);
}

/* x, w, y, bias, in this order (conv_graph_ids). */
static void forward(struct dnn_graph *g, const struct conv_place *p, const struct sizes *s, bool bias, bool relu)
{
    int x = tensor_x(g, p, s), w = tensor_w(g, s), y = tensor_y(g, p, s);
    int b = bias ? per_channel(g, s->type, s->k) : -1, sum = bias ? virtual_y(g, s) : y, with_bias = relu ? virtual_y(g, s) : y;
    dnn_conv_forward(g, x, w, sum, s->window);
    if (bias) dnn_pointwise(g, DNN_ADD, sum, b, with_bias);
    if (relu) dnn_pointwise(g, DNN_RELU, with_bias, -1, y);
}

/* x, w, y, sum, squares, in this order. */
static void statistics(struct dnn_graph *g, const struct conv_place *p, const struct sizes *s, bool norm)
{
    int x = tensor_x(g, p, s), w = tensor_w(g, s), y = tensor_y(g, p, s);
    int sum = per_channel(g, DNN_F32, s->k), squares = per_channel(g, DNN_F32, s->k);
    if (norm) {
        int scaled = dnn_virtual(g, s->type, s->n, s->c, s->h, s->w), shifted = dnn_virtual(g, s->type, s->n, s->c, s->h, s->w);
        int positive = dnn_virtual(g, s->type, s->n, s->c, s->h, s->w);
        dnn_pointwise(g, DNN_MUL, x, per_channel(g, s->type, s->c), scaled);
        dnn_pointwise(g, DNN_ADD, scaled, per_channel(g, s->type, s->c), shifted);
        dnn_pointwise(g, DNN_RELU, shifted, -1, positive);
        x = positive;
    }
    dnn_conv_forward(g, x, w, y, s->window);
    dnn_statistics(g, y, sum, squares);
}

static void data_gradient(struct dnn_graph *g, const struct conv_place *p, const struct sizes *s, bool relu)
{
    int dy = tensor_dy(g, s), w = tensor_w(g, s);
    if (!relu) {
        dnn_conv_data_gradient(g, dy, w, dnn_tensor(g, s->type, s->n, s->c, s->h, s->w, 0), s->window);
        return;
    }
    int sum = dnn_virtual(g, DNN_F32, s->n, s->c, s->h, s->w);
    dnn_conv_data_gradient(g, dy, w, sum, s->window);
    dnn_pointwise(g, DNN_RELU_BACKWARD, sum, tensor_x(g, p, s), dnn_tensor(g, s->type, s->n, s->c, s->h, s->w, 0));
}

/* No engine writes f32 from bf16 by itself, but many can do so before they store. */
static void weight_gradient(struct dnn_graph *g, const struct conv_place *p, const struct sizes *s)
{
    int x = tensor_x(g, p, s), dy = tensor_dy(g, s), side = s->window.kernel, dw = dnn_tensor(g, DNN_F32, s->k, s->c, side, side, 0);
    int sum = s->type == DNN_F32 ? dw : dnn_virtual(g, DNN_F32, s->k, s->c, side, side);
    dnn_conv_weight_gradient(g, x, dy, sum, s->window);
    if (sum != dw) dnn_pointwise(g, DNN_IDENTITY, sum, -1, dw);
}

struct conv_ids conv_graph_ids(enum conv_fusion fusion)
{
    struct conv_ids ids = {.x = 0, .w = 1, .y = 2, .bias = -1, .sum = -1, .squares = -1};
    ASSERT(fusion <= CONV_STATISTICS || fusion == CONV_DATA_GRADIENT || fusion == CONV_WEIGHT_GRADIENT);
    if (fusion == CONV_DATA_GRADIENT) ids.y = 0, ids.x = 2;
    if (fusion == CONV_WEIGHT_GRADIENT) ids.y = 1, ids.w = 2;
    if (fusion == CONV_BIAS || fusion == CONV_BIAS_RELU) ids.bias = 3;
    if (fusion == CONV_STATISTICS) ids.sum = 3, ids.squares = 4;
    return ids;
}

struct dnn_graph *conv_graph(const struct conv_place *place, enum conv_fusion fusion)
{
    struct dnn_graph *g = dnn_graph_open();
    struct sizes s = sizes_of(place);
    ASSERT(place->spec.groups == 1);
    switch (fusion) {
    case CONV_PLAIN: forward(g, place, &s, false, false); break;
    case CONV_BIAS: forward(g, place, &s, true, false); break;
    case CONV_BIAS_RELU: forward(g, place, &s, true, true); break;
    case CONV_STATISTICS: statistics(g, place, &s, false); break;
    case CONV_NORM_STATISTICS: statistics(g, place, &s, true); break;
    case CONV_DATA_GRADIENT: data_gradient(g, place, &s, false); break;
    case CONV_DATA_GRADIENT_RELU: data_gradient(g, place, &s, true); break;
    case CONV_WEIGHT_GRADIENT: weight_gradient(g, place, &s); break;
    case CONV_FUSIONS: break;
    }
    return g;
}
