/* ctest: label=fast timeout=600 */
/* test_io_mutations.c - 10,000 damaged files of each format through the decoders, and 10,000 damaged shards through the reader: no
 * crash (this runs under AddressSanitizer and UBSan, too), no hang, no picture of nonsense; and a shard that can be read has the labels and
 * pixels that were written. LADNN_MUTATIONS=N takes another number, LADNN_MUTATIONS_SEED=S others. */
#include <hdf5.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "io/image/image.h"
#include "io/shard/shard.h"
#include "tests/tools/mutate.h"
#include "tests/unit/check.h"

enum { FILES_MAX = 200 };
static const double LONGEST_S = 10; /* of the processor's time for one file of a few KB, with sanitizers; ctest ends what waits for ever */
static char folder[] = "/tmp/ladnn-mutations-XXXXXX";
static struct bytes files[FILES_MAX];
static int file_count;

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int64_t from_environment(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    return text ? atoll(text) : otherwise;
}

static void read_all_files(void)
{
    struct error err = {0};
    char **names;
    int count;
    EXPECT(folder_list(&names, &count, folder, &err) == 0, "%s", err.message);
    for (int i = 0; i < count && file_count < FILES_MAX; i++) {
        char *path = path_join(folder, names[i]);
        EXPECT(file_read(&files[file_count].data, &files[file_count].count, path, &err) == 0, "%s", err.message);
        if (image_format_of(files[file_count].data, files[file_count].count) != IMAGE_UNKNOWN) file_count++;
        else mem_free(files[file_count].data);
        mem_free(path);
    }
    folder_list_free(names, count);
}

/* Kinds of files as others write them; without the scripts' libraries only our own. */
static void make_files(const char *tests)
{
    static const char *const scripts[] = {"make_kinds.py", "make_scans.py"};
    struct error err = {0};
    struct image image = {30, 40, 3, mem_alloc(30 * 40 * 3)};
    for (int i = 0; i < 30 * 40 * 3; i++) image.pixels[i] = (uint8_t)(i * 7 + i / 120);
    char *png = path_join(folder, "own.png"), *jpeg = path_join(folder, "own.jpg");
    EXPECT(!image_write_png(png, &image, &err) && !image_write_jpeg(jpeg, &image, 80, &err), "%s", err.message);
    for (int i = 0; tests && i < 2; i++) {
        char *command = mem_format("/usr/bin/python3 '%s/reference/%s' '%s'", tests, scripts[i], folder);
        int status = system(command);
        EXPECT(status == 0 || WEXITSTATUS(status) == 77, "%s failed", scripts[i]);
        if (status) printf("not tested here: the kinds of files that %s writes\n", scripts[i]);
        mem_free(command);
    }
    mem_free(png);
    mem_free(jpeg);
    image_free(&image);
    read_all_files();
}

static void damage_pictures(enum image_format format, int64_t count, uint64_t seed)
{
    struct random r = random_stream(seed, RANDOM_TEST, (uint64_t)format, 0);
    int of_format[FILES_MAX], kinds = 0;
    int64_t refused = 0;
    double longest = 0;
    for (int i = 0; i < file_count; i++)
        if (image_format_of(files[i].data, files[i].count) == format) of_format[kinds++] = i;
    if (!kinds) return;
    for (int64_t i = 0; i < count; i++) {
        const struct bytes *whole = &files[of_format[random_below(&r, kinds)]];
        struct bytes some = mutate(&r, whole->data, whole->count);
        struct image_window window = {40, i % 2 ? 400 : 0};
        struct image image;
        struct error err = {0};
        double start = cpu_s();
        int status = image_decode(&image, some.data, some.count, "x", &window, &err);
        longest = cpu_s() - start > longest ? cpu_s() - start : longest;
        refused += status != 0;
        if (status) EXPECT(!image.pixels && *err.message && strlen(err.message) < sizeof err.message - 1, "%s %d: '%s'", image_format_names[format], (int)i, err.message);
        else EXPECT(image.pixels && image.height > 0 && image.width > 0 && (image.channels == 1 || image.channels == 3), "%d: a picture of nonsense", (int)i);
        image_free(&image);
        mem_free(some.data);
    }
    printf("%s: %d kinds, %lld damaged files, %lld refused, the slowest took %.3f s\n", image_format_names[format], kinds, (long long)count,
           (long long)refused, longest);
    EXPECT(longest < LONGEST_S, "%s: %g s for one file", image_format_names[format], longest);
    EXPECT(count < 100 || (refused > count / 20 && refused < count), "%s: %lld of %lld refused", image_format_names[format], (long long)refused, (long long)count);
}

/* ---- shards ---- */

enum { IMAGES = 3, SIDE = 12 };

static void write_shard(const char *to, bool own_sizes, bool gzip)
{
    struct error err = {0};
    struct shard_info info = {.dataset = "m", .split = SPLIT_TRAIN, .count = 1, .size = own_sizes ? 0 : SIDE, .gzip = gzip};
    EXPECT(folder_create(to, &err) == 0, "%s", err.message);
    struct shard_writer *w = shard_create(to, &info, &err);
    for (int i = 0; i < IMAGES; i++) {
        static const char *const names[IMAGES] = {"a.png", "b.png", "c.png"}, *const patients[IMAGES] = {"p", "q", "r"};
        struct shard_item item = {.file = names[i], .patient = patients[i], .figure = "", .covid = i % 2, .lesion = {i == 1}};
        int side = SIDE + (own_sizes ? i : 0);
        struct image image = {side, side, 1, mem_alloc((size_t)(side * side))};
        for (int k = 0; k < side * side; k++) image.pixels[k] = (uint8_t)(k * 5 + i * 31 + 1);
        shard_append(w, &image, &item);
    }
    EXPECT(shard_finish(w, &err) == 0, "%s", err.message);
}

static bool same_item(const struct shard_item *a, const struct shard_item *b)
{
    return a->covid == b->covid && !memcmp(a->lesion, b->lesion, sizeof a->lesion) && !strcmp(a->file, b->file) && !strcmp(a->patient, b->patient) &&
           !strcmp(a->figure, b->figure) && a->height == b->height && a->width == b->width && a->channels == b->channels;
}

/* Of a data set that opens, every image either reads as it was written, or with an error. */
static bool compare(struct dataset *d, struct dataset *whole, int64_t *bad)
{
    bool same = dataset_count(d, SPLIT_TRAIN) == IMAGES && dataset_count(d, SPLIT_VAL) == 0 && dataset_count(d, SPLIT_TEST) == 0;
    for (int64_t i = 0; same && i < IMAGES; i++) {
        struct error err = {0};
        struct image a = {0}, b = {0};
        same = same_item(dataset_item(d, SPLIT_TRAIN, i), dataset_item(whole, SPLIT_TRAIN, i));
        EXPECT(dataset_read(whole, SPLIT_TRAIN, i, &b, &err) == 0, "%s", err.message);
        if (same && dataset_read(d, SPLIT_TRAIN, i, &a, &err)) ++*bad;
        else same = same && !memcmp(a.pixels, b.pixels, (size_t)(a.height * a.width));
        image_free(&a);
        image_free(&b);
    }
    return same;
}

static void damage_shards(const char *name, bool own_sizes, bool gzip, int64_t count, uint64_t seed)
{
    struct random r = random_stream(seed, RANDOM_TEST, 100 + own_sizes, gzip);
    struct error err = {0};
    struct bytes shard = {0};
    int64_t refused = 0, bad = 0, unharmed = 0;
    double longest = 0;
    char *good = path_join(folder, name), *file = path_join(good, "m-train-00000-of-00001.h5");
    char *damaged = mem_format("%s-damaged", good), *there = path_join(damaged, "m-train-00000-of-00001.h5");
    write_shard(good, own_sizes, gzip);
    struct dataset *whole = dataset_open(good, &err);
    EXPECT(whole && file_read(&shard.data, &shard.count, file, &err) == 0 && folder_create(damaged, &err) == 0, "%s", err.message);
    for (int64_t i = 0; whole && i < count; i++) {
        struct bytes some = mutate(&r, shard.data, shard.count);
        FILE *f = fopen(there, "wb");
        EXPECT(f && fwrite(some.data, 1, some.count, f) == some.count && fclose(f) == 0, "cannot write");
        double start = cpu_s();
        int64_t bad_before = bad;
        struct dataset *d = dataset_open(damaged, &err);
        if (!d) refused++;
        else EXPECT(compare(d, whole, &bad), "%s %d: other contents than were written", name, (int)i);
        unharmed += d && bad == bad_before;
        dataset_close(d);
        longest = cpu_s() - start > longest ? cpu_s() - start : longest;
        mem_free(some.data);
    }
    printf("%s: %lld damaged shards, %lld refused, %lld images refused, %lld shards as written\n", name, (long long)count, (long long)refused,
           (long long)bad, (long long)unharmed);
    EXPECT(longest < LONGEST_S, "%g s for one shard", longest);
    EXPECT(count < 100 || (refused > count / 5 && refused + bad >= 1 && unharmed < count), "%s: %lld of %lld refused", name, (long long)refused, (long long)count);
    ssize_t open = H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL);
    EXPECT(open == 0, "%zd objects of HDF5 are still open", open);
    dataset_close(whole);
    mem_free(shard.data);
    mem_free(good);
    mem_free(file);
    mem_free(damaged);
    mem_free(there);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    int64_t count = from_environment("LADNN_MUTATIONS", 10000);
    uint64_t seed = (uint64_t)from_environment("LADNN_MUTATIONS_SEED", 1);
    EXPECT(mkdtemp(folder) != NULL, "no temporary folder");
    make_files(argc > 1 ? argv[1] : NULL);
    for (int f = IMAGE_PNG; f <= IMAGE_DICOM; f++) damage_pictures((enum image_format)f, count, seed);
    damage_shards("one size", false, false, count, seed);
    damage_shards("own sizes", true, false, count, seed);
    damage_shards("gzip", false, true, count, seed);
    for (int i = 0; i < file_count; i++) mem_free(files[i].data);
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    return check_verdict();
}
