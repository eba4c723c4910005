/* weights_export.c - the best weights of a run for others: safetensors with torchvision's names, which its network with as many outputs takes by
 * load_state_dict(strict=True), or an ONNX model. Both say what the outputs are, how pictures are to be given, and that they are for research. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "io/labels.h"
#include "io/tensor_file.h"
#include "io/weights/weights_file.h"
#include "models/onnx.h"
#include "train/commands.h"
#include "train/config.h"
#include "train/weights_import.h"

struct export {
    struct settings *settings; /* the run's */
    struct train_config c;
    struct graph *graph;
    struct tensor_file *best;
    char outputs[200], size[16];
};
enum { METADATA = 8 };

static int open_export(struct export *x, const char *run, struct error *err)
{
    char *config = path_join(run, "config.cfg"), *best = path_join(run, "best.h5");
    x->settings = settings_open(&command_train);
    int status = settings_read_file(x->settings, config, err);
    if (status) error_hint(err, "export takes the folder of a run");
    if (!status) status = settings_set(x->settings, "train.backend", "cpu", "ladnn weights export", err); /* none is used */
    if (!status) status = train_config_read(&x->c, x->settings, err);
    if (!status) x->graph = graph_build(x->c.backbone, x->c.augment.size, loss_outputs(&x->c.loss), true, err);
    if (!status && x->graph) x->best = tensor_file_open(best, err);
    mem_free(config);
    mem_free(best);
    return x->best ? 0 : -1;
}

static void close_export(struct export *x)
{
    tensor_file_close(x->best);
    graph_close(x->graph);
    settings_close(x->settings);
}

static const char *attribute(const struct export *x, const char *name)
{
    const char *text = tensor_file_attribute(x->best, name);
    return text ? text : "";
}

/* Fills what both formats say beside the numbers; returns how many. */
static int metadata(struct export *x, const char *keys[METADATA], const char *texts[METADATA])
{
    int used = snprintf(x->outputs, sizeof x->outputs, loss_outputs(&x->c.loss) == 2 ? "logits: not COVID-19, COVID-19 (softmax)" : "logits: COVID-19");
    for (int l = 0; l < LESION_COUNT && loss_outputs(&x->c.loss) > 2; l++)
        used += snprintf(x->outputs + used, sizeof x->outputs - (size_t)used, ", %s", lesion_names[l]);
    if (loss_outputs(&x->c.loss) > 2) snprintf(x->outputs + used, sizeof x->outputs - (size_t)used, " (sigmoid each)%s", x->c.loss.lesions ? "" : "; only the first was trained");
    snprintf(x->size, sizeof x->size, "%d", x->c.augment.size);
    const char *all[METADATA][2] = {{"notice", weights_notice}, {"backbone", x->c.backbone}, {"outputs", x->outputs}, {"image_size", x->size},
        {"input", "RGB in 0..1, minus 0.485 0.456 0.406, divided by 0.229 0.224 0.225"}, {"data", attribute(x, "notice")}, {"epoch", attribute(x, "epoch")},
        {"ladnn", LADNN_VERSION}};
    for (int i = 0; i < METADATA; i++) {
        keys[i] = all[i][0];
        texts[i] = all[i][1];
    }
    return METADATA;
}

/* ---- safetensors ---- */
struct output_list {
    struct export *x;
    struct weights_output *tensor;
    int count;
};

static struct weights_output *add_output(struct output_list *l, char *name, enum weights_type type, int ndim, const int64_t *dims)
{
    struct weights_output *t = &l->tensor[l->count++];
    *t = (struct weights_output){.name = name, .type = type, .ndim = ndim};
    if (ndim) memcpy(t->dims, dims, sizeof *dims * (size_t)ndim);
    return t;
}

/* torchvision's order: a normalisation's buffers come behind its parameters. */
static void list_outputs(struct output_list *l, const struct graph *g)
{
    l->tensor = NEW_ARRAY(struct weights_output, g->param_count + 3 * g->norm_count);
    for (int p = 0; p < g->param_count; p++) {
        const struct param *param = &g->params[p];
        const char *module = g->nodes[param->node].name;
        add_output(l, mem_string(param->name), WEIGHTS_F32, param->ndim, param->dims);
        if (param->role != PARAM_BETA) continue;
        add_output(l, mem_format("%s.running_mean", module), WEIGHTS_F32, 1, param->dims);
        add_output(l, mem_format("%s.running_var", module), WEIGHTS_F32, 1, param->dims);
        add_output(l, mem_format("%s.num_batches_tracked", module), WEIGHTS_I64, 0, NULL);
    }
}

/* num_batches_tracked stays 0: torch counts there for averages that these networks do not use. */
static int output_values(void *context, int i, void *to, struct error *err)
{
    const struct output_list *l = context;
    const struct weights_output *t = &l->tensor[i];
    struct tensor_entry e = {.name = t->name, .type = TENSOR_F32, .ndim = t->ndim, .data = to};
    if (t->type == WEIGHTS_I64) return 0;
    memcpy(e.dims, t->dims, sizeof e.dims);
    return tensor_file_read(l->x->best, &e, err);
}

static int write_safetensors(struct export *x, const char *path, struct error *err)
{
    struct output_list l = {.x = x};
    const char *keys[METADATA], *texts[METADATA];
    struct weights_metadata m[METADATA + 1] = {{"format", "pt"}};
    int count = metadata(x, keys, texts);
    for (int i = 0; i < count; i++) m[1 + i] = (struct weights_metadata){keys[i], texts[i]};
    list_outputs(&l, x->graph);
    int status = safetensors_write(path, l.tensor, l.count, m, count + 1, output_values, &l, err);
    for (int i = 0; i < l.count; i++) mem_free((char *)l.tensor[i].name);
    mem_free(l.tensor);
    return status;
}

/* ---- ONNX ---- */

static int named_values(void *context, const char *name, int64_t elements, float *to, struct error *err)
{
    const struct export *x = context;
    struct tensor_entry e = {0};
    int i = 0;
    for (; i < tensor_file_count(x->best); i++) {
        tensor_file_entry(x->best, i, &e);
        if (!strcmp(e.name, name)) break;
    }
    if (i == tensor_file_count(x->best)) return error_set(err, "best.h5 has no tensor '%s'", name);
    int64_t count = 1;
    for (int d = 0; d < e.ndim; d++) count *= e.dims[d];
    if (e.type != TENSOR_F32 || count != elements) return error_set(err, "best.h5: tensor '%s' has another shape", name);
    e.data = to;
    return tensor_file_read(x->best, &e, err);
}

static int write_onnx(struct export *x, const char *path, struct error *err)
{
    struct text out = {0};
    const char *keys[METADATA], *texts[METADATA];
    struct onnx_metadata m[METADATA];
    int count = metadata(x, keys, texts);
    for (int i = 0; i < count; i++) m[i] = (struct onnx_metadata){keys[i], texts[i]};
    struct onnx_source source = {named_values, x, m, count, weights_notice};
    int status = onnx_build(&out, x->graph, &source, err);
    if (!status) status = file_write_atomic(path, out.data, out.length, err);
    text_free(&out);
    return status;
}

int weights_export(const char *run, const char *out, bool onnx, struct error *err)
{
    struct export x = {0};
    int status = open_export(&x, run, err);
    const char *backbone = status ? "" : attribute(&x, "backbone");
    if (!status && strcmp(backbone, x.c.backbone)) status = error_set(err, "%s/best.h5: weights of %s, but the run is of %s", run, backbone, x.c.backbone);
    if (!status) status = onnx ? write_onnx(&x, out, err) : write_safetensors(&x, out, err);
    if (!status) printf("%s: %s, %s, %s pixels a side\n%s\n", out, x.c.backbone, x.outputs, x.size, weights_notice);
    close_export(&x);
    return status;
}
