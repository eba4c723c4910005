/* optim.c - ops/optim.h in host memory. The arena is memory bound: Adam reads four and writes three floats per parameter. */
#include <math.h>

#include "base/memory.h"
#include "ops/host/host.h"

enum { CHUNK = 1 << 16 }; /* the norm is summed per chunk, then over chunks in order: the same for any thread count */

void host_norm_of(double *norm, const float *gradients, int64_t count)
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
    norm[0] = sqrt(sum);
}

static void adam(float *w, float *m, float *v, const float *gradients, int64_t count, const struct optim_spec *s, const struct optim_now *now,
                 float scale)
{
    float beta1 = (float)s->beta1, beta2 = (float)s->beta2, decay = (float)s->weight_decay, eps = (float)s->eps;
    float rest1 = (float)(1 - s->beta1), rest2 = (float)(1 - s->beta2);
    float step = now->step, root = now->root;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; i++) {
        float g = gradients[i] * scale + decay * w[i];
        m[i] = beta1 * m[i] + rest1 * g;
        v[i] = beta2 * v[i] + rest2 * g * g;
        w[i] -= step * m[i] / (sqrtf(v[i]) * root + eps);
    }
}

static void sgd(float *w, float *m, const float *gradients, int64_t count, const struct optim_spec *s, const struct optim_now *now, float scale)
{
    float decay = (float)s->weight_decay, step = now->step, momentum = now->momentum;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; i++) {
        m[i] = momentum * m[i] + gradients[i] * scale + decay * w[i];
        w[i] -= step * m[i];
    }
}

void host_update(float *parameters, float *m, float *v, const float *gradients, int64_t count, const struct optim_spec *spec,
                 const struct optim_now *now, const double *norm)
{
    float scale = 1;
    if (!isfinite(norm[0])) return;
    if (spec->clip_norm > 0) scale = (float)fmin(1, spec->clip_norm / (norm[0] + 1e-6));
    if (spec->kind == OPTIM_ADAM)
        adam(parameters, m, v, gradients, count, spec, now, scale);
    else
        sgd(parameters, m, gradients, count, spec, now, scale);
}
