/* pack.c - from an image folder to a data set in one call: manifest, judgement, shards, publication.
 *
 * DESIGN: all shards are written to a hidden folder inside `out` and opened once as a reader would; only then are they
 * renamed into place. A crash between the renames leaves files of two packings, which readers refuse (set_id). */
#include "io/pack.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "io/pack_private.h"
#include "io/shard.h"

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

/* Files of the earlier packing that no new file has replaced. */
static int remove_old(const char *folder, const char *file, bool mine, const void *fresh, struct error *err)
{
    if (!mine) return 0;
    const struct dataset *d = fresh;
    for (int i = 0; i < dataset_shard_count(d); i++)
        if (!strcmp(path_base(dataset_shard_path(d, i)), file)) return 0;
    char *path = path_join(folder, file);
    int status = unlink(path) ? error_set(err, "%s: the old shard cannot be removed: %m", path) : 0;
    mem_free(path);
    return status;
}

static int publish(const char *staging, const struct pack_options *o, const struct text *report, struct error *err)
{
    struct dataset *d = dataset_open(staging, err);
    if (!d) return -1;
    int status = each_shard(staging, o->name, move_into, o->out, err);
    if (!status) status = each_shard(o->out, o->name, remove_old, d, err);
    dataset_close(d);
    char *name = mem_format("%s-report.txt", o->name), *path = path_join(o->out, name);
    if (!status) status = file_write_atomic(path, report->data, report->length, err);
    mem_free(path);
    mem_free(name);
    return status;
}

static int check_strict(const struct pack_result *r, const struct manifest *m, const struct verdict *v, struct error *err)
{
    for (int i = 0; i < m->count; i++)
        if (!v[i].good) return error_set(err, "strict: %s", v[i].why);
    if (m->missing_files) return error_set(err, "strict: %d rows name files that do not exist", m->missing_files);
    if (m->unlisted_files) return error_set(err, "strict: %d images have no labels", m->unlisted_files);
    if (r->duplicates) return error_set(err, "strict: %d images have the same bytes as another", (int)r->duplicates);
    return 0;
}

static int write_all(struct pack_result *result, const struct pack_options *o, const struct manifest *m,
                     const struct verdict *v, struct error *err)
{
    char *hidden = mem_format(".%s-packing-%ld", o->name, (long)getpid()), *staging = path_join(o->out, hidden);
    int status = folder_create(staging, err);
    if (!status) status = pack_write(staging, o, m, v, err);
    if (!status) status = publish(staging, o, &result->report, err);
    folder_remove(staging, NULL);
    mem_free(staging);
    mem_free(hidden);
    return status;
}

static int judge_and_write(struct pack_result *result, const struct pack_options *o, const struct manifest *m, struct error *err)
{
    struct verdict *v = pack_judge(m, o->folder);
    pack_report(result, m, v);
    int status = o->strict ? check_strict(result, m, v, err) : 0;
    if (!status && result->bad == m->count) status = error_set(err, "%s: not one image can be read", o->folder);
    if (!status) status = write_all(result, o, m, v, err);
    pack_verdicts_free(v, m->count);
    return status;
}

int pack_run(struct pack_result *result, const struct pack_options *o, struct error *err)
{
    *result = (struct pack_result){0};
    struct manifest m;
    if (path_exists(o->out) && each_shard(o->out, o->name, refuse_other, NULL, err)) return -1;
    if (o->covid_ct ? manifest_read_covid_ct(&m, o->folder, err) : manifest_read_csv(&m, o->manifest, o->folder, err)) return -1;
    text_add(&result->report, "%s", m.report.data ? m.report.data : "");
    int status = manifest_check_leakage(&m, o->by_figure, err);
    if (!status) status = folder_create(o->out, err);
    if (!status) status = judge_and_write(result, o, &m, err);
    manifest_free(&m);
    return status;
}
