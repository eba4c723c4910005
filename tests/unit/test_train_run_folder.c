/* test_train_run_folder.c - another run's folder is refused with the line that differs; overwriting keeps what is not ours; the
 * record is cut back to a checkpoint; predictions read back as they were, whatever the file names hold; who was taken over writes nothing
 * any more, wherever it was stopped, with locks and without. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/csv.h"
#include "tests/unit/check.h"
#include "train/checkpoint.h"
#include "train/run_folder.h"

/* A file system without locks, on demand. */
static bool no_locks;
int flock(int fd, int operation)
{
    if (!no_locks) return (int)syscall(SYS_flock, fd, operation);
    errno = ENOLCK;
    return -1;
}

static char folder[] = "/tmp/ladnn-run-folder-XXXXXX";
static struct error err;
static const char first[] = "train.batch = 32\ntrain.seed = 1\noptim.lr = 5e-05\n";

static struct run_folder *open_run(const char *name, const char *identity, bool overwrite, bool *finished)
{
    char *path = path_join(folder, name);
    err = (struct error){0};
    struct run_folder *r = run_folder_open(path, identity, &(struct run_opening){.overwrite = overwrite}, finished, &err);
    mem_free(path);
    return r;
}

static void put(const char *run, const char *name, const char *text)
{
    char *path = mem_format("%s/%s/%s", folder, run, name), *slash = strrchr(path, '/');
    *slash = 0;
    EXPECT(folder_create(path, &err) == 0, "%s", err.message);
    *slash = '/';
    EXPECT(file_write_atomic(path, text, strlen(text), &err) == 0, "%s", err.message);
    mem_free(path);
}

/* Contents of FOLDER/RUN/NAME (mem_free), or NULL when there is none. */
static char *contents(const char *run, const char *name)
{
    char *path = mem_format("%s/%s/%s", folder, run, name);
    uint8_t *data = NULL;
    size_t bytes;
    if (path_exists(path)) EXPECT(file_read(&data, &bytes, path, &err) == 0, "%s", err.message);
    mem_free(path);
    return (char *)data;
}

static void expect_file(const char *run, const char *name, const char *want)
{
    char *got = contents(run, name);
    EXPECT(want ? got && !strcmp(got, want) : !got, "%s/%s: '%s', want '%s'", run, name, got ? got : "(none)", want ? want : "(none)");
    mem_free(got);
}

static void refused(const char *identity, const char *there, const char *now)
{
    bool finished = false;
    struct run_folder *r = open_run("deep/run", identity, false, &finished);
    EXPECT(r == NULL, "the folder of another run was taken");
    EXPECT_TEXT(err.message, "deep/run: holds another run");
    EXPECT_TEXT(err.message, there);
    EXPECT_TEXT(err.message, now);
    EXPECT(!strstr(err.message, "train.batch"), "a line that agrees is named: %s", err.message);
    EXPECT(!strchr(err.message, '\n'), "one line: %s", err.message);
    EXPECT_TEXT(err.hint, "--overwrite");
    expect_file("deep/run", "identity.txt", first);
    run_folder_close(r);
}

static void test_identity(void)
{
    bool finished = true;
    struct run_folder *r = open_run("deep/run", first, false, &finished);
    EXPECT(r && !finished, "%s", err.message);
    run_folder_close(r);
    expect_file("deep/run", "identity.txt", first);
    refused("train.batch = 32\ntrain.seed = 2\noptim.lr = 5e-05\n", "'train.seed = 1' there", "'train.seed = 2' asked");
    refused("train.batch = 32\ntrain.seed = 10\noptim.lr = 5e-05\n", "'train.seed = 1' there", "'train.seed = 10' asked");
    refused("train.batch = 32\ntrain.seed = 1\noptim.lr = 1\n", "'optim.lr = 5e-05' there", "'optim.lr = 1' asked");
    refused("train.batch = 32\ntrain.seed = 1\noptim.lr = 5e-05\nmore = 1\n", "'' there", "'more = 1' asked");
    refused("train.batch = 32\ntrain.seed = 1\n", "'optim.lr = 5e-05' there", "'' asked");
    r = open_run("deep/run", first, false, &finished);
    EXPECT(r && !finished, "the same identity goes on: %s", err.message);
    run_folder_close(r);
    put("deep/run", "metrics.json", "{}\n");
    r = open_run("deep/run", first, false, &finished);
    EXPECT(r && finished, "metrics.json stands for finished");
    run_folder_close(r);
    put("", "file", "not a folder");
    EXPECT(!open_run("file", first, false, &finished), "a file was taken for a folder");
    EXPECT_TEXT(err.message, "file");
    run_folder_close(NULL);
}

static void test_overwrite(void)
{
    static const char *const ours[] = {"config.cfg", "best.h5", "predictions.csv", "metrics.json", "checkpoints/step-0000000001/state.h5"};
    bool finished = true;
    struct run_folder *r = open_run("again", first, false, &finished);
    EXPECT(r && run_record_add(r, "{\"old\":1}", &err) == 10, "%s", err.message);
    run_folder_close(r);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) put("again", ours[i], "old");
    put("again", "notes.txt", "mine");
    put("again", "figures/a.csv", "mine, too");
    put("again", "best.h5.bak", "also");
    r = open_run("again", "train.seed = 9\n", true, &finished);
    EXPECT(r && !finished, "%s", err.message);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) expect_file("again", ours[i], NULL);
    expect_file("again", "identity.txt", "train.seed = 9\n");
    expect_file("again", "record.jsonl", "");
    expect_file("again", "notes.txt", "mine");
    expect_file("again", "figures/a.csv", "mine, too");
    expect_file("again", "best.h5.bak", "also");
    EXPECT(r && run_record_add(r, "{}", &err) == 3, "the record begins anew");
    run_folder_close(r);
}

static void test_record(void)
{
    bool finished;
    struct run_folder *r = open_run("record", first, false, &finished);
    EXPECT(r != NULL, "%s", err.message);
    if (!r) return;
    EXPECT(run_record_add(r, "{\"a\":1}", &err) == 8 && run_record_add(r, "{\"b\":22}", &err) == 17 && run_record_add(r, "{}", &err) == 20, "lengths");
    run_folder_close(r);
    r = open_run("record", first, false, &finished);
    EXPECT(r && run_record_add(r, "{\"c\"", &err) == 25, "a later run goes on behind it");
    EXPECT(run_record_rewind(r, 17, &err) == 0, "%s", err.message);
    expect_file("record", "record.jsonl", "{\"a\":1}\n{\"b\":22}\n");
    EXPECT(run_record_add(r, "{\"d\":3}", &err) == 25, "the length is that of the file");
    expect_file("record", "record.jsonl", "{\"a\":1}\n{\"b\":22}\n{\"d\":3}\n");
    EXPECT(run_record_rewind(r, 26, &err) == -1, "a record shorter than the checkpoint's was taken");
    EXPECT_TEXT(err.message, "record/record.jsonl: 25 bytes, the checkpoint knows 26");
    EXPECT(run_record_rewind(r, 25, &err) == 0 && run_record_rewind(r, 0, &err) == 0, "%s", err.message);
    expect_file("record", "record.jsonl", "");
    char *name = run_folder_file(r, "x.txt");
    EXPECT_TEXT(name, "/record/x.txt");
    mem_free(name);
    run_folder_close(r);
}

/* ---- one writer ---- */
static void pause_s(double seconds)
{
    nanosleep(&(struct timespec){(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))}, NULL);
}

static struct run_folder *take_over(const char *name, const char *identity)
{
    char *path = path_join(folder, name);
    bool finished;
    err = (struct error){0};
    struct run_folder *r = run_folder_open(path, identity, &(struct run_opening){.take_over = true, .take_over_s = 0.2}, &finished, &err);
    mem_free(path);
    return r;
}

static void expect_fence(const char *run, const char *number)
{
    char *got = contents(run, "fence");
    EXPECT(got && !strncmp(got, number, strlen(number)) && got[strlen(number)] == '\n', "%s: '%s', want %s", run, got ? got : "(none)", number);
    mem_free(got);
}

/* Nothing of an earlier copy arrives; what is there stays. */
static void expect_shut_out(struct run_folder *old, const char *name, const char *message)
{
    struct text out = {0};
    text_add(&out, "stale");
    char *path = path_join(folder, name), *draft = run_folder_draft(old, "best.h5"), *before = contents(name, "record.jsonl");
    put(name, "best.h5", "new weights");
    EXPECT(run_folder_write(old, "metrics.json", &out, &err) == -1, "metrics were written");
    EXPECT_TEXT(err.message, message);
    EXPECT(run_record_add(old, "{\"stale\":1}", &err) == -1, "a line was written");
    EXPECT_TEXT(err.message, message);
    EXPECT(run_record_rewind(old, 0, &err) == -1, "the record was cut");
    EXPECT(file_write_synced(draft, "stale", 5, &err) == 0 && run_folder_publish(old, "best.h5", &err) == -1, "weights were published");
    EXPECT_TEXT(err.message, message);
    EXPECT(!path_exists(draft), "the draft was left");
    EXPECT(checkpoint_write(path, 7, 1, NULL, 0, NULL, 0, run_folder_fence(old), &err) == -1, "a checkpoint was written");
    EXPECT_TEXT(err.message, message);
    expect_file(name, "best.h5", "new weights");
    expect_file(name, "metrics.json", NULL);
    expect_file(name, "checkpoints", NULL);
    expect_file(name, "record.jsonl", before);
    mem_free(path), mem_free(draft), mem_free(before);
    text_free(&out);
}

static void test_take_over(void)
{
    bool finished;
    struct run_folder *old = open_run("shared", first, false, &finished);
    EXPECT(old != NULL, "%s", err.message);
    expect_fence("shared", "1");
    EXPECT(!open_run("shared", first, false, &finished), "two at a time");
    EXPECT_TEXT(err.message, "shared: another ladnn is working in this run folder");
    EXPECT_TEXT(err.hint, "train.take_over");
    EXPECT(!take_over("shared", "train.seed = 9\n"), "another run took over");
    EXPECT_TEXT(err.message, "holds another run");
    expect_fence("shared", "1"); /* who is refused ends nobody */
    EXPECT(run_record_add(old, "{\"a\":1}", &err) == 8, "%s", err.message);
    char *draft = run_folder_draft(old, "best.h5"); /* the old copy is stopped before its renaming */
    EXPECT(file_write_synced(draft, "stale", 5, &err) == 0, "%s", err.message);

    struct run_folder *fresh = take_over("shared", first);
    EXPECT(fresh != NULL, "%s", err.message);
    expect_fence("shared", "2");
    EXPECT(run_record_add(old, "{\"b\":2}", &err) == 16, "it looks once a second");
    expect_file("shared", "record.jsonl", "{\"a\":1}\n"); /* ... but it writes into a file that is gone */
    EXPECT(!path_exists(draft) && run_folder_publish(old, "best.h5", &err) == -1, "its draft can be published");
    mem_free(draft);
    EXPECT(fresh && run_record_add(fresh, "{\"c\":3}", &err) == 16, "%s", err.message);
    expect_shut_out(old, "shared", "shared: attempt 2 has taken over this run folder; this copy (attempt 1) ends");
    EXPECT_TEXT(err.hint, "attempt 2 is on ");
    run_folder_close(old);
    EXPECT(!open_run("shared", first, false, &finished), "the newer one's lock was lost with the older one");
    pause_s(1.1);
    EXPECT(fresh && run_record_add(fresh, "{}", &err) == 19, "%s", err.message);
    run_folder_close(fresh);
    expect_file("shared", "record.jsonl", "{\"a\":1}\n{\"c\":3}\n{}\n");
    fresh = open_run("shared", first, false, &finished);
    EXPECT(fresh != NULL, "it is free again: %s", err.message);
    expect_fence("shared", "3");
    run_folder_close(fresh);
}

static void test_without_locks(void)
{
    bool finished;
    no_locks = true;
    struct run_folder *old = open_run("lockless", first, false, &finished);
    EXPECT(old && run_record_add(old, "{\"a\":1}", &err) == 8, "%s", err.message);
    struct run_folder *fresh = open_run("lockless", first, false, &finished);
    EXPECT(fresh != NULL, "%s", err.message);
    pause_s(1.1);
    expect_shut_out(old, "lockless", "lockless: attempt 2 has taken over");
    EXPECT(fresh && run_record_add(fresh, "{\"b\":2}", &err) == 16, "%s", err.message);
    run_folder_close(old);
    run_folder_close(fresh);
    expect_file("lockless", "record.jsonl", "{\"a\":1}\n{\"b\":2}\n");
    no_locks = false;
}

static void test_fence(void)
{
    bool finished;
    put("older", "identity.txt", first);
    put("older", "lock", "");
    char *lock = mem_format("%s/older/lock", folder), *path = path_join(folder, "older");
    int fd = open(lock, O_RDWR);
    EXPECT(fd >= 0 && flock(fd, LOCK_EX) == 0, "no lock");
    for (int i = 0; i < 2; i++) {
        EXPECT(!take_over("older", first), "a program without a fence was passed over");
        EXPECT_TEXT(err.message, "older: still locked, by a program that knows no fence");
    }
    close(fd);
    put("older", "fence", "4\n");
    struct fence *f = fence_raise(path, &err);
    EXPECT(f && fence_attempt(f) == 5 && fence_check(f, &err) == 0 && !fence_lost(f), "%s", err.message);
    put("older", "fence", "5\nelsewhere pid 1\n"); /* raised at the same moment */
    EXPECT(f && fence_check(f, &err) == -1 && fence_lost(f), "two have one number");
    EXPECT_TEXT(err.hint, "attempt 5 is on elsewhere pid 1");
    fence_close(f);
    put("older", "fence", "many\n");
    EXPECT(!open_run("older", first, false, &finished), "a fence without a number");
    EXPECT_TEXT(err.message, "older/fence: 'many' is no attempt's number");
    put("cut", "identity.txt.tmp-77", "half"); /* killed at its very beginning */
    put("cut", "fence.tmp-77", "");
    struct run_folder *r = open_run("cut", first, false, &finished);
    EXPECT(r != NULL, "%s", err.message);
    expect_file("cut", "identity.txt.tmp-77", NULL);
    run_folder_close(r);
    mem_free(lock), mem_free(path);
}

/* ---- predictions ---- */
static const char *const files[] = {"plain.png", "CT, 3/a.png", "say \"hi\".png", "two\nlines.png", "\"", "Gr\xc3\xbc\xc3\x9f.png"};
static const char *const patients[] = {"P1", "P,2", "\"P3\"", "P\r4", "P5", " P6 "};
enum { ITEMS = sizeof files / sizeof *files };

static void write_shards(const char *to)
{
    for (int split = 0; split < 2; split++) { /* one more split, of one other image, that must stay out */
        int count = split ? ITEMS : 1;
        struct shard_info info = {.dataset = "t", .split = split ? SPLIT_TEST : SPLIT_TRAIN, .count = 1, .size = 4};
        struct shard_writer *w = shard_create(to, &info, &err);
        EXPECT(w != NULL, "%s", err.message);
        for (int i = 0; w && i < count; i++) {
            struct shard_item item = {.file = split ? files[i] : "other", .patient = split ? patients[i] : "Q", .figure = "", .covid = i % 2};
            item.lesion[i % LESION_COUNT] = 1;
            item.source_sha256[0] = (uint8_t)(i + 10 * split);
            struct image image = {4, 4, 1, mem_zero(16)};
            shard_append(w, &image, &item);
        }
        EXPECT(w && shard_finish(w, &err) == 0, "%s", err.message);
    }
}

static void expect_row(const struct csv_row *row, int i, const double *p)
{
    EXPECT(row->count == 3 + 2 * LOGIT_COUNT, "row %d has %d fields", i, row->count);
    if (row->count != 3 + 2 * LOGIT_COUNT) return;
    EXPECT(!strcmp(row->fields[0], files[i]) && !strcmp(row->fields[1], patients[i]), "row %d: '%s' '%s'", i, row->fields[0], row->fields[1]);
    EXPECT(atoi(row->fields[2]) == i % 2, "row %d: covid %s", i, row->fields[2]);
    for (int l = 0; l < LESION_COUNT; l++)
        EXPECT(!strcmp(row->fields[3 + l], l == i % LESION_COUNT ? "1" : "0"), "row %d: lesion %d is %s", i, l, row->fields[3 + l]);
    for (int k = 0; k < LOGIT_COUNT; k++) {
        const char *field = row->fields[3 + LESION_COUNT + k];
        EXPECT(isnan(p[k]) ? !*field : strtod(field, NULL) == p[k], "row %d: '%s', want %.17g", i, field, p[k]);
    }
}

static void test_predictions(void)
{
    static const char *const head[] = {"file", "patient", "covid", "GGO", "Csld", "CrPa", "AirBr", "InSepThi", "p_covid",
                                       "p_GGO", "p_Csld", "p_CrPa", "p_AirBr", "p_InSepThi", "synthetic"};
    double p[ITEMS * LOGIT_COUNT];
    bool finished;
    struct csv csv = {0};
    char *data = path_join(folder, "data"), *path = mem_format("%s/csv/predictions.csv", folder);
    for (int i = 0; i < ITEMS * LOGIT_COUNT; i++) p[i] = i % 7 == 5 ? NAN : 1.0 / (3 + i);
    p[0] = 0, p[6] = 1, p[12] = 1.9287498479639178e-22;
    EXPECT(folder_create(data, &err) == 0, "%s", err.message);
    write_shards(data);
    struct dataset *d = dataset_open(data, &err);
    struct run_folder *r = open_run("csv", first, false, &finished);
    EXPECT(d && r, "%s", err.message);
    if (d && r) {
        EXPECT(run_write_predictions(r, d, SPLIT_TEST, p, &err) == 0, "%s", err.message);
        EXPECT(csv_read(&csv, path, &err) == 0 && csv.count == 1 + ITEMS && !csv.latin1, "%s, %d rows", err.message, csv.count);
        for (int c = 0; csv.count && c < csv.rows[0].count; c++)
            EXPECT(c < 15 && !strcmp(csv.rows[0].fields[c], head[c]), "column %d: %s", c, csv.rows[0].fields[c]);
        for (int i = 0; i + 1 < csv.count; i++) expect_row(&csv.rows[i + 1], i, p + i * LOGIT_COUNT);
    }
    csv_free(&csv);
    run_folder_close(r);
    dataset_close(d);
    mem_free(path), mem_free(data);
}

int main(void)
{
    EXPECT(mkdtemp(folder) != NULL, "no temporary folder");
    test_identity();
    test_overwrite();
    test_record();
    test_predictions();
    test_take_over();
    test_without_locks();
    test_fence();
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    return check_verdict();
}
