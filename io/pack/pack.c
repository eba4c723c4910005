/* pack.c - from an image folder to a data set in one call: manifest, parts, report, publication.
 *
 * DESIGN: rank 0 reads the manifest and gives it to all; every rank makes its parts in a hidden folder inside `out`. Only when all
 * are made is the set's identity known (it includes every source file's hash): each rank then seals its shards with it, and rank 0
 * opens the set as a reader would and renames the files into place. A crash between the renames leaves files of two packings,
 * which readers refuse; a crash before leaves the hidden folder, in which the next run continues. */
#include "io/pack/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "dist/comm.h"
#include "io/pack/manifest_private.h"
#include "io/pack/merge.h"
#include "io/pack/pack_private.h"
#include "io/pack/same_bytes.h"
#include "io/shard/shard.h"
#include "io/pack/split.h"

struct run {
    const struct pack_options *o;
    struct pack_result *result;
    struct manifest m;
    struct verdict *v;
    char *staging, *settings;
    int lock; /* descriptor, rank 0 */
    bool root, made_split;
};

/* ---- the folder `out` ---- */

/* Runs `act` for each shard file of the folder; `mine`: it belongs to the data set `name`. */
typedef int (*shard_action)(const char *folder, const char *file, bool mine, const void *context, struct error *err);

static int each_shard(const char *folder, const char *name, shard_action act, const void *context, struct error *err)
{
    char **names;
    int count, status = 0;
    if (folder_list(&names, &count, folder, err)) return -1;
    for (int i = 0; i < count && !status; i++) {
        int length, index, parts;
        enum split split;
        if (!shard_name_parse(names[i], &length, &split, &index, &parts)) continue;
        bool mine = (size_t)length == strlen(name) && !strncmp(names[i], name, (size_t)length);
        status = act(folder, names[i], mine, context, err);
    }
    folder_list_free(names, count);
    return status;
}

static int refuse_other(const char *folder, const char *file, bool mine, const void *context, struct error *err)
{
    (void)context;
    if (mine) return 0;
    error_set(err, "%s: the folder holds another data set (%s)", folder, file);
    return error_hint(err, "choose another --out, or the same --name to replace it");
}

static int move_into(const char *folder, const char *file, bool mine, const void *out, struct error *err)
{
    (void)mine;
    char *from = path_join(folder, file), *to = path_join(out, file);
    int status = file_rename(from, to, err);
    mem_free(from);
    mem_free(to);
    return status;
}

static bool is_of(const struct dataset *d, const char *file)
{
    for (int i = 0; i < dataset_shard_count(d); i++)
        if (!strcmp(path_base(dataset_shard_path(d, i)), file)) return true;
    return false;
}

/* Files of the earlier packing that no new file has replaced; in the staging folder those of other settings. */
static int remove_old(const char *folder, const char *file, bool mine, const void *fresh, struct error *err)
{
    if (!mine || is_of(fresh, file)) return 0;
    char *path = path_join(folder, file);
    int status = unlink(path) ? error_set(err, "%s: the old shard cannot be removed: %m", path) : 0;
    mem_free(path);
    return status;
}

/* A split that was made is written out as a manifest, which gives the same shards again. It waits with them: an earlier set keeps its own
 * until then. */
static int keep_split(const struct run *r, struct error *err)
{
    char *path = mem_format("%s/%s-split.csv", r->staging, r->o->name);
    int status = manifest_write_csv(&r->m, path, err);
    mem_free(path);
    return status;
}

static int publish_split(struct run *r, struct error *err)
{
    char *name = mem_format("%s-split.csv", r->o->name), *path = path_join(r->o->out, name);
    int status = move_into(r->staging, name, true, r->o->out, err);
    if (!status) text_add(&r->result->report, "the split is in %s (ladnn pack --manifest reads it)\n", path);
    mem_free(name);
    mem_free(path);
    return status;
}

static int publish(struct run *r, struct error *err)
{
    const struct pack_options *o = r->o;
    struct dataset *d = dataset_open(r->staging, err);
    if (!d) return -1;
    int status = each_shard(r->staging, o->name, move_into, o->out, err);
    if (!status) status = each_shard(o->out, o->name, remove_old, d, err);
    if (!status && r->made_split) status = publish_split(r, err);
    dataset_close(d);
    char *name = mem_format("%s-report.txt", o->name), *path = path_join(o->out, name);
    if (!status) status = file_write_atomic(path, r->result->report.data, r->result->report.length, err);
    if (!status) status = folder_remove(r->staging, err);
    mem_free(path);
    mem_free(name);
    return status;
}

/* One packing at a time; the lock ends with the process. File systems without locks do without. */
static int lock_staging(struct run *r, struct error *err)
{
    char *path = path_join(r->staging, "lock");
    r->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int status = r->lock < 0 ? error_set(err, "%s: cannot create: %m", path) : 0;
    if (!status && flock(r->lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        status = error_set(err, "%s: another ladnn pack is writing this data set", r->staging);
    mem_free(path);
    return status;
}

/* ---- the manifest, for all ranks ---- */

static void add_row(struct text *t, const struct manifest_row *row)
{
    const int numbers[3] = {row->covid, (int)row->split, row->line};
    const char *texts[] = {row->file, row->patient, row->figure};
    for (int i = 0; i < 3; i++) text_add_bytes(t, texts[i], strlen(texts[i]) + 1);
    text_add_bytes(t, (const char *)numbers, sizeof numbers);
    text_add_bytes(t, (const char *)row->lesion, LESION_COUNT);
}

static const char *take_row(struct manifest_row *row, const char *p)
{
    int numbers[3];
    char **texts[] = {&row->file, &row->patient, &row->figure};
    for (int i = 0; i < 3; i++) {
        *texts[i] = mem_string(p);
        p += strlen(p) + 1;
    }
    memcpy(numbers, p, sizeof numbers);
    row->covid = numbers[0];
    row->split = (enum split)numbers[1];
    row->line = numbers[2];
    memcpy(row->lesion, p + sizeof numbers, LESION_COUNT);
    return p + sizeof numbers + LESION_COUNT;
}

static void share_manifest(struct run *r)
{
    struct text packed = {0};
    struct comm *c = r->o->comm;
    if (comm_size(c) == 1) return;
    if (r->root) text_add_bytes(&packed, (const char *)&r->m.synthetic, sizeof r->m.synthetic);
    for (int i = 0; r->root && i < r->m.count; i++) add_row(&packed, &r->m.rows[i]);
    size_t sizes[2] = {packed.length, (size_t)r->m.count};
    comm_broadcast(c, sizes, sizeof sizes, 0, "sharing the manifest");
    char *data = r->root ? packed.data : mem_alloc(sizes[0]);
    comm_broadcast(c, data, sizes[0], 0, "sharing the manifest");
    const char *p = data + sizeof r->m.synthetic;
    if (!r->root) memcpy(&r->m.synthetic, data, sizeof r->m.synthetic);
    for (size_t i = 0; !r->root && i < sizes[1]; i++) p = take_row(manifest_add(&r->m), p);
    mem_free(data);
}

/* ---- verdicts, for rank 0 ---- */

static void gather_verdicts(struct run *r, const struct part_list *list)
{
    struct text mine = {0};
    struct comm *c = r->o->comm;
    if (comm_size(c) == 1) return;
    size_t *counts = NEW_ARRAY(size_t, comm_size(c)), total = 0;
    void *all = NULL;
    for (int p = comm_rank(c); p < list->count; p += comm_size(c))
        for (int i = 0; i < list->parts[p].images; i++) {
            int row = list->parts[p].rows[i];
            const char *why = r->v[row].why ? r->v[row].why : "";
            text_add_bytes(&mine, (const char *)&row, sizeof row);
            text_add_bytes(&mine, (const char *)&r->v[row], sizeof r->v[row]);
            text_add_bytes(&mine, why, strlen(why) + 1);
        }
    comm_gather(c, mine.data, mine.length, &all, counts, "gathering what was read");
    for (int i = 0; i < comm_size(c); i++) total += counts[i];
    for (const char *p = all; r->root && p < (char *)all + total; p += strlen(p) + 1) {
        int row;
        struct verdict v;
        memcpy(&row, p, sizeof row);
        memcpy(&v, p + sizeof row, sizeof v);
        p += sizeof row + sizeof v;
        mem_free(r->v[row].why);
        v.why = v.good ? NULL : mem_string(p);
        r->v[row] = v;
    }
    text_free(&mine);
    mem_free(all);
    mem_free(counts);
}

/* ---- the set's identity ---- */

/* Settings and sources of the whole set: equal for equal input, different for anything else. */
static void make_set_id(char set_id[65], const struct run *r)
{
    struct sha256 sum;
    uint8_t digest[32];
    sha256_start(&sum);
    sha256_add(&sum, r->settings, strlen(r->settings) + 1);
    for (int i = 0; i < r->m.count; i++) {
        const struct manifest_row *row = &r->m.rows[i];
        const uint8_t labels[3] = {(uint8_t)row->split, (uint8_t)row->covid, r->v[i].good};
        sha256_add(&sum, row->file, strlen(row->file) + 1);
        sha256_add(&sum, row->patient, strlen(row->patient) + 1);
        sha256_add(&sum, row->figure, strlen(row->figure) + 1);
        sha256_add(&sum, labels, sizeof labels);
        sha256_add(&sum, row->lesion, LESION_COUNT);
        sha256_add(&sum, r->v[i].sha256, 32);
    }
    sha256_end(&sum, digest);
    hash_hex(set_id, digest);
}

static int seal(struct run *r, const struct part_list *list, struct error *err)
{
    struct comm *c = r->o->comm;
    struct pack_job job = {.o = r->o, .m = &r->m, .v = r->v, .staging = r->staging, .settings = r->settings};
    char set_id[65] = "";
    int status = 0;
    if (r->root) make_set_id(set_id, r);
    comm_broadcast(c, set_id, sizeof set_id, 0, "sealing the set");
    for (int p = comm_rank(c); p < list->count && !status; p += comm_size(c)) {
        char *path = part_path(&job, &list->parts[p], "");
        status = shard_seal(path, set_id, err);
        mem_free(path);
    }
    return comm_agree(c, status, err, "sealing the set");
}

/* ---- all of it ---- */

static int check_strict(const struct run *r, struct error *err)
{
    if (r->m.unread) return error_set(err, "strict: %d files or folders cannot be read (the report lists them)", r->m.unread);
    if (r->m.beside) return error_set(err, "strict: %d folders or pictures lie beside the classes (the report lists them)", r->m.beside);
    if (r->m.missing_files) return error_set(err, "strict: %d rows name files that do not exist", r->m.missing_files);
    if (r->m.unlisted_files) return error_set(err, "strict: %d images have no labels", r->m.unlisted_files);
    if (r->result->duplicates) return error_set(err, "strict: %d images have the same bytes as another", (int)r->result->duplicates);
    return 0;
}

/* A shard cannot be empty: when not one file of a part can be read, the rest is cut anew without those known to be bad. */
static bool any_empty(const struct run *r, const struct part_list *list)
{
    for (int p = 0; p < list->count; p++) {
        bool empty = true;
        for (int i = 0; i < list->parts[p].images; i++) empty &= !r->v[list->parts[p].rows[i]].good;
        if (empty) return true;
    }
    return false;
}

/* All ranks must know what rank 0 knows to be bad. */
static void share_bad(struct run *r)
{
    uint8_t *bad = mem_zero((size_t)r->m.count);
    for (int i = 0; r->root && i < r->m.count; i++) bad[i] = r->v[i].why != NULL;
    comm_broadcast(r->o->comm, bad, (size_t)r->m.count, 0, "sharing what is bad");
    for (int i = 0; i < r->m.count; i++)
        if (bad[i] && !r->v[i].why) r->v[i].why = mem_string("unreadable");
    mem_free(bad);
}

static int make_parts(struct run *r, struct part_list *list, struct error *err)
{
    struct comm *c = r->o->comm;
    struct pack_job job = {.o = r->o, .m = &r->m, .v = r->v, .staging = r->staging, .settings = r->settings};
    int64_t image_bytes = r->root ? pack_image_bytes(r->o, &r->m) : 0;
    comm_broadcast(c, &image_bytes, sizeof image_bytes, 0, "sharing the pictures' size");
    for (;;) {
        int64_t resumed = 0;
        if (pack_cut(list, r->o, image_bytes, &r->m, r->v, r->settings, err)) return -1;
        int status = list->count ? pack_make(&job, list, &resumed, err) : error_set(err, "%s: not one image can be read", r->o->folder);
        double sum = (double)resumed;
        if (!status) {
            gather_verdicts(r, list);
            comm_sum_double(c, &sum, 1, "counting what was there");
            r->result->resumed = (int64_t)sum;
        }
        if (status || !comm_any(c, r->root && any_empty(r, list), "looking for empty shards")) return status;
        share_bad(r);
        pack_parts_free(list);
    }
}

/* A shard in the staging folder that no part of this packing has: of an earlier one, cut in another way. */
static int remove_stale(const char *folder, const char *file, bool mine, const void *context, struct error *err)
{
    const struct part_list *list = context;
    int length, index, count;
    enum split split;
    (void)mine;
    shard_name_parse(file, &length, &split, &index, &count);
    for (int p = 0; p < list->count; p++)
        if (list->parts[p].split == split && list->parts[p].index == index && list->parts[p].count == count) return 0;
    char *path = path_join(folder, file);
    int status = unlink(path) ? error_set(err, "%s: the part of an earlier packing cannot be removed: %m", path) : 0;
    if (!status) log_info("%s is not needed: the set is cut in another way now", file);
    mem_free(path);
    return status;
}

/* What was known of the files; a set is opened for publication, and both at once would double the memory. */
static void forget_rows(struct run *r, struct part_list *list)
{
    pack_parts_free(list);
    pack_verdicts_free(r->v, r->m.count);
    r->v = NULL;
    manifest_free(&r->m);
}

static int pack_rows(struct run *r, struct error *err)
{
    struct comm *c = r->o->comm;
    struct part_list list = {0};
    int status = make_parts(r, &list, err);
    if (!status && r->root) pack_report(r->result, &r->m, r->v);
    if (!status) status = comm_agree(c, r->root && r->o->strict ? check_strict(r, err) : 0, err, "judging the files");
    if (!status) status = comm_agree(c, r->root ? each_shard(r->staging, r->o->name, remove_stale, &list, err) : 0, err, "clearing old parts");
    if (!status) status = seal(r, &list, err);
    if (status && r->root && !r->result->report.length) text_add(&r->result->report, "%s", r->m.report.data ? r->m.report.data : "");
    forget_rows(r, &list);
    if (!status) status = comm_agree(c, r->root ? publish(r, err) : 0, err, "publishing the set");
    return status;
}

static int read_manifest(struct run *r, struct error *err)
{
    const struct pack_options *o = r->o;
    if (o->merge) return manifest_read_merge(&r->m, o->merge, err);
    switch (o->preset) {
    case PRESET_COVID_CT: return manifest_read_covid_ct(&r->m, o->folder, err);
    case PRESET_IMAGEFOLDER: return manifest_read_folder(&r->m, &o->rules, o->folder, err);
    default: return manifest_read_csv(&r->m, o->manifest, o->folder, err);
    }
}

/* The paper's shares. Files with the same bytes are one picture, whatever their names say of patients; merged sets have none. */
static void divide(struct run *r)
{
    int *same = r->o->merge ? NULL : same_bytes(&r->m, r->o);
    split_make(&r->m, &(struct split_options){r->o->seed, r->o->by_figure, same, {0.60, 0.15, 0.25}});
    manifest_warn_empty(&r->m);
    mem_free(same);
}

/* Rank 0: reads and judges the manifest, makes the folders. */
static int begin(struct run *r, struct error *err)
{
    const struct pack_options *o = r->o;
    if (path_exists(o->out) && !path_is_folder(o->out)) return error_set(err, "%s: not a folder (--out names the folder for the shards)", o->out);
    if (path_exists(o->out) && each_shard(o->out, o->name, refuse_other, NULL, err)) return -1;
    if (read_manifest(r, err)) return -1;
    r->made_split = o->make_split || r->m.unsplit;
    if (r->made_split) divide(r);
    text_add(&r->result->report, "%s", r->m.report.data ? r->m.report.data : "");
    if (manifest_check_leakage(&r->m, o->by_figure, err) || folder_create(r->staging, err) || lock_staging(r, err)) return -1;
    return r->made_split ? keep_split(r, err) : 0;
}

int pack_run(struct pack_result *result, const struct pack_options *o, struct error *err)
{
    static const char *const colours[] = {"auto", "grey", "rgb"}, *const presets[] = {"none", "covid-ct", "imagefolder"};
    struct run r = {.o = o, .result = result, .lock = -1, .root = comm_rank(o->comm) == 0};
    *result = (struct pack_result){0};
    char *window = o->window.width > 0 ? mem_format(" window=%.17g/%.17g", o->window.centre, o->window.width) : mem_string("");
    r.settings = mem_format("%s=%s size=%d shards=%d filter=%s by_figure=%s colour=%s%s", o->merge ? "source" : "preset",
                            o->merge ? "merge" : presets[o->preset], o->size, o->shards, o->gzip ? "gzip" : "none", o->by_figure ? "true" : "false", colours[o->colour], window);
    mem_free(window);
    char *hidden = mem_format(".%s-packing", o->name);
    r.staging = path_join(o->out, hidden);
    int status = comm_agree(o->comm, r.root ? begin(&r, err) : 0, err, "reading the manifest");
    if (!status) {
        share_manifest(&r);
        r.v = NEW_ARRAY(struct verdict, r.m.count);
        status = pack_rows(&r, err);
    }
    manifest_free(&r.m);
    if (r.lock >= 0) close(r.lock);
    mem_free(r.staging);
    mem_free(hidden);
    mem_free(r.settings);
    return status;
}
