/* test_io_tensor_file.c - what is written comes back, bit by bit; a file cut anywhere or with a flipped byte anywhere is refused;
 * a full disk leaves nothing behind. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "io/tensor_file.h"

static char folder[] = "tensor-file-XXXXXX";
static struct error err;

/* ---- a small file with everything in it ---- */

static float weights[7 * 3 * 2 * 5], empty[1];
static double scalar = 1.25;
static int64_t steps[3] = {1, -2, INT64_MAX};
static uint8_t bytes[70000];
static struct tensor_entry entries[] = {
    {.name = "layer1.0.conv.weight", .type = TENSOR_F32, .ndim = 4, .dims = {7, 3, 2, 5}, .data = weights},
    {.name = "alpha", .type = TENSOR_F64, .data = &scalar},
    {.name = "steps", .type = TENSOR_I64, .ndim = 1, .dims = {3}, .data = steps},
    {.name = "none", .type = TENSOR_F32, .ndim = 2, .dims = {0, 4}, .data = empty},
    {.name = "a.bytes", .type = TENSOR_U8, .ndim = 1, .dims = {70000}, .data = bytes},
};
enum { COUNT = sizeof entries / sizeof *entries };
static char long_text[100000];
static const struct tensor_attribute attributes[] = {{"settings", long_text}, {"note", "Lungenentzündung"}, {"empty", ""}};

static void fill(void)
{
    struct random r = random_stream(5, RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) weights[i] = (float)random_normal(&r);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)random_u32(&r);
    for (size_t i = 0; i < sizeof long_text - 1; i++) long_text[i] = (char)('a' + i % 26);
}

static char *write_small(const char *name)
{
    char *path = path_join(folder, name);
    EXPECT(tensor_file_write(path, entries, COUNT, attributes, 3, &err) == 0, "%s", err.message);
    return path;
}

/* 0 when the file opens and all tensors are as written. */
static int read_small(const char *path)
{
    struct tensor_file *f = tensor_file_open(path, &err);
    int status = f ? 0 : -1;
    for (int i = 0; i < COUNT && !status; i++) {
        size_t room = sizeof bytes;
        struct tensor_entry e = entries[i];
        e.data = mem_zero(room);
        status = tensor_file_read(f, &e, &err);
        size_t each = e.type == TENSOR_F32 ? 4 : e.type == TENSOR_U8 ? 1 : 8;
        for (int d = 0; d < e.ndim; d++) each *= (size_t)e.dims[d];
        if (!status && memcmp(e.data, entries[i].data, each)) status = -2; /* wrong bytes that nobody noticed */
        mem_free(e.data);
    }
    tensor_file_close(f);
    return status;
}

static void test_round_trip(void)
{
    char *path = write_small("small.h5");
    EXPECT(read_small(path) == 0, "%s", err.message);
    struct tensor_file *f = tensor_file_open(path, &err);
    struct tensor_entry e;
    if (!f) die_error(&err);
    EXPECT(tensor_file_count(f) == COUNT, "count");
    for (int i = 0; i < COUNT; i++) {
        tensor_file_entry(f, i, &e);
        EXPECT(!strcmp(e.name, entries[i].name) && e.type == entries[i].type && e.ndim == entries[i].ndim, "order of writing: %s", e.name);
    }
    EXPECT(!strcmp(tensor_file_attribute(f, "settings"), long_text), "a long attribute");
    EXPECT(!strcmp(tensor_file_attribute(f, "note"), "Lungenentzündung") && !*tensor_file_attribute(f, "empty"), "short ones");
    EXPECT(!tensor_file_attribute(f, "absent"), "an absent one");
    EXPECT(tensor_file_verify(f, &err) == 0, "%s", err.message);

    uint8_t one[32], two[32];
    tensor_file_identity(f, one);
    tensor_file_close(f);
    weights[0] += 1;
    mem_free(path);
    path = write_small("small.h5");
    f = tensor_file_open(path, &err);
    tensor_file_identity(f, two);
    tensor_file_close(f);
    EXPECT(memcmp(one, two, 32), "other bytes, other identity");
    weights[0] -= 1;
    mem_free(path);
}

/* Values that are made while writing make the same file. */
static void copy_entry(void *to, const void *source, int index)
{
    const struct tensor_entry *e = (const struct tensor_entry *)source + index;
    memcpy(to, e->data, index == 0 ? sizeof weights : sizeof steps);
}

static void test_made(void)
{
    struct tensor_entry made[COUNT];
    uint8_t *a, *b;
    size_t a_bytes, b_bytes;
    char *path = write_small("small.h5"), *other = path_join(folder, "made.h5");
    memcpy(made, entries, sizeof entries);
    for (int i = 0; i <= 2; i += 2) {
        made[i].data = NULL;
        made[i].make = copy_entry;
        made[i].source = entries;
        made[i].index = i;
    }
    EXPECT(tensor_file_write(other, made, COUNT, attributes, 3, &err) == 0, "%s", err.message);
    if (file_read(&a, &a_bytes, path, &err) || file_read(&b, &b_bytes, other, &err)) die_error(&err);
    EXPECT(a_bytes == b_bytes && !memcmp(a, b, a_bytes), "made tensors differ");
    mem_free(a);
    mem_free(b);
    mem_free(path);
    mem_free(other);
}

static void test_refusals(void)
{
    char *path = write_small("small.h5");
    struct tensor_file *f = tensor_file_open(path, &err);
    struct tensor_entry e = entries[0];
    e.dims[1] = 4;
    EXPECT(tensor_file_read(f, &e, &err) == -1, "another shape");
    EXPECT_TEXT(err.message, "(7, 3, 2, 5) f32");
    EXPECT_TEXT(err.message, "(7, 4, 2, 5) f32");
    e = entries[0];
    e.type = TENSOR_F64;
    EXPECT(tensor_file_read(f, &e, &err) == -1 && strstr(err.message, "f64"), "%s", err.message);
    e.name = "absent";
    EXPECT(tensor_file_read(f, &e, &err) == -1 && strstr(err.message, "absent") && strstr(err.message, path), "%s", err.message);
    tensor_file_close(f);
    tensor_file_close(NULL);

    struct tensor_entry twice[2] = {entries[1], entries[1]}, slash = entries[1];
    slash.name = "a/b";
    EXPECT(tensor_file_write(path, twice, 2, NULL, 0, &err) == -1 && strstr(err.message, "alpha"), "%s", err.message);
    EXPECT(tensor_file_write(path, &slash, 1, NULL, 0, &err) == -1 && strstr(err.message, "a/b"), "%s", err.message);
    EXPECT(tensor_file_write("absent-folder/x.h5", entries, COUNT, NULL, 0, &err) == -1, "no folder");
    EXPECT_TEXT(err.message, "absent-folder/x.h5: cannot create: No such file");
    EXPECT(!tensor_file_open("absent.h5", &err) && strstr(err.message, "absent.h5: cannot open"), "%s", err.message);
    EXPECT(!tensor_file_open(folder, &err), "a folder is no file");
    EXPECT(read_small(path) == 0, "failed writes changed nothing: %s", err.message);
    mem_free(path);
}

/* ---- damage ---- */

static void test_truncation(void)
{
    char *path = write_small("small.h5"), *cut = path_join(folder, "cut.h5");
    uint8_t *data;
    size_t size;
    EXPECT(file_read(&data, &size, path, &err) == 0, "%s", err.message);
    for (size_t length = 0; length < size; length += 512) {
        EXPECT(file_write_atomic(cut, data, length, &err) == 0, "%s", err.message);
        EXPECT(read_small(cut) == -1, "cut at %zu of %zu", length, size);
        EXPECT_TEXT(err.message, cut);
    }
    EXPECT(file_write_atomic(cut, data, size - 1, &err) == 0 && read_small(cut) == -1, "the last byte is missing");
    mem_free(data);
    mem_free(path);
    mem_free(cut);
}

static void test_flipped_bytes(void)
{
    enum { EACH_UP_TO = 6000, THEN_ABOUT_EACH = 40 };
    char *path = write_small("flip.h5");
    uint8_t *data;
    size_t size, unnoticed = 0, wrong = 0, first = 0;
    EXPECT(file_read(&data, &size, path, &err) == 0, "%s", err.message);
    int fd = open(path, O_RDWR);
    struct random r = random_stream(6, RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < size; i += i < EACH_UP_TO ? 1 : 1 + (size_t)random_below(&r, 2 * THEN_ABOUT_EACH)) {
        uint8_t other = (uint8_t)(data[i] ^ (1u << random_below(&r, 8)));
        CHECK(pwrite(fd, &other, 1, (off_t)i) == 1, "cannot write");
        int status = read_small(path);
        if (status != -1 && !unnoticed++) first = i;
        wrong += status == -2;
        CHECK(pwrite(fd, &data[i], 1, (off_t)i) == 1, "cannot write");
    }
    close(fd);
    EXPECT(unnoticed == 0, "%zu flips were not noticed, the first at %zu of %zu", unnoticed, first, size);
    EXPECT(wrong == 0, "%zu flips gave wrong data", wrong);
    EXPECT(read_small(path) == 0, "mended: %s", err.message);
    mem_free(data);
    mem_free(path);
}

/* ---- a disk that is full ---- */

static int files_in(const char *path)
{
    char **names;
    int count;
    if (folder_list(&names, &count, path, &err)) return -1;
    folder_list_free(names, count);
    return count;
}

static void test_size_limit(void)
{
    struct rlimit before, small;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    char *path = write_small("limit.h5");
    int files = files_in(folder);
    for (rlim_t limit = 0; limit < 200000; limit += 20000) {
        small = before;
        small.rlim_cur = limit;
        setrlimit(RLIMIT_FSIZE, &small);
        EXPECT(tensor_file_write(path, entries, COUNT, attributes, 3, &err) == -1, "limit %llu", (unsigned long long)limit);
        setrlimit(RLIMIT_FSIZE, &before);
        EXPECT(strstr(err.message, path) && strstr(err.message, "File too large"), "%s", err.message);
    }
    EXPECT(files_in(folder) == files && read_small(path) == 0, "nothing is left, nothing has changed");
    mem_free(path);
}

/* A memory file system of a few KB, where that is allowed. */
static void test_full_disk(void)
{
    char *disk = path_join(folder, "disk"), *path = path_join(disk, "full.h5"), size[32];
    CHECK(folder_create(disk, &err) == 0, "%s", err.message);
    for (int kb = 4; kb <= 204; kb += 40) {
        snprintf(size, sizeof size, "size=%dk", kb);
        if (mount("tmpfs", disk, "tmpfs", 0, size)) {
            printf("note: no mount here (%s), the full disk was not tried\n", strerror(errno));
            break;
        }
        EXPECT(tensor_file_write(path, entries, COUNT, attributes, 3, &err) == -1, "%d KB are too few", kb);
        EXPECT(strstr(err.message, path) && strstr(err.message, "No space left") && err.hint[0], "%s", err.message);
        EXPECT(files_in(disk) == 0, "nothing is left");
        umount(disk);
    }
    mem_free(disk);
    mem_free(path);
}

int main(void)
{
    CHECK(mkdtemp(folder), "cannot make a folder here");
    fill();
    test_round_trip();
    test_made();
    test_refusals();
    test_truncation();
    test_flipped_bytes();
    test_size_limit();
    test_full_disk();
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    return check_verdict();
}
