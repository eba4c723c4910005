/* The loader hands out exactly the asked images in the asked order, the same bytes for any thread count, and the error
 * of a damaged image; a dropped pass leaves nothing behind. Run it with -fsanitize=thread too. */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "io/load/loader.h"
#include "io/load/sampler.h"
#include "tests/unit/check.h"

enum { IMAGES = 37, STORED = 40, SIZE = 32, PLANES = 3 * SIZE * SIZE };

static struct image make_image(int64_t i)
{
    struct image image = {STORED, STORED, 1 + 2 * (int)(i % 2), NULL};
    size_t bytes = (size_t)(image.height * image.width * image.channels);
    struct random r = random_stream(5, RANDOM_TEST, (uint64_t)i, 0);
    image.pixels = mem_alloc(bytes);
    for (size_t b = 0; b < bytes; b++) {
        image.pixels[b] = (uint8_t)random_u32_at(&r, b);
    }
    return image;
}

static void write_shard(const char *folder, struct error *err)
{
    struct shard_info info = {.dataset = "loadertest", .split = SPLIT_TRAIN, .count = 1, .synthetic = true,
                              .settings = ""}; /* original size: grey and RGB side by side */
    struct shard_writer *w = shard_create(folder, &info, err);
    EXPECT(w != NULL, "%s", err->message);
    for (int64_t i = 0; w && i < IMAGES; i++) {
        char file[32], patient[32];
        snprintf(file, sizeof file, "image%d.png", (int)i);
        snprintf(patient, sizeof patient, "patient%d", (int)i / 3);
        struct image image = make_image(i);
        struct shard_item item = {.file = file, .patient = patient, .figure = "", .covid = i % 3 == 0, .height = STORED,
                                  .width = STORED, .channels = image.channels};
        item.lesion[i % LESION_COUNT] = (uint8_t)item.covid;
        shard_append(w, &image, &item);
    }
    EXPECT(w && shard_finish(w, err) == 0, "%s", err->message);
}

/* Changes one stored byte of an image in the file. */
static void damage(const char *folder, int64_t i)
{
    struct error err = {"", ""};
    struct image image = make_image(i);
    char **names, *path = NULL;
    int count = 0;
    EXPECT(folder_list(&names, &count, folder, &err) == 0 && count == 1, "%s", err.message);
    path = path_join(folder, names[0]);
    uint8_t *data = NULL;
    size_t bytes = 0;
    EXPECT(file_read(&data, &bytes, path, &err) == 0, "%s", err.message);
    uint8_t *at = memmem(data, bytes, image.pixels, 64);
    EXPECT(at != NULL, "the image is stored as it is");
    FILE *f = fopen(path, "r+b");
    if (f && at) {
        fseek(f, (long)(at - data), SEEK_SET);
        fputc(image.pixels[0] ^ 1, f);
    }
    if (f) {
        fclose(f);
    }
    mem_free(data);
    mem_free(path);
    folder_list_free(names, count);
    image_free(&image);
}

static struct augment recipe(void)
{
    struct augment a = {AUGMENT_AFFINE, SIZE, 0.5, 0.8, 1.2, 0.2, 0.5, 40, 1};
    return a;
}

/* All batches of a pass must be what augment_apply makes of each image. */
static void check_pass(struct loader *l, const int64_t *order, const int *counts, int batches, bool train, uint64_t epoch)
{
    static float want[PLANES];
    struct augment a = recipe();
    struct error err = {"", ""};
    struct loader_batch batch;
    int64_t next = 0;
    loader_start(l, order, counts, batches, train, epoch);
    for (int b = 0; b < batches; b++) {
        EXPECT(loader_next(l, &batch, &err) == 0 && batch.count == counts[b], "batch %d: %d %s", b, batch.count, err.message);
        for (int i = 0; i < batch.count; i++, next++) {
            struct image image = make_image(order[next]);
            augment_apply(want, &a, &image, train, epoch, (uint64_t)order[next]);
            image_free(&image);
            const float *target = batch.targets + i * LOGIT_COUNT;
            int covid = order[next] % 3 == 0, lesions = (int)(target[1] + target[2] + target[3] + target[4] + target[5]);
            EXPECT(batch.items[i] == order[next], "batch %d image %d", b, i);
            EXPECT(memcmp(batch.pixels + i * PLANES, want, sizeof want) == 0, "batch %d image %d: pixels", b, i);
            EXPECT(target[0] == covid && lesions == covid && target[1 + order[next] % LESION_COUNT] == covid,
                   "batch %d image %d: targets", b, i);
        }
    }
    EXPECT(loader_next(l, &batch, &err) == 0 && batch.count == 0, "after the last batch");
    EXPECT(batch.wait_s >= 0 && batch.wait_s < 60, "wait %g s", batch.wait_s);
}

static struct comm *alone;

static struct pixel_cache *cache_of(struct dataset *d, bool wanted)
{
    struct pixel_cache *cache = NULL;
    struct error err = {"", ""};
    EXPECT(pixel_cache_open(&cache, d, alone, wanted, 0, &err) == 0 && (cache != NULL) == wanted, "%s", err.message);
    return cache;
}

static void test_passes(struct dataset *d, int threads, int prefetch, bool cache)
{
    struct augment a = recipe();
    struct loader_options options = {threads, prefetch, cache_of(d, cache)};
    struct loader *l = loader_open(d, SPLIT_TRAIN, &a, &options);
    int64_t order[IMAGES];
    int even[] = {8, 8, 8, 8, 5}, uneven[] = {1, 0, 16, 0, 0, 3, 17}, none[] = {0, 0};
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        sampler_order(order, IMAGES, 9, epoch);
        check_pass(l, order, even, 5, true, epoch);
        check_pass(l, order, uneven, 7, true, epoch);
    }
    order[1] = order[0]; /* one image twice in flight */
    order[2] = order[0];
    check_pass(l, order, even, 5, false, 0);
    check_pass(l, order, none, 2, false, 0);
    check_pass(l, order, none, 0, false, 0);
    loader_close(l);
    pixel_cache_close(options.cache);
}

/* Starting over in the middle, and closing in the middle or before a start. */
static void test_dropped(struct dataset *d)
{
    struct augment a = recipe();
    struct loader_options options = {3, 2, NULL};
    struct error err = {"", ""};
    int64_t order[IMAGES];
    int counts[] = {8, 8, 8, 8, 5};
    sampler_order(order, IMAGES, 9, 0);
    struct loader *l = loader_open(d, SPLIT_TRAIN, &a, &options);
    loader_close(l);
    l = loader_open(d, SPLIT_TRAIN, &a, &options);
    for (int i = 0; i < 20; i++) {
        struct loader_batch batch;
        loader_start(l, order, counts, 5, true, 1);
        for (int b = 0; b < i % 5; b++) {
            EXPECT(loader_next(l, &batch, &err) == 0 && batch.count == 8, "%s", err.message);
        }
    }
    check_pass(l, order, counts, 5, true, 2);
    loader_start(l, order, counts, 5, true, 1);
    loader_close(l);
    loader_close(NULL);
}

static void test_error(struct dataset *d, const char *folder)
{
    struct augment a = recipe();
    int64_t order[IMAGES];
    int counts[] = {8, 8, 8, 8, 5};
    for (int i = 0; i < IMAGES; i++) {
        order[i] = i;
    }
    damage(folder, 12);
    damage(folder, 10);
    for (int threads = 1; threads <= 4; threads++) {
        struct loader_options options = {threads, 2, cache_of(d, threads % 2 == 0)};
        struct loader *l = loader_open(d, SPLIT_TRAIN, &a, &options);
        struct loader_batch batch;
        struct error err = {"", ""};
        loader_start(l, order, counts, 5, true, 0);
        EXPECT(loader_next(l, &batch, &err) == 0, "the first batch is whole: %s", err.message);
        EXPECT(loader_next(l, &batch, &err) == -1, "the second is not");
        EXPECT_TEXT(err.message, "image10.png"); /* the first in order, whichever thread was first */
        EXPECT(loader_next(l, &batch, &err) == -1, "it is told again");
        loader_start(l, order, counts, 1, true, 0);
        EXPECT(loader_next(l, &batch, &err) == 0 && batch.count == 8, "a new pass works: %s", err.message);
        loader_close(l);
        pixel_cache_close(options.cache);
    }
}

int main(void)
{
    const char *temporary = getenv("TMPDIR");
    char *folder = mem_format("%s/ladnn-loader-XXXXXX", temporary ? temporary : "/tmp");
    struct error err = {"", ""};
    if (!mkdtemp(folder)) {
        perror(folder);
        return 1;
    }
    write_shard(folder, &err);
    alone = comm_open("self", 60, &err);
    struct dataset *d = dataset_open(folder, &err);
    EXPECT(d != NULL, "%s", err.message);
    if (d) {
        for (int threads = 1; threads <= 5; threads += 2) {
            test_passes(d, threads, 1, false);
            test_passes(d, threads, 3, true);
        }
        test_dropped(d);
        dataset_close(d);
        d = dataset_open(folder, &err); /* checksums are verified on first touch */
        EXPECT(d != NULL, "%s", err.message);
        test_error(d, folder);
    }
    dataset_close(d);
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    comm_close(alone);
    mem_free(folder);
    return check_verdict();
}
