/* dnn_graph.c - see dnn_graph.h. */
#include "ops/cuda/dnn_graph.h"

#include "base/memory.h"
#include "ops/cuda/dnn_private.h"

enum { ALIGNMENT = 16 }; /* bytes, of every tensor */

struct dnn_graph *dnn_graph_open(void)
{
    struct dnn_graph *g = NEW(struct dnn_graph);
    cuda_load_dnn(&g->err);
    return g;
}

const struct dnn_facts *dnn_graph_facts(const struct dnn_graph *g)
{
    return &g->facts;
}

int dnn_graph_error(const struct dnn_graph *g, struct error *err)
{
    if (!dnn_failed(g)) return 0;
    *err = g->err;
    return -1;
}

void dnn_graph_close(struct dnn_graph *g)
{
    if (!g) return;
    drop(&g->whole);
    for (int i = 0; i < g->facts.operation_count; i++) drop(&g->operations[i]);
    for (int i = 0; i < g->part_count; i++) drop(&g->parts[i]);
    for (int i = 0; i < g->facts.tensor_count; i++) drop(&g->tensors[i]);
    mem_free(g);
}

static void check(struct dnn_graph *g, bool fine, const char *what)
{
    if (!fine && !dnn_failed(g)) cudnn_error(&g->err, what);
}

static cudnnDataType_t data_type(enum dnn_type type)
{
    static const cudnnDataType_t of[] = {CUDNN_DATA_FLOAT, CUDNN_DATA_BFLOAT16, CUDNN_DATA_HALF, CUDNN_DATA_INT8};
    return of[type];
}

static int add_tensor(struct dnn_graph *g, enum dnn_type type, const int64_t dims[4], int64_t pixel_stride, bool is_virtual)
{
    ASSERT(g->facts.tensor_count < DNN_TENSORS_MAX);
    if (dnn_failed(g)) return 0;
    int id = g->facts.tensor_count++;
    struct dnn_tensor_facts *t = &g->facts.tensors[id];
    *t = (struct dnn_tensor_facts){type, {dims[0], dims[1], dims[2], dims[3]},
                                   {dims[2] * dims[3] * pixel_stride, 1, dims[3] * pixel_stride, pixel_stride}, is_virtual};
    const cudnnDataType_t cudnn_type = data_type(type);
    const int64_t alignment = ALIGNMENT, uid = id + 1;
    descriptor d = g->tensors[id] = make(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    check(g, d && put(d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &cudnn_type) &&
                 put(d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, t->dims) && put(d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, t->strides) &&
                 put(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment) &&
                 put(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid) &&
                 put(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual) && good(cuda.cudnnBackendFinalize(d)),
          "a tensor");
    return id;
}

int dnn_tensor(struct dnn_graph *g, enum dnn_type type, int n, int c, int h, int w, int buffer_c)
{
    return add_tensor(g, type, (int64_t[4]){n, c, h, w}, buffer_c ? buffer_c : c, false);
}

int dnn_virtual(struct dnn_graph *g, enum dnn_type type, int n, int c, int h, int w)
{
    return add_tensor(g, type, (int64_t[4]){n, c, h, w}, c, true);
}

static descriptor add_operation(struct dnn_graph *g, cudnnBackendDescriptorType_t type, struct dnn_operation_facts facts)
{
    ASSERT(g->facts.operation_count < DNN_OPERATIONS_MAX);
    g->facts.operations[g->facts.operation_count] = facts;
    return g->operations[g->facts.operation_count++] = make(type);
}

static bool put_tensor(struct dnn_graph *g, descriptor op, cudnnBackendAttributeName_t name, int tensor)
{
    ASSERT(tensor >= 0 && tensor < g->facts.tensor_count);
    return put(op, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &g->tensors[tensor]);
}

static descriptor convolution(struct dnn_graph *g, struct dnn_window window)
{
    ASSERT(g->part_count < DNN_PARTS_MAX);
    descriptor d = g->parts[g->part_count++] = make(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    const int64_t spatial = 2, dilation[2] = {1, 1}, stride[2] = {window.stride, window.stride}, padding[2] = {window.padding, window.padding};
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    check(g, d && put(d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums) &&
                 put(d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode) &&
                 put(d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &spatial) &&
                 put(d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation) &&
                 put(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride) &&
                 put(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, padding) &&
                 put(d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, padding) && good(cuda.cudnnBackendFinalize(d)),
          "a convolution's window");
    return d;
}

struct conv_names { /* of one kind of convolution's attributes */
    enum dnn_operation kind;
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t alpha, beta, window, tensor[3];
    const char *what;
};

static void add_convolution(struct dnn_graph *g, const struct conv_names *names, const int tensors[3], struct dnn_window window)
{
    const float one = 1, zero = 0;
    if (dnn_failed(g)) return;
    descriptor op = add_operation(g, names->type, (struct dnn_operation_facts){names->kind, {tensors[0], tensors[1], tensors[2]}, window, 0});
    descriptor w = convolution(g, window);
    check(g, op && put(op, names->alpha, CUDNN_TYPE_FLOAT, 1, &one) && put(op, names->beta, CUDNN_TYPE_FLOAT, 1, &zero) &&
                 put(op, names->window, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w) && put_tensor(g, op, names->tensor[0], tensors[0]) &&
                 put_tensor(g, op, names->tensor[1], tensors[1]) && put_tensor(g, op, names->tensor[2], tensors[2]) && good(cuda.cudnnBackendFinalize(op)),
          names->what);
}

void dnn_conv_forward(struct dnn_graph *g, int x, int w, int y, struct dnn_window window)
{
    static const struct conv_names names = {
        DNN_CONV_FORWARD, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
        "a convolution"};
    add_convolution(g, &names, (int[3]){x, w, y}, window);
}

void dnn_conv_data_gradient(struct dnn_graph *g, int dy, int w, int dx, struct dnn_window window)
{
    static const struct conv_names names = {
        DNN_CONV_DATA_GRADIENT, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX},
        "a convolution's data gradient"};
    add_convolution(g, &names, (int[3]){dy, w, dx}, window);
}

void dnn_conv_weight_gradient(struct dnn_graph *g, int x, int dy, int dw, struct dnn_window window)
{
    static const struct conv_names names = {
        DNN_CONV_WEIGHT_GRADIENT, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW},
        "a convolution's weight gradient"};
    add_convolution(g, &names, (int[3]){x, dy, dw}, window);
}

static descriptor pointwise(struct dnn_graph *g, enum dnn_pointwise mode)
{
    static const cudnnPointwiseMode_t modes[] = {CUDNN_POINTWISE_ADD, CUDNN_POINTWISE_MUL, CUDNN_POINTWISE_RELU_FWD, CUDNN_POINTWISE_RELU_BWD,
                                                 CUDNN_POINTWISE_IDENTITY};
    ASSERT(g->part_count < DNN_PARTS_MAX);
    descriptor d = g->parts[g->part_count++] = make(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    const cudnnDataType_t precision = CUDNN_DATA_FLOAT;
    check(g, d && put(d, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &modes[mode]) &&
                 put(d, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &precision) && good(cuda.cudnnBackendFinalize(d)),
          "a pointwise mode");
    return d;
}

void dnn_pointwise(struct dnn_graph *g, enum dnn_pointwise mode, int x, int b, int y)
{
    bool backward = mode == DNN_RELU_BACKWARD, two = mode == DNN_ADD || mode == DNN_MUL;
    if (dnn_failed(g)) return;
    descriptor op = add_operation(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, (struct dnn_operation_facts){DNN_POINTWISE, {x, b, y}, {0}, mode});
    descriptor pw = pointwise(g, mode);
    bool fine = op && put(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &pw);
    if (backward)
        fine = fine && put_tensor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_DYDESC, x) && put_tensor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, b) &&
               put_tensor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_DXDESC, y);
    else
        fine = fine && put_tensor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x) &&
               (!two || put_tensor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b)) && put_tensor(g, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    check(g, fine && good(cuda.cudnnBackendFinalize(op)), "a pointwise operation");
}

void dnn_statistics(struct dnn_graph *g, int x, int sum, int squares)
{
    const cudnnGenStatsMode_t mode = CUDNN_GENSTATS_SUM_SQSUM;
    const cudnnDataType_t precision = CUDNN_DATA_FLOAT;
    if (dnn_failed(g)) return;
    descriptor op = add_operation(g, CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR, (struct dnn_operation_facts){DNN_STATISTICS, {x, sum, squares}, {0}, 0});
    check(g, op && put(op, CUDNN_ATTR_OPERATION_GENSTATS_MODE, CUDNN_TYPE_GENSTATS_MODE, 1, &mode) &&
                 put(op, CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &precision) &&
                 put_tensor(g, op, CUDNN_ATTR_OPERATION_GENSTATS_XDESC, x) && put_tensor(g, op, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, sum) &&
                 put_tensor(g, op, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, squares) && good(cuda.cudnnBackendFinalize(op)),
          "sums over channels");
}

void dnn_graph_finish(struct dnn_graph *g)
{
    if (dnn_failed(g) || g->whole) return;
    g->whole = make(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    check(g, g->whole && put(g->whole, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->facts.operation_count, g->operations) &&
                 good(cuda.cudnnBackendFinalize(g->whole)),
          "the graph");
}

/* ---- as text ---- */

void dnn_graph_describe(const struct dnn_graph *g, struct text *out)
{
    static const char *const types[] = {"f32", "bf16", "f16", "i8"}, *const kinds[] = {"conv", "conv dx", "conv dw", "pointwise", "statistics"};
    for (int i = 0; i < g->facts.tensor_count; i++) {
        const struct dnn_tensor_facts *t = &g->facts.tensors[i];
        text_add(out, "tensor %d %s%s", i, types[t->type], t->is_virtual ? " virtual" : "");
        for (int k = 0; k < 4; k++) text_add(out, " %lld:%lld", (long long)t->dims[k], (long long)t->strides[k]);
        text_add(out, "\n");
    }
    for (int i = 0; i < g->facts.operation_count; i++) {
        const struct dnn_operation_facts *o = &g->facts.operations[i];
        text_add(out, "%s %d %d %d", kinds[o->kind], o->tensors[0], o->tensors[1], o->tensors[2]);
        if (o->kind == DNN_POINTWISE) text_add(out, " mode %d\n", o->mode);
        else text_add(out, " k%d s%d p%d\n", o->window.kernel, o->window.stride, o->window.padding);
    }
}
