/* test_train_identity.c - the identity is that of the settings and the data, and is had without opening a trainer; a folder's data are read
 * once; another run's folder and a result of other epochs are told apart from the run that is asked for. */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "io/shard/shard.h"
#include "tests/unit/check.h"
#include "train/commands.h"
#include "train/config.h"
#include "train/identity.h"

static char folder[] = "/tmp/ladnn-identity-XXXXXX";
static struct error err;

static void put(const char *name, const char *text)
{
    char *path = path_join(folder, name);
    EXPECT(file_write_atomic(path, text, strlen(text), &err) == 0, "%s", err.message);
    mem_free(path);
}

/* One picture; `covid` makes two sets differ. */
static char *write_set(const char *name, int covid)
{
    char *path = path_join(folder, name);
    struct shard_info info = {.dataset = "t", .split = SPLIT_TRAIN, .count = 1, .size = 4};
    struct shard_item item = {.file = "a.png", .patient = "P", .figure = "", .covid = (uint8_t)covid};
    struct image image = {4, 4, 1, mem_zero(16)};
    EXPECT(folder_create(path, &err) == 0, "%s", err.message);
    struct shard_writer *w = shard_create(path, &info, &err);
    EXPECT(w != NULL, "%s", err.message);
    shard_append(w, &image, &item);
    EXPECT(shard_finish(w, &err) == 0, "%s", err.message);
    return path;
}

static void test_data(void)
{
    char *one = write_set("one", 0), *two = write_set("two", 1), a[65], b[65], again[65], want[65];
    uint8_t digest[32];
    EXPECT(run_data_hash(one, a, &err) == 0 && run_data_hash(two, b, &err) == 0, "%s", err.message);
    struct dataset *d = dataset_open(one, &err);
    dataset_hash(d, digest);
    dataset_close(d);
    hash_hex(want, digest);
    EXPECT(!strcmp(a, want) && strcmp(a, b), "%s, want %s; the other is %s", a, want, b);
    EXPECT(folder_remove(one, &err) == 0 && run_data_hash(one, again, &err) == 0 && !strcmp(a, again), "it is remembered: %s", err.message);
    EXPECT(run_data_hash("/nowhere", again, &err) == -1 && run_data_hash("/nowhere", again, &err) == -1, "no data");
    EXPECT_TEXT(err.message, "/nowhere");
    mem_free(one), mem_free(two);
}

static void test_text(void)
{
    struct settings *s = settings_open(&command_train);
    struct text identity = {0}, settings_only = {0};
    char *two = path_join(folder, "two"), hex[65];
    EXPECT(settings_set(s, "train.data", two, "test", &err) == 0 && run_identity(s, &identity, &err) == 0, "%s", err.message);
    train_config_identity(s, &settings_only);
    EXPECT(run_data_hash(two, hex, &err) == 0, "%s", err.message);
    char *want = mem_format("%sdata sha256 = %s\n", settings_only.data, hex);
    EXPECT(!strcmp(identity.data, want), "'%s', want '%s'", identity.data, want);
    double start = clock_s();
    for (int i = 0; i < 10000; i++) {
        text_clear(&identity);
        run_identity(s, &identity, &err);
    }
    printf("10000 identities in %.3f s\n", clock_s() - start);
    EXPECT(!strcmp(identity.data, want), "the same each time");
    text_clear(&identity);
    EXPECT(settings_set(s, "train.data", "/nowhere", "test", &err) == 0 && run_identity(s, &identity, &err) == -1, "no data");
    mem_free(two), mem_free(want);
    text_free(&identity), text_free(&settings_only);
    settings_close(s);
}

static void test_folder(void)
{
    bool there = true, finished = true;
    EXPECT(run_identity_compare(folder, "a = 1\n", &there, &err) == 0 && !there, "none there");
    put("identity.txt", "a = 1\nb = 2\n");
    EXPECT(run_identity_compare(folder, "a = 1\nb = 2\n", &there, &err) == 0 && there, "%s", err.message);
    EXPECT(run_identity_compare(folder, "a = 1\nb = 3\n", &there, &err) == -1 && there, "another run's");
    EXPECT_TEXT(err.message, "holds another run: 'b = 2' there, 'b = 3' asked now");
    EXPECT(run_finished(folder, 3, &finished, &err) == 0 && !finished, "no result");
    put("metrics.json", "{\n  \"votes\": 0,\n  \"epochs\": 3,\n  \"best_epoch\": 1\n}\n");
    EXPECT(run_finished(folder, 3, &finished, &err) == 0 && finished, "%s", err.message);
    EXPECT(run_finished(folder, 4, &finished, &err) == -1 && !finished, "a result of other epochs");
    EXPECT_TEXT(err.message, "finished with 3 epochs, train.epochs is 4");
    put("metrics.json", "{}\n");
    EXPECT(run_finished(folder, 3, &finished, &err) == -1 && !finished, "no result of a run");
    EXPECT_TEXT(err.message, "metrics.json: not the result of a run");
    put("metrics.json", "{\n  \"epochs\": 3,\n  \"best_ep");
    EXPECT(run_finished(folder, 3, &finished, &err) == -1 && !finished, "a result that was cut off");
}

int main(void)
{
    EXPECT(mkdtemp(folder) != NULL, "no temporary folder");
    test_data();
    test_text();
    test_folder();
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    return check_verdict();
}
