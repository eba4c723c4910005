/* conv_primitives.c - oneDNN descriptors and primitives of a convolution, see conv_primitives.h. */
#include "ops/cpu/conv_primitives.h"
#include <string.h>
#include "base/memory.h"
#include "ops/cpu/dnnl_alone.h"

static dnnl_data_type_t data_type(enum dtype d) { return d == DTYPE_F32 ? dnnl_f32 : dnnl_bf16; }

static dnnl_format_tag_t format_tag(enum layout layout)
{
    return layout == LAYOUT_NCHW ? dnnl_nchw : layout == LAYOUT_NHWC ? dnnl_nhwc : dnnl_nChw16c;
}

static dnnl_memory_desc_t image_md(int n, int c, int h, int w, enum dtype dtype, enum layout layout)
{
    dnnl_memory_desc_t md;
    DNNL_CHECK(dnnl_memory_desc_init_by_tag(&md, 4, (dnnl_dims_t){n, c, h, w}, data_type(dtype), format_tag(layout)));
    return md;
}

dnnl_memory_desc_t conv_weight_md(const struct conv_shape *s, dnnl_data_type_t type, bool any)
{
    dnnl_memory_desc_t md;
    int k = s->spec.kernel, g = s->spec.groups > 1 ? s->in_c : 1; /* one group for each (rounded) channel */
    if (g > 1) {
        dnnl_dims_t dims = {g, 1, 1, k, k};
        DNNL_CHECK(dnnl_memory_desc_init_by_tag(&md, 5, dims, type, any ? dnnl_format_tag_any : dnnl_goihw));
    } else {
        dnnl_dims_t dims = {s->out_c, s->in_c, k, k};
        DNNL_CHECK(dnnl_memory_desc_init_by_tag(&md, 4, dims, type, any ? dnnl_format_tag_any : dnnl_oihw));
    }
    return md;
}

struct conv_mds { /* what all three directions are described by */
    dnnl_memory_desc_t x, y, weights, gradient, bias;
    const dnnl_memory_desc_t *bias_or_null;
    dnnl_dims_t stride, pad_before, pad_after;
};

/* `thinned`: x has y's pixels only, and no stride is left. */
static void conv_mds_fill(struct conv_mds *m, const struct conv_shape *s, int n, bool thinned)
{
    const struct conv_spec *p = &s->spec;
    int in_h = thinned ? s->out_h : p->in_h, in_w = thinned ? s->out_w : p->in_w, stride = thinned ? 1 : p->stride;
    m->x = image_md(n, s->in_c, in_h, in_w, p->dtype, s->x_layout);
    m->y = image_md(n, s->out_c, s->out_h, s->out_w, p->dtype, s->y_layout);
    m->weights = conv_weight_md(s, data_type(p->dtype), true);
    m->gradient = conv_weight_md(s, dnnl_f32, true);
    DNNL_CHECK(dnnl_memory_desc_init_by_tag(&m->bias, 1, (dnnl_dims_t){s->out_c}, dnnl_f32, dnnl_a));
    m->bias_or_null = p->bias ? &m->bias : NULL;
    m->stride[0] = m->stride[1] = stride;
    m->pad_before[0] = m->pad_before[1] = p->padding;
    /* oneDNN derives y's size from both paddings; rows that the stride never reaches make the far one smaller */
    m->pad_after[0] = (s->out_h - 1) * stride + p->kernel - in_h - p->padding;
    m->pad_after[1] = (s->out_w - 1) * stride + p->kernel - in_w - p->padding;
}

static int forward_open(struct primitive *p, const struct conv_shape *s, const struct conv_mds *m, struct error *err)
{
    static const int ids[] = {DNNL_ARG_DST, DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS};
    dnnl_convolution_desc_t d;
    DNNL_CHECK(dnnl_convolution_forward_desc_init(&d, s->training ? dnnl_forward_training : dnnl_forward_inference,
                                                  dnnl_convolution_direct, &m->x, &m->weights, m->bias_or_null, &m->y,
                                                  m->stride, m->pad_before, m->pad_after));
    dnnl_primitive_attr_t attributes = primitive_attributes(s->spec.relu);
    int status = primitive_open(p, &d, attributes, NULL, ids, s->spec.bias ? 4 : 3, err);
    DNNL_CHECK(dnnl_primitive_attr_destroy(attributes));
    return status;
}

static int backward_data_open(struct primitive *p, const struct conv_mds *m, const struct primitive *forward, struct error *err)
{
    static const int ids[] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS};
    dnnl_convolution_desc_t d;
    DNNL_CHECK(dnnl_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, &m->x, &m->weights, &m->y, m->stride,
                                                        m->pad_before, m->pad_after));
    dnnl_primitive_attr_t attributes = primitive_attributes(false);
    int status = primitive_open(p, &d, attributes, forward, ids, 3, err);
    DNNL_CHECK(dnnl_primitive_attr_destroy(attributes));
    return status;
}

static int backward_weights_open(struct primitive *p, const struct conv_mds *m, const struct primitive *forward, struct error *err)
{
    static const int ids[] = {DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_BIAS};
    dnnl_convolution_desc_t d;
    DNNL_CHECK(dnnl_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, &m->x, &m->gradient, m->bias_or_null,
                                                           &m->y, m->stride, m->pad_before, m->pad_after));
    dnnl_primitive_attr_t attributes = primitive_attributes(false);
    int status = primitive_open(p, &d, attributes, forward, ids, m->bias_or_null ? 4 : 3, err);
    DNNL_CHECK(dnnl_primitive_attr_destroy(attributes));
    return status;
}

/* Depthwise weights and gradients are kept as the own kernel has them, which is also how oneDNN's jit kernels do. */
static void stored_depthwise(struct conv_shape *s)
{
    int k = s->spec.kernel;
    dnnl_dims_t dims = {s->in_c, 1, 1, k, k};
    DNNL_CHECK(dnnl_memory_desc_init_by_tag(&s->stored, 5, dims, dnnl_f32, dnnl_Goihw16g));
}

int conv_stored_choose(struct conv_shape *s, int n, struct error *err)
{
    if (s->spec.groups > 1) return stored_depthwise(s), 0;
    if (s->pointwise) return s->stored = conv_weight_md(s, dnnl_f32, false), 0;
    struct conv_mds m;
    conv_mds_fill(&m, s, n, false);
    struct primitive forward = {0}, backward = {0};
    int status = forward_open(&forward, s, &m, err);
    if (status == 0 && s->training) status = backward_weights_open(&backward, &m, &forward, err);
    if (status == 0 && s->training) s->stored = *primitive_md(&backward, DNNL_ARG_DIFF_WEIGHTS);
    if (status == 0 && !s->training) {
        s->stored = *primitive_md(&forward, DNNL_ARG_WEIGHTS);
        if (s->stored.data_type != dnnl_f32) s->stored = conv_weight_md(s, dnnl_f32, false);
    }
    primitive_close(&forward);
    primitive_close(&backward);
    return status;
}

/* Backward data over the thin x: its forward primitive is needed only as oneDNN's hint. */
static int backward_data_thinned_open(struct primitive *p, const struct conv_shape *s, int n, struct error *err)
{
    struct conv_mds m;
    struct primitive forward = {0};
    conv_mds_fill(&m, s, n, true);
    int status = forward_open(&forward, s, &m, err);
    if (status == 0) status = backward_data_open(p, &m, &forward, err);
    primitive_close(&forward);
    return status;
}

int conv_gradient_open(struct primitive *p, const struct conv_shape *s, int n, struct error *err)
{
    struct conv_mds m;
    struct primitive forward = {0}; /* a hint, as above */
    if (s->pointwise) return pointwise_gradient_open(p, s, n, err);
    conv_mds_fill(&m, s, n, false);
    int status = forward_open(&forward, s, &m, err);
    if (status == 0) status = backward_weights_open(p, &m, &forward, err);
    primitive_close(&forward);
    return status;
}

static int conv_steps_fill(struct conv_steps *c, const struct conv_shape *s, bool alone, struct error *err)
{
    struct conv_mds m;
    conv_mds_fill(&m, s, c->n, false);
    if (forward_open(&c->forward.run, s, &m, err) < 0) return -1;
    if (step_finish(&c->forward, DNNL_ARG_WEIGHTS, &s->stored, err) < 0) return -1;
    if (s->training && !s->spec.first) {
        int status = s->thinned ? backward_data_thinned_open(&c->backward_data.run, s, c->n, err)
                                : backward_data_open(&c->backward_data.run, &m, &c->forward.run, err);
        if (status < 0) return -1;
        if (step_finish(&c->backward_data, DNNL_ARG_WEIGHTS, &s->stored, err) < 0) return -1;
    }
    if (s->training && !s->own_backward_weights && !alone) {
        if (s->deterministic) return weight_parts_open(&c->parts, s, c->n, err);
        if (s->pointwise) return pointwise_gradient_open(&c->backward_weights.run, s, c->n, err);
        if (backward_weights_open(&c->backward_weights.run, &m, &c->forward.run, err) < 0) return -1;
        if (step_finish(&c->backward_weights, DNNL_ARG_DIFF_WEIGHTS, &s->stored, err) < 0) return -1;
    }
    return 0;
}

struct conv_steps *conv_steps_open(const struct conv_shape *s, int n, bool alone, struct error *err)
{
    struct conv_steps *c = NEW(struct conv_steps);
    int threads = alone ? alone_begin() : 0;
    c->n = n;
    int status = conv_steps_fill(c, s, alone, err);
    if (alone) alone_end(threads);
    if (status == 0) return c;
    conv_steps_close(c);
    return NULL;
}

void conv_steps_close(struct conv_steps *c)
{
    if (c == NULL) return;
    step_close(&c->forward);
    step_close(&c->backward_data);
    step_close(&c->backward_weights);
    weight_parts_close(&c->parts);
    mem_free(c);
}
