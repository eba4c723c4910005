/* ctest: timeout=600 label=parity */
/* test_models_parity.c - whole networks against torchvision: logits in evaluation and training, loss, every parameter's
 * gradient (L2 norm and samples), running statistics. tests/reference/make_networks.py computed them in float64 and wrote
 * beside each how far torch's own float32 and a simulated bfloat16 are off; a limit here is a multiple of that error.
 *
 *     models_parity TESTS-FOLDER [CASE [BACKEND [f32|bf16 [IMAGES-PER-SHARD,...]]]]
 */
#include <stdlib.h>

#include "base/clock.h"
#include "tests/tools/formula_network.h"
#include "tests/unit/check.h"

enum { SHARDS = FORMULA_SHARDS_MAX, LINE = 4096 };
/* How many times torch's own error is allowed, of norms and of single values. Measured: the output says which share was
 * used; AVX-512 and AVX2, one shard and four stay below half of these. */
static const double times_allowed[][2] = {[DTYPE_F32] = {8, 8}, [DTYPE_BF16] = {6, 12}};

struct split { int images[SHARDS]; };
struct outcome { /* one network, run once in evaluation and once in training */
    char label[64];
    struct formula_case c;
    enum dtype dtype;
    double typical;    /* median relative error of the gradients in torch */
    double worst[2];   /* largest share of a limit: of norms, of single values */
    char worst_at[2][160];
};

static void run_case(struct outcome *o, const char *line, const struct ops *ops, const struct split *split)
{
    char backbone[32];
    int size, salt, gradients;
    CHECK(sscanf(line, "case %31s %d %d %d %d", backbone, &size, &o->c.batch, &salt, &gradients) == 5, "bad line: %s", line);
    o->c.ops = ops;
    formula_run(&o->c, backbone, size, salt, o->dtype, split ? split->images : &o->c.batch, split ? SHARDS : 1, gradients);
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
    compare(o, 1, "loss", o->c.loss, value, fmax(err[o->dtype], value * (o->dtype == DTYPE_BF16 ? 0x1p-9 : 0x1p-23)));
}

static void compare_gradient(struct outcome *o, const char *what, const char *name, char *rest)
{
    for (int p = 0; p < o->c.g->param_count; p++) {
        if (strcmp(o->c.g->params[p].name, name)) continue;
        int64_t count = param_elements(&o->c.g->params[p]);
        float *values = mem_alloc(sizeof(float) * (size_t)count);
        network_gradient_get(o->c.n, p, values);
        compare_tensor(o, what, values, count, rest, true);
        mem_free(values);
        return;
    }
    EXPECT(false, "no parameter %s", name);
}

static void compare_statistics(struct outcome *o, const char *what, const char *name, char *rest)
{
    for (int i = 0; i < o->c.g->node_count; i++) {
        if (strcmp(o->c.g->nodes[i].name, name)) continue;
        int c = o->c.g->values[o->c.g->nodes[i].x].c;
        float *mean = mem_alloc(sizeof(float) * 2 * (size_t)c);
        network_running_get(o->c.n, o->c.g->nodes[i].buffers, mean, mean + c);
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
    if (!strcmp(key, "eval")) compare_tensor(o, key, o->c.eval, o->c.batch * FORMULA_OUTPUTS, rest, false);
    if (!strcmp(key, "train")) compare_tensor(o, key, o->c.train, o->c.batch * FORMULA_OUTPUTS, rest, false);
    if (!strcmp(key, "dlogits")) compare_tensor(o, key, o->c.dlogits, o->c.batch * FORMULA_OUTPUTS, rest, false);
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
    formula_close(&o.c);
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
