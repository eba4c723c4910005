/* ctest: timeout=300 */
/* test_train_weights.c - names of timm and of older files lead to torchvision's; stages cut parameters into ranges; a frozen stage keeps its
 * statistics and has no gradients, while the rest has torch's (tests/reference/check_weights.py asks this program, where torch is there).
 *
 *     train_weights TESTS-FOLDER [W.h5 BACKBONE SIZE BATCH FREEZE PIXELS OUT]
 *
 * With more arguments: a network with the weights of W.h5 on PIXELS (f32, BATCH x 3 x SIZE x SIZE); into OUT (f32) its logits in evaluation,
 * those in training, and the L2 norm of each parameter's gradient of half the sum of squared logits. */
#include <stdbool.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/tensor_file.h"
#include "models/init.h"
#include "tests/unit/check.h"
#include "train/trainer.h"
#include "train/weights_names.h"

static struct graph *build(const char *backbone, int size)
{
    struct error err;
    struct graph *g = graph_build(backbone, size, 6, false, &err);
    if (!g) die_error(&err);
    return g;
}

/* ---- names ---- */

static void leads_to(const char *backbone, const char *name, const char *want)
{
    char *here = weights_name_here(backbone, name);
    EXPECT(!strcmp(here, want), "%s: %s -> %s, not %s", backbone, name, here, want);
    mem_free(here);
}

/* timm's name of one of torchvision's in EfficientNet, worked out backwards: by the modules of a block, counted from its end. */
static char *timm_efficientnet(const char *name)
{
    int stage, block, module, part, used = 0;
    static const char *const convs[] = {"conv_pwl", "se", "conv_dw", "conv_pw"}, *const norms[] = {"bn3", "", "bn2", "bn1"};
    if (sscanf(name, "features.%d.%d.block.%d.%n", &stage, &block, &module, &used) == 3 && used) {
        bool first = stage == 1;
        int from_end = (first ? 2 : 3) - module;
        const char *conv = first && from_end == 0 ? "conv_pw" : convs[from_end];
        const char *norm = first && from_end == 0 ? "bn2" : first ? "bn1" : norms[from_end];
        if (!strncmp(name + used, "fc", 2)) return mem_format("blocks.%d.%d.se.conv_%s%s", stage - 1, block, name[used + 2] == '1' ? "reduce" : "expand", name + used + 3);
        CHECK(sscanf(name + used, "%d", &part) == 1, "%s", name);
        return mem_format("blocks.%d.%d.%s%s", stage - 1, block, part ? norm : conv, name + used + 1);
    }
    if (sscanf(name, "features.%d.%d%n", &stage, &part, &used) == 2)
        return mem_format("%s%s", stage == 0 ? (part ? "bn1" : "conv_stem") : part ? "bn2" : "conv_head", name + used);
    CHECK(!strncmp(name, "classifier.1", 12), "%s", name);
    return mem_format("classifier%s", name + 12);
}

static void test_names(void)
{
    static const char *const backbones[] = {"efficientnet_b0", "efficientnet_b1"};
    for (int b = 0; b < 2; b++) {
        int count;
        struct graph *g = build(backbones[b], 64);
        struct weights_target *t = weights_targets(&count, g);
        for (int i = 0; i < count; i++) {
            char *theirs = timm_efficientnet(t[i].name), *parallel = mem_format("module.%s", theirs);
            EXPECT(strcmp(theirs, t[i].name), "%s", theirs);
            leads_to(backbones[b], theirs, t[i].name);
            leads_to(backbones[b], parallel, t[i].name);
            leads_to(backbones[b], t[i].name, t[i].name);
            mem_free(theirs);
            mem_free(parallel);
        }
        weights_targets_free(t, count);
        graph_close(g);
    }
    leads_to("efficientnet_b0", "blocks.0.0.bn1.num_batches_tracked", "features.1.0.block.0.1.num_batches_tracked");
    leads_to("efficientnet_b0", "blocks.6.0.bn3.running_var", "features.7.0.block.3.1.running_var");
    leads_to("vgg16", "pre_logits.fc1.weight", "classifier.0.weight");
    leads_to("vgg16", "pre_logits.fc2.bias", "classifier.3.bias");
    leads_to("vgg16", "head.fc.weight", "classifier.6.weight");
    leads_to("densenet121", "features.denseblock1.denselayer1.norm.1.weight", "features.denseblock1.denselayer1.norm1.weight");
    leads_to("densenet169", "features.denseblock3.denselayer32.conv.2.weight", "features.denseblock3.denselayer32.conv2.weight");
    leads_to("densenet121", "features.transition1.norm.weight", "features.transition1.norm.weight");
    leads_to("resnet50", "module.layer1.0.downsample.0.weight", "layer1.0.downsample.0.weight");
    leads_to("resnet18", "conv_stem.weight", "conv_stem.weight");
}

/* ---- stages ---- */

static void test_stages(void)
{
    static const int stages[] = {7, 6, 6, 6, 6, 10, 10};
    for (int b = 0; backbone_names[b]; b++) {
        struct graph *g = build(backbone_names[b], 32);
        int heads = 0;
        EXPECT(g->stage_count == stages[b], "%s: %d stages", backbone_names[b], g->stage_count);
        for (int i = 1; i < g->node_count; i++)
            EXPECT(g->nodes[i].stage == g->nodes[i - 1].stage || g->nodes[i].stage == g->nodes[i - 1].stage + 1, "%s %s", backbone_names[b], g->nodes[i].name);
        EXPECT(g->nodes[0].stage == 0 && g->nodes[g->node_count - 1].stage == g->stage_count - 1, "%s", backbone_names[b]);
        for (int p = 0; p < g->param_count; p++) {
            bool last = g->params[p].ndim && g->nodes[g->params[p].node].y == g->logits;
            EXPECT(graph_is_head(g, p) == last, "%s %s", backbone_names[b], g->params[p].name);
            heads += last;
        }
        EXPECT(heads == 2, "%s: %d parameters of the head", backbone_names[b], heads);
        graph_close(g);
    }
}

/* ---- freezing ---- */
enum { SIZE = 32, BATCH = 2, OUTPUTS = 6 };
static int64_t last_ready;
static void ready(void *context, int64_t end)
{
    (void)context;
    last_ready = end;
}

static void train_once(struct network *n, const struct ops *ops, const float *pixels, int batch, float *logits)
{
    static const uint64_t row_key[64];
    struct network_shard shard = {.images = batch, .pixels = pixels, .row_key = row_key};
    struct network_pass pass = {.shard = &shard, .total_images = batch, .ready = ready};
    network_load(n, &pass);
    network_forward(n, &pass);
    ops->download(logits, network_logits(n, 0), sizeof(float) * (size_t)(batch * OUTPUTS));
    ops->upload(network_dlogits(n, 0), logits, sizeof(float) * (size_t)(batch * OUTPUTS));
    network_backward(n, &pass);
}

static bool all_zero(const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (values[i] != 0) return false;
    return true;
}

/* Parameters of frozen stages are the arenas' last; their gradients stay 0, their norms' statistics 0 and 1; the others' do not. */
static void check_frozen(struct network *n, const struct graph *g, int frozen, const char *backbone)
{
    int64_t trainable = network_trainable_count(n), offset, count;
    EXPECT(last_ready == trainable, "%s %d: ready ends at %lld", backbone, frozen, (long long)last_ready);
    for (int p = 0; p < g->param_count; p++) {
        bool is_frozen = g->nodes[g->params[p].node].stage < frozen;
        float *gradient = mem_alloc(sizeof(float) * (size_t)param_elements(&g->params[p]));
        network_param_range(n, p, &offset, &count);
        network_gradient_get(n, p, gradient);
        EXPECT((offset >= trainable) == is_frozen && (is_frozen || offset + count <= trainable), "%s %d: %s", backbone, frozen, g->params[p].name);
        EXPECT(all_zero(gradient, param_elements(&g->params[p])) == is_frozen, "%s %d: gradient of %s", backbone, frozen, g->params[p].name);
        mem_free(gradient);
    }
    for (int i = 0; i < g->node_count; i++) {
        if (g->nodes[i].kind != NODE_NORM) continue;
        int c = g->values[g->nodes[i].x].c;
        float *mean = mem_alloc(sizeof(float) * 2 * (size_t)c), *var = mean + c;
        network_running_get(n, g->nodes[i].buffers, mean, var);
        EXPECT((all_zero(mean, c) && var[0] == 1) == (g->nodes[i].stage < frozen), "%s %d: statistics of %s", backbone, frozen, g->nodes[i].name);
        mem_free(mean);
    }
}

static void test_freeze(const char *backbone)
{
    const struct ops *ops = ops_find("cpu", NULL);
    struct graph *g = build(backbone, SIZE);
    float pixels[BATCH * 3 * SIZE * SIZE], logits[BATCH * OUTPUTS];
    for (int i = 0; i < BATCH * 3 * SIZE * SIZE; i++) pixels[i] = init_formula(9, (uint64_t)i);
    for (int frozen = 0; frozen < g->stage_count; frozen += 2 + frozen) { /* 0, 2, and more where there are */
        struct error err;
        struct network_options options = {.ops = ops, .dtype = DTYPE_F32, .max_images = BATCH, .shards = 1};
        struct network *n = network_open(g, &options, &err);
        if (!n) die_error(&err);
        init_network(n, g, 1);
        network_freeze(n, frozen);
        train_once(n, ops, pixels, BATCH, logits);
        check_frozen(n, g, frozen, backbone);
        for (int s = g->stage_count - 1, end = 0; s >= 0; end = (int)network_stage_end(n, s--))
            EXPECT(network_stage_end(n, s) > end, "%s: stage %d ends at %lld", backbone, s, (long long)network_stage_end(n, s));
        EXPECT(network_stage_end(n, 0) == network_arena_count(n), "%s", backbone);
        network_close(n);
    }
    graph_close(g);
}

/* ---- for check_weights.py ---- */

static void write_floats(FILE *f, const float *values, int count)
{
    CHECK(fwrite(values, sizeof *values, (size_t)count, f) == (size_t)count, "cannot write");
}

static void run(char **word)
{
    int size = atoi(word[2]), batch = atoi(word[3]), frozen = atoi(word[4]);
    const struct ops *ops = ops_find("cpu", NULL);
    struct network_options options = {.ops = ops, .dtype = DTYPE_F32, .max_images = batch, .max_eval_images = batch, .shards = 1};
    struct graph *g = build(word[1], size);
    struct error err;
    struct network *n = network_open(g, &options, &err);
    uint8_t *pixels;
    size_t bytes;
    if (!n) die_error(&err);
    init_network(n, g, 1);
    if (weights_init(n, g, word[0], &err) || file_read(&pixels, &bytes, word[5], &err)) die_error(&err);
    CHECK(bytes == sizeof(float) * (size_t)(batch * 3 * size * size), "%s has %zu bytes", word[5], bytes);
    FILE *out = fopen(word[6], "wb");
    float *logits = NEW_ARRAY(float, batch * OUTPUTS);
    CHECK(out, "%s: cannot create", word[6]);
    network_infer(n, (const float *)pixels, batch, logits);
    write_floats(out, logits, batch * OUTPUTS);
    network_freeze(n, frozen);
    train_once(n, ops, (const float *)pixels, batch, logits);
    write_floats(out, logits, batch * OUTPUTS);
    for (int p = 0; p < g->param_count; p++) {
        int64_t count = param_elements(&g->params[p]);
        float *gradient = mem_alloc(sizeof(float) * (size_t)count);
        double sum = 0;
        network_gradient_get(n, p, gradient);
        for (int64_t i = 0; i < count; i++) sum += (double)gradient[i] * gradient[i];
        write_floats(out, &(float){(float)sqrt(sum)}, 1);
        mem_free(gradient);
    }
    CHECK(fclose(out) == 0, "cannot write");
    mem_free(logits);
    mem_free(pixels);
    network_close(n);
    graph_close(g);
}

int main(int argc, char **argv)
{
    ops_find("cpu", NULL)->open(0);
    if (argc == 9) {
        run(argv + 2);
        return 0;
    }
    test_names();
    test_stages();
    test_freeze("resnet18");
    test_freeze("densenet121");
    test_freeze("efficientnet_b0");
    return check_verdict();
}
