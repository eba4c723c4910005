/* faithfulness.c - see faithfulness.h. The 4 (steps + 1) pictures of an image go through the network in full batches. */
#include "train/faithfulness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "io/labels.h"
#include "models/cam.h"

enum { BLUR_RADIUS = 5 };
static const double BLUR_DEVIATION = 5;
enum curve { DELETION, INSERTION, RANDOM_DELETION, RANDOM_INSERTION, CURVES };

struct measure {
    struct network *net;
    const struct train_config *c;
    const struct faithfulness_options *o;
    int size, places;
    const float *planes;
    float *blurred;       /* (3, size, size) */
    int *rank, *random_rank; /* [pixel] 0 for the hottest */
};

/* ---- the order of pixels ---- */

struct pixel {
    float heat;
    uint32_t tie;
    int at;
};

static int hotter_first(const void *a, const void *b)
{
    const struct pixel *x = a, *y = b;
    if (x->heat != y->heat) return x->heat > y->heat ? -1 : 1;
    if (x->tie != y->tie) return x->tie < y->tie ? -1 : 1;
    return x->at - y->at;
}

static int *ranks_of(const float *heat, int places, uint64_t seed, int64_t image)
{
    struct pixel *order = mem_alloc(sizeof *order * (size_t)places);
    struct random ties = random_stream(seed, RANDOM_EXPLAIN, (uint64_t)image, 0);
    int *rank = NEW_ARRAY(int, places);
    for (int i = 0; i < places; i++) order[i] = (struct pixel){heat[i], random_u32_at(&ties, (uint64_t)i), i};
    qsort(order, (size_t)places, sizeof *order, hotter_first);
    for (int i = 0; i < places; i++) rank[order[i].at] = i;
    mem_free(order);
    return rank;
}

static int *random_ranks(const struct measure *m, int64_t image)
{
    struct random r = random_stream(m->o->seed, RANDOM_EXPLAIN, (uint64_t)image, 1);
    int count = m->o->map_h * m->o->map_w;
    float *map = NEW_ARRAY(float, count), *heat = NEW_ARRAY(float, m->places);
    for (int i = 0; i < count; i++) map[i] = (float)random_uniform(&r);
    cam_heat(heat, m->size, m->size, map, m->o->map_h, m->o->map_w);
    int *rank = ranks_of(heat, m->places, m->o->seed, image);
    mem_free(map);
    mem_free(heat);
    return rank;
}

/* ---- pictures ---- */

/* One direction: `stride` to the next pixel of a line, `next` to the next line. Beyond the edges there is nothing: weights are those inside. */
static void blur_lines(float *to, const float *from, int size, int stride, int next)
{
    for (int line = 0; line < size; line++)
        for (int i = 0; i < size; i++) {
            double sum = 0, weights = 0;
            for (int k = -BLUR_RADIUS; k <= BLUR_RADIUS; k++) {
                if (i + k < 0 || i + k >= size) continue;
                double weight = exp(-k * k / (2 * BLUR_DEVIATION * BLUR_DEVIATION));
                sum += weight * from[line * next + (i + k) * stride];
                weights += weight;
            }
            to[line * next + i * stride] = (float)(sum / weights);
        }
}

static float *blur(const float *planes, int size)
{
    size_t places = (size_t)size * (size_t)size;
    float *out = mem_alloc(sizeof(float) * 3 * places), *across = mem_alloc(sizeof(float) * places);
    for (size_t p = 0; p < 3; p++) {
        blur_lines(across, planes + p * places, size, 1, size);
        blur_lines(out + p * places, across, size, size, 1);
    }
    mem_free(across);
    return out;
}

/* What the network sees at a step of a curve. */
static void make_state(float *out, const struct measure *m, enum curve curve, int step)
{
    const int *rank = curve < RANDOM_DELETION ? m->rank : m->random_rank;
    bool deletes = curve == DELETION || curve == RANDOM_DELETION;
    int changed = (int)((int64_t)step * m->places / m->o->steps);
    for (int p = 0; p < 3; p++)
        for (int i = 0; i < m->places; i++) {
            size_t at = (size_t)p * (size_t)m->places + (size_t)i;
            float other = deletes ? 0 : m->blurred[at];
            out[at] = (rank[i] < changed) == deletes ? other : m->planes[at];
        }
}

/* The probabilities of all steps of all curves, in that order. */
static void run_states(double *answer, const struct measure *m)
{
    int points = m->o->steps + 1, states = CURVES * points, batch = m->c->eval_batch, outputs = loss_outputs(&m->c->loss);
    size_t picture = 3 * (size_t)m->places;
    float *pixels = mem_alloc(sizeof(float) * picture * (size_t)batch), *logits = NEW_ARRAY(float, batch * outputs);
    double *p = NEW_ARRAY(double, batch * LOGIT_COUNT);
    for (int done = 0; done < states; done += batch) {
        int count = states - done < batch ? states - done : batch;
        for (int i = 0; i < count; i++) make_state(pixels + (size_t)i * picture, m, (enum curve)((done + i) / points), (done + i) % points);
        network_infer(m->net, pixels, count, logits);
        loss_probabilities(p, logits, count, &m->c->loss);
        for (int i = 0; i < count; i++) answer[done + i] = p[i * LOGIT_COUNT + m->o->what];
    }
    mem_free(pixels);
    mem_free(logits);
    mem_free(p);
}

static double area(const double *curve, int steps)
{
    double sum = -(curve[0] + curve[steps]) / 2;
    for (int i = 0; i <= steps; i++) sum += curve[i];
    return sum / steps;
}

void faithfulness_measure(struct faithfulness *f, struct network *net, const struct train_config *c, const struct faithfulness_options *o,
                          int64_t image, const float *planes, const float *heat)
{
    int size = c->augment.size, points = o->steps + 1;
    struct measure m = {.net = net, .c = c, .o = o, .size = size, .places = size * size, .planes = planes};
    double *answer = NEW_ARRAY(double, CURVES * points);
    m.blurred = blur(planes, size);
    m.rank = ranks_of(heat, m.places, o->seed, image);
    m.random_rank = random_ranks(&m, image);
    run_states(answer, &m);
    double *areas[CURVES] = {&f->deletion, &f->insertion, &f->random_deletion, &f->random_insertion};
    for (int k = 0; k < CURVES; k++) *areas[k] = area(answer + k * points, o->steps);
    mem_free(answer);
    mem_free(m.blurred);
    mem_free(m.rank);
    mem_free(m.random_rank);
}
