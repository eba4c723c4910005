/* cmd_pack.c - `ladnn pack`: image folder and CSV to shards, with a reconciliation report. */
#include <inttypes.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "dist/comm.h"
#include "dist/stop.h"
#include "io/commands.h"
#include "io/shard/dataset_summary.h"
#include "io/pack/merge.h"
#include "io/pack/pack.h"
#include "io/shard/shard.h"

enum { EXIT_CONTINUE = 75 };      /* EX_TEMPFAIL, as train's: stopped; the same command continues */
enum { LONGEST_WAIT_S = 86400 }; /* a rank waits for the slowest one; a launcher ends all when one dies */

/* The folder that the manifest's names are relative to: --images, else --in, else the manifest's own. */
static char *image_folder(struct settings *s)
{
    const char *images = settings_string(s, "pack.images"), *in = settings_string(s, "pack.in");
    const char *manifest = settings_string(s, "pack.manifest"), *slash = strrchr(manifest, '/');
    if (*images || *in) return mem_string(*images ? images : in);
    return slash ? mem_format("%.*s", (int)(slash - manifest + 1), manifest) : mem_string(".");
}

static int check_settings(struct settings *s, const struct pack_options *o, struct error *err)
{
    if (*err->message) return -1; /* a setting that cannot be read */
    if (!*o->out) return settings_missing(&command_pack, "pack.out", "where shall the shards go?", err);
    bool merge = *settings_string(s, "pack.merge");
    if ((o->preset != PRESET_NONE) + (*o->manifest != 0) + merge > 1)
        return error_set(err, "pack.preset, pack.manifest and pack.merge exclude each other");
    if (!o->preset && !*o->manifest && !merge)
        return settings_missing(&command_pack, "pack.preset", "which pictures, with what labels? (or pack.manifest, or pack.merge)", err);
    if (o->preset && !*settings_string(s, "pack.in"))
        return settings_missing(&command_pack, "pack.in", "the preset needs the data set's folder", err);
    if (shard_check_name(o->name, err)) return error_prefix(err, "pack.name");
    return !o->gzip || o->size ? 0 : error_set(err, "pack.filter = gzip needs images of one size (pack.size)");
}

/* Short lists are for the reader's eye; the whole report is in a file. */
static void print_headings(const struct text *report)
{
    size_t length;
    for (const char *at = report->data, *line; (line = text_line(&at, &length));)
        if (*line != ' ') printf("%.*s\n", (int)length, line);
}

static int print_result(const struct pack_options *o, const struct pack_result *result, struct error *err)
{
    struct text table = {0};
    struct dataset *d = dataset_open(o->out, err);
    if (!d) return -1;
    print_headings(&result->report);
    dataset_print(&table, d);
    printf("lists: %s/%s-report.txt\n\n%s\nresearch use only: not for diagnosis\n", o->out, o->name, table.data);
    text_free(&table);
    dataset_close(d);
    return 0;
}

static struct pack_options read_options(const struct settings *s, const char *folder, struct error *err)
{
    const char *colour = settings_string(s, "pack.colour"), *preset = settings_string(s, "pack.preset");
    struct image_window window = {0, 0};
    image_window_parse(&window, settings_string(s, "pack.window"), err); /* check_settings sees the error */
    return (struct pack_options){.folder = folder,
                                 .manifest = settings_string(s, "pack.manifest"),
                                 .preset = !strcmp(preset, "covid-ct")      ? PRESET_COVID_CT
                                           : !strcmp(preset, "imagefolder") ? PRESET_IMAGEFOLDER
                                                                            : PRESET_NONE,
                                 .rules = {settings_string(s, "pack.positive"), settings_string(s, "pack.patient")},
                                 .make_split = !strcmp(settings_string(s, "pack.split"), "make"),
                                 .seed = (uint64_t)settings_int(s, "pack.seed"),
                                 .out = settings_string(s, "pack.out"),
                                 .name = settings_string(s, "pack.name"),
                                 .size = (int)settings_int(s, "pack.size"),
                                 .shards = (int)settings_int(s, "pack.shards"),
                                 .strict = settings_bool(s, "pack.strict"),
                                 .by_figure = settings_bool(s, "pack.by_figure"),
                                 .gzip = !strcmp(settings_string(s, "pack.filter"), "gzip"),
                                 .window = window,
                                 .colour = !strcmp(colour, "grey") ? PACK_GREY : !strcmp(colour, "rgb") ? PACK_RGB : PACK_AUTO,
                                 .afresh = settings_bool(s, "pack.afresh")};
}

static int pack(const struct pack_options *o, struct error *err)
{
    struct pack_result result;
    double start = clock_s();
    bool root = comm_rank(o->comm) == 0;
    int status = pack_run(&result, o, err);
    if (root && !status) {
        status = print_result(o, &result, err);
        if (result.resumed) log_info("%" PRId64 " images were there from an interrupted run", result.resumed);
        log_info("packed %s in %.1f s", o->name, clock_s() - start);
    } else if (root && result.report.length) {
        fputs(result.report.data, stdout);
        fflush(stdout);
    }
    text_free(&result.report);
    return status;
}

/* Without --size the stored pixels stay as they are. A picture is resized once only, from its original. */
static int settle_size(struct pack_options *o, const struct settings *s, struct error *err)
{
    int stored = merge_size(o->merge);
    bool asked = strcmp(settings_origin(s, "pack.size"), "default") != 0;
    if (!asked && stored < 0)
        return error_set(err, "pack.merge: the data sets store images of different sizes (--size, when they have original size)");
    if (asked && stored != 0 && stored != o->size)
        return error_set(err, "pack.merge: images of %d pixels a side are not resized again; pack the pictures instead", stored);
    if (!asked) o->size = stored;
    return 0;
}

static int open_merge(struct pack_options *o, const struct settings *s, struct merge **merge, struct error *err)
{
    *merge = NULL;
    if (!*settings_string(s, "pack.merge")) return 0;
    o->merge = *merge = merge_open(settings_string(s, "pack.merge"), err);
    if (*merge && merge_reads(*merge, o->out)) return error_set(err, "%s: pack.out is one of the sets to merge; choose another", o->out);
    return *merge ? settle_size(o, s, err) : -1;
}

static int run(struct settings *s, struct error *err)
{
    char *folder = image_folder(s);
    struct pack_options o = read_options(s, folder, err);
    int status = check_settings(s, &o, err);
    o.comm = status ? NULL : comm_open("auto", LONGEST_WAIT_S, err);
    if (!o.comm) {
        mem_free(folder);
        return status ? status : -1;
    }
    stop_install("term");
    omp_set_num_threads(threads_of_rank((int)settings_int(s, "pack.threads"), comm_local_size(o.comm)));
    struct merge *merge;
    status = comm_agree(o.comm, open_merge(&o, s, &merge, err), err, "opening what shall be merged");
    if (!status) status = pack(&o, err);
    if (status && stop_asked()) {
        error_hint(err, "whole shards are kept: the same command continues");
        status = EXIT_CONTINUE;
    }
    merge_close(merge);
    comm_close(o.comm);
    mem_free(folder);
    return status;
}

const struct command command_pack = {.name = "pack",
                                     .groups = "pack",
                                     .summary = "image folder and CSV to HDF5 shards, split by patient, on any number of ranks",
                                     .usage = "--preset covid-ct|imagefolder --in DIR | --manifest FILE.csv [--images DIR] | --merge DIR,DIR"
                                              "  --out DIR [--name NAME] [--size PIXELS]",
                                     .on_ranks = true,
                                     .run = run};
