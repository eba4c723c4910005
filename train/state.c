/* state.c - a trainer's state to and from files, in torchvision's order and names: independent of the rank count, of the
 * backend and of its stored layouts. Rank 0 reads and writes; the others get the arenas by broadcast. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

/* ---- a list of tensors to write; it owns their names only ---- */
struct arena_source { /* parameter `index` of it is converted when it is written */
    const struct network *net;
    const float *arena;
};
struct tensor_list {
    struct tensor_entry *entry;
    int count, room;
};

static struct tensor_entry *list_add(struct tensor_list *l, char *name, int ndim, const int64_t *dims, float *data)
{
    if (l->count == l->room) {
        int room = l->room ? 2 * l->room : 256;
        l->entry = mem_grow(l->entry, sizeof *l->entry * (size_t)l->room, sizeof *l->entry * (size_t)room);
        l->room = room;
    }
    struct tensor_entry *e = &l->entry[l->count++];
    *e = (struct tensor_entry){.name = name, .type = TENSOR_F32, .ndim = ndim, .data = data};
    for (int d = 0; d < ndim; d++) e->dims[d] = dims[d];
    return e;
}

static void list_free(struct tensor_list *l)
{
    for (int i = 0; i < l->count; i++) mem_free((char *)l->entry[i].name);
    mem_free(l->entry);
    *l = (struct tensor_list){0};
}

/* ---- what is saved: an arena under "<prefix><name>", running statistics under torchvision's names ---- */
static void make_parameter(void *to, const void *source, int p)
{
    const struct arena_source *s = source;
    network_arena_export(s->net, p, to, s->arena);
}

static void list_arena(struct tensor_list *l, const struct graph *g, const struct arena_source *source, const char *prefix)
{
    for (int p = 0; p < g->param_count; p++) {
        const struct param *param = &g->params[p];
        struct tensor_entry *e = list_add(l, mem_format("%s%s", prefix, param->name), param->ndim, param->dims, NULL);
        e->make = make_parameter;
        e->source = source;
        e->index = p;
    }
}

static int64_t running_count(const struct graph *g)
{
    int64_t count = 0;
    for (int i = 0; i < g->node_count; i++)
        if (g->nodes[i].kind == NODE_NORM) count += 2 * (int64_t)g->values[g->nodes[i].x].c;
    return count;
}

/* Both statistics of all normalisations in a row, as they lie in *l's entries; the caller frees them after writing. */
static float *list_running(struct tensor_list *l, const struct network *net, const struct graph *g, const char *prefix)
{
    float *values = NEW_ARRAY(float, running_count(g)), *at = values;
    for (int i = 0; i < g->node_count; i++) {
        const struct node *node = &g->nodes[i];
        if (node->kind != NODE_NORM) continue;
        int64_t c = g->values[node->x].c;
        network_running_get(net, node->buffers, at, at + c);
        list_add(l, mem_format("%s%s.running_mean", prefix, node->name), 1, &c, at);
        list_add(l, mem_format("%s%s.running_var", prefix, node->name), 1, &c, at + c);
        at += 2 * c;
    }
    return values;
}

static int64_t widest_norm(const struct graph *g)
{
    int64_t widest = 0;
    for (int i = 0; i < g->node_count; i++)
        if (g->nodes[i].kind == NODE_NORM && g->values[g->nodes[i].x].c > widest) widest = g->values[g->nodes[i].x].c;
    return widest;
}

static int read_into_arena(struct tensor_file *f, struct network *net, const struct graph *g, float *arena, const char *prefix,
                           struct error *err)
{
    int rc = 0;
    for (int p = 0; p < g->param_count && !rc; p++) {
        const struct param *param = &g->params[p];
        struct tensor_list one = {0};
        float *values = mem_alloc(sizeof(float) * (size_t)param_elements(param));
        rc = tensor_file_read(f, list_add(&one, mem_format("%s%s", prefix, param->name), param->ndim, param->dims, values), err);
        if (!rc) network_arena_import(net, p, arena, values);
        mem_free(values);
        list_free(&one);
    }
    return rc;
}

static int read_one_running(struct tensor_file *f, char *name, int64_t c, float *values, struct error *err)
{
    struct tensor_entry e = {.name = name, .type = TENSOR_F32, .ndim = 1, .dims = {c}, .data = values};
    int rc = tensor_file_read(f, &e, err);
    mem_free(name);
    return rc;
}

static int read_running(struct tensor_file *f, struct network *net, const struct graph *g, const char *prefix, struct error *err)
{
    float *mean = NEW_ARRAY(float, 2 * widest_norm(g)), *var = mean + widest_norm(g);
    int rc = 0;
    for (int i = 0; i < g->node_count && !rc; i++) {
        const struct node *node = &g->nodes[i];
        if (node->kind != NODE_NORM) continue;
        int64_t c = g->values[node->x].c;
        rc = read_one_running(f, mem_format("%s%s.running_mean", prefix, node->name), c, mean, err);
        if (!rc) rc = read_one_running(f, mem_format("%s%s.running_var", prefix, node->name), c, var, err);
        if (!rc) network_running_set(net, node->buffers, mean, var);
    }
    mem_free(mean);
    return rc;
}

/* ---- weights alone ---- */
int weights_save(struct network *net, const struct graph *g, const char *path, const struct tensor_attribute *attributes,
                 int attribute_count, struct error *err)
{
    struct tensor_list l = {0};
    struct arena_source weights = {net, network_parameters(net)};
    list_arena(&l, g, &weights, "");
    float *running = list_running(&l, net, g, "");
    int rc = tensor_file_write(path, l.entry, l.count, attributes, attribute_count, err);
    list_free(&l);
    mem_free(running);
    return rc;
}

int weights_load(struct network *net, const struct graph *g, const char *path, struct error *err)
{
    struct tensor_file *f = tensor_file_open(path, err);
    if (!f) return -1;
    const char *backbone = tensor_file_attribute(f, "backbone");
    int rc = 0;
    if (backbone && strcmp(backbone, g->backbone))
        rc = error_set(err, "%s: weights of %s, wanted %s", path, backbone, g->backbone);
    if (!rc) rc = read_into_arena(f, net, g, network_parameters(net), "", err);
    if (!rc) rc = read_running(f, net, g, "", err);
    tensor_file_close(f);
    return rc;
}

/* ---- position as attributes; doubles as hexadecimal floats keep their bits ---- */
enum { POSITION_FIELDS = 11 };
static void position_write(char text[POSITION_FIELDS][32], struct tensor_attribute *a, const struct trainer *t)
{
    static const char *const names[POSITION_FIELDS] = {"step", "epoch", "batch", "images", "loss_sum", "covid_sum", "best_epoch",
                                                       "best_covid", "votes", "record_bytes", "optimiser_steps"};
    const struct position *p = &t->at;
    snprintf(text[0], 32, "%" PRId64, p->step);
    snprintf(text[1], 32, "%d", p->epoch);
    snprintf(text[2], 32, "%d", p->batch);
    snprintf(text[3], 32, "%" PRId64, p->images);
    snprintf(text[4], 32, "%a", p->loss_sum);
    snprintf(text[5], 32, "%a", p->covid_sum);
    snprintf(text[6], 32, "%d", p->best_epoch);
    snprintf(text[7], 32, "%a", p->best_covid);
    snprintf(text[8], 32, "%d", p->votes);
    snprintf(text[9], 32, "%" PRId64, p->record_bytes);
    snprintf(text[10], 32, "%" PRId64, t->optim.steps);
    for (int i = 0; i < POSITION_FIELDS; i++) a[i] = (struct tensor_attribute){names[i], text[i]};
}

static int position_read(struct trainer *t, const struct tensor_file *f, const char *path, struct error *err)
{
    static const char *const names[] = {"step", "epoch", "batch", "images", "loss_sum", "covid_sum", "best_epoch", "best_covid",
                                        "votes", "record_bytes", "optimiser_steps"};
    double value[POSITION_FIELDS];
    for (int i = 0; i < POSITION_FIELDS; i++) {
        const char *text = tensor_file_attribute(f, names[i]);
        char *end;
        if (!text) return error_set(err, "%s: no attribute '%s'", path, names[i]);
        value[i] = strtod(text, &end);
        if (*end || end == text) return error_set(err, "%s: attribute %s = '%s' is no number", path, names[i], text);
    }
    t->at = (struct position){.step = (int64_t)value[0], .epoch = (int)value[1], .batch = (int)value[2],
        .images = (int64_t)value[3], .loss_sum = value[4], .covid_sum = value[5], .best_epoch = (int)value[6],
        .best_covid = value[7], .votes = (int)value[8], .record_bytes = (int64_t)value[9]};
    t->optim.steps = (int64_t)value[10];
    return 0;
}

static struct tensor_entry vote_entry(const struct trainer *t)
{
    return (struct tensor_entry){.name = "vote_sum", .type = TENSOR_F64, .ndim = 2,
        .dims = {dataset_count(t->data, SPLIT_TEST), LOGIT_COUNT}, .data = t->vote_sum};
}

/* What the backend has chosen: read again only by the same backend on the same accelerator. */
static const char choices_name[] = "backend.choices";

static void list_choices(struct tensor_list *l, const struct trainer *t, struct text *choices)
{
    if (t->c.ops->choices_get) t->c.ops->choices_get(choices);
    int64_t bytes = (int64_t)choices->length;
    if (bytes) list_add(l, mem_string(choices_name), 1, &bytes, (float *)(void *)choices->data)->type = TENSOR_U8;
}

static int read_choices(struct tensor_file *f, struct text *choices, struct error *err)
{
    for (int i = 0; i < tensor_file_count(f); i++) {
        struct tensor_entry e;
        tensor_file_entry(f, i, &e);
        if (strcmp(e.name, choices_name)) continue;
        e.data = mem_alloc((size_t)e.dims[0]);
        int rc = tensor_file_read(f, &e, err);
        if (!rc) text_add_bytes(choices, e.data, (size_t)e.dims[0]);
        mem_free(e.data);
        return rc;
    }
    return 0;
}

static int save_on_rank_0(struct trainer *t, struct error *err)
{
    struct tensor_list l = {0};
    struct text choices = {0};
    struct tensor_attribute attribute[POSITION_FIELDS + 2];
    char text[POSITION_FIELDS][32];
    struct arena_source weights = {t->net, network_parameters(t->net)}, m = {t->net, t->optim.m}, v = {t->net, t->optim.v};
    list_arena(&l, t->graph, &weights, "model.");
    float *running = list_running(&l, t->net, t->graph, "model.");
    list_arena(&l, t->graph, &m, "optim.m.");
    if (t->optim.v) list_arena(&l, t->graph, &v, "optim.v.");
    if (t->vote_sum) {
        struct tensor_entry votes = vote_entry(t), *e = list_add(&l, mem_string(votes.name), votes.ndim, votes.dims, votes.data);
        e->type = votes.type;
    }
    list_choices(&l, t, &choices);
    position_write(text, attribute, t);
    attribute[POSITION_FIELDS] = (struct tensor_attribute){"backbone", t->graph->backbone};
    attribute[POSITION_FIELDS + 1] = (struct tensor_attribute){"version", LADNN_VERSION};
    int rc = checkpoint_write(t->c.out, t->at.step, t->c.checkpoint_keep, l.entry, l.count, attribute, POSITION_FIELDS + 2,
                              run_folder_fence(t->run), err);
    list_free(&l);
    mem_free(running);
    text_free(&choices);
    return rc;
}

int trainer_save(struct trainer *t, struct error *err)
{
    double start = clock_s();
    int rc = t->run ? save_on_rank_0(t, err) : 0;
    rc = comm_agree(t->comm, rc, err, "writing a checkpoint");
    t->saved_s = clock_s();
    t->pace.save_s = t->saved_s - start;
    if (!rc) log_debug("checkpoint at step %" PRId64 " in %.2f s", t->at.step, t->pace.save_s);
    return rc;
}

static int restore_on_rank_0(struct trainer *t, const char *path, struct text *choices, struct error *err)
{
    struct tensor_file *f = tensor_file_open(path, err);
    if (!f) return -1;
    const char *backbone = tensor_file_attribute(f, "backbone");
    int rc = 0;
    if (!backbone || strcmp(backbone, t->graph->backbone))
        rc = error_set(err, "%s: checkpoint of %s, wanted %s", path, backbone ? backbone : "something else", t->graph->backbone);
    if (!rc) rc = position_read(t, f, path, err);
    if (!rc) rc = read_into_arena(f, t->net, t->graph, network_parameters(t->net), "model.", err);
    if (!rc) rc = read_running(f, t->net, t->graph, "model.", err);
    if (!rc) rc = read_into_arena(f, t->net, t->graph, t->optim.m, "optim.m.", err);
    if (!rc && t->optim.v) rc = read_into_arena(f, t->net, t->graph, t->optim.v, "optim.v.", err);
    if (!rc && t->vote_sum) {
        struct tensor_entry votes = vote_entry(t);
        rc = tensor_file_read(f, &votes, err);
    }
    if (!rc && t->c.ops->choices_set) rc = read_choices(f, choices, err);
    tensor_file_close(f);
    return rc;
}

/* An arena of the backend from rank 0 to all. */
static void broadcast_arena(struct trainer *t, float *arena)
{
    const struct ops *ops = t->c.ops;
    size_t bytes = sizeof(float) * (size_t)network_arena_count(t->net);
    if (ops->on_host) {
        comm_broadcast(t->comm, arena, bytes, 0, "resuming");
        return;
    }
    float *staged = mem_alloc(bytes);
    ops->download(staged, arena, bytes);
    comm_broadcast(t->comm, staged, bytes, 0, "resuming");
    ops->upload(arena, staged, bytes);
    mem_free(staged);
}

static void broadcast_running(struct trainer *t)
{
    int64_t widest = widest_norm(t->graph);
    float *mean = NEW_ARRAY(float, 2 * widest);
    for (int b = 0; b < t->graph->norm_count; b++) {
        network_running_get(t->net, b, mean, mean + widest);
        comm_broadcast(t->comm, mean, sizeof(float) * 2 * (size_t)widest, 0, "resuming");
        network_running_set(t->net, b, mean, mean + widest);
    }
    mem_free(mean);
}

static void broadcast_state(struct trainer *t)
{
    comm_broadcast(t->comm, &t->at, sizeof t->at, 0, "resuming");
    comm_broadcast(t->comm, &t->optim.steps, sizeof t->optim.steps, 0, "resuming");
    broadcast_arena(t, network_parameters(t->net));
    network_parameters_changed(t->net);
    broadcast_arena(t, t->optim.m);
    if (t->optim.v) broadcast_arena(t, t->optim.v);
    broadcast_running(t);
}

/* All ranks choose as the checkpoint says. */
static int share_choices(struct trainer *t, struct text *choices, struct error *err)
{
    char *text = NULL, *other = NULL;
    size_t bytes = choices->length;
    comm_broadcast(t->comm, &bytes, sizeof bytes, 0, "resuming");
    if (!bytes) return 0;
    text = mem_alloc(bytes);
    if (choices->length) memcpy(text, choices->data, bytes);
    comm_broadcast(t->comm, text, bytes, 0, "resuming");
    int rc = t->c.ops->choices_set(text, bytes, &other, err);
    if (other)
        log_warn("the checkpoint's plans are for %s, which is not what is here: the run goes on, with other roundings than it would have had", other);
    mem_free(text);
    mem_free(other);
    return comm_agree(t->comm, rc, err, "resuming");
}

int trainer_restore(struct trainer *t, bool *restored, struct error *err)
{
    struct text damaged = {0}, choices = {0};
    char *path = NULL;
    int64_t step = 0;
    int rc = t->run ? checkpoint_newest(t->c.out, &path, &step, &damaged, err) : 0;
    if (damaged.length) log_warn("%s", damaged.data);
    if (!rc && path) rc = restore_on_rank_0(t, path, &choices, err);
    rc = comm_agree(t->comm, rc, err, "reading a checkpoint");
    *restored = !rc && comm_any(t->comm, path != NULL, "looking for a checkpoint");
    if (*restored) rc = share_choices(t, &choices, err);
    if (*restored && !rc) {
        broadcast_state(t);
        if (t->at.epoch > t->c.epochs || (t->at.epoch == t->c.epochs && t->at.batch > 0)) {
            rc = error_set(err, "%s: its checkpoint is in epoch %d, train.epochs is %d", t->c.out, t->at.epoch + 1, t->c.epochs);
            error_hint(err, "ask for more epochs, choose another --out, or --overwrite to begin anew");
        } else if (t->at.batch < t->batches) {
            log_info("continuing from step %" PRId64 " (epoch %d, batch %d of %d)", t->at.step, t->at.epoch + 1, t->at.batch + 1, t->batches);
        } else {
            log_info("continuing from step %" PRId64 " (the end of epoch %d)", t->at.step, t->at.epoch + 1);
        }
    }
    text_free(&damaged);
    text_free(&choices);
    mem_free(path);
    return rc;
}
