/* ctest: timeout=600 label=parity */
/* test_models_explain.c - class activation maps against pytorch-grad-cam (tests/reference/make_explain.py), on each backend; the gradient
 * they are made of against finite differences of the layers behind the last map, written out here in double; and maps that must not break.
 *
 *     models_explain TESTS-FOLDER [CASE [BACKEND]]
 */
#include <stdlib.h>

#include "base/memory.h"
#include "models/cam.h"
#include "models/init.h"
#include "models/network.h"
#include "tests/unit/check.h"

enum { OUTPUTS = 6, MAX_IMAGES = 4, LINE = 4096 };
enum { MEAN_STREAM = 10000, VAR_STREAM = 20000, PIXEL_STREAM = 30000, PATCH = 16 }; /* tests/reference/networks.py has the same */
static const double EPS = 1e-6; /* pytorch-grad-cam's */
static const double ALLOWED = 1e-4;

struct outcome { /* one network after one network_infer */
    char label[64];
    struct graph *g;
    struct network *n;
    int batch, c, h, w;
    float *map, *dmap;
    float logits[MAX_IMAGES * OUTPUTS];
};

/* ---- the same inputs as tests/reference/networks.py ---- */

static void fill_pictures(float *pixels, int batch, int size, int salt)
{
    uint64_t stream = PIXEL_STREAM + 3 * (uint64_t)salt;
    int64_t coarse = (size + PATCH - 1) / PATCH;
    for (int64_t plane = 0; plane < batch * 3; plane++)
        for (int64_t y = 0; y < size; y++)
            for (int64_t x = 0; x < size; x++) {
                int64_t i = (plane * size + y) * size + x, patch = (plane * coarse + y / PATCH) * coarse + x / PATCH;
                float fine = init_formula(stream, (uint64_t)i) + init_formula(stream + 1, (uint64_t)patch);
                pixels[i] = fine + init_formula(stream + 2, (uint64_t)plane);
            }
}

static void fill_network(struct outcome *o)
{
    for (int p = 0; p < o->g->param_count; p++) {
        const struct param *param = &o->g->params[p];
        int64_t count = param_elements(param);
        float *values = mem_alloc(sizeof(float) * 2 * (size_t)count), *mean = values, *var = values + count;
        init_param_formula(values, o->g, p);
        network_param_set(o->n, p, values);
        for (int64_t c = 0; c < count && param->role == PARAM_GAMMA; c++) {
            mean[c] = 0.25f * init_formula(MEAN_STREAM + (uint64_t)p, (uint64_t)c);
            var[c] = 1.0f + 0.5f * init_formula(VAR_STREAM + (uint64_t)p, (uint64_t)c);
        }
        if (param->role == PARAM_GAMMA) network_running_set(o->n, o->g->nodes[param->node].buffers, mean, var);
        mem_free(values);
    }
}

static void open_case(struct outcome *o, const struct ops *ops, const char *backbone, int size, int batch, int salt, bool dropout)
{
    struct network_options options = {.ops = ops, .max_eval_images = batch, .explain = true};
    struct error err;
    *o = (struct outcome){.batch = batch};
    ASSERT(batch <= MAX_IMAGES);
    snprintf(o->label, sizeof o->label, "%s %s", backbone, ops->name);
    o->g = graph_build(backbone, size, OUTPUTS, dropout, &err);
    o->n = o->g ? network_open(o->g, &options, &err) : NULL;
    if (!o->n) die_error(&err);
    fill_network(o);
    const struct value *last = &o->g->values[o->g->last_map];
    o->c = last->c, o->h = last->h, o->w = last->w;
    float *pixels = mem_alloc(sizeof(float) * (size_t)batch * 3 * (size_t)size * (size_t)size);
    fill_pictures(pixels, batch, size, salt);
    network_infer(o->n, pixels, batch, o->logits);
    mem_free(pixels);
    o->map = NEW_ARRAY(float, batch * o->c * o->h * o->w);
    o->dmap = NEW_ARRAY(float, batch * o->c * o->h * o->w);
    network_last_map(o->n, batch, o->map);
}

static void gradient_of(struct outcome *o, int logit)
{
    float dlogits[MAX_IMAGES * OUTPUTS] = {0};
    for (int i = 0; i < o->batch; i++) dlogits[i * OUTPUTS + logit] = 1;
    network_last_map_gradient(o->n, o->batch, dlogits, o->dmap);
}

static void close_case(struct outcome *o)
{
    network_close(o->n);
    graph_close(o->g);
    mem_free(o->map);
    mem_free(o->dmap);
}

/* ---- pytorch-grad-cam ---- */

static double compare_map(const struct outcome *o, const char *line, const float *map, char *rest)
{
    double most = 0, worst = 0, *want = NEW_ARRAY(double, o->h * o->w);
    for (int i = 0; i < o->h * o->w; i++) want[i] = strtod(rest, &rest);
    for (int i = 0; i < o->h * o->w; i++) most = fmax(most, want[i]);
    for (int i = 0; i < o->h * o->w; i++) worst = fmax(worst, fabs(map[i] - want[i]) / (most > 0 ? most : 1));
    EXPECT(worst <= ALLOWED, "%s %.24s: off by %.3g of the greatest value", o->label, line, worst);
    mem_free(want);
    return worst;
}

static double compare_heat(const struct outcome *o, const char *line, const float *map, char *rest)
{
    int size = o->g->image_size;
    float *heat = mem_alloc(sizeof(float) * (size_t)size * (size_t)size);
    double worst = 0;
    char *end;
    cam_heat(heat, size, size, map, o->h, o->w);
    for (int64_t at = strtoll(rest, &end, 10); end != rest; at = strtoll(rest, &end, 10)) {
        rest = end;
        worst = fmax(worst, fabs(heat[at] - strtod(rest, &rest)));
    }
    EXPECT(worst <= ALLOWED, "%s %.24s: off by %.3g", o->label, line, worst);
    mem_free(heat);
    return worst;
}

static double compare_line(struct outcome *o, char *line)
{
    char kind[8], method[16];
    int logit, image, used;
    CHECK(sscanf(line, "%7s %15s %d %d%n", kind, method, &logit, &image, &used) == 4 && image < o->batch, "bad line: %s", line);
    enum cam_method how = strcmp(method, "gradcam") ? CAM_GRAD_PLUS : CAM_GRAD;
    float *map = NEW_ARRAY(float, o->h * o->w);
    int64_t at = (int64_t)image * o->c * o->h * o->w;
    gradient_of(o, logit);
    cam_map(map, o->map + at, o->dmap + at, o->c, o->h, o->w, how, EPS);
    double worst = !strcmp(kind, "map") ? compare_map(o, line, map, line + used) : compare_heat(o, line, map, line + used);
    mem_free(map);
    return worst;
}

static void test_reference(const char *folder, const char *name, const struct ops *ops)
{
    char path[1024], line[LINE], backbone[32];
    struct outcome o = {0};
    double worst = 0;
    int size, batch, salt;
    snprintf(path, sizeof path, "%s/reference/explain_%s.txt", folder, name);
    FILE *f = fopen(path, "r");
    CHECK(f, "%s: cannot open", path);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "case %31s %d %d %d", backbone, &size, &batch, &salt) == 4)
            open_case(&o, ops, backbone, size, batch, salt, true);
        else if (line[0] != '#')
            worst = fmax(worst, compare_line(&o, line));
    }
    fclose(f);
    printf("%-28s largest difference %.2g of the greatest value\n", o.label, worst);
    close_case(&o);
}

/* ---- finite differences ---- */

static double *parameter(const struct outcome *o, int p)
{
    int64_t count = param_elements(&o->g->params[p]);
    float *values = mem_alloc(sizeof(float) * (size_t)count);
    double *out = NEW_ARRAY(double, count);
    network_param_get(o->n, p, values);
    for (int64_t i = 0; i < count; i++) out[i] = values[i];
    mem_free(values);
    return out;
}

/* As in torch.nn: of MaxPool2d without padding, or AdaptiveAvgPool2d. */
static void window(int *first, int *end, const struct node *node, int o, int in, int out)
{
    *first = node->adaptive ? o * in / out : o * node->stride;
    *end = node->adaptive ? ((o + 1) * in + out - 1) / out : *first + node->kernel;
}

static void pool(double *y, const double *x, const struct node *node, const struct value *in, const struct value *out)
{
    for (int c = 0; c < out->c; c++)
        for (int i = 0; i < out->h; i++)
            for (int j = 0; j < out->w; j++) {
                int h0, h1, w0, w1;
                window(&h0, &h1, node, i, in->h, out->h);
                window(&w0, &w1, node, j, in->w, out->w);
                double most = -INFINITY, sum = 0;
                for (int h = h0; h < h1; h++)
                    for (int w = w0; w < w1; w++) {
                        double v = x[(c * in->h + h) * in->w + w];
                        most = fmax(most, v);
                        sum += v;
                    }
                y[(c * out->h + i) * out->w + j] = node->kind == NODE_MAXPOOL ? most : sum / ((h1 - h0) * (w1 - w0));
            }
}

static void linear(double *y, const double *x, const double *weight, const double *bias, int in, int out, bool relu)
{
#pragma omp parallel for
    for (int o = 0; o < out; o++) {
        double sum = bias[o];
        for (int i = 0; i < in; i++) sum += weight[(int64_t)o * in + i] * x[i];
        y[o] = relu ? fmax(0, sum) : sum;
    }
}

struct head { double *weight[16], *bias[16]; }; /* of the nodes behind the last map */

static int first_of_head(const struct outcome *o) { return o->g->values[o->g->last_map].producer + 1; }

static int elements(const struct outcome *o, int value)
{
    const struct value *v = &o->g->values[value];
    return v->c * v->h * v->w;
}

/* The logits of one last map. */
static void run_head(double logits[OUTPUTS], const struct outcome *o, const struct head *head, const double *map)
{
    int first = first_of_head(o);
    double *x = memcpy(NEW_ARRAY(double, elements(o, o->g->last_map)), map, sizeof(double) * (size_t)elements(o, o->g->last_map));
    for (int i = first; i < o->g->node_count; i++) {
        const struct node *node = &o->g->nodes[i];
        double *y = NEW_ARRAY(double, elements(o, node->y));
        if (node->kind == NODE_LINEAR)
            linear(y, x, head->weight[i - first], head->bias[i - first], elements(o, node->x), elements(o, node->y), node->act == ACT_RELU);
        else if (node->kind == NODE_DROPOUT)
            memcpy(y, x, sizeof(double) * (size_t)elements(o, node->y));
        else
            pool(y, x, node, &o->g->values[node->x], &o->g->values[node->y]);
        mem_free(x);
        x = y;
    }
    memcpy(logits, x, sizeof(double) * OUTPUTS);
    mem_free(x);
}

/* The step is small where maxima and ReLUs may switch, else large beside the rounding of the logits. A map's zeros are passed over: below a
 * pooled maximum of 0 there are many, and each of them is one. */
static void compare_differences(struct outcome *o, const struct head *head, int image, int samples)
{
    bool linear_head = o->g->nodes[first_of_head(o)].kind != NODE_MAXPOOL;
    int count = elements(o, o->g->last_map);
    double *map = NEW_ARRAY(double, count), logits[OUTPUTS], above[OUTPUTS], below[OUTPUTS], rms[OUTPUTS] = {0}, largest = 0;
    for (int e = 0; e < count; e++) map[e] = o->map[image * count + e];
    run_head(logits, o, head, map);
    for (int l = 0; l < OUTPUTS; l++) largest = fmax(largest, fabs(logits[l]));
    for (int l = 0; l < OUTPUTS; l++) EXPECT_NEAR(o->logits[image * OUTPUTS + l], logits[l], 1e-5 * largest);
    for (int l = 0; l < OUTPUTS; l++) {
        gradient_of(o, l);
        for (int e = 0; e < count; e++) rms[l] += (double)o->dmap[image * count + e] * o->dmap[image * count + e] / count;
    }
    int k = 0;
    for (int tried = 0; k < samples && tried < 100 * samples; tried++) {
        int e = (int)((tried * 2654435761ll + 12345) % count);
        double at = map[e], step = (linear_head ? 1e-2 : 1e-7) * (1 + fabs(at));
        if (at == 0) continue;
        k++;
        map[e] = at + step;
        run_head(above, o, head, map);
        map[e] = at - step;
        run_head(below, o, head, map);
        map[e] = at;
        for (int l = k % 2; l < OUTPUTS; l += 2) {
            gradient_of(o, l);
            double got = o->dmap[image * count + e], want = (above[l] - below[l]) / (2 * step);
            EXPECT(fabs(got - want) <= 1e-4 * sqrt(rms[l]), "%s element %d, which is %g, logit %d: got %g, want %g", o->label, e, at, l, got, want);
        }
    }
    EXPECT(k == samples, "%s: the map is nearly all 0", o->label);
    mem_free(map);
}

static void test_differences(const char *backbone, const struct ops *ops, int size, int samples)
{
    struct outcome o;
    struct head head = {0};
    open_case(&o, ops, backbone, size, 2, 0, true);
    int first = first_of_head(&o), nodes = o.g->node_count - first;
    ASSERT(nodes <= 16);
    for (int i = 0; i < nodes; i++) {
        const struct node *node = &o.g->nodes[first + i];
        if (node->kind != NODE_LINEAR) continue;
        head.weight[i] = parameter(&o, node->param[0]);
        head.bias[i] = parameter(&o, node->param[1]);
    }
    compare_differences(&o, &head, 1, samples);
    for (int i = 0; i < nodes; i++) {
        mem_free(head.weight[i]);
        mem_free(head.bias[i]);
    }
    close_case(&o);
}

/* ---- the arithmetic alone ---- */

static void test_states(void)
{
    float a[8] = {1, 2, 3, 4, 4, 3, 2, 1}, g[8] = {0.5f, 0.5f, 0.5f, 0.5f, -1, -1, -1, -1}, map[4];
    EXPECT(cam_map(map, a, g, 2, 2, 2, CAM_GRAD, EPS) == CAM_FINE, "a common map");
    EXPECT(map[0] == 0 && map[3] == 1, "0.5 * 4 - 1 * 1, got %g", map[3]);
    /* Grad-CAM++: the second channel's gradient is negative; the first one's alpha is 1 / (2 + 10 * 0.5) at each of four places. */
    EXPECT(cam_map(map, a, g, 2, 2, 2, CAM_GRAD_PLUS, 0) == CAM_FINE, "a common map");
    for (int i = 0; i < 4; i++) EXPECT_NEAR(map[i], 4 * 0.5 / 7 * a[i], 1e-6);
    for (int i = 0; i < 8; i++) g[i] = -1;
    EXPECT(cam_map(map, a, g, 2, 2, 2, CAM_GRAD, EPS) == CAM_ALL_NEGATIVE && map[0] == 0, "nothing speaks for it");
    EXPECT(cam_map(map, a, g, 2, 2, 2, CAM_GRAD_PLUS, EPS) == CAM_ALL_NEGATIVE && map[3] == 0, "nothing speaks for it");
    memset(g, 0, sizeof g);
    EXPECT(cam_map(map, a, g, 2, 2, 2, CAM_GRAD_PLUS, 0) == CAM_ALL_NEGATIVE && map[0] == 0, "no gradient: 0 / 0 is not worked out");
    float flat[4] = {2, 2, 2, 2}, one[4] = {1, 1, 1, 1}, heat[36];
    EXPECT(cam_map(map, flat, one, 1, 2, 2, CAM_GRAD, EPS) == CAM_FLAT && map[0] == 2, "equal everywhere");
    cam_heat(heat, 6, 6, map, 2, 2);
    for (int i = 0; i < 36; i++) EXPECT(heat[i] == 0, "no place is hotter");
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 6; i++) {
        float x[4] = {1, 2, 3, 4}, dx[4] = {1, 1, 1, 1};
        (i < 3 ? x : dx)[i % 3] = bad[i % 3];
        for (enum cam_method m = CAM_GRAD; m <= CAM_GRAD_PLUS; m++) {
            EXPECT(cam_map(map, x, dx, 1, 2, 2, m, EPS) == CAM_NOT_FINITE, "%g", bad[i % 3]);
            for (int k = 0; k < 4; k++) EXPECT(map[k] == 0, "no NaN leaves");
        }
    }
    float huge[4] = {3e38f, 3e38f, 3e38f, 1}, steep[4] = {3e38f, 3e38f, 3e38f, 3e38f};
    EXPECT(cam_map(map, huge, steep, 1, 2, 2, CAM_GRAD, EPS) == CAM_NOT_FINITE && map[0] == 0, "a result beyond float");
}

/* 2 -> 4: centres at .5, so that the outer pixels repeat the edge and the inner ones lie at a quarter and three quarters. */
static void test_heat(void)
{
    const float map[4] = {0, 4, 0, 4};
    float heat[16];
    uint8_t low[3], middle[3], high[3];
    cam_heat(heat, 4, 4, map, 2, 2);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 4; x++) EXPECT_NEAR(heat[4 * y + x], ((const double[]){0, 0.25, 0.75, 1})[x], 1e-6);
    cam_colour(low, 0);
    cam_colour(middle, 0.5f);
    cam_colour(high, 1);
    EXPECT(low[0] == 0 && low[1] == 0 && low[2] == 128, "dark blue: %d %d %d", low[0], low[1], low[2]);
    EXPECT(middle[1] == 255 && middle[0] == middle[2], "green: %d %d %d", middle[0], middle[1], middle[2]);
    EXPECT(high[0] == 128 && high[1] == 0 && high[2] == 0, "dark red: %d %d %d", high[0], high[1], high[2]);
}

/* A picture that is NaN has no map, and leaves its neighbour's alone. (The reference backend's ReLU makes 0 of NaN.) */
static void test_nan_picture(void)
{
    struct outcome o;
    open_case(&o, ops_cpu(), "resnet18", 64, 2, 0, true);
    int64_t picture = 3 * 64 * 64, floats = (int64_t)o.c * o.h * o.w;
    float *pixels = NEW_ARRAY(float, 2 * picture), *want = NEW_ARRAY(float, o.h * o.w), *map = NEW_ARRAY(float, o.h * o.w);
    fill_pictures(pixels, 2, 64, 0);
    gradient_of(&o, 0);
    EXPECT(cam_map(want, o.map + floats, o.dmap + floats, o.c, o.h, o.w, CAM_GRAD_PLUS, EPS) == CAM_FINE, "%s", o.label);
    for (int64_t i = 0; i < picture; i++) pixels[i] = NAN;
    network_infer(o.n, pixels, 2, o.logits);
    network_last_map(o.n, 2, o.map);
    gradient_of(&o, 0);
    EXPECT(cam_map(map, o.map, o.dmap, o.c, o.h, o.w, CAM_GRAD_PLUS, EPS) == CAM_NOT_FINITE, "%s: NaN pixels, logit %g", o.label, o.logits[0]);
    EXPECT(map[0] == 0, "got %g", map[0]);
    cam_map(map, o.map + floats, o.dmap + floats, o.c, o.h, o.w, CAM_GRAD_PLUS, EPS);
    EXPECT(!memcmp(map, want, sizeof *map * (size_t)(o.h * o.w)), "%s: the neighbour's map has changed", o.label);
    mem_free(pixels);
    mem_free(want);
    mem_free(map);
    close_case(&o);
}

static void test_all(const char *folder)
{
    static const char *const names[] = {"resnet18", "densenet121", "efficientnet_b0", "vgg16"};
    for (int i = 0; i < 4; i++) test_reference(folder, names[i], ops_cpu());
    for (int i = 0; i < 3; i++) test_reference(folder, names[i], &ops_ref);
    for (int b = 0; backbone_names[b]; b++) {
        bool vgg = !strcmp(backbone_names[b], "vgg16");
        test_differences(backbone_names[b], ops_cpu(), 64, vgg ? 4 : 12);
        if (!vgg) test_differences(backbone_names[b], &ops_ref, 64, 6);
    }
    test_differences("vgg16", &ops_ref, 32, 4); /* one pooled place, spread over 7 x 7 */
    test_nan_picture();
    test_states();
    test_heat();
}

int main(int argc, char **argv)
{
    CHECK(argc > 1, "usage: %s TESTS-FOLDER [CASE [BACKEND]]", argv[0]);
    const struct ops *ops = argc > 3 ? ops_find(argv[3], NULL) : ops_cpu();
    CHECK(ops && !ops->attach(0, NULL), "no backend '%s'", argv[3]);
    ops_ref.open(0);
    ops_cpu()->open(0);
    if (argc > 2)
        test_reference(argv[1], argv[2], ops);
    else
        test_all(argv[1]);
    return check_verdict();
}
