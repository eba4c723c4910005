/* cuda_steps.h - steps of a tiny network (convolution with bias and ReLU, linear layer, update) on ops_cuda, with its parameters in an arena as
 * a network has them: plainly or as a recording. */
#ifndef TESTS_CUDA_STEPS_H
#define TESTS_CUDA_STEPS_H
#include "ops/cuda/cuda_device.h"
#include "tests/tools/ops_values.h"
#include "tests/unit/check.h"

enum { STEP_WEIGHTS = 32 * 9 * 16 };

struct step {
    const struct ops *ops;
    struct conv *conv;
    struct linear *linear;
    struct tensor x, y, dx, dy, logits;
    double *norm; /* 0: nothing is clipped */
    struct optim_now *now;
    float *momentum, *arena, *gradients; /* conv weights, conv bias, linear weights, linear bias */
    size_t bias, linear_weights, linear_bias, count;
    int bodies;
};

static inline struct tensor random_tensor(const struct ops *ops, int n, int c, int h, int w)
{
    struct tensor t = tensor_new((struct shape){n, c, h, w}, DTYPE_BF16, LAYOUT_NHWC, 0, 0);
    float *v = values_normal((size_t)n * (size_t)c * (size_t)h * (size_t)w, 0, 1, DTYPE_BF16);
    tensor_from_nchw(&t, v);
    void *there = ops->alloc(tensor_buffer_bytes(&t));
    ops->upload(there, t.data, tensor_buffer_bytes(&t));
    mem_free(v);
    tensor_delete(&t);
    t.data = there;
    return t;
}

static inline size_t round16(size_t count) { return (count + 15) / 16 * 16; }

static inline void step_open(struct step *s, const struct ops *ops)
{
    const struct conv_spec conv = {.in_c = 16, .out_c = 32, .in_h = 6, .in_w = 5, .kernel = 3, .stride = 1, .padding = 1, .groups = 1, .bias = true,
                                   .relu = true, .dtype = DTYPE_BF16};
    const struct linear_spec linear = {.in_c = 32, .in_h = 6, .in_w = 5, .out_c = 6, .x_dtype = DTYPE_BF16, .y_dtype = DTYPE_F32, .x_layout = LAYOUT_NHWC};
    struct error err = {0};
    *s = (struct step){.ops = ops, .conv = ops->conv_create(&conv, 2, true, NULL, &err), .linear = ops->linear_create(&linear, 2, true, NULL, &err)};
    CHECK(s->conv && s->linear, "%s", err.message);
    s->bias = round16(ops->conv_weight_count(s->conv)), s->linear_weights = s->bias + 32;
    s->linear_bias = s->linear_weights + round16(ops->linear_weight_count(s->linear)), s->count = s->linear_bias + 16;
    s->x = random_tensor(ops, 2, 16, 6, 5), s->y = random_tensor(ops, 2, 32, 6, 5), s->dx = random_tensor(ops, 2, 16, 6, 5), s->dy = random_tensor(ops, 2, 32, 6, 5);
    s->logits = tensor_make(ops->alloc(sizeof(float) * 12), 2, 6, 1, 1, DTYPE_F32, LAYOUT_NHWC);
    s->arena = ops->alloc(sizeof(float) * s->count), s->gradients = ops->alloc(sizeof(float) * s->count);
    s->momentum = ops->alloc(sizeof(float) * s->count), s->norm = ops->alloc(sizeof(double));
    s->now = ops->alloc(sizeof *s->now);
    ops->upload(s->now, &(struct optim_now){.step = 1e-4F}, sizeof *s->now);
    float *v = values_normal(s->count, 0, 0.1, DTYPE_F32);
    ops->upload(s->arena, v, sizeof(float) * s->count);
    mem_free(v);
}

static inline void step_close(struct step *s)
{
    const struct ops *ops = s->ops;
    void *all[] = {s->x.data, s->y.data, s->dx.data, s->dy.data, s->logits.data, s->arena, s->gradients, s->momentum, s->norm, s->now};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) ops->free(all[i]);
    ops->conv_close(s->conv), ops->linear_close(s->linear);
}

static inline void step_body(void *context)
{
    struct step *s = context;
    const struct ops *ops = s->ops;
    const float *bias = s->arena + s->bias, *linear_weights = s->arena + s->linear_weights, *linear_bias = s->arena + s->linear_bias;
    s->bodies++;
    ops->conv_forward(s->conv, &s->y, &s->x, s->arena, bias, 1);
    ops->linear_forward(s->linear, &s->logits, &s->y, linear_weights, linear_bias, 1);
    ops->linear_backward_weights(s->linear, s->gradients + s->linear_weights, s->gradients + s->linear_bias, &s->y, &s->logits, 1);
    ops->linear_backward_data(s->linear, &s->dy, &s->logits, linear_weights, 1);
    ops->conv_backward_weights(s->conv, s->gradients, s->gradients + s->bias, &s->x, &s->dy, 1);
    ops->conv_backward_data(s->conv, &s->dx, &s->dy, s->arena, 1);
    ops->update(s->arena, s->momentum, NULL, s->gradients, (int64_t)s->count, &(struct optim_spec){.kind = OPTIM_SGD}, s->now, s->norm);
}

/* The arena after `count` steps (mem_free), of which the convolution's weights are the first STEP_WEIGHTS; `set`: with a bf16 twin of it. */
static inline float *steps(const struct ops *ops, int count, bool set, bool capture, int *bodies)
{
    struct step s;
    struct recording *r = NULL;
    values_seed(5);
    step_open(&s, ops);
    if (set) ops->parameters_set(s.arena, (int64_t)s.count, DTYPE_BF16);
    EXPECT(!set || device_bf16_of(s.arena + 17) == device_bf16_of(s.arena) + 17, "the twin's places");
    EXPECT(!device_bf16_of(s.arena + s.count) && !device_bf16_of(s.arena - 1), "a twin outside of the arena");
    device_set_capture(capture);
    for (int i = 0; i < count; i++) ops->replay(&r, step_body, &s);
    float *arena = NEW_ARRAY(float, s.count);
    ops->download(arena, s.arena, sizeof(float) * s.count);
    *bodies = s.bodies;
    ops->parameters_set(NULL, 0, DTYPE_F32);
    ops->recording_free(r);
    device_set_capture(true);
    step_close(&s);
    return arena;
}
#endif
