/* ops.h - the one operations table. ops/ref defines every operation in plain loops, ops/cpu and ops/cuda carry
 * the same functions and meet the same tests. Nobody above this line knows which backend runs.
 *
 * Virtual shards. A rank holds one or more virtual shards of the global batch (io/load/sampler.h). Functions that take
 * `int shards` get arrays of that many tensors, x[0..shards), whose image counts may differ and may be 0. Their parameter
 * gradients are summed over the shards as a balanced binary tree in shard order, ((0+1)+(2+3)), with `shards` a power of
 * two in deterministic runs (any number is fine otherwise: the tree over [0,s) splits at the largest power of two < s).
 * Functions without `shards` work on one tensor. An operation's result for a shard depends on that shard's images alone,
 * bit for bit, given the thread count: never on the other shards, on which shard it is, or on memory addresses. When tuned
 * as deterministic, not on the thread count either.
 *
 * Activations have dtype f32 or bf16 and the layout that `layout(dtype)` names; (N, C) matrices (h = w = 1) that linear
 * layers write are LAYOUT_NHWC, and logits are f32. Parameters and their gradients are always f32; sums are double.
 * Weights of conv and linear live in a backend's own arrangement ("stored"), chosen once when the first handle of a layer
 * is created, so that the optimiser can work on them in place; import/export convert from and to PyTorch's order.
 *
 * Memory. Every pointer to data, parameters, sums and keys is to memory of the backend's own `alloc` (the host's for ref and cpu, the
 * card's for cuda), unless its name says `host`. Calls are queued: they run one after the other, and only `download` waits.
 *
 * Nothing here allocates after create, except that the first use of a new image count may build primitives.
 * Functions die (CHECK) on a backend's own failure: the contract is checked when a handle is created.
 */
#ifndef OPS_OPS_H
#define OPS_OPS_H
#include <stdbool.h>
#include "base/error.h"
#include "base/text.h"
#include "ops/loss.h"
#include "ops/optim.h"
#include "ops/pictures.h"
#include "ops/tensor.h"

enum activation { ACT_NONE, ACT_RELU, ACT_SILU };

struct conv_spec { /* square kernel; cross-correlation as in torch.nn.Conv2d; groups is 1 or in_c (depthwise) */
    int in_c, out_c, in_h, in_w;
    int kernel, stride, padding, groups;
    bool bias, relu; /* relu: y = max(0, conv + bias), undone in backward by relu_backward */
    bool first;      /* x is the network's input: no backward_data is ever asked */
    enum dtype dtype;/* of x, y, dx, dy */
    int sums_c_total;/* training calls conv_forward_sums or conv_forward_batch, with y in a buffer of so many channels; 0: never */
};
struct linear_spec { /* y = W x + b over the flattened (C, H, W) of x, torch.nn.Flatten's order */
    int in_c, in_h, in_w, out_c;
    bool relu;
    enum dtype x_dtype, y_dtype;
    enum layout x_layout;
};
struct pool_spec { int kernel, stride, padding; }; /* floor mode; kernel 0 = adaptive average to y's size */

struct norm_spec { int c; double eps, momentum; };
struct norm_memory { /* of one normalisation: c values each */
    float *mean, *inv_std, *scale, *shift;       /* what the passes over x take; written anew in each forward pass */
    float *running_mean, *running_var;
    const float *gamma, *beta;
};

struct ops_tuning {
    int candidates; /* implementations of a convolution to choose from by the clock; 1: the library's first choice, the same each time */
    bool tf32;      /* f32 products with 10 bits of mantissa */
    bool sums_apart;/* batch normalisation's sums are never taken by convolutions */
    double limit_s; /* a wait for the accelerator that takes longer ends the program; 0: none does */
    bool deterministic; /* cpu: results do not depend on the number of threads; candidates, tf32, sums_apart: cuda */
};

struct recording; /* backend's own: what `replay` has kept */
struct conv;   /* backend's own: primitives per image count, stored layout */
struct linear;

struct ops {
    const char *name; /* "ref", "cpu" */
    /* `threads` per process for all later calls; 0 = leave as it is. */
    void (*open)(int threads);
    /* Takes the accelerator of that number (of this host) for this process, before anything else is called but `layout` and `has`. */
    int (*attach)(int device, struct error *err);
    int (*device)(void);   /* its number, as CUDA counts; 0 for the host */
    void *(*stream)(void); /* what is queued here is queued on this cudaStream_t; NULL for the host */
    void (*tune)(const struct ops_tuning *tuning); /* before the first handle is made; without it {1, false, false} */
    /* What computes, in a line: "NVIDIA H200, compute capability 9.0, ..."; "" for the host. After attach. */
    void (*describe)(char *text, size_t bytes);
    enum layout (*layout)(enum dtype dtype);
    enum layout (*input_layout)(enum dtype dtype); /* of the network's input (N, 3, H, W), which `input` fills */
    int (*input_channels)(enum dtype dtype); /* of its buffer: 3, or more of which the others are 0 */
    bool (*has)(enum dtype dtype); /* false: this machine cannot, or not faster than f32 would be */

    /* ---- memory ---- */
    bool on_host;                 /* the CPU may read and write this memory */
    void *(*alloc)(size_t bytes); /* aligned for every use, not cleared; NULL when there is no room */
    void (*free)(void *memory);   /* NULL is fine */
    size_t (*room)(void);         /* bytes that alloc could give now */
    void (*zero)(void *memory, size_t bytes);
    void (*upload)(void *to, const void *host, size_t bytes);    /* host may be changed on return */
    void (*download)(void *host, const void *from, size_t bytes);/* waits for everything queued before it */
    void (*copy)(void *to, const void *from, size_t bytes);
    /* The parameters of a network are in this arena and will be used as `dtype`. Before the first forward pass and whenever they were
     * changed by other calls than `update`: a backend may keep copies in another dtype. NULL, 0: no longer. */
    void (*parameters_set)(const float *arena, int64_t count, enum dtype dtype);
    /* Calls body(context), which calls functions of this table, with the same arguments whenever *r is the same (NULL at first). A backend
     * may keep them and repeat them as one, without calling body again. */
    void (*replay)(struct recording **r, void (*body)(void *context), void *context);
    void (*recording_free)(struct recording *r); /* NULL is fine */

    /* What this backend has chosen so far (implementations of convolutions and products) and what decides bits, as text that goes with a
     * checkpoint; and to choose the same again, before the first call that computes. *other: NULL, or (mem_free) what the choices were made for when that is
     * something else than is here; they are of no use then. Both NULL: nothing is chosen. */
    void (*choices_get)(struct text *out);
    int (*choices_set)(const char *text, size_t bytes, char **other, struct error *err);

    /* ---- sums over virtual shards, in the tree's order, in place: parts[0] += ...; the other parts are clobbered ---- */
    void (*tree_sum)(float *const parts[], int shards, size_t count);
    void (*tree_sum_double)(double *const parts[], int shards, size_t count);
    void (*narrow)(float *to, const double *from, size_t count);
    /* To bf16 (nearest, ties to even) and back, where sums between accelerators may travel so; else NULL. 16-byte aligned. */
    void (*round)(uint16_t *to, const float *from, size_t count);
    void (*widen)(float *to, const uint16_t *from, size_t count);

    /* ---- convolution: x (N, in_c, in_h, in_w) -> y (N, out_c, out_h, out_w) ---- */
    /* `like`: a handle of the same layer whose stored weight layout must be kept, or NULL. `n`: the usual image count.
     * Returns NULL with err when the backend cannot. */
    struct conv *(*conv_create)(const struct conv_spec *spec, int n, bool training, const struct conv *like, struct error *err);
    /* Batches of n images will come, too: what takes time to make ready for them is made together with the rest, at the first call that
     * computes. NULL: nothing takes time. */
    void (*conv_expect)(struct conv *c, int n, bool training);
    void (*conv_close)(struct conv *c);
    size_t (*conv_weight_count)(const struct conv *c); /* floats of stored weights (>= out_c*in_c/groups*k*k) */
    void (*conv_weight_import)(const struct conv *c, float *stored, const float *oihw);
    void (*conv_weight_export)(const struct conv *c, float *oihw, const float *stored);
    /* y may be a slice. bias (out_c) or NULL. */
    void (*conv_forward)(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights,
                         const float *bias, int shards);
    /* conv_forward without bias, and norm_sums of what it writes: sums[s] (2, out_c), sum and sum of squares of y[s]; where a backend gains by taking
     * them while it has y at hand, else NULL. For bf16 they may be summed in f32, over y before or after it is rounded. */
    void (*conv_forward_sums)(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights, double *const sums[], int shards);
    /* Of one shard whose statistics nobody shares: conv_forward, and norm_batch (below) of what it writes as `fresh`. The bits of conv_forward_sums
     * and norm_statistics. NULL where conv_forward_sums is. */
    void (*conv_forward_batch)(struct conv *c, const struct tensor *y, const struct tensor *x, const float *weights, const struct norm_memory *m,
                               const struct norm_spec *spec, double *sum, double *sum_squares, double count);
    /* dx is overwritten, never a slice; dy may be a slice. */
    void (*conv_backward_data)(struct conv *c, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards);
    /* dweights (stored layout) and dbias (or NULL) are overwritten with the tree sum over shards. */
    void (*conv_backward_weights)(struct conv *c, float *dweights, float *dbias, const struct tensor *x,
                                  const struct tensor *dy, int shards);
    /* Both in one call, with the same bits, where a backend gains by reading dy once; else NULL. dx NULL: only those of the weights. */
    void (*conv_backward)(struct conv *c, const struct tensor *dx, float *dweights, float *dbias, const struct tensor *x, const struct tensor *dy,
                          const float *weights, int shards);
    /* One line for people: which implementations were picked ("jit:avx512_core / ... "). Into text, NUL-ended. */
    void (*conv_describe)(const struct conv *c, char *text, size_t bytes);

    /* ---- linear: x (N, C, H, W) -> y (N, out_c), weights (out_c, C*H*W) in torch's order outside ---- */
    struct linear *(*linear_create)(const struct linear_spec *spec, int n, bool training, const struct linear *like, struct error *err);
    /* As conv_expect: what is chosen for them belongs to choices_get from now on. NULL: nothing is chosen. */
    void (*linear_expect)(struct linear *l, int n, bool training);
    void (*linear_close)(struct linear *l);
    size_t (*linear_weight_count)(const struct linear *l);
    void (*linear_weight_import)(const struct linear *l, float *stored, const float *torch_order);
    void (*linear_weight_export)(const struct linear *l, float *torch_order, const float *stored);
    void (*linear_forward)(struct linear *l, const struct tensor *y, const struct tensor *x, const float *weights,
                           const float *bias, int shards);
    void (*linear_backward_data)(struct linear *l, const struct tensor *dx, const struct tensor *dy, const float *weights, int shards);
    void (*linear_backward_weights)(struct linear *l, float *dweights, float *dbias, const struct tensor *x,
                                    const struct tensor *dy, int shards);

    /* ---- batch normalisation (Ioffe & Szegedy 2015), cut at its sums so that they can be shared between ranks ----
     * Arrays hold x->c values. xhat = (x - mean) * inv_std;  z = xhat * gamma + beta, computed as
     * x * scale + shift with scale = gamma * inv_std, shift = beta - mean * scale;
     * y = act(z * row_scale[n] + residual). row_scale (N) is stochastic depth's factor or NULL (1).
     * x and dx may be slices (DenseNet); y, residual, dy are whole. residual goes with ACT_NONE or ACT_RELU only. */
    /* sum[c] = sum of x, sum_squares[c] = sum of x^2 over n, h, w; relative error near 1e-6 or better. */
    void (*norm_sums)(double *sum, double *sum_squares, const struct tensor *x);
    /* From the sums over the whole batch, `count` elements a channel: mean, inv_std = 1 / sqrt(variance + eps) with the biased variance
     * max(0, E x^2 - mean^2), scale and shift; running = (1 - momentum) running + momentum * (mean, unbiased variance). */
    void (*norm_statistics)(const struct norm_memory *m, const struct norm_spec *spec, const double *sum, const double *sum_squares, double count);
    /* The same from the running statistics, for evaluation. */
    void (*norm_frozen)(const struct norm_memory *m, const struct norm_spec *spec);
    void (*norm_forward)(const struct tensor *y, const struct tensor *x, const struct tensor *residual, const float *scale,
                         const float *shift, const float *row_scale, enum activation act);
    /* g = (dy + dy2) * act'(...) is stored in place of dy (it is also the residual's gradient); dy2 is NULL or a second
     * contribution. sum_g[c] = sum g*row_scale, sum_gx[c] = sum g*row_scale*xhat. `y` is the forward result: needed only
     * with a residual and ACT_RELU (mask y > 0), else NULL: the mask is computed from x. */
    void (*norm_backward_sums)(double *sum_g, double *sum_gx, const struct tensor *dy, const struct tensor *dy2,
                               const struct tensor *x, const struct tensor *y, const float *mean, const float *inv_std,
                               const float *scale, const float *shift, const float *row_scale, enum activation act);
    /* mean_g = sum_g / count, mean_gx = sum_gx / count. */
    void (*norm_means)(float *mean_g, float *mean_gx, const double *sum_g, const double *sum_gx, int c, double count);
    /* dx (+)= scale * (g*row_scale - mean_g - xhat * mean_gx); `add`: accumulate into dx. Without `add`, dx may be g itself
     * (same memory, both whole). */
    void (*norm_backward)(const struct tensor *dx, const struct tensor *g, const struct tensor *x, const float *mean,
                          const float *inv_std, const float *scale, const float *mean_g, const float *mean_gx,
                          const float *row_scale, bool add);

    /* Of one shard whose statistics nobody shares, where a backend gains by fewer calls; else NULL. The same bits as the calls they stand for:
     * norm_sums of `fresh`, the last channels of what is normalised (perhaps none), into their places of sum and sum_squares (spec->c each),
     * then norm_statistics; */
    void (*norm_batch)(const struct norm_memory *m, const struct norm_spec *spec, double *sum, double *sum_squares, const struct tensor *fresh,
                       double count);
    /* norm_backward_sums, the sums rounded to float as gradients of gamma and beta, norm_means. */
    void (*norm_backward_batch)(float *dgamma, float *dbeta, float *mean_g, float *mean_gx, const struct tensor *dy, const struct tensor *dy2,
                                const struct tensor *x, const struct tensor *y, const struct norm_memory *m, const float *row_scale,
                                enum activation act, double count);

    /* ---- pooling: y may be a slice, so may dy. dx is overwritten. ---- */
    /* index: one byte per element of y (whole buffer order of a dense y): position in the window of the first maximum. */
    void (*maxpool_forward)(const struct tensor *y, uint8_t *index, const struct tensor *x, const struct pool_spec *spec);
    void (*maxpool_backward)(const struct tensor *dx, const struct tensor *dy, const uint8_t *index, const struct pool_spec *spec);
    /* padding 0. Adaptive windows as torch.nn.AdaptiveAvgPool2d: [floor(i*H/h), ceil((i+1)*H/h)). y with h = w = 1 may be
     * LAYOUT_NHWC whatever x is. */
    void (*avgpool_forward)(const struct tensor *y, const struct tensor *x, const struct pool_spec *spec);
    void (*avgpool_backward)(const struct tensor *dx, const struct tensor *dy, const struct pool_spec *spec);

    /* ---- squeeze and excitation (Hu et al. 2018): y = x * sigmoid(W2 silu(W1 mean(x) + b1) + b2) ----
     * w1 (s, c), b1 (s), w2 (c, s), b2 (c), torch's order. save: f32 (N, 2c + 2s) per shard: pooled, W1 p + b1, its silu,
     * the sigmoid. */
    void (*se_forward)(const struct tensor *y, float *save, const struct tensor *x, const float *w1, const float *b1,
                       const float *w2, const float *b2, int squeeze);
    /* dx may not alias dy. Parameter gradients of ONE shard are written (the caller sums). scratch: N * (c + s) floats. */
    void (*se_backward)(const struct tensor *dx, float *dw1, float *db1, float *dw2, float *db2, const struct tensor *x,
                        const struct tensor *dy, const float *save, const float *w1, const float *w2, int squeeze, float *scratch);

    /* ---- element by element ---- */
    void (*relu_backward)(const struct tensor *dy, const struct tensor *y);      /* dy = y > 0 ? dy : 0, in place */
    /* y = x / (1-p) where the element is kept, else 0. Element e (index in (C,H,W)) of image i is dropped when
     * random_u32_at(random_stream(row_key[i], RANDOM_DROPOUT, layer, 0), e) < p * 2^32. y may be x. Backward is the same call on dy. */
    void (*dropout)(const struct tensor *y, const struct tensor *x, double p, const uint64_t *row_key, uint64_t layer);
    /* row_scale[i] = 0 for an image that stochastic depth drops (Huang et al. 2016), else 1/(1-p). Image i is dropped when
     * random_u32_at(random_stream(row_key[i], RANDOM_DROP_PATH, layer, 0), 0) < p * 2^32. */
    void (*drop_rows)(float *row_scale, const uint64_t *row_key, int images, double p, uint64_t layer);
    void (*add)(const struct tensor *y, const struct tensor *x);                  /* y += x, whole tensors */
    void (*input)(const struct tensor *x, const float *host_nchw);                /* pictures (N,3,H,W) to dtype, layout */
    /* x: pictures (N) of a pool of stored ones, sampled and normalised (ops/pictures.h). NULL: this backend takes ready ones (`input`). */
    void (*pictures)(const struct tensor *x, const struct picture_pool *pool, const struct picture *pictures);

    /* ---- the ends of a step ---- */
    /* Of one shard: sums[0] its share of the loss, sums[1] the sum of its COVID cross-entropies; logits and dlogits (images, outputs),
     * targets (images, 6), all f32 (ops/loss.h). dlogits may be NULL. */
    void (*loss)(double *sums, float *dlogits, const float *logits, const float *targets, int images, int total_images,
                 const struct loss_spec *spec);
    /* norm[0] = L2 norm of the arena, summed in double in an order that depends on count alone. */
    void (*norm_of)(double *norm, const float *gradients, int64_t count);
    /* One update of the arena (ops/optim.h). Changes nothing when norm[0] is not finite. v is NULL for SGD. */
    void (*update)(float *parameters, float *m, float *v, const float *gradients, int64_t count, const struct optim_spec *spec,
                   const struct optim_now *now, const double *norm);
};

extern const struct ops ops_ref;
const struct ops *ops_cpu(void); /* put together at the first call, from what this CPU runs best; call that from one thread */
/* "ref", "cpu" or "cuda". NULL with err: unknown, or not in this build. */
const struct ops *ops_find(const char *name, struct error *err);

/* What `tree_sum` does, in host memory. */
void shard_tree_sum(float *const parts[], int shards, size_t count);
void shard_tree_sum_double(double *const parts[], int shards, size_t count);
/* What `loss` does, in host memory. */
void loss_on_host(double *sums, float *dlogits, const float *logits, const float *targets, int images, int total_images,
                  const struct loss_spec *spec);

int conv_out_size(int in, int kernel, int stride, int padding);
#endif
