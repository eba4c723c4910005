/* optim.c - see optim.h. The arena is memory bound: Adam reads four and writes three floats per parameter. */
#include "train/optim.h"

#include <math.h>

#include "base/memory.h"

enum { CHUNK = 1 << 16 }; /* the norm is summed per chunk, then over chunks in order: the same for any thread count */

void optim_open(struct optim *o, const struct optim_spec *spec, int64_t count)
{
    *o = (struct optim){.spec = *spec, .count = count};
    o->m = NEW_ARRAY(float, count);
    if (spec->kind == OPTIM_ADAM) o->v = NEW_ARRAY(float, count);
}

void optim_close(struct optim *o)
{
    mem_free(o->m);
    mem_free(o->v);
    *o = (struct optim){0};
}

double optim_lr(const struct optim_spec *spec, int epoch)
{
    if (!spec->cosine_period) return spec->lr;
    return spec->lr * 0.5 * (1 + cos(M_PI * epoch / spec->cosine_period));
}

static double gradient_norm(const float *gradients, int64_t count)
{
    int64_t chunks = (count + CHUNK - 1) / CHUNK;
    double sum = 0, *part = NEW_ARRAY(double, chunks);
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < chunks; k++) {
        int64_t end = (k + 1) * CHUNK < count ? (k + 1) * CHUNK : count;
        double s = 0;
#pragma omp simd reduction(+ : s)
        for (int64_t i = k * CHUNK; i < end; i++) s += (double)gradients[i] * gradients[i];
        part[k] = s;
    }
    for (int64_t k = 0; k < chunks; k++) sum += part[k];
    mem_free(part);
    return sqrt(sum);
}

static void adam(struct optim *o, float *w, const float *gradients, double lr, float scale)
{
    const struct optim_spec *s = &o->spec;
    double correction1 = 1 - pow(s->beta1, (double)o->steps), correction2 = 1 - pow(s->beta2, (double)o->steps);
    float beta1 = (float)s->beta1, beta2 = (float)s->beta2, decay = (float)s->weight_decay, eps = (float)s->eps;
    float rest1 = (float)(1 - s->beta1), rest2 = (float)(1 - s->beta2);
    float step = (float)(lr / correction1), root = (float)(1 / sqrt(correction2));
    float *m = o->m, *v = o->v;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < o->count; i++) {
        float g = gradients[i] * scale + decay * w[i];
        m[i] = beta1 * m[i] + rest1 * g;
        v[i] = beta2 * v[i] + rest2 * g * g;
        w[i] -= step * m[i] / (sqrtf(v[i]) * root + eps);
    }
}

static void sgd(struct optim *o, float *w, const float *gradients, double lr, float scale)
{
    float decay = (float)o->spec.weight_decay, step = (float)lr;
    float momentum = o->steps > 1 ? (float)o->spec.momentum : 0, *m = o->m;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < o->count; i++) {
        m[i] = momentum * m[i] + gradients[i] * scale + decay * w[i];
        w[i] -= step * m[i];
    }
}

double optim_step(struct optim *o, float *parameters, float *gradients, double lr)
{
    double norm = gradient_norm(gradients, o->count);
    float scale = 1;
    if (!isfinite(norm)) return norm;
    if (o->spec.clip_norm > 0) scale = (float)fmin(1, o->spec.clip_norm / (norm + 1e-6));
    o->steps++;
    if (o->spec.kind == OPTIM_ADAM)
        adam(o, parameters, gradients, lr, scale);
    else
        sgd(o, parameters, gradients, lr, scale);
    return norm;
}
