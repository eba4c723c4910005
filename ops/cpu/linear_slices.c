/* linear_slices.c - see linear_slices.h. */
#include "ops/cpu/linear_slices.h"

#include <string.h>

/* VGG's wide layers are worth it; the last layer of a network is not. */
int linear_slices_worth(const struct linear *l)
{
    enum { SLICE = 256 };
    bool wide = l->spec.out_c % SLICE == 0 && (int64_t)l->columns * l->spec.out_c >= 1 << 20;
    return wide ? l->spec.out_c / SLICE : 1;
}

struct slices_run {
    const struct linear *l;
    const struct step *step;
    float *out, *dbias;       /* y (n, out_c), dx of each slice (slices, n, K), or dweights */
    const float *x, *dy, *weights, *bias;
    int n;
};

/* Columns of slice j of a matrix (n, out_c) in one piece: themselves, when there is one slice. */
static float *slice_of(const struct slices_run *r, const float *matrix, int j, int thread, bool read)
{
    size_t c = (size_t)r->l->slice_c, all = (size_t)r->l->spec.out_c;
    if (r->l->slices == 1) return (float *)matrix;
    float *piece = desk(thread, DESK_OPERAND, (size_t)r->n * c * sizeof(float));
    for (size_t i = 0; read && i < (size_t)r->n; i++) memcpy(piece + i * c, matrix + i * all + (size_t)j * c, c * sizeof(float));
    return piece;
}

static void slice_forward(void *context, int j, int thread)
{
    const struct slices_run *r = context;
    size_t c = (size_t)r->l->slice_c, all = (size_t)r->l->spec.out_c;
    float *piece = slice_of(r, r->out, j, thread, false);
    const void *w = step_weights_alone(r->step, thread, r->weights + (size_t)j * r->l->slice_count);
    primitive_run_alone(&r->step->run, thread, (const void *[]){piece, r->x, w, r->bias + (size_t)j * c});
    if (r->l->slices == 1) return;
    for (size_t i = 0; i < (size_t)r->n; i++) memcpy(r->out + i * all + (size_t)j * c, piece + i * c, c * sizeof(float));
}

static void slice_backward_data(void *context, int j, int thread)
{
    const struct slices_run *r = context;
    float *dx = r->out + (size_t)j * (size_t)r->n * (size_t)r->l->columns;
    const void *w = step_weights_alone(r->step, thread, r->weights + (size_t)j * r->l->slice_count);
    primitive_run_alone(&r->step->run, thread, (const void *[]){dx, slice_of(r, r->dy, j, thread, true), w});
}

static void slice_backward_weights(void *context, int j, int thread)
{
    const struct slices_run *r = context;
    float *dw = r->out + (size_t)j * r->l->slice_count, *db = r->dbias + (size_t)j * (size_t)r->l->slice_c;
    bool convert = r->step->reorder.handle != NULL;
    void *written = convert ? desk(thread, DESK_RESULT, r->step->weight_bytes) : dw;
    primitive_run_alone(&r->step->run, thread, (const void *[]){written, r->x, slice_of(r, r->dy, j, thread, true), db});
    if (convert) primitive_run_alone(&r->step->reorder, thread, (const void *[]){dw, written});
}

void slices_forward(const struct linear *l, const struct step *step, float *y, const float *x, const float *weights, const float *bias, int n)
{
    struct slices_run r = {.l = l, .step = step, .out = y, .x = x, .weights = weights, .bias = bias, .n = n};
    side_by_side(l->slices, slice_forward, &r);
}

void slices_backward_data(const struct linear *l, const struct step *step, float *dx, const float *dy, const float *weights, int n)
{
    size_t count = (size_t)n * (size_t)l->columns;
    float *parts = l->slices == 1 ? dx : scratch(SCRATCH_PARTS, (size_t)l->slices * count * sizeof(float));
    struct slices_run r = {.l = l, .step = step, .out = parts, .dy = dy, .weights = weights, .n = n};
    side_by_side(l->slices, slice_backward_data, &r);
    if (l->slices > 1) parts_add(dx, parts, l->slices, count, count);
}

void slices_backward_weights(const struct linear *l, const struct step *step, float *dweights, float *dbias, const float *x, const float *dy,
                             int n)
{
    struct slices_run r = {.l = l, .step = step, .out = dweights, .dbias = dbias, .x = x, .dy = dy, .n = n};
    side_by_side(l->slices, slice_backward_weights, &r);
}
