/* weights_import.c - a published file becomes initial weights: matched by name, reported tensor by tensor, converted to f32, written whole.
 * Tensors that are missing, or that the network has no use for, mean that the file is of another network: refused, unless asked for. The last
 * layer is the exception: it belongs to the task (1000 classes), so another one is left out, and said so. */
#include "train/weights_import.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/tensor_file.h"
#include "train/weights_names.h"

const char weights_notice[] = "research use only: not for diagnosis";

enum { IMAGE_SIZE = 224, OUTPUTS = 6 }; /* parameters do not depend on the first */

/* ---- the report ---- */

static const char *missing_shape(char text[120], const struct weights_target *t)
{
    struct weights_tensor wanted = {.type = WEIGHTS_F32, .ndim = t->ndim};
    memcpy(wanted.dims, t->dims, sizeof t->dims);
    weights_describe(text, 120, &wanted);
    return text;
}

static void print_row(struct text *out, const struct weights_matching *m, const struct weights_row *row, const struct weights_file *f)
{
    const struct weights_tensor *t = row->tensor >= 0 ? weights_file_tensor(f, row->tensor) : NULL;
    const struct weights_target *want = row->target >= 0 ? &m->target[row->target] : NULL;
    char shape[120];
    if (t) weights_describe(shape, sizeof shape, t);
    else missing_shape(shape, want);
    text_add(out, "%-8s %-24s ", weights_match_names[row->match], shape);
    text_add_name(out, t ? t->name : want->name);
    if (t && want && strcmp(t->name, want->name)) text_add(out, " -> %s", want->name);
    text_add(out, "\n");
}

static void describe_head(char text[160], const struct weights_matching *m)
{
    if (m->head_outputs == m->head_wanted)
        snprintf(text, 160, "%d outputs in the file, taken over", m->head_wanted);
    else if (m->head_outputs)
        snprintf(text, 160, "%" PRId64 " outputs in the file, %d wanted: left at its initial values", m->head_outputs, m->head_wanted);
    else
        snprintf(text, 160, "not in the file: left at its initial values");
}

/* What is missing besides the head. */
static int missing_count(const struct weights_matching *m)
{
    int count = 0;
    for (int r = 0; r < m->row_count; r++) count += m->row[r].match == MATCH_MISSING && !m->target[m->row[r].target].head;
    return count;
}

static void print_table(const struct weights_matching *m, const struct weights_file *f, const char *backbone)
{
    struct text out = {0};
    char head[160];
    describe_head(head, m);
    for (int r = 0; r < m->row_count; r++) print_row(&out, m, &m->row[r], f);
    text_add(&out, "\n%s, %d tensors%s%s\n", weights_file_kind(f), weights_file_count(f), *weights_file_note(f) ? "; " : "", weights_file_note(f));
    text_add(&out, "%s: %d same, %d renamed, %d missing, %d unused, %d counters (num_batches_tracked) ignored\n", backbone, m->counts[MATCH_SAME],
             m->counts[MATCH_RENAMED], missing_count(m), m->counts[MATCH_UNUSED], m->counts[MATCH_COUNTER]);
    text_add(&out, "head: %s\n%s\n", head, weights_notice);
    fputs(out.data, stdout);
    text_free(&out);
}

static void json_row(struct json *j, const struct weights_matching *m, const struct weights_row *row, const struct weights_file *f)
{
    const struct weights_tensor *t = row->tensor >= 0 ? weights_file_tensor(f, row->tensor) : NULL;
    char shape[120];
    if (t) weights_describe(shape, sizeof shape, t);
    else missing_shape(shape, &m->target[row->target]);
    json_object(j, NULL);
    json_string(j, "match", row->match == MATCH_MISSING ? "missing" : weights_match_names[row->match]);
    json_string(j, "file", t ? t->name : NULL);
    json_string(j, "here", row->target >= 0 ? m->target[row->target].name : NULL);
    json_string(j, "shape", shape);
    json_end_object(j);
}

static void print_json(const struct weights_matching *m, const struct weights_file *f, const struct weights_import *w, const char *sha256)
{
    struct text out = {0};
    struct json j;
    char head[160];
    describe_head(head, m);
    json_open(&j, &out, true);
    json_object(&j, NULL);
    json_string(&j, "notice", weights_notice);
    json_string(&j, "file", w->file);
    json_string(&j, "sha256", sha256);
    json_string(&j, "kind", weights_file_kind(f));
    json_string(&j, "note", weights_file_note(f));
    json_string(&j, "backbone", w->backbone);
    json_string(&j, "head", head);
    json_int(&j, "missing", missing_count(m));
    for (int k = 0; k < MATCH_MISSING; k++) json_int(&j, weights_match_names[k], m->counts[k]);
    json_array(&j, "tensors");
    for (int r = 0; r < m->row_count; r++) json_row(&j, m, &m->row[r], f);
    json_end_array(&j);
    json_end_object(&j);
    printf("%s\n", out.data);
    text_free(&out);
}

/* ---- judging ---- */

/* torchvision's files carry the first 8 digits of their SHA-256: resnet18-f37072fd.pth. */
static int check_name(const char *path, const char *sha256, struct error *err)
{
    const char *name = path_base(path), *dash = strrchr(name, '-');
    int digits = 0;
    while (dash && isxdigit((unsigned char)dash[1 + digits]) && !isupper((unsigned char)dash[1 + digits])) digits++;
    if (!dash || digits != 8 || dash[9] != '.' || !strncmp(dash + 1, sha256, 8)) return 0;
    error_set(err, "%s: its name promises the SHA-256 %.8s, but it is %.8s: it is damaged, or not that file", path, dash + 1, sha256);
    return error_hint(err, "some files were published anew under their old names; one that you trust can be renamed");
}

static int judge(const struct weights_matching *m, const struct weights_import *w, struct error *err)
{
    int missing = missing_count(m), unused = m->counts[MATCH_UNUSED];
    if (!m->counts[MATCH_SAME] && !m->counts[MATCH_RENAMED]) return error_set(err, "%s: no tensor of it belongs to %s", w->file, w->backbone);
    if (w->partial || (!missing && !unused)) return 0;
    error_set(err, "%s: not the weights of %s: %d tensors are missing, %d are of no use", w->file, w->backbone, missing, unused);
    return error_hint(err, "the table names them; --partial goes on without");
}

/* ---- writing ---- */

static bool is_written(const struct weights_matching *m, const struct weights_row *row)
{
    bool taken = row->match == MATCH_SAME || row->match == MATCH_RENAMED;
    return taken && !(m->target[row->target].head && m->head_outputs != m->head_wanted);
}

static int read_entry(struct tensor_entry *e, struct weights_file *f, const struct weights_row *row, const struct weights_target *t, const char *path,
                      struct error *err)
{
    const struct weights_tensor *from = weights_file_tensor(f, row->tensor);
    if (from->type > WEIGHTS_BF16)
        return error_set(err, "%s: tensor '%s' is %s; weights are f32, f64, f16 or bf16", path, from->name, weights_type_names[from->type]);
    *e = (struct tensor_entry){.name = t->name, .type = TENSOR_F32, .ndim = t->ndim};
    memcpy(e->dims, t->dims, sizeof t->dims);
    e->data = mem_alloc(sizeof(float) * (size_t)from->elements);
    if (weights_file_read(f, row->tensor, e->data, err)) return -1;
    const char *dot = strrchr(t->name, '.');
    const float *values = e->data;
    for (int64_t k = 0; dot && !strcmp(dot, ".running_var") && k < from->elements; k++)
        if (values[k] < 0) return error_set(err, "%s: tensor '%s' has a negative variance, at %" PRId64, path, from->name, k);
    return 0;
}

static int write_out(const struct weights_matching *m, struct weights_file *f, const struct weights_import *w, const char *sha256, struct error *err)
{
    struct tensor_entry *entries = NEW_ARRAY(struct tensor_entry, m->row_count);
    char head[160], partial[80];
    int count = 0, status = 0, missing = missing_count(m);
    describe_head(head, m);
    snprintf(partial, sizeof partial, "%d tensors missing", missing);
    struct tensor_attribute a[] = {{"backbone", w->backbone}, {"source", path_base(w->file)}, {"source_sha256", sha256}, {"source_kind", weights_file_kind(f)},
        {"head", head}, {"version", LADNN_VERSION}, {"notice", weights_notice}, {"partial", partial}};
    int attributes = (int)(sizeof a / sizeof *a) - (missing ? 0 : 1);
    for (int r = 0; r < m->row_count && !status; r++)
        if (is_written(m, &m->row[r])) status = read_entry(&entries[count++], f, &m->row[r], &m->target[m->row[r].target], w->file, err);
    if (!status) status = tensor_file_write(w->out, entries, count, a, attributes, err);
    for (int i = 0; i < count; i++) mem_free(entries[i].data);
    mem_free(entries);
    return status;
}

int weights_import(const struct weights_import *w, struct error *err)
{
    struct weights_matching m = {0};
    uint8_t digest[32];
    char sha256[65];
    struct graph *g = graph_build(w->backbone, IMAGE_SIZE, OUTPUTS, true, err);
    struct weights_file *f = g && !sha256_file(digest, w->file, err) ? weights_file_open(w->file, err) : NULL;
    if (f) hash_hex(sha256, digest);
    int status = f ? check_name(w->file, sha256, err) : -1;
    if (!status) status = weights_match(&m, f, g, err) ? error_prefix(err, "%s", w->file) : 0;
    if (!status && w->json) print_json(&m, f, w, sha256);
    if (!status && !w->json) print_table(&m, f, w->backbone);
    if (!status) status = judge(&m, w, err);
    if (!status) status = write_out(&m, f, w, sha256, err);
    weights_matching_free(&m);
    weights_file_close(f);
    graph_close(g);
    return status;
}

/* ---- show ---- */

static void show_json(const struct weights_file *f, const char *file)
{
    struct text out = {0};
    struct json j;
    json_open(&j, &out, true);
    json_object(&j, NULL);
    json_string(&j, "notice", weights_notice);
    json_string(&j, "file", file);
    json_string(&j, "kind", weights_file_kind(f));
    json_string(&j, "note", weights_file_note(f));
    json_array(&j, "tensors");
    for (int i = 0; i < weights_file_count(f); i++) {
        const struct weights_tensor *t = weights_file_tensor(f, i);
        json_object(&j, NULL);
        json_string(&j, "name", t->name);
        json_string(&j, "type", weights_type_names[t->type]);
        json_array(&j, "shape");
        for (int d = 0; d < t->ndim; d++) json_int(&j, NULL, t->dims[d]);
        json_end_array(&j);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
    printf("%s\n", out.data);
    text_free(&out);
}

static void show_table(const struct weights_file *f)
{
    struct text out = {0};
    int64_t elements = 0;
    for (int i = 0; i < weights_file_count(f); i++) {
        const struct weights_tensor *t = weights_file_tensor(f, i);
        char shape[120];
        weights_describe(shape, sizeof shape, t);
        text_add(&out, "%-28s ", shape);
        text_add_name(&out, t->name);
        text_add(&out, "\n");
        elements += t->elements;
    }
    text_add(&out, "%s, %d tensors, %.2f M numbers%s%s\n%s\n", weights_file_kind(f), weights_file_count(f), 1e-6 * (double)elements,
             *weights_file_note(f) ? "; " : "", weights_file_note(f), weights_notice);
    fputs(out.data, stdout);
    text_free(&out);
}

int weights_show(const char *file, bool json, struct error *err)
{
    struct weights_file *f = weights_file_open(file, err);
    if (!f) return -1;
    if (json) show_json(f, file);
    else show_table(f);
    weights_file_close(f);
    return 0;
}
