/* cmd_inspect.c - `ladnn inspect PATH`: what a folder of shards, a shard or a tensor file holds. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "io/commands.h"
#include "io/shard/contact_sheet.h"
#include "io/shard/dataset_summary.h"
#include "io/tensor_file.h"

static const char NOTICE[] = "research use only: not for diagnosis";

static void print_bad(void *context, const char *line)
{
    (void)context;
    log_error("%s", line);
}

static int64_t verify(struct dataset *d)
{
    int64_t bad;
    dataset_verify(d, &bad, print_bad, NULL);
    return bad;
}

static int inspect_dataset(struct dataset *d, bool check, bool as_json)
{
    struct text out = {0};
    int64_t bad = check ? verify(d) : 0, images = 0;
    for (int s = 0; s < SPLIT_COUNT; s++) images += dataset_count(d, (enum split)s);
    if (as_json) {
        struct json j;
        json_open(&j, &out, true);
        json_object(&j, NULL);
        json_string(&j, "notice", NOTICE);
        dataset_print_json(&j, d);
        if (check) json_int(&j, "damaged", bad);
        json_end_object(&j);
        printf("%s\n", out.data);
    } else {
        dataset_print(&out, d);
        fputs(out.data, stdout);
        if (check) printf("\nverified: %" PRId64 " images read, %" PRId64 " damaged\n", images, bad);
        printf("\n%s\n", NOTICE);
    }
    text_free(&out);
    return bad ? 1 : 0;
}

static int inspect_tensors(struct tensor_file *f, bool check, bool as_json, struct error *err)
{
    static const char *const types[] = {"f32", "f64", "i64", "u8"};
    struct text out = {0};
    struct json j;
    if (check && tensor_file_verify(f, err)) return -1;
    json_open(&j, &out, true);
    if (as_json) json_object(&j, NULL);
    for (int i = 0; i < tensor_file_count(f); i++) {
        struct tensor_entry e;
        char shape[96] = "";
        size_t used = 0;
        tensor_file_entry(f, i, &e);
        for (int k = 0; k < e.ndim; k++)
            used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%" PRId64, k ? "x" : "", e.dims[k]);
        if (as_json)
            json_string(&j, e.name, shape);
        else
            text_add(&out, "%-4s %-16s %s\n", types[e.type], e.ndim ? shape : "scalar", e.name);
    }
    if (as_json) json_end_object(&j);
    printf("%s\n", out.data ? out.data : "");
    if (!as_json) printf("%d tensors%s\n%s\n", tensor_file_count(f), check ? ", all checksums hold" : "", NOTICE);
    text_free(&out);
    return 0;
}

/* A shard says so in its name; another file may be tensors, and what is said of it then is said as of a shard. */
static struct tensor_file *open_tensors(const char *path)
{
    int length, index, count;
    enum split split;
    if (path_is_folder(path) || shard_name_parse(path_base(path), &length, &split, &index, &count)) return NULL;
    return tensor_file_open(path, NULL);
}

static int run(struct settings *s, struct error *err)
{
    const char *path = settings_string(s, "inspect.path");
    bool check = settings_bool(s, "inspect.verify"), as_json = settings_bool(s, "inspect.json");
    if (!*path) return settings_missing(&command_inspect, "inspect.path", "what shall be looked at?", err);
    struct tensor_file *tensors = open_tensors(path);
    if (tensors) {
        int status = inspect_tensors(tensors, check, as_json, err);
        tensor_file_close(tensors);
        return status;
    }
    struct dataset *d = dataset_open(path, err);
    if (!d) return -1;
    int status = inspect_dataset(d, check, as_json);
    const char *sheet = settings_string(s, "inspect.sheet");
    if (*sheet && contact_sheet_write(sheet, d, (int)settings_int(s, "inspect.samples"), (uint64_t)settings_int(s, "inspect.seed"), err))
        status = -1;
    dataset_close(d);
    return status;
}

const struct command command_inspect = {.name = "inspect",
                                        .groups = "inspect",
                                        .summary = "what a folder of shards, a shard or a tensor file holds",
                                        .usage = "PATH [--verify] [--json] [--sheet FILE.png]",
                                        .positional = "inspect.path",
                                        .run = run};
