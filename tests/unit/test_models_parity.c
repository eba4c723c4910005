/* ctest: timeout=600 label=parity */
/* test_models_parity.c - whole networks against torchvision: logits in evaluation and training, loss, every parameter's
 * gradient (L2 norm and samples), running statistics. tests/reference/make_networks.py computed them in float64 and wrote
 * beside each how far torch's own float32 and a simulated bfloat16 are off; a limit here is a multiple of that error.
 *
 *     models_parity TESTS-FOLDER [CASE [BACKEND [f32|bf16 [IMAGES-PER-SHARD,...]]]]
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "models/init.h"
#include "models/network.h"
#include "tests/unit/check.h"

enum { OUTPUTS = 6, MAX_IMAGES = 8, SHARDS = 4, LINE = 4096 };
enum { MEAN_STREAM = 10000, VAR_STREAM = 20000, PIXEL_STREAM = 30000, PATCH = 16 }; /* tests/reference/networks.py has the same */
/* How many times torch's own error is allowed, of norms and of single values. Measured: the output says which share was
 * used; AVX-512 and AVX2, one shard and four stay below half of these. */
static const double times_allowed[][2] = {[DTYPE_F32] = {8, 8}, [DTYPE_BF16] = {6, 12}};

struct split { int images[SHARDS]; };
struct outcome { /* one network, run once in evaluation and once in training */
    char label[64];
    struct graph *g;
    struct network *n;
    enum dtype dtype;
    int batch;
    float eval[MAX_IMAGES * OUTPUTS], train[MAX_IMAGES * OUTPUTS], dlogits[MAX_IMAGES * OUTPUTS];
    double loss;
    double typical;    /* median relative error of the gradients in torch */
    double worst[2];   /* largest share of a limit: of norms, of single values */
    char worst_at[2][160];
};

/* ---- the same inputs as tests/reference/networks.py ---- */

static void fill_pictures(float *pixels, int batch, int size, int salt)
{
    uint64_t stream = PIXEL_STREAM + 3 * (uint64_t)salt;
    int64_t coarse = (size + PATCH - 1) / PATCH;
    for (int64_t plane = 0; plane < batch * 3; plane++)
        for (int64_t y = 0; y < size; y++)
            for (int64_t x = 0; x < size; x++) {
                int64_t i = (plane * size + y) * size + x;
                int64_t patch = (plane * coarse + y / PATCH) * coarse + x / PATCH;
                float fine = init_formula(stream, (uint64_t)i) + init_formula(stream + 1, (uint64_t)patch);
                pixels[i] = fine + init_formula(stream + 2, (uint64_t)plane);
            }
}

static void fill_network(struct outcome *o)
{
    for (int p = 0; p < o->g->param_count; p++) {
        const struct param *param = &o->g->params[p];
        int64_t count = param_elements(param);
        float *values = mem_alloc(sizeof(float) * (size_t)count);
        init_param_formula(values, o->g, p);
        network_param_set(o->n, p, values);
        mem_free(values);
        if (param->role != PARAM_GAMMA) continue;
        float *mean = mem_alloc(sizeof(float) * 2 * (size_t)count), *var = mean + count;
        for (int64_t c = 0; c < count; c++) {
            mean[c] = 0.25f * init_formula(MEAN_STREAM + (uint64_t)p, (uint64_t)c);
            var[c] = 1.0f + 0.5f * init_formula(VAR_STREAM + (uint64_t)p, (uint64_t)c);
        }
        network_running_set(o->n, o->g->nodes[param->node].buffers, mean, var);
        mem_free(mean);
    }
}

static double label_of(int image, int output)
{
    if (output == 0) return (image + image / 2) % 2;
    return image % 2 == 1 && (image + output - 1) % 3 == 0;
}

/* Masked, weighted binary cross-entropy: lesions count where one is positive, COVID five times, mean over batch x 6. */
static double loss_gradient(float *dlogits, const float *logits, int batch)
{
    double sum = 0;
    for (int i = 0; i < batch; i++) {
        bool lesions = false;
        for (int k = 1; k < OUTPUTS; k++) lesions |= label_of(i, k) > 0;
        for (int k = 0; k < OUTPUTS; k++) {
            double weight = (k == 0 ? 5.0 : lesions) / (batch * OUTPUTS), z = logits[i * OUTPUTS + k], y = label_of(i, k);
            sum += weight * (fmax(z, 0) - z * y + log1p(exp(-fabs(z))));
            dlogits[i * OUTPUTS + k] = (float)(weight * (1 / (1 + exp(-z)) - y));
        }
    }
    return sum;
}

/* ---- running the network ---- */

static void run_training(struct outcome *o, const struct ops *ops, const float *pixels, const struct split *split, int shards, bool gradients)
{
    static const uint64_t row_key[MAX_IMAGES];
    struct network_shard shard[SHARDS];
    struct network_pass pass = {.shard = shard, .total_images = o->batch};
    int64_t picture = 3 * (int64_t)o->g->image_size * o->g->image_size;
    for (int s = 0, first = 0; s < shards; first += split->images[s], s++)
        shard[s] = (struct network_shard){.images = split->images[s], .pixels = pixels + first * picture, .row_key = row_key};
    network_load(o->n, &pass);
    network_forward(o->n, &pass);
    for (int s = 0, first = 0; s < shards; first += split->images[s], s++)
        ops->download(o->train + first * OUTPUTS, network_logits(o->n, s), sizeof(float) * (size_t)(split->images[s] * OUTPUTS));
    o->loss = loss_gradient(o->dlogits, o->train, o->batch);
    for (int s = 0, first = 0; s < shards; first += split->images[s], s++)
        ops->upload(network_dlogits(o->n, s), o->dlogits + first * OUTPUTS, sizeof(float) * (size_t)(split->images[s] * OUTPUTS));
    if (gradients) network_backward(o->n, &pass);
}

static void run_case(struct outcome *o, const char *line, const struct ops *ops, const struct split *split)
{
    char backbone[32];
    int size, salt, gradients, shards = SHARDS, largest = 0;
    struct error err;
    CHECK(sscanf(line, "case %31s %d %d %d %d", backbone, &size, &o->batch, &salt, &gradients) == 5, "bad line: %s", line);
    ASSERT(o->batch <= MAX_IMAGES);
    struct split whole = {{o->batch}};
    if (!split) {
        split = &whole;
        shards = 1;
    }
    for (int s = 0; s < shards; s++) largest = split->images[s] > largest ? split->images[s] : largest;
    struct network_options options = {.ops = ops, .dtype = o->dtype, .max_images = largest, .max_eval_images = o->batch, .shards = shards};
    float *pixels = mem_alloc(sizeof(float) * (size_t)o->batch * 3 * (size_t)size * (size_t)size);
    o->g = graph_build(backbone, size, OUTPUTS, false, &err);
    o->n = o->g ? network_open(o->g, &options, &err) : NULL;
    if (!o->n) die_error(&err);
    fill_network(o);
    fill_pictures(pixels, o->batch, size, salt);
    network_infer(o->n, pixels, o->batch, o->eval);
    run_training(o, ops, pixels, split, shards, gradients);
    mem_free(pixels);
}

/* ---- comparing ---- */

static void compare(struct outcome *o, int kind, const char *what, double got, double want, double unit)
{
    double limit = times_allowed[o->dtype][kind] * unit, share = fabs(got - want) / limit;
    if (!(share <= o->worst[kind])) {
        o->worst[kind] = share;
        snprintf(o->worst_at[kind], sizeof o->worst_at[kind], "%s", what);
    }
    EXPECT(share <= 1, "%s %s %s: got %.9g, torch %.9g, difference %.3g, limit %.3g", o->label, kind ? "value" : "norm", what, got,
           want, fabs(got - want), limit);
}

static double norm_of(const float *v, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)v[i] * v[i];
    return sqrt(sum);
}

/* rest: "count norm err32 peak32 err16 peak16 ..." then all values, or pairs of index and value. No error is taken to be
 * below one rounding, nor a gradient's below the typical one: a small parameter can be exact by luck. */
static void compare_tensor(struct outcome *o, const char *what, const float *got, int64_t count, char *rest, bool sampled)
{
    double head[6];
    for (int i = 0; i < 6; i++) head[i] = strtod(rest, &rest);
    EXPECT((int64_t)head[0] == count, "%s %s: %lld elements", o->label, what, (long long)count);
    if ((int64_t)head[0] != count) return;
    double norm = head[1], err = head[2 + 2 * o->dtype], peak = head[3 + 2 * o->dtype];
    double rounding = o->dtype == DTYPE_BF16 ? 0x1p-9 : 0x1p-24, floor_share = strncmp(what, "grad", 4) ? rounding : o->typical;
    err = fmax(err, floor_share * norm);
    peak = fmax(peak, floor_share * norm / sqrt((double)count));
    compare(o, 0, what, norm_of(got, count), norm, err);
    for (int64_t k = 0;; k++) {
        char *end;
        int64_t i = sampled ? strtoll(rest, &end, 10) : k;
        if (sampled) rest = end;
        double want = strtod(rest, &end);
        if (end == rest) break;
        rest = end;
        compare(o, 1, what, got[i], want, fmax(peak, rounding * fabs(want)));
    }
}

static void compare_loss(struct outcome *o, const char *rest)
{
    double value, err[2];
    CHECK(sscanf(rest, "%lf %lf %lf", &value, &err[0], &err[1]) == 3, "bad loss line");
    compare(o, 1, "loss", o->loss, value, fmax(err[o->dtype], value * (o->dtype == DTYPE_BF16 ? 0x1p-9 : 0x1p-23)));
}

static void compare_gradient(struct outcome *o, const char *what, const char *name, char *rest)
{
    for (int p = 0; p < o->g->param_count; p++) {
        if (strcmp(o->g->params[p].name, name)) continue;
        int64_t count = param_elements(&o->g->params[p]);
        float *values = mem_alloc(sizeof(float) * (size_t)count);
        network_gradient_get(o->n, p, values);
        compare_tensor(o, what, values, count, rest, true);
        mem_free(values);
        return;
    }
    EXPECT(false, "no parameter %s", name);
}

static void compare_statistics(struct outcome *o, const char *what, const char *name, char *rest)
{
    for (int i = 0; i < o->g->node_count; i++) {
        if (strcmp(o->g->nodes[i].name, name)) continue;
        int c = o->g->values[o->g->nodes[i].x].c;
        float *mean = mem_alloc(sizeof(float) * 2 * (size_t)c);
        network_running_get(o->n, o->g->nodes[i].buffers, mean, mean + c);
        compare_tensor(o, what, what[0] == 'm' ? mean : mean + c, c, rest, true);
        mem_free(mean);
        return;
    }
    EXPECT(false, "no norm %s", name);
}

static void compare_line(struct outcome *o, char *line)
{
    char key[16], name[100], what[120], *rest = line;
    double typical[2];
    CHECK(sscanf(line, "%15s %99s", key, name) == 2, "bad line: %s", line);
    snprintf(what, sizeof what, "%s %s", key, name);
    rest += strlen(key) + 1;
    if (!strcmp(key, "typical") && sscanf(rest, "%lf %lf", &typical[0], &typical[1]) == 2) o->typical = typical[o->dtype];
    if (!strcmp(key, "loss")) compare_loss(o, rest);
    if (!strcmp(key, "eval")) compare_tensor(o, key, o->eval, o->batch * OUTPUTS, rest, false);
    if (!strcmp(key, "train")) compare_tensor(o, key, o->train, o->batch * OUTPUTS, rest, false);
    if (!strcmp(key, "dlogits")) compare_tensor(o, key, o->dlogits, o->batch * OUTPUTS, rest, false);
    rest += strlen(name) + 1;
    if (!strcmp(key, "grad")) compare_gradient(o, what, name, rest);
    if (!strcmp(key, "mean") || !strcmp(key, "var")) compare_statistics(o, what, name, rest);
}

static void check_case(const char *folder, const char *name, const char *backend, enum dtype dtype, const struct split *split)
{
    char path[1024], line[LINE];
    struct outcome o = {.dtype = dtype};
    const struct ops *ops = ops_find(backend, NULL);
    double start = clock_s();
    CHECK(ops && !ops->attach(0, NULL), "no backend '%s'", backend);
    snprintf(path, sizeof path, "%s/reference/net_%s.txt", folder, name);
    FILE *f = fopen(path, "r");
    CHECK(f, "%s: cannot open", path);
    snprintf(o.label, sizeof o.label, "%s %s %s", name, backend, dtype == DTYPE_BF16 ? "bf16" : "f32");
    const int *images = split ? split->images : NULL;
    if (images) snprintf(strchr(o.label, 0), 24, " %d+%d+%d+%d", images[0], images[1], images[2], images[3]);
    while (fgets(line, sizeof line, f)) {
        CHECK(strchr(line, '\n'), "%s: line too long", path);
        if (!strncmp(line, "case", 4))
            run_case(&o, line, ops, split);
        else if (line[0] != '#')
            compare_line(&o, line);
    }
    fclose(f);
    printf("%-42s %5.1f s, of the limits: norms %.2f (%s), values %.2f (%s)\n", o.label, clock_s() - start, o.worst[0],
           o.worst_at[0], o.worst[1], o.worst_at[1]);
    fflush(stdout);
    network_close(o.n);
    graph_close(o.g);
}

static void check_all(const char *folder)
{
    static const struct split splits[] = {{{2, 2}}, {{3, 1}}, {{1, 1, 1, 1}}, {{0, 4}}}; /* empty shards, too */
    static const char *const in_ref[] = {"resnet18", "densenet121", "efficientnet_b0"};
    for (size_t i = 0; i < sizeof in_ref / sizeof *in_ref; i++) check_case(folder, in_ref[i], "ref", DTYPE_F32, NULL);
    for (int b = 0; backbone_names[b]; b++) check_case(folder, backbone_names[b], "cpu", DTYPE_F32, NULL);
    check_case(folder, "resnet18_224", "cpu", DTYPE_F32, NULL);
    for (size_t i = 0; i < sizeof in_ref / sizeof *in_ref; i++)
        for (size_t s = 0; s < sizeof splits / sizeof *splits; s++) check_case(folder, in_ref[i], "cpu", DTYPE_F32, &splits[s]);
    if (!ops_cpu()->has(DTYPE_BF16)) printf("bf16 is not checked: this machine's cpu backend does not have it\n");
    for (int b = 0; backbone_names[b] && ops_cpu()->has(DTYPE_BF16); b++)
        check_case(folder, backbone_names[b], "cpu", DTYPE_BF16, NULL);
}

int main(int argc, char **argv)
{
    struct split split = {{0}};
    CHECK(argc > 1, "usage: %s TESTS-FOLDER [CASE [BACKEND [f32|bf16 [IMAGES,...]]]]", argv[0]);
    if (argc > 5)
        sscanf(argv[5], "%d,%d,%d,%d", &split.images[0], &split.images[1], &split.images[2], &split.images[3]);
    ops_ref.open(0);
    ops_cpu()->open(0);
    if (argc > 2)
        check_case(argv[1], argv[2], argc > 3 ? argv[3] : "cpu", argc > 4 && !strcmp(argv[4], "bf16") ? DTYPE_BF16 : DTYPE_F32,
                   argc > 5 ? &split : NULL);
    else
        check_all(argv[1]);
    return check_verdict();
}
