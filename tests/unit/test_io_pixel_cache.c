/* ctest: mpi=1,3 */
/* test_io_pixel_cache.c - the cache that the ranks of a host share: every image is read from its shard once in all, every rank sees the
 * pixels that were written, many threads at once; what is not wanted or is damaged; memory shared between ranks. (What does not fit: tests/system/train_ranks.sh.) */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "io/load/pixel_cache.h"
#include "tests/unit/check.h"

enum { IMAGES = 60, SIDE = 24 };
static struct comm *comm;
static char folder[64] = "/tmp/ladnn-cache-XXXXXX";

static uint8_t pixel(enum split split, int64_t i, int64_t k)
{
    return (uint8_t)(random_u32_at(&(struct random){.seed = 3, .purpose = RANDOM_TEST, .a = (uint64_t)i, .b = (uint64_t)split}, (uint64_t)k) >> 8);
}

static void write_shard(enum split split, int count)
{
    struct error err = {0};
    struct shard_info info = {.dataset = "cache", .split = split, .count = 1};
    struct shard_writer *w = shard_create(folder, &info, &err);
    for (int i = 0; i < count; i++) {
        char name[32], patient[32];
        snprintf(name, sizeof name, "%s%d", split_names[split], i);
        snprintf(patient, sizeof patient, "%s%d", split_names[split], i / 2);
        struct shard_item item = {.file = name, .patient = patient, .figure = "", .covid = i % 2};
        struct image image = {SIDE + i % 3, SIDE, 1, mem_alloc((size_t)((SIDE + i % 3) * SIDE))};
        for (int k = 0; k < image.height * SIDE; k++) image.pixels[k] = pixel(split, i, k);
        shard_append(w, &image, &item);
    }
    EXPECT(shard_finish(w, &err) == 0, "%s", err.message);
}

static void test_shared_memory(void)
{
    struct error err = {0};
    const size_t bytes = 100003;
    EXPECT(comm_shared_room(comm) > bytes, "%zu bytes of room", comm_shared_room(comm));
    for (int round = 0; round < 3; round++) {
        uint8_t *memory = comm_shared_alloc(comm, bytes, &err);
        EXPECT(memory && (uintptr_t)memory % 64 == 0, "%s", err.message);
        if (!memory) return;
        for (size_t i = (size_t)comm_local_rank(comm); i < bytes; i += (size_t)comm_local_size(comm)) memory[i] = (uint8_t)(i * 7 + (size_t)round);
        comm_barrier(comm, "test");
        size_t wrong = 0;
        for (size_t i = 0; i < bytes; i++) wrong += memory[i] != (uint8_t)(i * 7 + (size_t)round);
        EXPECT(!wrong, "%zu bytes are not what the ranks wrote", wrong);
        comm_shared_free(comm, memory);
    }
    comm_shared_free(comm, NULL);
}

static long differs(const struct image *view, enum split split, int64_t i)
{
    long wrong = view->height != SIDE + i % 3 || view->width != SIDE || view->channels != 1;
    for (int64_t k = 0; !wrong && k < (int64_t)view->height * SIDE; k++) wrong += view->pixels[k] != pixel(split, i, k);
    return wrong;
}

static void test_reads_once(struct dataset *d)
{
    struct error err = {0};
    struct pixel_cache *cache;
    long wrong = 0, busy = 0;
    EXPECT(pixel_cache_open(&cache, d, comm, true, 0, &err) == 0 && cache, "%s", err.message);
    if (!cache) return;
    EXPECT(!pixel_cache_has(cache, SPLIT_TRAIN, 0) || comm_size(comm) > 1, "empty at first");
    for (int round = 0; round < 2; round++) {
#pragma omp parallel for num_threads(4) schedule(dynamic) reduction(+ : wrong, busy)
        for (int64_t j = 0; j < IMAGES; j++) {
            struct error mine;
            struct image view;
            int64_t i = (j * 7 + comm_rank(comm)) % IMAGES;
            int got = pixel_cache_get(&view, cache, SPLIT_TRAIN, i, &mine);
            wrong += got < 0 || (got == 1 && differs(&view, SPLIT_TRAIN, i));
            busy += got == 0;
        }
        comm_barrier(comm, "a round");
    }
    EXPECT(wrong == 0, "%ld images are wrong", wrong);
    EXPECT(pixel_cache_reads(cache) == IMAGES, "%d reads of %d images (%ld were busy)", (int)pixel_cache_reads(cache), IMAGES, busy);
    struct image view;
    EXPECT(pixel_cache_has(cache, SPLIT_TRAIN, IMAGES - 1), "ready");
    comm_barrier(comm, "before the other split");
    if (comm_rank(comm) == 0) EXPECT(pixel_cache_get(&view, cache, SPLIT_TEST, 2, &err) == 1 && !differs(&view, SPLIT_TEST, 2), "the other split");
    comm_barrier(comm, "the end");
    pixel_cache_close(cache);
}

static void test_streamed(struct dataset *d)
{
    struct error err = {0};
    struct pixel_cache *cache;
    EXPECT(pixel_cache_open(&cache, d, comm, false, 0, &err) == 0 && !cache, "not wanted");
    EXPECT(pixel_cache_open(&cache, d, comm, true, 1, &err) == 0 && cache, "1 MiB is enough");
    pixel_cache_close(cache);
    pixel_cache_close(NULL);
}

/* An image whose byte was changed is an error each time; the others are not touched by that. */
static void test_damage(void)
{
    struct error err = {0};
    struct pixel_cache *cache;
    struct image view;
    if (comm_rank(comm) == 0) {
        char *path = path_join(folder, "cache-train-00000-of-00001.h5");
        uint8_t *data, first[32];
        size_t bytes;
        EXPECT(file_read(&data, &bytes, path, &err) == 0, "%s", err.message);
        for (int k = 0; k < 32; k++) first[k] = pixel(SPLIT_TRAIN, 5, k);
        uint8_t *at = memmem(data, bytes, first, sizeof first);
        EXPECT(at != NULL, "the image lies there as it is");
        if (at) *at ^= 1;
        EXPECT(file_write_atomic(path, data, bytes, &err) == 0, "%s", err.message);
        mem_free(data);
        mem_free(path);
    }
    comm_barrier(comm, "damage");
    struct dataset *d = dataset_open(folder, &err);
    EXPECT(d && pixel_cache_open(&cache, d, comm, true, 0, &err) == 0 && cache, "%s", err.message);
    if (d && cache) {
        for (int round = 0; round < 2; round++) {
            int got;
            while ((got = pixel_cache_get(&view, cache, SPLIT_TRAIN, 5, &err)) == 0) {} /* another rank is at it */
            EXPECT(got == -1, "a damaged image was given");
            EXPECT_TEXT(err.message, "train5");
        }
        int got;
        while ((got = pixel_cache_get(&view, cache, SPLIT_TRAIN, 6, &err)) == 0) {}
        EXPECT(got == 1 && !differs(&view, SPLIT_TRAIN, 6), "the next image");
        pixel_cache_close(cache);
    }
    dataset_close(d);
}

int main(void)
{
    struct error err = {0};
    comm = comm_open("auto", 60, &err);
    if (!comm) die_error(&err);
    if (comm_rank(comm) == 0) {
        EXPECT(mkdtemp(folder) != NULL, "no temporary folder");
        write_shard(SPLIT_TRAIN, IMAGES);
        write_shard(SPLIT_TEST, 4);
    }
    comm_broadcast(comm, folder, sizeof folder, 0, "the folder");
    test_shared_memory();
    struct dataset *d = dataset_open(folder, &err);
    EXPECT(d != NULL, "%s", err.message);
    if (d) {
        test_reads_once(d);
        test_streamed(d);
        dataset_close(d);
    }
    test_damage();
    comm_barrier(comm, "the end");
    if (comm_rank(comm) == 0) EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    comm_close(comm);
    return check_verdict();
}
