/* optim.c - see optim.h. */
#include "train/optim.h"

#include <math.h>

#include "base/memory.h"

static float *moments(const struct ops *ops, int64_t count)
{
    size_t bytes = sizeof(float) * (size_t)count;
    float *memory = ops->alloc(bytes);
    if (memory) ops->zero(memory, bytes);
    return memory;
}

int optim_open(struct optim *o, const struct ops *ops, const struct optim_spec *spec, int64_t count, struct error *err)
{
    *o = (struct optim){.ops = ops, .spec = *spec, .count = count};
    o->m = moments(ops, count);
    if (spec->kind == OPTIM_ADAM) o->v = moments(ops, count);
    o->now = ops->alloc(sizeof *o->now);
    o->norm = ops->alloc(sizeof *o->norm);
    if (o->m && o->now && o->norm && (o->v || spec->kind != OPTIM_ADAM)) return 0;
    return error_set(err, "no room for the optimiser's state, %.0f MB", 8e-6 * (double)count);
}

void optim_close(struct optim *o)
{
    if (!o->ops) return;
    o->ops->free(o->m);
    o->ops->free(o->v);
    o->ops->free(o->now);
    o->ops->free(o->norm);
    *o = (struct optim){0};
}

double optim_lr(const struct optim_spec *spec, int epoch)
{
    if (!spec->cosine_period) return spec->lr;
    return spec->lr * 0.5 * (1 + cos(M_PI * epoch / spec->cosine_period));
}

void optim_prepare(struct optim *o, double lr)
{
    const struct optim_spec *s = &o->spec;
    struct optim_now now = {.step = (float)lr, .momentum = o->steps > 0 ? (float)s->momentum : 0};
    double t = (double)++o->steps;
    if (s->kind == OPTIM_ADAM) {
        now.step = (float)(lr / (1 - pow(s->beta1, t)));
        now.root = (float)(1 / sqrt(1 - pow(s->beta2, t)));
    }
    o->ops->upload(o->now, &now, sizeof now);
}

void optim_queue(struct optim *o, float *parameters, const float *gradients)
{
    o->ops->norm_of(o->norm, gradients, o->count);
    o->ops->update(parameters, o->m, o->v, gradients, o->count, &o->spec, o->now, o->norm);
}

double optim_norm(struct optim *o)
{
    double norm;
    o->ops->download(&norm, o->norm, sizeof norm);
    if (!isfinite(norm)) o->steps--; /* it was none */
    return norm;
}

double optim_step(struct optim *o, float *parameters, const float *gradients, double lr)
{
    optim_prepare(o, lr);
    optim_queue(o, parameters, gradients);
    return optim_norm(o);
}
