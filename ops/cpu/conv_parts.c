/* conv_parts.c - the weight gradient in deterministic mode: cut by the shape, so that its bits do not depend on the number of
 * threads (dnnl_alone.h).
 *
 * A part is a run of output channels over a run of images. Parts of other channels only have their own place in the gradient;
 * parts of other images must be added. Both are cheap at opposite ends of a network: early layers have many pixels and few
 * weights, so their images are cut; late ones have few pixels and many weights, so their channels are. For a part, dy's channels
 * are made dense; of one image in LAYOUT_NCHW16C they are.
 */
#include <string.h>

#include "base/memory.h"
#include "ops/cpu/conv_primitives.h"
#include "ops/cpu/dnnl_alone.h"

enum {
    PARTS = 32,               /* of a shard, at most: enough to keep many threads busy */
    SLICE_CHANNELS = 64,      /* of a part, at least, and of a 1x1 convolution: oneDNN takes some blocks of 16 at a time; else half */
    WEIGHTS_CACHED = 1 << 16, /* gradients up to this size are added in the second cache, bigger ones in memory: */
    PIXELS_CACHED = 256,      /* so many output pixels of a part make that a few per cent of its work, */
    PIXELS_BIG = 2048,        /* and so many here */
};

static size_t stored_floats(const struct conv_shape *s) { return dnnl_memory_desc_get_size(&s->stored) / sizeof(float); }

static int chunks_worth(const struct conv_shape *s, int n)
{
    int64_t pixels = (int64_t)n * s->out_h * s->out_w;
    int64_t most = pixels / (stored_floats(s) <= WEIGHTS_CACHED ? PIXELS_CACHED : PIXELS_BIG);
    int chunks = n < PARTS ? n : PARTS;
    return most < 1 ? 1 : most < chunks ? (int)most : chunks;
}

static int slices_worth(const struct conv_shape *s, int chunks)
{
    int slices = PARTS / chunks, least = s->spec.kernel == 1 ? SLICE_CHANNELS : SLICE_CHANNELS / 2;
    if (s->spec.out_c != s->out_c || s->out_c % 16) return 1;
    while (slices > 1 && (s->out_c % (16 * slices) || s->out_c / slices < least)) slices--;
    return slices < 1 ? 1 : slices;
}

/* Of slice j in the stored weights. */
static dnnl_memory_desc_t slice_md(const struct conv_shape *s, int slices, int j)
{
    dnnl_memory_desc_t md;
    dnnl_dims_t dims, at = {0};
    memcpy(dims, s->stored.dims, sizeof dims);
    dims[0] /= slices;
    at[0] = j * dims[0];
    DNNL_CHECK(dnnl_memory_desc_init_submemory(&md, &s->stored, dims, at));
    return md;
}

static size_t slice_place(const struct conv_shape *s, int slices, int j)
{
    return slices == 1 ? 0 : (size_t)slice_md(s, slices, j).offset0;
}

static int part_open(struct step *step, const struct conv_shape *s, int slices, int images, struct error *err)
{
    struct conv_shape part = *s;
    dnnl_memory_desc_t stored = slices == 1 ? s->stored : slice_md(s, slices, 0);
    part.out_c /= slices;
    if (slices > 1) part.spec.out_c = part.out_c;
    if (conv_gradient_open(&step->run, &part, images, err) < 0) return -1;
    return s->pointwise ? 0 : step_finish(step, DNNL_ARG_DIFF_WEIGHTS, &stored, err);
}

int weight_parts_open(struct weight_parts *p, const struct conv_shape *s, int n, struct error *err)
{
    int threads = alone_begin(), status;
    p->chunks = chunks_worth(s, n);
    p->slices = slices_worth(s, p->chunks);
    status = part_open(&p->step[0], s, p->slices, n / p->chunks, err);
    if (status == 0 && n % p->chunks) status = part_open(&p->step[1], s, p->slices, n / p->chunks + 1, err);
    alone_end(threads);
    return status;
}

void weight_parts_close(struct weight_parts *p)
{
    step_close(&p->step[0]);
    step_close(&p->step[1]);
}

/* ---- a run ---- */

struct parts_run {
    const struct weight_parts *parts;
    const struct conv_shape *shape;
    const struct kernels *kernels;
    const struct tensor *x, *dy;
    float *dw, *db;                 /* of the first chunk; the others follow */
    size_t dw_step, db_step;
};

static struct tensor images_of(const struct tensor *t, int from, int n)
{
    struct tensor one = *t, part = *t;
    one.n = 1;
    part.n = n;
    part.data = (char *)t->data + (size_t)from * tensor_buffer_bytes(&one);
    return part;
}

/* The values of a view of channels in one piece: where they are if possible, else in the thread's buffer. */
static const void *dense(const struct parts_run *r, const struct tensor *t, int thread)
{
    if (t->c == t->c_total) return t->data;
    struct tensor twin = tensor_make(NULL, t->n, t->c, t->h, t->w, t->dtype, t->layout);
    if (t->n == 1 && t->layout == LAYOUT_NCHW16C && t->c % 16 == 0)
        return (char *)t->data + (size_t)t->c_offset * (size_t)t->h * (size_t)t->w * dtype_bytes(t->dtype);
    twin.data = desk(thread, DESK_OPERAND, tensor_buffer_bytes(&twin));
    r->kernels->copy(&twin, t);
    return twin.data;
}

static void part_run(void *context, int j, int thread)
{
    const struct parts_run *r = context;
    const struct weight_parts *p = r->parts;
    int chunk = j / p->slices, slice = j % p->slices, n = r->x->n;
    int from = (int)((int64_t)n * chunk / p->chunks), count = (int)((int64_t)n * (chunk + 1) / p->chunks) - from;
    const struct step *step = &p->step[count > n / p->chunks];
    struct tensor x = images_of(r->x, from, count), dy = images_of(r->dy, from, count);
    if (p->slices > 1) dy.c /= p->slices, dy.c_offset += slice * dy.c;
    float *dw = r->dw + (size_t)chunk * r->dw_step;
    float *db = r->db ? r->db + (size_t)chunk * r->db_step + (size_t)slice * (r->db_step / (size_t)p->slices) : NULL;
    float *place = dw + slice_place(r->shape, p->slices, slice);
    bool convert = step->reorder.handle != NULL;
    void *written = convert ? desk(thread, DESK_RESULT, step->weight_bytes) : place;
    primitive_run_alone(&step->run, thread, (const void *[]){written, x.data, dense(r, &dy, thread), db});
    if (convert) primitive_run_alone(&step->reorder, thread, (const void *[]){place, written});
}

void weight_parts_run(const struct weight_parts *p, const struct conv_shape *s, const struct kernels *kernels, float *dw, float *db,
                      const struct tensor *x, const struct tensor *dy)
{
    struct parts_run r = {p, s, kernels, x, dy, dw, db, stored_floats(s), (size_t)s->out_c};
    size_t chunks = (size_t)p->chunks;
    if (chunks > 1) {
        r.dw = scratch(SCRATCH_PARTS, chunks * (r.dw_step + r.db_step) * sizeof(float));
        if (db) r.db = r.dw + chunks * r.dw_step;
    }
    side_by_side(p->chunks * p->slices, part_run, &r);
    if (chunks == 1) return;
    parts_add(dw, r.dw, p->chunks, r.dw_step, r.dw_step);
    if (db) parts_add(db, r.db, p->chunks, r.db_step, r.db_step);
}
