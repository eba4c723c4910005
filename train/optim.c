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
    o->now = ops->alloc(sizeof *o->now * OPTIM_RANGES_MOST);
    optim_set_ranges(o, &(struct optim_range){count, 1}, 1);
    o->norm = ops->alloc(sizeof *o->norm);
    if (o->m && o->now && o->norm && (o->v || spec->kind != OPTIM_ADAM)) return 0;
    return error_set(err, "no room for the optimiser's state, %.0f MB", 8e-6 * (double)count);
}

void optim_set_ranges(struct optim *o, const struct optim_range *ranges, int count)
{
    ASSERT(count > 0 && count <= OPTIM_RANGES_MOST);
    o->ranges = 0;
    for (int i = 0; i < count; i++) {
        if (o->ranges && o->range[o->ranges - 1].factor == ranges[i].factor) o->ranges--;
        o->range[o->ranges++] = ranges[i];
    }
    o->count = ranges[count - 1].end;
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
    struct optim_now now[OPTIM_RANGES_MOST];
    float momentum = o->steps > 0 ? (float)s->momentum : 0;
    double t = (double)++o->steps;
    for (int i = 0; i < o->ranges; i++) {
        double rate = lr * o->range[i].factor;
        now[i] = (struct optim_now){.step = (float)rate, .momentum = momentum};
        if (s->kind == OPTIM_ADAM) {
            now[i].step = (float)(rate / (1 - pow(s->beta1, t)));
            now[i].root = (float)(1 / sqrt(1 - pow(s->beta2, t)));
        }
    }
    o->ops->upload(o->now, now, sizeof *now * (size_t)o->ranges);
}

void optim_queue(struct optim *o, float *parameters, const float *gradients)
{
    o->ops->norm_of(o->norm, gradients, o->count);
    for (int64_t i = 0, at = 0; i < o->ranges; at = o->range[i++].end)
        o->ops->update(parameters + at, o->m + at, o->v ? o->v + at : NULL, gradients + at, o->range[i].end - at, &o->spec, &o->now[i], o->norm);
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
