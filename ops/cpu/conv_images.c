/* conv_images.c - forward and backward data in deterministic mode: an image's result is defined as that of oneDNN's primitive for
 * one image and one thread.
 *
 * The primitive for all images and threads usually gives the same bits, since it has no sums to divide, but oneDNN does not
 * promise it. Whether it does is tried when it is made, once for each shape: how a primitive divides its work does not depend on
 * the data. The data of the trial make differences show even in bf16: they come in pairs that cancel, so that the exact result
 * is 0 and what is left is rounding, which depends on the order of the sum.
 */
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "ops/cpu/conv_primitives.h"
#include "ops/cpu/dnnl_alone.h"

/* ---- image by image ---- */

struct images {
    const struct primitive *one;
    char *out;
    const char *in;
    const void *weights;
    const float *bias;
    size_t out_bytes, in_bytes; /* of an image */
    int differ;                 /* trial: images whose result is not what `out` holds */
};

static size_t argument_bytes(const struct step *one, int i)
{
    return dnnl_memory_desc_get_size(primitive_md(&one->run, one->run.arg[i].arg));
}

static struct images images_make(const struct step *one, void *out, const void *in, const void *weights, const float *bias)
{
    return (struct images){&one->run, out, in, weights, bias, argument_bytes(one, 0), argument_bytes(one, 1), 0};
}

static void image_run(void *context, int i, int thread)
{
    const struct images *m = context;
    const void *data[] = {m->out + (size_t)i * m->out_bytes, m->in + (size_t)i * m->in_bytes, m->weights, m->bias};
    primitive_run_alone(m->one, thread, data);
}

void images_run(const struct step *one, int n, void *out, const void *in, const void *weights, const float *bias)
{
    struct images m = images_make(one, out, in, weights, bias);
    side_by_side(n, image_run, &m);
}

/* ---- the trial ---- */

enum { TABLE = 1 << 16 };
struct trial_data {
    float f32[TABLE];     /* random signs and sizes, exact in bf16; their sums must be rounded */
    uint16_t bf16[TABLE];
};

/* Drawn once, kept to the end. */
static const struct trial_data *trial_data(void)
{
    static struct trial_data *d;
    if (d) return d;
    d = NEW(struct trial_data);
    struct random r = random_stream(0, RANDOM_TRIAL, 0, 0);
    for (int i = 0; i < TABLE; i++) {
        d->bf16[i] = bf16_from_float((float)random_range(&r, -1, 1) / (float)(1 << random_below(&r, 12)));
        d->f32[i] = bf16_to_float(d->bf16[i]);
    }
    return d;
}

/* Which channels of those that are summed over make pairs: `twin` is equal in both, and only in them; `sign` is the weights'. Drawn by lot:
 * a regular order could be that of a sum in which neighbours cancel at once. (A network's first convolution has too few channels for
 * pairs, but so many pixels that some will show what differs; depthwise ones do not sum over channels.) */
struct pairs {
    int *twin;
    float *sign;
};

static struct pairs pairs_draw(const struct conv_shape *s, bool backward)
{
    int channels = backward ? s->out_c : s->in_c;
    bool paired = s->spec.groups == 1 && channels >= 16;
    struct pairs p = {NEW_ARRAY(int, channels), NEW_ARRAY(float, channels)};
    int64_t *order = NEW_ARRAY(int64_t, channels);
    struct random r = random_stream(0, RANDOM_TRIAL, 1, 0);
    for (int c = 0; c < channels; c++) order[c] = c;
    random_shuffle(&r, order, channels);
    for (int k = 0; k < channels; k++) {
        p.twin[order[k]] = paired ? k / 2 : k;
        p.sign[order[k]] = !paired || k % 2 == 0 ? 1 : -1;
    }
    if (paired && channels % 2) p.sign[order[channels - 1]] = 0;
    mem_free(order);
    return p;
}

/* `channels`, as oneDNN sees them, lie `width` together. */
static void fill_activations(void *to, const struct trial_data *d, const struct pairs *pairs, int n, int channels, int64_t pixels, int width,
                             enum dtype dtype)
{
    int blocks = channels / width;
#pragma omp parallel for
    for (int64_t k = 0; k < (int64_t)n * blocks; k++)
        for (int64_t p = 0; p < pixels; p++)
            for (int i = 0; i < width; i++) {
                int twin = pairs->twin[(int)(k % blocks) * width + i];
                uint64_t at = ((uint64_t)(k / blocks * pixels + p) * 7919 + (uint64_t)twin * 104729) % TABLE;
                int64_t e = (k * pixels + p) * width + i;
                if (dtype == DTYPE_F32) ((float *)to)[e] = d->f32[at];
                else ((uint16_t *)to)[e] = d->bf16[at];
            }
}

/* In PyTorch's order. */
static void fill_weights(float *to, const struct trial_data *d, const struct pairs *pairs, const struct conv_shape *s, bool backward)
{
    int in_c = s->spec.groups > 1 ? 1 : s->in_c, area = s->spec.kernel * s->spec.kernel;
    for (int o = 0; o < s->out_c; o++)
        for (int i = 0; i < in_c; i++)
            for (int k = 0; k < area; k++) {
                int summed = backward || s->spec.groups > 1 ? o : i, other = backward ? i : o;
                uint64_t at = ((uint64_t)pairs->twin[summed] * 31337 + (uint64_t)other * 611953 + (uint64_t)k * 2221) % TABLE;
                *to++ = pairs->sign[summed] * d->f32[at];
            }
}

static void image_compare(void *context, int i, int thread)
{
    struct images *m = context;
    void *mine = desk(thread, DESK_RESULT, m->out_bytes);
    primitive_run_alone(m->one, thread, (const void *[]){mine, m->in + (size_t)i * m->in_bytes, m->weights, m->bias});
    if (memcmp(mine, m->out + (size_t)i * m->out_bytes, m->out_bytes) == 0) return;
#pragma omp atomic
    m->differ++;
}

/* The weights as a step wants them. */
static void *weights_for(const struct step *step, const float *stored)
{
    void *w = mem_alloc(step->weight_bytes);
    if (step->reorder.handle == NULL) memcpy(w, stored, step->weight_bytes);
    else primitive_run(&step->reorder, (const void *[]){w, stored});
    return w;
}

static bool trial(const struct conv_shape *s, int n, bool backward, const struct step *whole, const struct step *one)
{
    enum layout layout = backward ? s->y_layout : s->x_layout;
    int channels = backward ? s->out_c : s->in_c, width = layout == LAYOUT_NHWC ? channels : layout == LAYOUT_NCHW ? 1 : 16;
    int64_t pixels = backward ? (int64_t)s->out_h * s->out_w : (int64_t)s->spec.in_h * s->spec.in_w;
    size_t area = (size_t)s->spec.kernel * (size_t)s->spec.kernel, in_c = s->spec.groups > 1 ? 1 : (size_t)s->in_c;
    const struct trial_data *d = trial_data();
    float *plain = mem_alloc((size_t)s->out_c * in_c * area * sizeof(float)), *stored = mem_alloc(dnnl_memory_desc_get_size(&s->stored));
    float *bias = mem_zero((size_t)s->out_c * sizeof(float));
    dnnl_memory_desc_t plain_md = conv_weight_md(s, dnnl_f32, false);
    struct pairs pairs = pairs_draw(s, backward);
    fill_weights(plain, d, &pairs, s, backward);
    reorder_once(stored, &s->stored, plain, &plain_md);
    void *in = mem_alloc((size_t)n * argument_bytes(one, 1)), *out = mem_alloc((size_t)n * argument_bytes(one, 0));
    fill_activations(in, d, &pairs, n, channels, pixels, width, s->spec.dtype);
    void *for_whole = weights_for(whole, stored), *for_one = weights_for(one, stored);
    primitive_run(&whole->run, (const void *[]){out, in, for_whole, bias});
    struct images m = images_make(one, out, in, for_one, bias);
    side_by_side(n, image_compare, &m);
    void *all[] = {pairs.twin, pairs.sign, plain, stored, bias, in, out, for_whole, for_one};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
    return m.differ == 0;
}

/* ---- what was tried ---- */

struct verdict {
    char what[200];
    bool same;
    struct verdict *next;
};
static struct verdict *verdicts;

static bool same_bits(const struct conv_shape *s, int n, bool backward, const struct step *whole, const struct step *one)
{
    const struct conv_spec *p = &s->spec;
    char what[sizeof verdicts->what];
    snprintf(what, sizeof what, "%d of %d threads: %d %d, %d %d -> %d, k%d s%d p%d g%d, %d%d%d %d%d", backward, omp_get_max_threads(), n,
             p->in_c, p->in_h, p->in_w, p->out_c, p->kernel, p->stride, p->padding, p->groups, p->bias, p->relu, p->first, (int)p->dtype,
             s->training);
    for (const struct verdict *v = verdicts; v != NULL; v = v->next)
        if (strcmp(v->what, what) == 0) return v->same;
    struct verdict *v = NEW(struct verdict);
    memcpy(v->what, what, sizeof what);
    v->same = trial(s, n, backward, whole, one);
    v->next = verdicts;
    verdicts = v;
    return v->same;
}

void images_judge(struct conv_steps *c, const struct conv_steps *one, const struct conv_shape *s)
{
    if (c->n == 1 && omp_get_max_threads() == 1) return;
    c->forward_by_image = !same_bits(s, c->n, false, &c->forward, &one->forward);
    if (c->backward_data.run.handle != NULL)
        c->backward_by_image = !same_bits(s, c->n, true, &c->backward_data, &one->backward_data);
}
