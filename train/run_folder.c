/* run_folder.c - see run_folder.h. */
#include "train/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/csv.h"

static const char LOCK[] = "lock";
struct run_folder {
    int lock; /* descriptor; held while the folder is open */
    char *path;
    FILE *record;
    int64_t record_bytes;
};

char *run_folder_file(const struct run_folder *r, const char *name) { return path_join(r->path, name); }

/* Our own files only: never a folder that somebody else filled. */
static int empty_folder(const char *path, struct error *err)
{
    static const char *const ours[] = {"config.cfg", "identity.txt", "record.jsonl", "best.h5", "predictions.csv",
                                       "metrics.json", "checkpoints"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        char *name = path_join(path, ours[i]);
        int rc = path_is_folder(name) ? folder_remove(name, err) : unlink(name) && errno != ENOENT;
        if (rc > 0) error_set(err, "%s: cannot be removed: %s", name, strerror(errno));
        mem_free(name);
        if (rc) return -1;
    }
    return 0;
}

static int refuse_other(struct error *err, const char *path, const char *kept, const char *now)
{
    text_first_difference(&kept, &now);
    error_set(err, "%s: holds another run: '%.*s' there, '%.*s' asked now", path, (int)strcspn(kept, "\n"), kept,
              (int)strcspn(now, "\n"), now);
    return error_hint(err, "choose another --out, or --overwrite to begin anew");
}

/* A folder with files but without identity is somebody else's. */
static int refuse_foreign(const char *path, struct error *err)
{
    char **names;
    int count, others = 0;
    if (folder_list(&names, &count, path, err)) return -1;
    for (int i = 0; i < count; i++) others += strcmp(names[i], LOCK) != 0;
    folder_list_free(names, count);
    if (!others) return 0;
    error_set(err, "%s: not empty, and no run folder of ladnn (no identity.txt)", path);
    return error_hint(err, "choose another --out");
}

static int check_identity(const char *path, const char *identity, bool overwrite, struct error *err)
{
    char *name = path_join(path, "identity.txt");
    uint8_t *kept = NULL;
    size_t bytes;
    int rc = path_exists(name) ? 0 : refuse_foreign(path, err);
    if (!rc && overwrite) rc = empty_folder(path, err);
    if (!rc && path_exists(name)) {
        rc = file_read(&kept, &bytes, name, err);
        if (!rc && strcmp((char *)kept, identity)) rc = refuse_other(err, path, (char *)kept, identity);
    } else if (!rc) {
        rc = file_write_atomic(name, identity, strlen(identity), err);
    }
    mem_free(kept);
    mem_free(name);
    return rc;
}

static int open_record(struct run_folder *r, struct error *err)
{
    char *name = run_folder_file(r, "record.jsonl");
    struct stat st;
    r->record = fopen(name, "ab");
    if (!r->record) error_set(err, "%s: cannot be opened: %s", name, strerror(errno));
    if (r->record && !stat(name, &st)) r->record_bytes = st.st_size;
    mem_free(name);
    return r->record ? 0 : -1;
}

/* One process at a time. File systems without locks do without. */
static int take_lock(struct run_folder *r, struct error *err)
{
    char *name = run_folder_file(r, LOCK);
    r->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int rc = r->lock < 0 ? error_set(err, "%s: cannot be created: %s", name, strerror(errno)) : 0;
    if (!rc && flock(r->lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
        rc = error_set(err, "%s: another ladnn is working in this run folder", r->path);
        error_hint(err, "wait for it, end it, or choose another --out");
    }
    mem_free(name);
    return rc;
}

struct run_folder *run_folder_open(const char *path, const char *identity, bool overwrite, bool *finished, struct error *err)
{
    struct run_folder *r = NEW(struct run_folder);
    r->path = mem_string(path);
    r->lock = -1;
    if (folder_create(path, err) || take_lock(r, err) || check_identity(path, identity, overwrite, err) || open_record(r, err)) {
        run_folder_close(r);
        return NULL;
    }
    char *metrics = run_folder_file(r, "metrics.json");
    *finished = path_exists(metrics);
    mem_free(metrics);
    return r;
}

void run_folder_close(struct run_folder *r)
{
    if (!r) return;
    if (r->record) fclose(r->record);
    if (r->lock >= 0) close(r->lock);
    mem_free(r->path);
    mem_free(r);
}

int64_t run_record_add(struct run_folder *r, const char *line)
{
    size_t bytes = strlen(line);
    if (fwrite(line, 1, bytes, r->record) != bytes || fputc('\n', r->record) == EOF || fflush(r->record))
        die("%s/record.jsonl: cannot be written: %s", r->path, strerror(errno));
    r->record_bytes += (int64_t)bytes + 1;
    return r->record_bytes;
}

int run_record_rewind(struct run_folder *r, int64_t bytes, struct error *err)
{
    if (r->record_bytes < bytes)
        return error_set(err, "%s/record.jsonl: %lld bytes, the checkpoint knows %lld: it was cut by somebody else", r->path,
                         (long long)r->record_bytes, (long long)bytes);
    if (ftruncate(fileno(r->record), bytes)) return error_set(err, "%s/record.jsonl: %s", r->path, strerror(errno));
    r->record_bytes = bytes;
    return 0;
}

static void add_prediction(struct text *out, const struct shard_item *item, const double *p, bool synthetic)
{
    csv_add_field(out, item->file);
    text_add(out, ",");
    csv_add_field(out, item->patient);
    text_add(out, ",%d", item->covid);
    for (int l = 0; l < LESION_COUNT; l++) text_add(out, ",%d", item->lesion[l]);
    for (int k = 0; k < LOGIT_COUNT; k++) isnan(p[k]) ? text_add(out, ",") : text_add(out, ",%.17g", p[k]);
    text_add(out, ",%d\n", synthetic);
}

int run_write_predictions(struct run_folder *r, const struct dataset *d, enum split split, const double *probability,
                          struct error *err)
{
    struct text out = {0};
    char *name = run_folder_file(r, "predictions.csv");
    text_add(&out, "file,patient,covid");
    for (int l = 0; l < LESION_COUNT; l++) text_add(&out, ",%s", lesion_names[l]);
    text_add(&out, ",p_covid");
    for (int l = 0; l < LESION_COUNT; l++) text_add(&out, ",p_%s", lesion_names[l]);
    text_add(&out, ",synthetic\n");
    for (int64_t i = 0; i < dataset_count(d, split); i++)
        add_prediction(&out, dataset_item(d, split, i), probability + i * LOGIT_COUNT, dataset_synthetic(d));
    int rc = file_write_atomic(name, out.data, out.length, err);
    text_free(&out);
    mem_free(name);
    return rc;
}
