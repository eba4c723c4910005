/* cmd_explain.c - `ladnn explain RUN`: where the network of a finished run looks, as pictures, numbers, and the paper's figure 5. One process:
 * a map costs little more than an evaluation. The notice of the data stands in everything that is written. */
#include <inttypes.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "train/commands.h"
#include "train/explain.h"

static const char FILES_NOTICE[] = "research use only: not for diagnosis"; /* of pictures that are in no data set */

struct explain {
    const struct settings *own; /* explain's */
    const char *out;
    struct explain_options o;
    struct finished_run run[2]; /* RUN and --against */
    int runs;
    struct dataset *data;       /* of the images, or of the shards whose form files get */
    struct picture_source *pictures;
    struct explanation e[2];
    struct image *originals;    /* (count), for the figure */
    const char *notice;
};

/* ---- what is asked ---- */

static const char *text(const struct explain *x, const char *key) { return settings_string(x->own, key); }

static int read_options(struct explain *x, struct error *err)
{
    const char *keys[] = {"explain.run", "explain.against"};
    struct explain_options *o = &x->o;
    *o = (struct explain_options){.what_name = text(x, "explain.what"), .method_name = text(x, "explain.method"),
        .eps = settings_float(x->own, "explain.eps"), .faithfulness = settings_bool(x->own, "explain.faithfulness"),
        .steps = (int)settings_int(x->own, "explain.steps"), .seed = (uint64_t)settings_int(x->own, "explain.seed")};
    o->what = strcmp(o->what_name, "covid") ? 1 + lesion_from_name(o->what_name) : 0;
    o->method = strcmp(o->method_name, "gradcam") ? CAM_GRAD_PLUS : CAM_GRAD;
    x->runs = *text(x, "explain.against") ? 2 : 1;
    for (int k = 0; k < x->runs; k++) {
        struct finished_run *r = &x->run[k];
        if (finished_run_settings(r, text(x, keys[k]), text(x, "explain.backend"), settings_int(x->own, "explain.batch"), NULL, err)) return -1;
        if (explain_check(r, o, err)) return -1;
    }
    return 0;
}

/* Files get the form of the shards' pictures, and another window where one is given. */
static int open_files(struct explain *x, const char *path, struct error *err)
{
    struct stored_form form;
    bool window_known;
    if (*text(x, "explain.files")) return error_set(err, "--files chooses images of a split; --in names picture files (%s)", path);
    if (pictures_form_of(&form, &window_known, x->data, err)) return -1;
    if (*text(x, "explain.window") && image_window_parse(&form.window, text(x, "explain.window"), err)) return -1;
    if (!window_known && !*text(x, "explain.window"))
        log_warn("%s: united from other shards, whose window is not known; --window says it where it matters", dataset_name(x->data));
    x->pictures = pictures_of_path(path, &form, settings_int(x->own, "explain.count"), err);
    x->notice = FILES_NOTICE;
    return x->pictures ? 0 : -1;
}

static int open_split(struct explain *x, struct error *err)
{
    enum split split = (enum split)split_from_name(text(x, "explain.split"));
    if (*text(x, "explain.window")) return error_set(err, "--window is for picture files (--in); shards hold what packing has cut out");
    x->pictures = pictures_of_split(x->data, split, text(x, "explain.files"), settings_int(x->own, "explain.count"), err);
    x->notice = dataset_notice(x->data);
    for (int k = 0; k < x->runs && x->pictures; k++) finished_run_compare(&x->run[k], x->data);
    return x->pictures ? 0 : -1;
}

static int open_pictures(struct explain *x, struct error *err)
{
    const char *in = text(x, "explain.in");
    x->data = finished_run_data(&x->run[0], text(x, "explain.data"), err);
    if (!x->data && *in) return error_prefix(err, "the shards that say how pictures are prepared");
    if (!x->data || (*in ? open_files(x, in, err) : open_split(x, err))) return -1;
    if (x->runs == 2 && pictures_count(x->pictures) > EXPLAIN_FIGURE_ROWS) {
        error_set(err, "%" PRId64 " images are too many for one figure; %d rows fit", pictures_count(x->pictures), EXPLAIN_FIGURE_ROWS);
        return error_hint(err, "choose some with --files or --count");
    }
    return 0;
}

/* Results of two calls never lie side by side. */
static int make_folder(const struct explain *x, struct error *err)
{
    char **names;
    int count = 0;
    if (folder_create(x->out, err) || folder_list(&names, &count, x->out, err)) return -1;
    folder_list_free(names, count);
    if (!count) return 0;
    error_set(err, "%s: this folder is not empty", x->out);
    return error_hint(err, "--out names a new folder");
}

/* ---- the work ---- */

static int take_first(void *context, const struct explanation *e, int64_t i, const float *planes, struct error *err)
{
    struct explain *x = context;
    float *heat = explanation_heat(e, i);
    int rc = explain_write_pictures(x->out, pictures_name(x->pictures, i), i, planes, heat, e->size, err);
    if (x->originals) explain_original(&x->originals[i], planes, e->size);
    mem_free(heat);
    return rc;
}

static int explain_run(struct explain *x, int k, struct error *err)
{
    struct finished_run *r = &x->run[k];
    const struct ops *ops = r->c.ops;
    const struct explain_sink sink = {take_first, x};
    if ((k == 0 || ops != x->run[0].c.ops) && ops->attach(0, err)) return -1;
    int threads = threads_of_rank((int)settings_int(x->own, "explain.threads"), 1);
    omp_set_num_threads(threads);
    ops->tune(&r->c.tuning);
    ops->open(threads);
    if (finished_run_load(r, true, err)) return -1;
    int rc = explain_pictures(&x->e[k], r, x->pictures, &x->o, k == 0 ? &sink : NULL, err);
    network_close(r->net); /* two networks need not lie in memory at once */
    r->net = NULL;
    return rc;
}

static int write_tables(const struct explain *x, struct error *err)
{
    const struct train_config *c = &x->run[0].c;
    struct text eps = {0};
    text_add_number(&eps, x->o.eps);
    const struct tensor_attribute attributes[] = {
        {"notice", x->notice}, {"rows", "as in explain.csv"}, {"target", x->o.what_name}, {"method", x->o.method_name}, {"eps", eps.data},
        {"backbone", c->backbone}, {"run", x->run[0].path}};
    int rc = explain_write_tables(x->out, &x->e[0], x->pictures, &x->o, attributes, sizeof attributes / sizeof *attributes, err);
    text_free(&eps);
    return rc;
}

static char *title_of(const struct finished_run *r)
{
    int b = 0;
    while (strcmp(backbone_names[b], r->c.backbone)) b++;
    return mem_format("%s %s", backbone_titles[b], r->c.loss.lesions ? "LA-DNN" : "baseline");
}

static int write_figure(const struct explain *x, struct error *err)
{
    struct explain_side sides[2];
    char *titles[2], *path = path_join(x->out, "figure5.png");
    for (int k = 0; k < 2; k++) sides[k] = (struct explain_side){titles[k] = title_of(&x->run[k]), &x->e[k]};
    int rc = explain_figure(path, x->pictures, x->originals, sides, &x->o, x->notice, err);
    mem_free(path);
    for (int k = 0; k < 2; k++) mem_free(titles[k]);
    return rc;
}

/* ---- the answer ---- */

static int64_t count_state(const struct explanation *e, enum cam_state state)
{
    int64_t count = 0;
    for (int64_t i = 0; i < e->count; i++) count += e->state[i] == state;
    return count;
}

static void add_faithfulness(struct json *j, const struct explanation *e)
{
    int64_t judged;
    struct faithfulness f = explanation_faithfulness(e, &judged);
    json_object(j, "faithfulness");
    json_int(j, "images", judged);
    json_number(j, "deletion_auc", f.deletion);
    json_number(j, "insertion_auc", f.insertion);
    json_number(j, "random_deletion_auc", f.random_deletion);
    json_number(j, "random_insertion_auc", f.random_insertion);
    json_end_object(j);
}

static void add_run(struct json *j, const struct explain *x, int k)
{
    const struct explanation *e = &x->e[k];
    json_object(j, k ? "against" : "explained");
    json_string(j, "run", x->run[k].path);
    json_string(j, "backbone", x->run[k].c.backbone);
    json_string(j, "method", x->run[k].c.method);
    json_int(j, "map_height", e->h);
    json_int(j, "map_width", e->w);
    for (enum cam_state s = CAM_FINE; s <= CAM_NOT_FINITE; s++) json_int(j, cam_state_names[s], count_state(e, s));
    if (e->faithfulness) add_faithfulness(j, e);
    json_number(j, "read_s", e->read_s);
    json_number(j, "forward_s", e->forward_s);
    json_number(j, "maps_s", e->maps_s);
    if (e->faithfulness) json_number(j, "faithfulness_s", e->faithfulness_s);
    json_end_object(j);
}

static void print_summary(const struct explain *x)
{
    struct text out = {0};
    struct json j;
    json_open(&j, &out, true);
    json_object(&j, NULL);
    json_string(&j, "notice", x->notice);
    json_string(&j, "target", x->o.what_name);
    json_string(&j, "map", x->o.method_name);
    json_int(&j, "images", x->e[0].count);
    for (int k = 0; k < x->runs; k++) add_run(&j, x, k);
    json_end_object(&j);
    printf("%s\n", out.data);
    text_free(&out);
}

/* Everything is written by now, and says so image by image; but such a network is broken. */
static int refuse_broken(const struct explain *x, struct error *err)
{
    for (int k = 0; k < x->runs; k++) {
        int64_t bad = count_state(&x->e[k], CAM_NOT_FINITE);
        if (bad)
            return error_set(err, "%s/best.h5 gives no numbers (NaN or infinity) for %" PRId64 " of %" PRId64 " images", x->run[k].path, bad,
                             x->e[k].count);
    }
    return 0;
}

static int explain_all(struct explain *x, struct error *err)
{
    if (read_options(x, err) || open_pictures(x, err) || make_folder(x, err)) return -1;
    if (x->runs == 2) x->originals = NEW_ARRAY(struct image, pictures_count(x->pictures));
    for (int k = 0; k < x->runs; k++)
        if (explain_run(x, k, err)) return -1;
    if ((x->runs == 2 && write_figure(x, err)) || write_tables(x, err)) return -1;
    print_summary(x);
    return refuse_broken(x, err);
}

static int run(struct settings *s, struct error *err)
{
    struct explain x = {.own = s, .out = settings_string(s, "explain.out")};
    if (!*settings_string(s, "explain.run")) return settings_missing(&command_explain, "explain.run", "which run folder?", err);
    if (!*x.out) return settings_missing(&command_explain, "explain.out", "where shall the pictures go?", err);
    int rc = explain_all(&x, err);
    for (int64_t i = 0; x.originals && i < pictures_count(x.pictures); i++) image_free(&x.originals[i]);
    mem_free(x.originals);
    pictures_close(x.pictures);
    for (int k = 0; k < 2; k++) {
        explanation_close(&x.e[k]);
        finished_run_close(&x.run[k]);
    }
    dataset_close(x.data);
    return rc;
}

const struct command command_explain = {
    .name = "explain", .groups = "explain", .summary = "where a run's network looks: Grad-CAM++ maps, their faithfulness, the paper's figure 5",
    .usage = "RUN --out DIR [--what covid|GGO|...] [--split test] [--files A,B | --count N | --in PICTURE] [--against RUN2] [--faithfulness]",
    .positional = "explain.run", .run = run};
