/* augment.c - one inverse map per picture, sampled row by row; see augment.h for what it computes.
 *
 * DESIGN: no recipe rotates, so an output row reads one vertical position of the picture. Each row is therefore made in
 * two steps: a weighted sum of a few stored rows (exact filter weights, long loops that vectorise), then a walk along
 * that sum. The walk's weights depend on the position's fraction alone; they are tabled for 512 fractions (fewer where
 * the filter is wide, so that a table stays small), no pixel divides, and a row may be sheared by any amount. Rounding a
 * position to the table moves it by at most 1/1024 of the filter's half width. */
#include "io/load/augment.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"

const float imagenet_mean[3] = {0.485f, 0.456f, 0.406f}, imagenet_deviation[3] = {0.229f, 0.224f, 0.225f};

enum { PHASE_BITS = 9 };

/* ---- geometry ---- */

void augment_map_affine(struct augment_map *map, int size, int height, int width, double scale, double shear_degrees,
                        bool flip)
{
    /* torchvision: x_in = c + ((x - c) + tan(shear) * (y - c)) / scale, y_in = c + (y - c) / scale, c = size / 2. */
    double c = size / 2.0, x_stored = (double)width / size, y_stored = (double)height / size;
    double t = tan(shear_degrees * 3.14159265358979323846 / 180);
    map->x_column = x_stored / scale;
    map->x_row = x_stored * t / scale;
    map->x0 = x_stored * (c - (c + t * c) / scale);
    map->y_row = y_stored / scale;
    map->y0 = y_stored * (c - c / scale);
    if (flip) { /* column -> size - column */
        map->x0 += map->x_column * size;
        map->x_column = -map->x_column;
    }
}

/* The output shows the window (x, y, w, h) of the stored picture. */
static void map_window(struct augment_map *map, int size, double x, double y, double w, double h, bool flip)
{
    map->x0 = flip ? x + w : x;
    map->x_column = (flip ? -w : w) / size;
    map->x_row = 0;
    map->y0 = y;
    map->y_row = h / size;
}

/* torchvision's RandomResizedCrop on the picture whose shorter side is a->crop_resize. Its ten attempts and its central
 * fallback are kept: with few exceptions the first attempt fits. */
static void map_draw_crop(struct augment_map *map, const struct augment *a, int height, int width, struct random *r)
{
    double zoom = (double)a->crop_resize / (height < width ? height : width);
    double H = floor(height * zoom + 1e-6), W = floor(width * zoom + 1e-6), w = 0, h = 0, x = 0, y = 0;
    bool fits = false;
    for (int attempt = 0; attempt < 10 && !fits; attempt++) {
        double area = H * W * random_range(r, a->crop_scale_min, 1);
        double aspect = exp(random_range(r, log(3.0 / 4), log(4.0 / 3)));
        w = round(sqrt(area * aspect));
        h = round(sqrt(area / aspect));
        fits = w >= 1 && h >= 1 && w <= W && h <= H;
    }
    if (fits) {
        y = (double)random_below(r, (int64_t)(H - h) + 1);
        x = (double)random_below(r, (int64_t)(W - w) + 1);
    } else {
        w = fmin(W, round(H * 4 / 3));
        h = fmin(H, round(W * 4 / 3));
        y = floor((H - h) / 2);
        x = floor((W - w) / 2);
    }
    bool flip = random_uniform(r) < a->flip;
    map_window(map, a->size, x * width / W, y * height / H, w * width / W, h * height / H, flip);
}

static void map_centre_crop(struct augment_map *map, int size, int height, int width)
{
    double side = height < width ? height : width;
    map_window(map, size, (width - side) / 2, (height - side) / 2, side, side, false);
}

void augment_map_draw(struct augment_map *map, const struct augment *a, int height, int width, bool train,
                      uint64_t epoch, uint64_t sample)
{
    struct random r = random_stream(a->seed, RANDOM_AUGMENT, epoch, sample);
    if (a->recipe == AUGMENT_AFFINE && train) {
        double scale = random_range(&r, a->scale_min, a->scale_max);
        double shear = random_range(&r, -a->shear_degrees, a->shear_degrees);
        augment_map_affine(map, a->size, height, width, scale, shear, random_uniform(&r) < a->flip);
    } else if (a->recipe == AUGMENT_CROP && train) {
        map_draw_crop(map, a, height, width, &r);
    } else if (a->recipe == AUGMENT_CROP) {
        map_centre_crop(map, a->size, height, width);
    } else {
        map_window(map, a->size, 0, 0, width, height, false);
    }
}

/* ---- sampling ---- */

/* Triangle filter centred at `centre`, half width `support`, on pixels first .. first + taps - 1; the sum is 1. Pixels
 * outside 0 .. limit - 1 get nothing (limit 0: no limit), as at the edges in Pillow's resize. */
static void filter_weights(float *weights, int taps, int first, double centre, double support, int limit)
{
    double sum = 0;
    for (int t = 0; t < taps; t++) {
        double w = 1 - fabs(first + t + 0.5 - centre) / support;
        bool inside = limit == 0 || (first + t >= 0 && first + t < limit);
        weights[t] = w > 0 && inside ? (float)w : 0;
        sum += weights[t];
    }
    for (int t = 0; t < taps; t++) {
        weights[t] /= (float)sum;
    }
}

struct walk { /* what all rows of one picture share */
    int taps, pad;
    int y_taps;
    double y_support;
    int phase_bits;
    float *phases;    /* (2^phase_bits, taps) */
    float *y_weights; /* (y_taps) of the row in work */
    float *rows;   /* (pad + width + pad, channels): the vertical sum, its edge pixels repeated */
};

static int filter_taps(double support)
{
    return 2 * (int)ceil(support);
}

static void walk_open(struct walk *walk, const struct augment_map *map, const struct image *image)
{
    double support = fmax(1, fabs(map->x_column));
    walk->taps = walk->pad = filter_taps(support);
    walk->y_support = fmax(1, fabs(map->y_row));
    walk->y_taps = filter_taps(walk->y_support) + 1;
    walk->phase_bits = PHASE_BITS - (int)fmin(PHASE_BITS, floor(log2(support)));
    int phases = 1 << walk->phase_bits;
    walk->phases = mem_alloc(sizeof(float) * (size_t)phases * (size_t)walk->taps);
    walk->y_weights = mem_alloc(sizeof(float) * (size_t)walk->y_taps);
    walk->rows = mem_alloc(sizeof(float) * ((size_t)image->width + 2 * (size_t)walk->pad) * (size_t)image->channels);
    for (int p = 0; p < phases; p++) { /* a point at that fraction of the way from the left middle tap to the right one */
        double centre = walk->taps / 2 - 0.5 + (double)p / phases;
        filter_weights(walk->phases + p * walk->taps, walk->taps, 0, centre, support, 0);
    }
}

static void walk_close(struct walk *walk)
{
    mem_free(walk->phases);
    mem_free(walk->y_weights);
    mem_free(walk->rows);
}

/* sum[i] (+)= weight * row[i] */
static void row_add(float *restrict sum, const uint8_t *restrict row, float weight, int count, bool add)
{
    if (add) {
#pragma omp simd
        for (int i = 0; i < count; i++) {
            sum[i] += weight * (float)row[i];
        }
    } else {
#pragma omp simd
        for (int i = 0; i < count; i++) {
            sum[i] = weight * (float)row[i];
        }
    }
}

/* The picture at height `y` into walk->rows, edge pixels repeated into the padding. */
static void walk_blend_rows(const struct walk *walk, const struct image *image, double y)
{
    int channels = image->channels, count = image->width * channels;
    int first = (int)floor(y - walk->y_support);
    float *sum = walk->rows + walk->pad * channels, *weights = walk->y_weights;
    filter_weights(weights, walk->y_taps, first, y, walk->y_support, image->height);
    bool add = false;
    for (int t = 0; t < walk->y_taps; t++) {
        if (weights[t] > 0) {
            row_add(sum, image->pixels + (size_t)(first + t) * (size_t)count, weights[t], count, add);
            add = true;
        }
    }
    for (int p = 1; p <= walk->pad; p++) {
        memcpy(sum - p * channels, sum, sizeof(float) * (size_t)channels);
        memcpy(sum + count + (p - 1) * channels, sum + count - channels, sizeof(float) * (size_t)channels);
    }
}

/* Columns begin .. end - 1 are those whose point x0 + step * (column + .5) lies inside [0, width). */
static void inside_columns(int *begin, int *end, double x0, double step, int width, int size)
{
    double a = (0 - x0) / step - 0.5, b = (width - x0) / step - 0.5;
    double low = step > 0 ? ceil(a) : floor(b) + 1, high = step > 0 ? ceil(b) : floor(a) + 1;
    *begin = (int)fmax(0, fmin(size, low));
    *end = (int)fmax(*begin, fmin(size, high));
}

/* Walks along walk->rows. Positions are 44.20 fixed point; `channels` and `taps` are constants where this is inlined for
 * the common cases, so that the inner loops unroll. out: (channels, size), values 0..255. */
static inline __attribute__((always_inline)) void walk_columns(float *restrict out, int size, const struct walk *walk,
                                                               double x0, double step, int begin, int end, int channels,
                                                               int taps)
{
    const int64_t one = 1 << 20;
    int phase_shift = 20 - walk->phase_bits, phase_mask = (1 << walk->phase_bits) - 1;
    /* Point x lies between the centres of pixels floor(x - .5) and the next: the two middle taps. */
    double left = x0 - 0.5 - (taps / 2 - 1) + walk->pad + 0.5 / (1 << walk->phase_bits); /* rounds to the nearest phase */
    int64_t position = llrint((left + step * (begin + 0.5)) * (double)one), stride = llrint(step * (double)one);
    for (int column = begin; column < end; column++, position += stride) {
        const float *pixel = walk->rows + (position >> 20) * channels;
        const float *weights = walk->phases + ((position >> phase_shift) & phase_mask) * taps;
        for (int c = 0; c < channels; c++) {
            float sum = 0;
            for (int t = 0; t < taps; t++) {
                sum += weights[t] * pixel[t * channels + c];
            }
            out[c * size + column] = sum;
        }
    }
}

static void walk_row(float *out, int size, const struct walk *walk, double x0, double step, int begin, int end,
                     int channels)
{
    if (channels == 1 && walk->taps == 2) {
        walk_columns(out, size, walk, x0, step, begin, end, 1, 2);
    } else if (channels == 1 && walk->taps == 4) {
        walk_columns(out, size, walk, x0, step, begin, end, 1, 4);
    } else if (channels == 1) {
        walk_columns(out, size, walk, x0, step, begin, end, 1, walk->taps);
    } else if (walk->taps == 2) {
        walk_columns(out, size, walk, x0, step, begin, end, 3, 2);
    } else if (walk->taps == 4) {
        walk_columns(out, size, walk, x0, step, begin, end, 3, 4);
    } else {
        walk_columns(out, size, walk, x0, step, begin, end, 3, walk->taps);
    }
}

/* One row of one plane: 0..255 -> [0,1] -> normalised; outside columns are 0 before normalisation. */
static void normalise_row(float *restrict plane, const float *restrict row, int size, int begin, int end, int c)
{
    float factor = 1 / (255 * imagenet_deviation[c]), shift = -imagenet_mean[c] / imagenet_deviation[c];
    for (int i = 0; i < begin; i++) {
        plane[i] = shift;
    }
#pragma omp simd
    for (int i = begin; i < end; i++) {
        plane[i] = row[i] * factor + shift;
    }
    for (int i = end; i < size; i++) {
        plane[i] = shift;
    }
}

void augment_map_apply(float *planes, int size, const struct augment_map *map, const struct image *image)
{
    int channels = image->channels;
    ASSERT(channels == 1 || channels == 3);
    struct walk walk;
    walk_open(&walk, map, image);
    float *line = mem_alloc(sizeof(float) * 3 * (size_t)size);
    for (int row = 0; row < size; row++) {
        double y = map->y0 + map->y_row * (row + 0.5), x0 = map->x0 + map->x_row * (row + 0.5);
        int begin = 0, end = 0;
        if (y >= 0 && y < image->height) {
            inside_columns(&begin, &end, x0, map->x_column, image->width, size);
            walk_blend_rows(&walk, image, y);
            walk_row(line, size, &walk, x0, map->x_column, begin, end, channels);
        }
        for (int c = 0; c < 3; c++) {
            float *plane = planes + ((size_t)c * (size_t)size + (size_t)row) * (size_t)size;
            normalise_row(plane, line + (channels == 3 ? c * size : 0), size, begin, end, c);
        }
    }
    mem_free(line);
    walk_close(&walk);
}

void augment_apply(float *planes, const struct augment *a, const struct image *image, bool train, uint64_t epoch,
                   uint64_t sample)
{
    struct augment_map map;
    augment_map_draw(&map, a, image->height, image->width, train, epoch, sample);
    augment_map_apply(planes, a->size, &map, image);
}
