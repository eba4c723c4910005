/* test_cuda_kernels_rest.c - the CUDA kernels beside test_cuda_kernels.c's cases: statistics of normalisation, padded input, copies, dropped
 * rows, loss, norm, update, sums over shards, roundings, pictures. Each against its formula, written out here in double where sums are made.
 * Everything runs with threads and blocks in either order. */
#include <float.h>

#include "io/load/augment.h"
#include "tests/cuda/kernels_table.h"
#include "tests/tools/ops_values.h"
#include "tests/unit/check.h"

/* Largest difference, in parts of the largest wanted value. */
static double difference(const float *got, const float *want, size_t count)
{
    double worst = 0, largest = 1e-30;
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)got[i] - want[i]);
        worst = isnan(d) ? INFINITY : fmax(worst, d);
        largest = fmax(largest, fabs((double)want[i]));
    }
    return worst / largest;
}
static bool same(const void *a, const void *b, size_t bytes) { return !bytes || !memcmp(a, b, bytes); }
static float *copy_of(const float *v, size_t count) { return memcpy(mem_alloc(sizeof(float) * count), v, sizeof(float) * count); }

/* ---- normalisation ---- */

enum { NORM_ARRAYS = 8 };
/* mean, inv_std, scale, shift, running_mean, running_var, gamma, beta, one after the other. */
static struct norm_memory norm_memory_at(float *v, int c)
{
    return (struct norm_memory){v, v + c, v + 2 * c, v + 3 * c, v + 4 * c, v + 5 * c, v + 6 * c, v + 7 * c};
}

static void norm_expected(struct norm_memory *m, const struct norm_spec *spec, const double *sum, const double *squares, double count)
{
    for (int c = 0; c < spec->c; c++) {
        double mean = m->running_mean[c], variance = m->running_var[c];
        if (sum) {
            mean = sum[c] / count, variance = fmax(0, squares[c] / count - mean * mean);
            m->running_mean[c] = (float)((1 - spec->momentum) * m->running_mean[c] + spec->momentum * mean);
            m->running_var[c] = (float)((1 - spec->momentum) * m->running_var[c] + spec->momentum * (count > 1 ? variance * count / (count - 1) : variance));
        }
        m->mean[c] = (float)mean, m->inv_std[c] = (float)(1 / sqrt(variance + spec->eps));
        m->scale[c] = m->gamma[c] * m->inv_std[c], m->shift[c] = m->beta[c] - m->mean[c] * m->scale[c];
    }
}

/* Of a buffer of `all` channels the first `old` were summed before. One call must leave the very bits of the several. */
static void check_batch(int old, int all, enum dtype dtype, enum activation act, bool second)
{
    enum { ROOM = 300 };
    struct norm_spec spec = {all, 1e-5, 0.1};
    struct shape s = {3, all, 5, 4};
    size_t values = (size_t)(3 * all * 5 * 4), c = (size_t)all;
    float *v = values_normal(values, 0.3, 1, dtype), *dv = values_normal(values, 0, 1, dtype), *dv2 = values_normal(values, 0, 1, dtype);
    struct tensor x = tensor_filled(v, s, dtype, LAYOUT_NHWC, 0, 0), fresh = x, dy2 = tensor_filled(dv2, s, dtype, LAYOUT_NHWC, 0, 0), dy[2];
    float *memory = values_range(NORM_ARRAYS * c, 0.5, 1.5), *other = copy_of(memory, NORM_ARRAYS * c), out[2][4][ROOM] = {{{0}}};
    double sum[2][ROOM], squares[2][ROOM], g[2 * ROOM], count = 60;
    struct norm_memory m = norm_memory_at(memory, all), n = norm_memory_at(other, all);
    void *scratch = scratch_new(channel_sums_scratch(&x));
    fresh.c_offset = old, fresh.c = all - old;
    launch_norm_sums(sum[0], squares[0], &x, scratch, NULL);
    memcpy(sum[1], sum[0], sizeof sum[0]), memcpy(squares[1], squares[0], sizeof squares[0]);
    for (int k = old; k < all; k++) sum[1][k] = squares[1][k] = NAN; /* to be written */
    if (fresh.c) launch_norm_sums(sum[0] + old, squares[0] + old, &fresh, scratch, NULL); /* cut as in the one call */
    launch_norm_statistics(&m, &spec, sum[0], squares[0], count, NULL);
    launch_norm_batch(&n, &spec, sum[1], squares[1], &fresh, count, scratch, NULL);
    EXPECT(same(memory, other, sizeof(float) * NORM_ARRAYS * c) && same(sum[0], sum[1], sizeof(double) * c) && same(squares[0], squares[1], sizeof(double) * c),
           "%d + %d channels: norm_batch has other bits", old, all - old);
    for (int i = 0; i < 2; i++) dy[i] = tensor_filled(dv, s, dtype, LAYOUT_NHWC, 0, 0);
    launch_norm_backward_sums(g, g + all, &dy[0], second ? &dy2 : NULL, &x, NULL, m.mean, m.inv_std, m.scale, m.shift, NULL, act, scratch, NULL);
    launch_narrow(out[0][0], g + all, c, NULL), launch_narrow(out[0][1], g, c, NULL);
    launch_norm_means(out[0][2], out[0][3], g, g + all, all, count, NULL);
    launch_norm_backward_batch(out[1][0], out[1][1], out[1][2], out[1][3], &dy[1], second ? &dy2 : NULL, &x, NULL, &m, NULL, act, count, scratch, NULL);
    EXPECT(same(out[0], out[1], sizeof out[0]) && same(dy[0].data, dy[1].data, tensor_buffer_bytes(&dy[0])), "%d channels: norm_backward_batch has other bits", all);
    tensor_delete(&x), tensor_delete(&dy2), tensor_delete(&dy[0]), tensor_delete(&dy[1]);
    mem_free(v), mem_free(dv), mem_free(dv2), mem_free(memory), mem_free(other), mem_free(scratch);
}

/* The same with sums that a convolution has taken: they are what these floats say, exactly, and the statistics those of norm_statistics. */
static void check_taken(int old, int all)
{
    enum { ROOM = 300 };
    const struct norm_spec spec = {all, 1e-5, 0.1};
    const double count = 60;
    const int c = all - old;
    const size_t values = NORM_ARRAYS * (size_t)all;
    float *taken = values_range(2 * (size_t)c, 30, 50), *memory = values_range(values, 0.5, 1.5), *other = copy_of(memory, values);
    struct norm_memory m = norm_memory_at(memory, all), n = norm_memory_at(other, all);
    double sum[2][ROOM], squares[2][ROOM];
    for (int k = 0; k < old; k++) sum[0][k] = sum[1][k] = 20 + k % 5, squares[0][k] = squares[1][k] = 40 + k % 3;
    for (int k = old; k < all; k++) sum[1][k] = squares[1][k] = NAN; /* to be written */
    launch_norm_sums_taken(sum[0] + old, squares[0] + old, taken, c, NULL);
    for (int k = 0; k < c; k++)
        EXPECT(sum[0][old + k] == (double)taken[k] && squares[0][old + k] == (double)taken[c + k], "channel %d: another sum", k);
    launch_norm_statistics(&m, &spec, sum[0], squares[0], count, NULL);
    launch_norm_batch_taken(&n, &spec, sum[1], squares[1], taken, c, count, NULL);
    EXPECT(same(memory, other, sizeof(float) * values) && same(sum[0], sum[1], sizeof(double) * (size_t)all) &&
               same(squares[0], squares[1], sizeof(double) * (size_t)all),
           "%d + %d channels: taken sums give other bits", old, c);
    mem_free(taken), mem_free(memory), mem_free(other);
}

static void check_batches(void)
{
    static const int cut[][2] = {{0, 1}, {0, 64}, {0, 37}, {32, 64}, {24, 29}, {64, 64}, {0, 256}};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++)
        for (int k = 0; k < 4; k++) check_batch(cut[i][0], cut[i][1], k % 2 ? DTYPE_BF16 : DTYPE_F32, (enum activation)(k % 3), k > 1);
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++)
        if (cut[i][0] < cut[i][1]) check_taken(cut[i][0], cut[i][1]);
}

static void check_statistics(int channels, double count)
{
    struct norm_spec spec = {channels, 1e-5, 0.1};
    size_t values = (size_t)channels;
    float *got = values_range(NORM_ARRAYS * values, 0.5, 1.5), *want = copy_of(got, NORM_ARRAYS * values), means[2 * 300];
    double sum[300], squares[300];
    struct norm_memory g = norm_memory_at(got, channels), w = norm_memory_at(want, channels);
    for (int c = 0; c < channels; c++) sum[c] = random_range(&values_stream, -1, 1) * count, squares[c] = (sum[c] * sum[c] / count / count + c % 5 - 0.25) * count;
    launch_norm_statistics(&g, &spec, sum, squares, count, NULL), norm_expected(&w, &spec, sum, squares, count);
    EXPECT_NEAR(difference(got, want, NORM_ARRAYS * values), 0, 2e-7);
    launch_norm_frozen(&g, &spec, NULL), norm_expected(&w, &spec, NULL, NULL, 0);
    EXPECT_NEAR(difference(got, want, NORM_ARRAYS * values), 0, 2e-7);
    launch_norm_means(means, means + channels, sum, squares, channels, count, NULL);
    for (int c = 0; c < channels; c++) EXPECT(means[c] == (float)(sum[c] / count) && means[channels + c] == (float)(squares[c] / count), "mean of channel %d", c);
    mem_free(got), mem_free(want);
}

/* ---- copies, input, rows ---- */

static void check_copy(enum dtype dtype, struct shape s, int before, int after)
{
    float *v = values_normal(shape_count(s), 0, 1, dtype);
    struct tensor from = tensor_filled(v, s, dtype, LAYOUT_NHWC, before, after), to = tensor_new(s, dtype, LAYOUT_NHWC, after, before), whole = tensor_new(s, dtype, LAYOUT_NHWC, 0, 0);
    launch_copy(&to, &from, NULL), launch_copy(&whole, &to, NULL);
    float *got = tensor_values(&whole);
    EXPECT(same(got, v, sizeof(float) * shape_count(s)) && neighbours_are_kept(&to), "copy n%d c%d at %d", s.n, s.c, before);
    tensor_delete(&from), tensor_delete(&to), tensor_delete(&whole), mem_free(v), mem_free(got);
}

/* The whole buffer of a padded input: its values, then zeros. */
static bool input_is(const struct tensor *x, const float *nchw, double limit)
{
    struct tensor whole = whole_of(*x);
    float *got = tensor_values(&whole);
    size_t pixels = (size_t)(x->h * x->w), bad = 0;
    for (int n = 0; n < x->n; n++)
        for (int c = 0; c < x->c_total; c++)
            for (size_t p = 0; p < pixels; p++) {
                float want = c < x->c ? value_round(nchw[((size_t)(n * x->c + c)) * pixels + p], limit > 0 ? DTYPE_F32 : x->dtype) : 0;
                float have = got[((size_t)(n * x->c_total + c)) * pixels + p];
                bad += !(fabs((double)have - want) <= (c < x->c ? limit + (limit > 0 && x->dtype == DTYPE_BF16 ? fabs((double)want) * 0x1p-8 : 0) : 0));
            }
    mem_free(got);
    return bad == 0;
}
static struct tensor input_new(int n, int h, int w, enum dtype dtype)
{
    struct tensor x = input_tensor(NULL, n, h, w, dtype);
    x.data = scratch_new(tensor_buffer_bytes(&x));
    return x;
}

static void check_input(enum dtype dtype, int n)
{
    float *v = values_normal((size_t)(n * 3 * 9 * 7), 0, 1, DTYPE_F32);
    struct tensor x = input_new(n, 9, 7, dtype);
    EXPECT((size_t)x.c_total * dtype_bytes(dtype) == 16, "a pixel of %d channels", x.c_total);
    launch_input(&x, v, NULL);
    EXPECT(input_is(&x, v, 0), "padded input of %d images", n);
    tensor_delete(&x), mem_free(v);
}

static void check_drop_rows(double p, int images)
{
    uint64_t key[40];
    float got[40];
    for (int i = 0; i < 40; i++) key[i] = random_u64(&values_stream), got[i] = 7;
    launch_drop_rows(got, key, images, p, 5, NULL);
    for (int i = 0; i < 40; i++) {
        struct random r = random_stream(key[i], RANDOM_DROP_PATH, 5, 0);
        float want = i >= images ? 7 : random_u32_at(&r, 0) < p * 4294967296.0 ? 0 : (float)(1 / (1 - p));
        EXPECT(got[i] == want, "row %d of %d: %g for %g", i, images, (double)got[i], (double)want);
    }
}

/* ---- loss ---- */

static double entropy(double z, double t) { return -t * log(1 / (1 + exp(-z))) - (1 - t) * log(1 / (1 + exp(z))); }

static void check_loss(struct loss_spec spec, int images, int total, bool gradient)
{
    int outputs = loss_outputs(&spec);
    size_t count = (size_t)(images * outputs);
    float *z = values_normal(count, 0, 2, DTYPE_F32), *t = NEW_ARRAY(float, images * LOSS_TARGETS), *d = values_normal(count, 9, 1, DTYPE_F32);
    double sums[2] = {9, 9}, want[2] = {0, 0};
    for (int i = 0; i < images * LOSS_TARGETS; i++) t[i] = (float)(random_u32(&values_stream) % 5 == 0);
    launch_loss(sums, gradient ? d : NULL, z, t, images, total, &spec, NULL);
    for (int i = 0; i < images; i++) {
        const float *zi = z + i * outputs, *ti = t + i * LOSS_TARGETS;
        bool lesions = false;
        for (int l = 1; l < LOSS_TARGETS; l++) lesions |= ti[l] > 0;
        for (int l = 0; l < outputs; l++) {
            bool pair = spec.kind == LOSS_SOFTMAX;
            double margin = pair ? (double)zi[1] - zi[0] : zi[l], target = ti[pair ? 0 : l];
            double weight = pair ? 1.0 / total : (l == 0 ? spec.covid_weight : spec.lesions && lesions) / (6.0 * total);
            double slope = weight * (1 / (1 + exp(-margin)) - target) * (pair && l == 0 ? -1 : 1);
            if (l == 0) want[1] += entropy(margin, target);
            if (l == 0 || !pair) want[0] += weight * entropy(margin, target);
            if (gradient) EXPECT_NEAR(d[i * outputs + l], slope, 1e-7 * fabs(slope) + 1e-30);
            else EXPECT(d[i * outputs + l] != 0, "a gradient was written");
        }
    }
    EXPECT_NEAR(sums[0], want[0], 1e-12);
    EXPECT_NEAR(sums[1], want[1], 1e-10);
    mem_free(z), mem_free(t), mem_free(d);
}

/* ---- update ---- */

static void expected_update(float *w, float *m, float *v, const float *gradients, size_t count, const struct optim_spec *s, const struct optim_now *now, double norm)
{
    double scale = s->clip_norm > 0 ? fmin(1, s->clip_norm / (norm + 1e-6)) : 1;
    for (size_t i = 0; i < count; i++) {
        double g = gradients[i] * scale + s->weight_decay * w[i];
        if (s->kind == OPTIM_SGD) {
            m[i] = (float)(now->momentum * (double)m[i] + g), w[i] -= now->step * m[i];
            continue;
        }
        m[i] = (float)(s->beta1 * m[i] + (1 - s->beta1) * g), v[i] = (float)(s->beta2 * v[i] + (1 - s->beta2) * g * g);
        w[i] = (float)(w[i] - (double)now->step * m[i] / (sqrt(v[i]) * now->root + s->eps));
    }
}

enum { GUARD = 8 }; /* values after an arena that must stay as they are */
static bool guard_kept(const float *v, const float *want, size_t count) { return same(v + count, want + count, sizeof(float) * GUARD); }

static void check_update(enum optim_kind kind, size_t count, double clip, bool copied)
{
    size_t all = count + GUARD;
    struct optim_spec spec = {.kind = kind, .weight_decay = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip_norm = clip};
    struct optim_now now = {0.01F, 3.0F, 0.9F};
    float *g = values_normal(all, 0, 1, DTYPE_F32), *w = values_normal(all, 0, 1, DTYPE_F32), *m = values_normal(all, 0, 0.1, DTYPE_F32), *v = values_range(all, 0.1, 1);
    float *want_w = copy_of(w, all), *want_m = copy_of(m, all), *want_v = copy_of(v, all);
    uint16_t *copy = scratch_new(sizeof *copy * all), *rounded = scratch_new(sizeof *copy * all);
    double norm = -1, squares = 0, bad = NAN;
    void *scratch = scratch_new(norm_of_scratch((int64_t)count));
    for (size_t i = 0; i < count; i++) squares += (double)g[i] * g[i];
    launch_norm_of(&norm, g, (int64_t)count, scratch, NULL);
    EXPECT_NEAR(norm, sqrt(squares), 1e-12 * sqrt(squares));
    launch_update(w, m, v, g, (int64_t)count, &spec, &now, &bad, NULL, NULL);
    EXPECT(same(w, want_w, sizeof(float) * count) && same(m, want_m, sizeof(float) * count), "an infinite gradient changed the weights");
    launch_update(w, m, kind == OPTIM_ADAM ? v : NULL, g, (int64_t)count, &spec, &now, &norm, copied ? copy : NULL, NULL);
    expected_update(want_w, want_m, want_v, g, count, &spec, &now, norm);
    EXPECT_NEAR(difference(w, want_w, count), 0, 4e-7);
    EXPECT_NEAR(difference(m, want_m, count), 0, 4e-7);
    EXPECT_NEAR(difference(v, want_v, count), 0, 4e-7);
    EXPECT(guard_kept(w, want_w, count) && guard_kept(m, want_m, count) && guard_kept(v, want_v, count), "an arena's end was overrun");
    launch_round(rounded, w, (int64_t)count, NULL);
    for (size_t i = 0; i < count; i++) EXPECT(rounded[i] == bf16_from_float(w[i]) && (copied ? copy[i] == rounded[i] : copy[i] == 0xffff), "bf16 value %zu", i);
    float *broad = NEW_ARRAY(float, all);
    broad[count] = 3;
    launch_widen(broad, rounded, (int64_t)count, NULL);
    for (size_t i = 0; i < count; i++) EXPECT(broad[i] == bf16_to_float(rounded[i]), "bf16 value %zu in f32", i);
    EXPECT(broad[count] == 3, "a value after the widened ones was written");
    mem_free(broad);
    for (size_t i = count; i < all; i++) EXPECT(rounded[i] == 0xffff && copy[i] == 0xffff, "a value after the arena was written");
    mem_free(g), mem_free(w), mem_free(m), mem_free(v), mem_free(want_w), mem_free(want_m), mem_free(want_v), mem_free(copy), mem_free(rounded), mem_free(scratch);
}

/* ---- sums over shards ---- */

static void check_tree(int shards, size_t count)
{
    float *part[300], *want[300];
    double *wide_part[300], *wide_want[300];
    for (int s = 0; s < shards; s++) {
        part[s] = values_normal(count, 0, 1, DTYPE_F32), want[s] = copy_of(part[s], count);
        wide_part[s] = NEW_ARRAY(double, count), wide_want[s] = NEW_ARRAY(double, count);
        for (size_t i = 0; i < count; i++) wide_part[s][i] = wide_want[s][i] = random_range(&values_stream, -1, 1) / 3;
    }
    launch_tree_sum(part, shards, count, NULL), shard_tree_sum(want, shards, count);
    launch_tree_sum_double(wide_part, shards, count, NULL), shard_tree_sum_double(wide_want, shards, count);
    EXPECT(same(part[0], want[0], sizeof(float) * count) && same(wide_part[0], wide_want[0], sizeof(double) * count), "tree over %d shards of %zu", shards, count);
    launch_narrow(part[0], wide_part[0], count, NULL);
    for (size_t i = 0; i < count; i++) EXPECT(part[0][i] == (float)wide_want[0][i], "narrow %zu", i);
    for (int s = 0; s < shards; s++) mem_free(part[s]), mem_free(want[s]), mem_free(wide_part[s]), mem_free(wide_want[s]);
}

/* ---- pictures ---- */

enum { SIDE = 64, PICTURES = 6 };
static void check_augment(enum augment_recipe recipe, bool train, enum dtype dtype)
{
    static const int height[PICTURES] = {64, 91, 200, 17, 64, 4500}, width[PICTURES] = {64, 130, 75, 23, 300, 40}, channels[PICTURES] = {1, 3, 1, 3, 3, 1};
    struct augment a = {.recipe = recipe, .size = SIDE, .flip = 0.5, .scale_min = 0.8, .scale_max = 1.2, .shear_degrees = 10, .crop_scale_min = 0.5, .crop_resize = 72, .seed = 3};
    struct picture picture[PICTURES];
    int64_t bytes = 0;
    for (int i = 0; i < PICTURES; i++) bytes += (int64_t)height[i] * width[i] * channels[i] + 1;
    uint8_t *pool = mem_alloc((size_t)bytes);
    float *want = NEW_ARRAY(float, PICTURES * 3 * SIDE * SIDE);
    for (int64_t i = 0; i < bytes; i++) pool[i] = (uint8_t)random_u32(&values_stream);
    bytes = 0;
    for (int i = 0; i < PICTURES; i++) {
        struct augment_map map;
        struct image image = {height[i], width[i], channels[i], pool + bytes};
        augment_map_draw(&map, &a, height[i], width[i], train, 2, (uint64_t)i);
        augment_map_apply(want + i * 3 * SIDE * SIDE, SIDE, &map, &image);
        picture[i] = (struct picture){bytes, height[i], width[i], channels[i], map.x0, map.x_column, map.x_row, map.y0, map.y_row};
        bytes += (int64_t)height[i] * width[i] * channels[i] + 1; /* odd addresses */
    }
    struct tensor x = input_new(PICTURES, SIDE, SIDE, dtype), none = input_new(0, SIDE, SIDE, dtype), narrow = tensor_new((struct shape){PICTURES, 3, SIDE, SIDE}, dtype, LAYOUT_NHWC, 0, 0);
    launch_augment(&x, pool, picture, imagenet_mean, imagenet_deviation, NULL), launch_augment(&narrow, pool, picture, imagenet_mean, imagenet_deviation, NULL);
    launch_augment(&none, pool, picture, imagenet_mean, imagenet_deviation, NULL);
    EXPECT(input_is(&x, want, 4e-6) && input_is(&narrow, want, 4e-6), "pictures, recipe %d, %s", recipe, train ? "training" : "evaluation");
    picture[1].x0 += 0.1; /* the comparison can fail */
    launch_augment(&x, pool, picture, imagenet_mean, imagenet_deviation, NULL);
    EXPECT(!input_is(&x, want, 4e-6), "a tenth of a pixel was not noticed");
    tensor_delete(&x), tensor_delete(&none), tensor_delete(&narrow), mem_free(pool), mem_free(want);
}

static void check_all(void)
{
    static const int shards[] = {1, 2, 3, 5, 8, 16, 17, 31, 256, 273};
    values_seed(1);
    check_batches();
    check_statistics(1, 1), check_statistics(300, 1000), check_statistics(33, 7);
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        check_copy(dtype, (struct shape){2, 32, 5, 7}, 64, 32), check_copy(dtype, (struct shape){3, 17, 3, 2}, 5, 0), check_copy(dtype, (struct shape){0, 8, 3, 2}, 0, 8);
        for (int n = 0; n < 4; n += n + 1) check_input(dtype, n);
        check_augment(AUGMENT_AFFINE, true, dtype), check_augment(AUGMENT_CROP, true, dtype), check_augment(AUGMENT_CROP, false, dtype), check_augment(AUGMENT_NONE, false, dtype);
    }
    check_drop_rows(0.3, 40), check_drop_rows(0.9, 1), check_drop_rows(0, 3), check_drop_rows(0.5, 0);
    for (int images = 0; images < 700; images = images * 6 + 1)
        for (int k = 0; k < 4; k++) check_loss((struct loss_spec){k < 3 ? LOSS_BCE : LOSS_SOFTMAX, k == 0, k == 2 ? 1 : 5}, images, images + 3, images % 2 == 1);
    for (int kind = OPTIM_ADAM; kind <= OPTIM_SGD; kind++)
        check_update(kind, 0, 0, true), check_update(kind, 3, 0, true), check_update(kind, 4096, 5, false), check_update(kind, 100003, 1, true);
    for (size_t i = 0; i < sizeof shards / sizeof *shards; i++) check_tree(shards[i], 0), check_tree(shards[i], 1), check_tree(shards[i], 403);
}

int main(void)
{
    emulator_reverse(false), check_all();
    emulator_reverse(true), check_all();
    return check_verdict();
}
