/* explain.c - the maps: a forward pass in evaluation mode, a short way back from one output to the last map, arithmetic of a few numbers a
 * picture. */
#include "train/explain.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

int explain_check(const struct finished_run *r, const struct explain_options *o, struct error *err)
{
    if (o->what == 0 || r->c.loss.lesions) return 0;
    error_set(err, "%s was trained without lesions (model.method = %s): its network says nothing of %s", r->path, r->c.method, o->what_name);
    return error_hint(err, "--what covid, or a run with model.method = ladnn");
}

struct work { /* of one call */
    struct explanation *e;
    struct finished_run *r;
    const struct picture_source *s;
    const struct explain_options *o;
    const struct explain_sink *sink;
    float *pixels, *logits, *dlogits, *map, *dmap; /* of one batch */
    size_t picture, map_floats;
    int outputs, logit;
};

static int read_batch(struct work *w, int64_t first, int count, struct error *err)
{
    double start = clock_s();
    int failed = 0;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < count; i++) {
        struct image image;
        struct error mine;
        if (pictures_read(w->s, first + i, &image, &mine)) {
#pragma omp critical(explain_read)
            {
                if (!failed++) *err = mine;
            }
        } else {
            augment_apply(w->pixels + (size_t)i * w->picture, &w->r->c.augment, &image, false, 0, 0);
            image_free(&image);
        }
    }
    w->e->read_s += clock_s() - start;
    return failed ? -1 : 0;
}

static void explain_batch(struct work *w, int64_t first, int count)
{
    struct explanation *e = w->e;
    const struct value *last = &w->r->graph->values[w->r->graph->last_map];
    double start = clock_s();
    network_infer(w->r->net, w->pixels, count, w->logits);
    double inferred = clock_s();
    loss_probabilities(e->probability + first * LOGIT_COUNT, w->logits, count, &w->r->c.loss);
    network_last_map(w->r->net, count, w->map);
    network_last_map_gradient(w->r->net, count, w->dlogits, w->dmap);
#pragma omp parallel for
    for (int i = 0; i < count; i++) {
        size_t at = (size_t)i * w->map_floats;
        float *map = e->maps + (first + i) * e->h * e->w;
        e->state[first + i] = cam_map(map, w->map + at, w->dmap + at, last->c, e->h, e->w, w->o->method, w->o->eps);
    }
    e->forward_s += inferred - start;
    e->maps_s += clock_s() - inferred;
}

/* A map that shows no place has nothing that could be judged. */
static void judge_batch(struct work *w, int64_t first, int count)
{
    struct explanation *e = w->e;
    struct faithfulness_options options = {w->o->steps, w->o->what, w->o->seed, e->h, e->w};
    double start = clock_s();
    for (int64_t i = first; i < first + count; i++) {
        e->faithfulness[i] = (struct faithfulness){NAN, NAN, NAN, NAN};
        if (e->state[i] != CAM_FINE) continue;
        float *heat = explanation_heat(e, i);
        faithfulness_measure(&e->faithfulness[i], w->r->net, &w->r->c, &options, i, w->pixels + (size_t)(i - first) * w->picture, heat);
        mem_free(heat);
    }
    e->faithfulness_s += clock_s() - start;
}

static int run_batches(struct work *w, struct error *err)
{
    struct explanation *e = w->e;
    struct progress progress;
    int batch = w->r->c.eval_batch, rc = 0;
    progress_start(&progress, e->count, "%s", w->r->c.backbone);
    for (int64_t first = 0; first < e->count && !rc; first += batch) {
        int count = e->count - first < batch ? (int)(e->count - first) : batch;
        rc = read_batch(w, first, count, err);
        if (rc) break;
        explain_batch(w, first, count);
        if (e->faithfulness) judge_batch(w, first, count);
        for (int i = 0; i < count && !rc && w->sink; i++)
            rc = w->sink->take(w->sink->context, e, first + i, w->pixels + (size_t)i * w->picture, err);
        progress_update(&progress, first + count, "images");
    }
    progress_end(&progress);
    return rc;
}

int explain_pictures(struct explanation *e, struct finished_run *r, const struct picture_source *s, const struct explain_options *o,
                     const struct explain_sink *sink, struct error *err)
{
    const struct value *last = &r->graph->values[r->graph->last_map];
    size_t batch = (size_t)r->c.eval_batch;
    *e = (struct explanation){.count = pictures_count(s), .size = r->c.augment.size, .h = last->h, .w = last->w};
    e->maps = NEW_ARRAY(float, e->count * e->h * e->w);
    e->state = NEW_ARRAY(enum cam_state, e->count);
    e->probability = NEW_ARRAY(double, e->count * LOGIT_COUNT);
    if (o->faithfulness) e->faithfulness = NEW_ARRAY(struct faithfulness, e->count);
    struct work w = {.e = e, .r = r, .s = s, .o = o, .sink = sink, .outputs = loss_outputs(&r->c.loss)};
    w.logit = r->c.loss.kind == LOSS_SOFTMAX ? 1 : o->what; /* of two logits the second is COVID's */
    w.picture = 3 * (size_t)e->size * (size_t)e->size;
    w.map_floats = (size_t)last->c * (size_t)e->h * (size_t)e->w;
    float **rooms[] = {&w.pixels, &w.logits, &w.dlogits, &w.map, &w.dmap};
    size_t each[] = {w.picture, (size_t)w.outputs, (size_t)w.outputs, w.map_floats, w.map_floats};
    for (int k = 0; k < 5; k++) *rooms[k] = NEW_ARRAY(float, batch * each[k]);
    for (size_t i = 0; i < batch; i++) w.dlogits[i * (size_t)w.outputs + (size_t)w.logit] = 1;
    int rc = run_batches(&w, err);
    for (int k = 0; k < 5; k++) mem_free(*rooms[k]);
    return rc;
}

void explanation_close(struct explanation *e)
{
    mem_free(e->maps);
    mem_free(e->state);
    mem_free(e->probability);
    mem_free(e->faithfulness);
    *e = (struct explanation){0};
}

float *explanation_heat(const struct explanation *e, int64_t i)
{
    float *heat = mem_alloc(sizeof(float) * (size_t)e->size * (size_t)e->size);
    cam_heat(heat, e->size, e->size, e->maps + i * e->h * e->w, e->h, e->w);
    return heat;
}

struct faithfulness explanation_faithfulness(const struct explanation *e, int64_t *judged)
{
    struct faithfulness sum = {0};
    *judged = 0;
    for (int64_t i = 0; i < e->count; i++) {
        const struct faithfulness *f = &e->faithfulness[i];
        if (isnan(f->deletion)) continue;
        sum.deletion += f->deletion;
        sum.insertion += f->insertion;
        sum.random_deletion += f->random_deletion;
        sum.random_insertion += f->random_insertion;
        ++*judged;
    }
    double n = (double)*judged;
    return (struct faithfulness){sum.deletion / n, sum.insertion / n, sum.random_deletion / n, sum.random_insertion / n};
}
