/* weights_names.c - see weights_names.h. The rules, with where they come from:
 *   "module."                       a network saved through DataParallel
 *   densenet: norm.1 -> norm1       torchvision before 0.3, and its public files to this day
 *   vgg: pre_logits.fc1, head.fc    timm, which writes the two hidden layers as convolutions
 *   efficientnet: conv_stem, blocks timm; torchvision 0.14 numbers the same modules in the order in which they run
 * timm's resnets and densenets are named as torchvision's. */
#include "train/weights_names.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct rule { const char *from, *to; };

/* `name` with the first rule whose `from` it begins with, or NULL (mem_free). */
static char *with_prefix(const char *name, const struct rule *rules)
{
    for (; rules->from; rules++)
        if (!strncmp(name, rules->from, strlen(rules->from))) return mem_format("%s%s", rules->to, name + strlen(rules->from));
    return NULL;
}

static bool is_family(const char *backbone, const char *family) { return !strncmp(backbone, family, strlen(family)); }

/* ---- densenet: "...denselayer1.norm.1.weight" -> "...denselayer1.norm1.weight" ---- */
static char *densenet_name(const char *name)
{
    static const char *const modules[] = {".norm.", ".conv.", ".relu."};
    const char *layer = strstr(name, "denselayer");
    for (size_t i = 0; layer && i < sizeof modules / sizeof *modules; i++) {
        const char *at = strstr(layer, modules[i]);
        if (at && (at[6] == '1' || at[6] == '2') && at[7] == '.') return mem_format("%.*s%s", (int)(at + 5 - name), name, at + 6);
    }
    return NULL;
}

/* ---- vgg ---- */
static const struct rule vgg_rules[] = {
    {"pre_logits.fc1.", "classifier.0."}, {"pre_logits.fc2.", "classifier.3."}, {"head.fc.", "classifier.6."}, {NULL, NULL}};

/* ---- efficientnet ---- */
static const struct rule efficientnet_rules[] = {{"conv_stem.", "features.0.0."}, {"bn1.", "features.0.1."}, {"conv_head.", "features.8.0."},
    {"bn2.", "features.8.1."}, {"classifier.weight", "classifier.1.weight"}, {"classifier.bias", "classifier.1.bias"}, {NULL, NULL}};
/* Of a block that widens first, and of the first stage's, which does not. */
static const struct rule wide_block[] = {{"conv_pw.", "0.0."}, {"bn1.", "0.1."}, {"conv_dw.", "1.0."}, {"bn2.", "1.1."}, {"se.conv_reduce.", "2.fc1."},
    {"se.conv_expand.", "2.fc2."}, {"conv_pwl.", "3.0."}, {"bn3.", "3.1."}, {NULL, NULL}};
static const struct rule first_block[] = {{"conv_dw.", "0.0."}, {"bn1.", "0.1."}, {"se.conv_reduce.", "1.fc1."}, {"se.conv_expand.", "1.fc2."},
    {"conv_pw.", "2.0."}, {"bn2.", "2.1."}, {NULL, NULL}};

static char *efficientnet_name(const char *name)
{
    int stage, block, used = 0;
    if (sscanf(name, "blocks.%2d.%3d.%n", &stage, &block, &used) != 2 || !used) return with_prefix(name, efficientnet_rules);
    char *module = with_prefix(name + used, stage == 0 ? first_block : wide_block), *here = NULL;
    if (module) here = mem_format("features.%d.%d.block.%s", stage + 1, block, module);
    mem_free(module);
    return here;
}

char *weights_name_here(const char *backbone, const char *name)
{
    char *here = NULL;
    while (!strncmp(name, "module.", 7)) name += 7;
    if (is_family(backbone, "densenet")) here = densenet_name(name);
    if (is_family(backbone, "vgg")) here = with_prefix(name, vgg_rules);
    if (is_family(backbone, "efficientnet")) here = efficientnet_name(name);
    return here ? here : mem_string(name);
}

/* ---- what a network needs ---- */

static struct weights_target running_target(const struct graph *g, const struct node *node, const char *which)
{
    return (struct weights_target){.name = mem_format("%s.running_%s", node->name, which), .param = -1, .ndim = 1, .dims = {g->values[node->x].c}};
}

struct weights_target *weights_targets(int *count, const struct graph *g)
{
    struct weights_target *t = NEW_ARRAY(struct weights_target, g->param_count + 2 * g->norm_count);
    int n = 0;
    for (int p = 0; p < g->param_count; p++) {
        const struct param *param = &g->params[p];
        t[n] = (struct weights_target){.name = mem_string(param->name), .param = p, .ndim = param->ndim, .head = graph_is_head(g, p)};
        memcpy(t[n++].dims, param->dims, sizeof param->dims);
    }
    for (int i = 0; i < g->node_count; i++) {
        if (g->nodes[i].kind != NODE_NORM) continue;
        t[n++] = running_target(g, &g->nodes[i], "mean");
        t[n++] = running_target(g, &g->nodes[i], "var");
    }
    *count = n;
    return t;
}

void weights_targets_free(struct weights_target *t, int count)
{
    for (int i = 0; i < count; i++) mem_free(t[i].name);
    mem_free(t);
}

/* ---- matching ---- */

const char *const weights_match_names[] = {"same", "renamed", "head", "counter", "unused", "MISSING", NULL};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), e = strlen(end);
    return n >= e && !strcmp(text + n - e, end);
}

static int find_target(const struct weights_matching *m, const char *name)
{
    for (int i = 0; i < m->target_count; i++)
        if (!strcmp(m->target[i].name, name)) return i;
    return -1;
}

static bool same_shape(const struct weights_tensor *t, const struct weights_target *want)
{
    bool same = t->ndim == want->ndim;
    for (int d = 0; same && d < t->ndim; d++) same = t->dims[d] == want->dims[d];
    return same;
}

/* A matrix that is written as a convolution over the whole map: the same numbers in the same order. */
static bool same_as_matrix(const struct weights_tensor *t, const struct weights_target *want)
{
    return want->ndim == 2 && t->ndim == 4 && t->dims[0] == want->dims[0] && t->elements == want->dims[0] * want->dims[1];
}

/* The last layer of another task: as many inputs, other outputs. */
static bool other_head(const struct weights_tensor *t, const struct weights_target *want)
{
    if (!want->head || !t->ndim || t->dims[0] == want->dims[0]) return false;
    int64_t inputs = want->ndim == 2 ? want->dims[1] : 1;
    return t->dims[0] > 0 && t->elements % t->dims[0] == 0 && t->elements / t->dims[0] == inputs;
}

static int refuse_shape(const struct weights_tensor *t, const struct weights_target *want, const char *backbone, struct error *err)
{
    struct weights_tensor wanted = {.type = WEIGHTS_F32, .ndim = want->ndim};
    char has[120], wants[120];
    memcpy(wanted.dims, want->dims, sizeof want->dims);
    weights_describe(has, sizeof has, t);
    weights_describe(wants, sizeof wants, &wanted);
    error_set(err, "tensor '%s' is %s, but %s of %s is %s", t->name, has, want->name, backbone, wants);
    return error_hint(err, "the file is of another network: --backbone says of which it should be");
}

static int judge_tensor(struct weights_row *row, const struct weights_matching *m, const struct weights_tensor *t, const struct graph *g, struct error *err)
{
    char *name = weights_name_here(g->backbone, t->name);
    const struct weights_target *want;
    int status = 0;
    row->target = find_target(m, name);
    want = row->target >= 0 ? &m->target[row->target] : NULL;
    if (!want) {
        row->match = ends_with(name, ".num_batches_tracked") ? MATCH_COUNTER : MATCH_UNUSED;
    } else if (same_shape(t, want)) {
        row->match = strcmp(name, t->name) ? MATCH_RENAMED : MATCH_SAME;
    } else if (same_as_matrix(t, want)) {
        row->match = MATCH_RENAMED;
    } else if (other_head(t, want)) {
        row->match = MATCH_HEAD;
    } else {
        status = refuse_shape(t, want, g->backbone, err);
    }
    mem_free(name);
    return status;
}

/* Which tensor of the file is target t's so far; one must be alone. */
static int take_target(int *taker, const struct weights_file *f, const struct weights_matching *m, const struct weights_row *row, struct error *err)
{
    if (row->target < 0) return 0;
    int *by = &taker[row->target];
    if (*by >= 0)
        return error_set(err, "tensors '%s' and '%s' would both be %s", weights_file_tensor(f, *by)->name, weights_file_tensor(f, row->tensor)->name,
                         m->target[row->target].name);
    *by = row->tensor;
    return 0;
}

static void add_missing(struct weights_matching *m, const int *taker)
{
    for (int t = 0; t < m->target_count; t++)
        if (taker[t] < 0) m->row[m->row_count++] = (struct weights_row){MATCH_MISSING, -1, t};
}

int weights_match(struct weights_matching *m, const struct weights_file *f, const struct graph *g, struct error *err)
{
    int tensors = weights_file_count(f), status = 0;
    *m = (struct weights_matching){.head_wanted = g->values[g->logits].c};
    m->target = weights_targets(&m->target_count, g);
    m->row = NEW_ARRAY(struct weights_row, tensors + m->target_count);
    int *taker = NEW_ARRAY(int, m->target_count);
    for (int t = 0; t < m->target_count; t++) taker[t] = -1;
    for (int i = 0; i < tensors && !status; i++) {
        struct weights_row *row = &m->row[m->row_count++];
        row->tensor = i;
        status = judge_tensor(row, m, weights_file_tensor(f, i), g, err);
        if (!status) status = take_target(taker, f, m, row, err);
        if (!status && row->target >= 0 && m->target[row->target].head) m->head_outputs = weights_file_tensor(f, i)->dims[0];
    }
    if (!status) add_missing(m, taker);
    for (int r = 0; r < m->row_count && !status; r++) m->counts[m->row[r].match]++;
    mem_free(taker);
    return status;
}

void weights_matching_free(struct weights_matching *m)
{
    weights_targets_free(m->target, m->target_count);
    mem_free(m->row);
    *m = (struct weights_matching){0};
}
