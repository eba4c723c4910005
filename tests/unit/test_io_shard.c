/* ctest: timeout=300
 * Shards: what is read is what was written, in both forms and with gzip; every flipped byte and every truncation is an error
 * or changes nothing that is handed out; incomplete, mixed and leaking folders are refused. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "io/shard/shard.h"
#include "tests/unit/check.h"

/* HDF5 1.10.8 loses 424 bytes each time it refuses a damaged file; that is the library's, not ours. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

static char folder[] = "/tmp/test-io-shard-XXXXXX";

struct sample {
    struct image image;
    struct shard_item item;
    char file[32], patient[16], figure[16];
};

static struct sample make_sample(int i, enum split split, int side)
{
    struct sample s = {.image = {side ? side : 3 + i, side ? side : 5 + 2 * i, i % 3 == 1 ? 3 : 1, NULL}};
    struct random r = random_stream(3, RANDOM_TEST, (uint64_t)i, (uint64_t)side);
    size_t bytes = (size_t)(s.image.height * s.image.width * s.image.channels);
    s.image.pixels = mem_alloc(bytes);
    for (size_t b = 0; b < bytes; b++) s.image.pixels[b] = (uint8_t)random_u32(&r);
    snprintf(s.file, sizeof s.file, "CT/%s-%d.png", split_names[split], i);
    snprintf(s.patient, sizeof s.patient, "P%d-%d", (int)split, i / 2);
    snprintf(s.figure, sizeof s.figure, "%s", i % 2 ? "" : "fig");
    s.item = (struct shard_item){.covid = i % 2};
    s.item.lesion[i % LESION_COUNT] = (uint8_t)(i % 2);
    s.item.source_sha256[i % 32] = (uint8_t)i;
    return s;
}

static void point_strings(struct sample *s)
{
    s->item.file = s->file;
    s->item.patient = s->patient;
    s->item.figure = s->figure;
}

static int write_shard(const char *to, const struct shard_info *info, int first, int count, struct error *err)
{
    struct shard_writer *w = shard_create(to, info, err);
    if (!w) return -1;
    for (int i = first; i < first + count; i++) {
        struct sample s = make_sample(i, info->split, info->size);
        point_strings(&s);
        shard_append(w, &s.image, &s.item);
        EXPECT(!s.image.pixels, "the writer takes the pixels");
    }
    return shard_finish(w, err);
}

/* All of the item and its pixels as they were made. */
static int same(struct dataset *d, enum split split, int64_t row, int i, int side)
{
    struct error err = {0};
    struct image got = {0};
    struct sample s = make_sample(i, split, side);
    const struct shard_item *item = dataset_item(d, split, row);
    int status = dataset_read(d, split, row, &got, &err) ? -1 : 1;
    if (status == 1) {
        size_t pixels = (size_t)(got.height * got.width), step = (size_t)(got.channels / s.image.channels);
        if (got.height != s.image.height || got.width != s.image.width || !step) status = 0;
        for (size_t b = 0; status == 1 && b < pixels * (size_t)got.channels; b++)
            if (got.pixels[b] != s.image.pixels[b / step]) status = 0;
        if (strcmp(item->file, s.file) || strcmp(item->patient, s.patient) || strcmp(item->figure, s.figure)) status = 0;
        if (item->covid != s.item.covid || memcmp(item->lesion, s.item.lesion, LESION_COUNT)) status = 0;
        if (memcmp(item->source_sha256, s.item.source_sha256, 32)) status = 0;
    }
    image_free(&got);
    image_free(&s.image);
    return status; /* 1 the same, 0 not, -1 an error */
}

static void test_round_trip(const char *name, int side, bool gzip)
{
    struct error err = {0};
    char *here = path_join(folder, name);
    struct shard_info info = {.dataset = "t", .split = SPLIT_TRAIN, .count = 2, .size = side, .gzip = gzip, .set_id = "id",
                              .settings = "made by a test"};
    EXPECT(folder_create(here, &err) == 0, "%s", err.message);
    EXPECT(write_shard(here, &info, 0, 5, &err) == 0, "%s", err.message);
    info.index = 1;
    EXPECT(write_shard(here, &info, 5, 4, &err) == 0, "%s", err.message);
    struct shard_info test = {.dataset = "t", .split = SPLIT_TEST, .count = 1, .size = side, .gzip = gzip, .set_id = "id"};
    EXPECT(write_shard(here, &test, 0, 1, &err) == 0, "%s", err.message);
    struct dataset *d = dataset_open(here, &err);
    EXPECT(d != NULL, "%s", err.message);
    if (!d) return;
    EXPECT(dataset_count(d, SPLIT_TRAIN) == 9 && dataset_count(d, SPLIT_VAL) == 0 && dataset_count(d, SPLIT_TEST) == 1, " ");
    EXPECT(!strcmp(dataset_name(d), "t") && !dataset_synthetic(d) && dataset_shard_count(d) == 3, " ");
    EXPECT_TEXT(dataset_shard_info(d, 0)->settings, "made by a test");
    for (int i = 0; i < 9; i++) EXPECT(same(d, SPLIT_TRAIN, i, i, side) == 1, "%s: image %d", name, i);
    EXPECT(same(d, SPLIT_TEST, 0, 0, side) == 1, "%s", name);
    uint8_t a[32], b[32];
    dataset_hash(d, a);
    dataset_close(d);
    d = dataset_open(here, &err);
    dataset_hash(d, b);
    EXPECT(memcmp(a, b, 32) == 0, "the hash depends on the contents alone");
    dataset_close(d);
    mem_free(here);
}

/* ---- damage ---- */

struct outcome {
    int refused, unchanged, wrong;
};

static void judge(struct outcome *o, const char *path, int side, int count, long at)
{
    struct error err = {0};
    struct dataset *d = dataset_open(path, &err);
    int worst = d ? 1 : -1;
    if (d && dataset_count(d, SPLIT_TRAIN) != count) worst = 0;
    for (int i = 0; i < count && worst == 1; i++) worst = same(d, SPLIT_TRAIN, i, i, side);
    dataset_close(d);
    EXPECT(worst != -1 || d || strstr(err.message, path_base(path)), "the message names the file: %s", err.message);
    if (worst == 0) printf("byte %ld: other data than written\n", at);
    *(worst < 0 ? &o->refused : worst ? &o->unchanged : &o->wrong) += 1;
}

static void test_damage(const char *name, int side, bool gzip, int stride)
{
    enum { COUNT = 3 };
    struct error err = {0};
    char *here = path_join(folder, name), *path = path_join(here, "t-train-00000-of-00001.h5");
    struct shard_info info = {.dataset = "t", .split = SPLIT_TRAIN, .count = 1, .size = side, .gzip = gzip};
    uint8_t *data = NULL;
    size_t bytes = 0;
    EXPECT(folder_create(here, &err) == 0 && write_shard(here, &info, 0, COUNT, &err) == 0, "%s", err.message);
    EXPECT(file_read(&data, &bytes, path, &err) == 0, "%s", err.message);
    struct outcome flips = {0}, cuts = {0}, blocks = {0}, whole = {0};
    int fd = open(path, O_RDWR);
    for (size_t i = 0; i < bytes; i += (size_t)stride) {
        uint8_t byte = data[i] ^ (uint8_t)(1u << (i / (size_t)stride % 8));
        EXPECT(pwrite(fd, &byte, 1, (off_t)i) == 1, " ");
        judge(&flips, path, side, COUNT, (long)i);
        EXPECT(pwrite(fd, &data[i], 1, (off_t)i) == 1, " ");
    }
    judge(&whole, path, side, COUNT, -1);
    EXPECT(whole.unchanged == 1, "put back, it is whole again");
    EXPECT(flips.wrong == 0, "%d flips gave other data", flips.wrong);
    EXPECT(flips.refused > 0, "no flip was refused");
    for (uint64_t i = 0; i < 200; i++) { /* a stretch of zeros, ones or noise, as of a lost disk block */
        struct random r = random_stream(8, RANDOM_TEST, i, (uint64_t)side);
        uint8_t block[600];
        size_t length = 1 + (size_t)random_below(&r, sizeof block), at = (size_t)random_below(&r, (int64_t)(bytes - 1));
        if (length > bytes - at) length = bytes - at;
        for (size_t k = 0; k < length; k++) block[k] = i % 3 == 0 ? 0 : i % 3 == 1 ? 0xFF : (uint8_t)random_u32(&r);
        EXPECT(pwrite(fd, block, length, (off_t)at) == (ssize_t)length, " ");
        judge(&blocks, path, side, COUNT, (long)at);
        EXPECT(pwrite(fd, data, bytes, 0) == (ssize_t)bytes, " ");
    }
    EXPECT(blocks.wrong == 0, "%d overwritten files gave other data", blocks.wrong);
    for (size_t length = 0; length < bytes; length += 1 + bytes / 97) {
        EXPECT(ftruncate(fd, (off_t)length) == 0, " ");
        judge(&cuts, path, side, COUNT, (long)length);
        EXPECT(pwrite(fd, data, bytes, 0) == (ssize_t)bytes, " ");
    }
    EXPECT(cuts.wrong == 0 && cuts.unchanged == 0, "%d truncated files were read", cuts.wrong + cuts.unchanged);
    printf("%s: %d bytes; flips: %d refused, %d in unused bytes\n", name, (int)bytes, flips.refused, flips.unchanged);
    close(fd);
    mem_free(data);
    mem_free(path);
    mem_free(here);
}

/* A label that is altered by a tool that also mends HDF5's own checksums is still seen. */
static void test_altered_label(void)
{
    struct error err = {0};
    char *here = path_join(folder, "label"), *path = path_join(here, "t-train-00000-of-00001.h5");
    struct shard_info info = {.dataset = "t", .split = SPLIT_TRAIN, .count = 1, .size = 8};
    EXPECT(folder_create(here, &err) == 0 && write_shard(here, &info, 0, 4, &err) == 0, "%s", err.message);
    char *command = mem_format("/usr/bin/python3 -c \"import h5py\" 2>/dev/null");
    if (system(command)) {
        printf("skipped: h5py is not installed\n");
    } else {
        char *alter = mem_format("/usr/bin/python3 -c \"import h5py; f = h5py.File('%s', 'r+', libver='v110'); f['lesion'][0, 0] = 1\"", path);
        EXPECT(system(alter) == 0, "h5py writes");
        struct dataset *d = dataset_open(here, &err);
        EXPECT(!d, "an altered label was taken");
        if (!d) EXPECT_TEXT(err.message, "label");
        dataset_close(d);
        mem_free(alter);
    }
    mem_free(command);
    mem_free(path);
    mem_free(here);
}

/* ---- folders ---- */

static void expect_refused(const char *here, const char *text)
{
    struct error err = {0};
    struct dataset *d = dataset_open(here, &err);
    EXPECT(!d, "%s was opened", here);
    if (!d) EXPECT_TEXT(err.message, text);
    dataset_close(d);
}

static void test_folders(void)
{
    struct error err = {0};
    char *here = path_join(folder, "parts"), *one = path_join(here, "t-train-00000-of-00002.h5"),
         *two = path_join(here, "t-train-00001-of-00002.h5"), *copy = path_join(here, "t-train-00000-of-00001.h5"),
         *leak = path_join(here, "t-val-00000-of-00001.h5");
    struct shard_info info = {.dataset = "t", .split = SPLIT_TRAIN, .count = 2, .size = 4, .set_id = "a"};
    EXPECT(folder_create(here, &err) == 0, "%s", err.message);
    expect_refused(here, "no shards");
    expect_refused("/nowhere", "cannot open");
    EXPECT(write_shard(here, &info, 0, 2, &err) == 0, "%s", err.message);
    expect_refused(here, "part 2 of 2 of train is missing");
    struct dataset *d = dataset_open(one, &err);
    EXPECT(d && dataset_count(d, SPLIT_TRAIN) == 2, "one file alone may be any part: %s", err.message);
    dataset_close(d);
    EXPECT(rename(one, two) == 0, " ");
    expect_refused(here, "renamed or copied");
    EXPECT(rename(two, copy) == 0, " ");
    expect_refused(here, "renamed or copied");
    EXPECT(rename(copy, one) == 0, " ");
    info.index = 1;
    info.set_id = "b";
    EXPECT(write_shard(here, &info, 2, 2, &err) == 0, "%s", err.message);
    expect_refused(here, "not of the same packing");
    info.set_id = "a";
    EXPECT(write_shard(here, &info, 2, 2, &err) == 0, "%s", err.message);
    d = dataset_open(here, &err);
    EXPECT(d != NULL, "%s", err.message);
    dataset_close(d);

    /* A patient of train in val. */
    struct shard_info val = {.dataset = "t", .split = SPLIT_VAL, .count = 1, .size = 4, .set_id = "a"};
    struct sample s = make_sample(0, SPLIT_TRAIN, 4);
    point_strings(&s);
    struct shard_writer *w = shard_create(here, &val, &err);
    shard_append(w, &s.image, &s.item);
    EXPECT(shard_finish(w, &err) == 0, "%s", err.message);
    expect_refused(here, "is in two splits");
    expect_refused(here, "P0-0");
    EXPECT(unlink(leak) == 0, " ");
    mem_free(here), mem_free(one), mem_free(two), mem_free(copy), mem_free(leak);
}

static void test_names(void)
{
    int length, index, count;
    enum split split;
    EXPECT(shard_name_parse("d0-val-00003-of-00012.h5", &length, &split, &index, &count), " ");
    EXPECT(length == 2 && split == SPLIT_VAL && index == 3 && count == 12, " ");
    EXPECT(shard_name_parse("a-train-b-test-00000-of-00001.h5", &length, &split, &index, &count) && length == 9, " ");
    static const char *const others[] = {"best.h5", "d0-val-00003-of-00012.h5.tmp-1", "d0-val-00012-of-00012.h5", "-val-00000-of-00001.h5",
                                         "d0-dev-00000-of-00001.h5", "d0-val-0000-of-000001.h5", "d0-val-+0000-of-00001.h6"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        EXPECT(!shard_name_parse(others[i], &length, &split, &index, &count), "%s", others[i]);
    struct error err = {0};
    struct shard_info info = {.dataset = "../t", .count = 1, .size = 4};
    EXPECT(!shard_create(folder, &info, &err), "a name with a slash was taken");
    info.dataset = "t";
    EXPECT(write_shard(folder, &info, 0, 0, &err) && write_shard(folder, &info, 0, SHARD_IMAGES_MAX + 1, &err), "%s", err.message);
    EXPECT_TEXT(err.message, "1 to 4096 images, not 4097");
}

/* A disk that is full (here: a limit on the size of files) is an error that names the file, leaves nothing, and does not
 * end the program later. */
static void test_full_disk(void)
{
    struct error err = {0};
    char *here = path_join(folder, "full"), **names;
    int count = -1;
    struct rlimit old, small = {3000, 3000};
    struct shard_info info = {.dataset = "t", .split = SPLIT_TRAIN, .count = 1, .size = 64};
    EXPECT(folder_create(here, &err) == 0, "%s", err.message);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    fflush(stdout);
    setrlimit(RLIMIT_FSIZE, &small);
    int status = write_shard(here, &info, 0, 4, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    EXPECT(status == -1, "the limit was not felt");
    EXPECT_TEXT(err.message, "t-train-00000-of-00001.h5 was not written");
    EXPECT(folder_list(&names, &count, here, &err) == 0 && count == 0, "%d files are left", count);
    folder_list_free(names, count);
    EXPECT(write_shard(here, &info, 0, 4, &err) == 0, "later writing works: %s", err.message);
    mem_free(here);
}

static void test_python(const char *tests)
{
    char *command = mem_format("/usr/bin/python3 '%s/reference/check_shard.py' %s/fixed/*.h5 %s/gzip/*.h5 %s/own/*.h5", tests,
                               folder, folder, folder);
    int status = system(command);
    EXPECT(status == 0 || WEXITSTATUS(status) == 77, "check_shard.py: status %d", WEXITSTATUS(status));
    mem_free(command);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    EXPECT(mkdtemp(folder) != NULL, "no temporary folder");
    test_names();
    test_round_trip("fixed", 12, false);
    test_round_trip("gzip", 12, true);
    test_round_trip("own", 0, false);
    if (argc > 1) test_python(argv[1]);
    test_altered_label();
    test_folders();
    test_full_disk();
    int stride = getenv("LADNN_TEST_EVERY_BYTE") ? 1 : 7;
    test_damage("damage-fixed", 16, false, stride);
    test_damage("damage-gzip", 16, true, stride);
    test_damage("damage-own", 0, false, stride);
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    return check_verdict();
}
