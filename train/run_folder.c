/* run_folder.c - see run_folder.h.
 *
 * DESIGN. A process that was taken over may have been stopped at any instruction: also between a look at the fence and the write it was
 * for. So the newcomer leaves it nothing to finish: what is written under a temporary name is removed (the rename then fails), and the record,
 * which is written to through an open descriptor, is replaced by a copy. */
#include "train/run_folder.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "io/csv.h"
#include "train/identity.h"
#include "train/run_lock.h"

static const char RECORD[] = "record.jsonl", DRAFT[] = ".new-", TEMPORARY[] = ".tmp-";
/* Our own files only: never a folder that somebody else filled. */
static const char *const ours[] = {"config.cfg", "identity.txt", RECORD, "best.h5", "predictions.csv", "metrics.json", "progress.json", "checkpoints"};
enum { OURS = sizeof ours / sizeof *ours };

struct run_folder {
    int lock; /* descriptor; held while the folder is open */
    char *path;
    struct fence *fence;
    FILE *record;
    int64_t record_bytes;
};

char *run_folder_file(const struct run_folder *r, const char *name) { return path_join(r->path, name); }
struct fence *run_folder_fence(const struct run_folder *r) { return r->fence; }

/* ---- whose folder it is ---- */
static int empty_folder(const char *path, struct error *err)
{
    for (size_t i = 0; i < OURS; i++) {
        char *name = path_join(path, ours[i]);
        int rc = path_is_folder(name) ? folder_remove(name, err) : unlink(name) && errno != ENOENT;
        if (rc > 0) error_set(err, "%s: cannot be removed: %s", name, strerror(errno));
        mem_free(name);
        if (rc) return -1;
    }
    return 0;
}

/* What stands in a folder before its identity does; the last two are what `ladnn grid` keeps of its attempts. */
static bool comes_first(const char *name)
{
    static const char *const first[] = {"lock", "fence", "identity.txt", "attempts.jsonl", "train.log"};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        size_t length = strlen(first[i]);
        if (!strncmp(name, first[i], length) && (!name[length] || !strncmp(name + length, TEMPORARY, strlen(TEMPORARY)))) return true;
    }
    return false;
}

/* A folder with files but without identity is somebody else's. */
static int refuse_foreign(const char *path, struct error *err)
{
    char **names;
    int count, others = 0;
    if (folder_list(&names, &count, path, err)) return -1;
    for (int i = 0; i < count; i++) others += !comes_first(names[i]);
    folder_list_free(names, count);
    if (!others) return 0;
    error_set(err, "%s: not empty, and no run folder of ladnn (no identity.txt)", path);
    return error_hint(err, "choose another --out");
}

/* Before anything there is changed. */
static int judge_folder(const char *path, const char *identity, bool overwrite, struct error *err)
{
    char *name = path_join(path, "identity.txt");
    bool there;
    int rc = path_exists(name) ? 0 : refuse_foreign(path, err);
    if (!rc && !overwrite) rc = run_identity_compare(path, identity, &there, err);
    mem_free(name);
    return rc;
}

/* ---- whose turn it is ---- */
static int refuse_locked(const char *path, struct error *err)
{
    error_set(err, "%s: another ladnn is working in this run folder", path);
    return error_hint(err, "wait for it, end it, or choose another --out; train.take_over = true takes its place");
}

/* The fence has been raised: the holder ends at its next look, unless it is stopped or its node is out of reach. */
static int wait_for_lock(struct run_folder *r, enum run_lock *state, const struct run_opening *how, struct error *err)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    double start_s = clock_s();
    log_info("%s: waiting up to %.0f s for another ladnn to leave this run folder (attempt %lld takes over)", r->path, how->take_over_s,
             (long long)fence_attempt(r->fence));
    while (*state == RUN_LOCK_BUSY && clock_s() - start_s < how->take_over_s) {
        nanosleep(&pause, NULL);
        if (how->waiting) how->waiting(how->context);
        if (fence_check(r->fence, err) || run_lock_try(state, &r->lock, r->path, err)) return -1;
    }
    if (*state != RUN_LOCK_BUSY) log_info("%s: it left after %.1f s", r->path, clock_s() - start_s);
    return 0;
}

/* The lock is still held. Who knows the fence cannot write any more; another program could. */
static int go_on_without(struct run_folder *r, struct error *err)
{
    if (!run_lock_is_signed(r->path)) {
        error_set(err, "%s: still locked, by a program that knows no fence and could go on writing", r->path);
        return error_hint(err, "end that process first");
    }
    if (run_lock_replace(&r->lock, r->path, err)) return -1;
    log_warn("%s: still locked, but its holder can write nothing here any more (attempt %lld stands in the fence): going on without it",
             r->path, (long long)fence_attempt(r->fence));
    return 0;
}

/* Leaves a predecessor nothing to finish. */
static int cut_off(struct run_folder *r, struct error *err)
{
    char **names, *record = run_folder_file(r, RECORD);
    int count;
    uint8_t *content = NULL;
    size_t bytes;
    int rc = folder_list(&names, &count, r->path, err);
    for (int i = 0; i < count && !rc; i++)
        for (size_t k = 0; k < OURS; k++) {
            const char *rest = names[i] + strlen(ours[k]);
            if (strncmp(names[i], ours[k], strlen(ours[k])) || (strncmp(rest, DRAFT, strlen(DRAFT)) && strncmp(rest, TEMPORARY, strlen(TEMPORARY)))) continue;
            char *leftover = run_folder_file(r, names[i]);
            if (unlink(leftover) && errno != ENOENT) rc = error_set(err, "%s: cannot be removed: %s", leftover, strerror(errno));
            mem_free(leftover);
        }
    if (!rc && path_exists(record)) rc = file_read(&content, &bytes, record, err);
    if (!rc && content) rc = file_write_atomic(record, content, bytes, err);
    folder_list_free(names, count);
    mem_free(content);
    mem_free(record);
    return rc;
}

static int take_turn(struct run_folder *r, const char *identity, const struct run_opening *how, struct error *err)
{
    enum run_lock state;
    if (run_lock_try(&state, &r->lock, r->path, err)) return -1;
    if (state == RUN_LOCK_BUSY && !how->take_over) return refuse_locked(r->path, err);
    if (judge_folder(r->path, identity, how->overwrite, err)) return -1;
    r->fence = fence_raise(r->path, err);
    if (!r->fence) return -1;
    if (state == RUN_LOCK_BUSY && wait_for_lock(r, &state, how, err)) return -1;
    if (state == RUN_LOCK_BUSY && go_on_without(r, err)) return -1;
    if (r->lock >= 0 && run_lock_sign(r->lock, fence_attempt(r->fence), r->path, err)) return -1;
    return cut_off(r, err);
}

/* ---- opening ---- */
static int begin(struct run_folder *r, const char *identity, bool overwrite, struct error *err)
{
    char *name = run_folder_file(r, "identity.txt");
    int rc = overwrite ? empty_folder(r->path, err) : 0;
    if (!rc && !path_exists(name)) rc = file_write_atomic(name, identity, strlen(identity), err);
    mem_free(name);
    return rc;
}

static int open_record(struct run_folder *r, struct error *err)
{
    char *name = run_folder_file(r, RECORD);
    r->record = fopen(name, "ab");
    if (!r->record) error_set(err, "%s: cannot be opened: %s", name, strerror(errno));
    if (r->record) r->record_bytes = ftello(r->record);
    mem_free(name);
    return r->record ? 0 : -1;
}

struct run_folder *run_folder_open(const char *path, const char *identity, const struct run_opening *how, bool *finished, struct error *err)
{
    struct run_folder *r = NEW(struct run_folder);
    r->path = mem_string(path);
    r->lock = -1;
    if (folder_create(path, err) || take_turn(r, identity, how, err) || begin(r, identity, how->overwrite, err) || open_record(r, err)) {
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
    fence_close(r->fence);
    mem_free(r->path);
    mem_free(r);
}

/* ---- writing ---- */
int64_t run_record_add(struct run_folder *r, const char *line, struct error *err)
{
    size_t bytes = strlen(line);
    if (fence_check_sometimes(r->fence, err)) return -1;
    if (fwrite(line, 1, bytes, r->record) != bytes || fputc('\n', r->record) == EOF || fflush(r->record))
        return error_set(err, "%s/%s: cannot be written: %s", r->path, RECORD, strerror(errno));
    r->record_bytes += (int64_t)bytes + 1;
    return r->record_bytes;
}

int run_record_rewind(struct run_folder *r, int64_t bytes, struct error *err)
{
    if (fence_check(r->fence, err)) return -1;
    if (r->record_bytes < bytes)
        return error_set(err, "%s/%s: %lld bytes, the checkpoint knows %lld: it was cut by somebody else", r->path, RECORD,
                         (long long)r->record_bytes, (long long)bytes);
    if (ftruncate(fileno(r->record), bytes)) return error_set(err, "%s/%s: %s", r->path, RECORD, strerror(errno));
    r->record_bytes = bytes;
    return 0;
}

char *run_folder_draft(const struct run_folder *r, const char *name)
{
    return mem_format("%s/%s%s%lld", r->path, name, DRAFT, (long long)fence_attempt(r->fence));
}

int run_folder_publish(struct run_folder *r, const char *name, struct error *err)
{
    char *draft = run_folder_draft(r, name), *path = run_folder_file(r, name);
    int rc = fence_check(r->fence, err) || file_rename(draft, path, err) ? -1 : 0;
    if (rc) unlink(draft);
    mem_free(draft);
    mem_free(path);
    return rc;
}

int run_folder_write(struct run_folder *r, const char *name, const struct text *content, struct error *err)
{
    char *draft = run_folder_draft(r, name);
    int rc = fence_check(r->fence, err) || file_write_synced(draft, content->data, content->length, err) ? -1 : 0;
    if (!rc) rc = run_folder_publish(r, name, err);
    if (rc) unlink(draft);
    mem_free(draft);
    return rc;
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
    text_add(&out, "file,patient,covid");
    for (int l = 0; l < LESION_COUNT; l++) text_add(&out, ",%s", lesion_names[l]);
    text_add(&out, ",p_covid");
    for (int l = 0; l < LESION_COUNT; l++) text_add(&out, ",p_%s", lesion_names[l]);
    text_add(&out, ",synthetic\n");
    for (int64_t i = 0; i < dataset_count(d, split); i++)
        add_prediction(&out, dataset_item(d, split, i), probability + i * LOGIT_COUNT, dataset_synthetic(d));
    int rc = run_folder_write(r, "predictions.csv", &out, err);
    text_free(&out);
    return rc;
}
