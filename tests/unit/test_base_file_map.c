/* Copies out of a mapped file: the bytes and their CRC-32C at any length and place; a file that is cut meanwhile is an error, not the
 * end of the program. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/crc_copy.h"
#include "base/file.h"
#include "base/file_map.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "tests/unit/check.h"

enum { BYTES = 300000 };
static uint8_t data[BYTES], to[BYTES + 64];
static char path[] = "/tmp/test-file-map-XXXXXX";

static void check_copy(size_t from, size_t at, size_t bytes)
{
    memset(to, 0xA5, sizeof to);
    uint32_t crc = crc32c_copy(to + at, data + from, bytes);
    EXPECT(crc == crc32c_table(0, data + from, bytes), "the sum of %zu bytes at %zu", bytes, from);
    EXPECT(!memcmp(to + at, data + from, bytes), "%zu bytes at %zu", bytes, from);
    EXPECT(to[at + bytes] == 0xA5 && (!at || to[at - 1] == 0xA5), "nothing beside them");
}

static void test_copies(void)
{
    for (size_t bytes = 0; bytes < 200; bytes++) check_copy(bytes % 37, bytes % 33, bytes);
    for (size_t parts = 1; parts < 8; parts++)
        for (size_t more = 0; more < 5; more++) check_copy(more * 13, more * 7, parts * 12288 + more * 17 - 2);
    check_copy(1, 3, BYTES - 1);
}

static void test_map(void)
{
    struct error err = {0};
    struct file_map m;
    uint32_t crc = 1;
    EXPECT(file_map_open(&m, "/nowhere/x", &err) == -1 && !m.data, "no such file");
    EXPECT_TEXT(err.message, "/nowhere/x: cannot open");
    EXPECT(file_map_open(&m, "/tmp", &err) == -1, "a folder");
    EXPECT_TEXT(err.message, "is not a file");
    EXPECT(file_write_atomic(path, "", 0, &err) == 0 && file_map_open(&m, path, &err) == 0 && !m.bytes, "an empty file: %s", err.message);
    EXPECT(file_map_copy(to, &crc, &m, 0, 0, &err) == 0 && crc == 0, "nothing of nothing");
    file_map_expect(&m, 0, 0);
    file_map_close(&m);
    EXPECT(file_write_atomic(path, data, BYTES, &err) == 0 && file_map_open(&m, path, &err) == 0, "%s", err.message);
    EXPECT(m.bytes == BYTES, "%zu", m.bytes);
    file_map_expect(&m, 5001, BYTES - 5001);
    EXPECT(file_map_copy(to, &crc, &m, 5001, 100000, &err) == 0 && crc == crc32c(0, data + 5001, 100000), "%s", err.message);
    EXPECT(!memcmp(to, data + 5001, 100000), "the bytes");
    file_map_close(&m);
    file_map_close(&m);
}

static void *copy_many(void *map)
{
    enum { TIMES = 50 };
    static _Thread_local uint8_t mine[BYTES];
    struct error err = {0};
    uint32_t crc;
    for (intptr_t i = 0; i < TIMES; i++) {
        if (!file_map_copy(mine, &crc, map, 0, BYTES, &err)) return "the file is cut, and was read";
        if (file_map_copy(mine, &crc, map, 0, 4096, &err)) return "its first page is there, and was not read";
    }
    return NULL;
}

/* In many threads at once, again and again. */
static void test_cut(void)
{
    enum { THREADS = 4 };
    struct error err = {0};
    struct file_map m;
    pthread_t ids[THREADS];
    uint32_t crc;
    EXPECT(file_map_open(&m, path, &err) == 0 && truncate(path, 100000) == 0, "%s", err.message);
    EXPECT(file_map_copy(to, &crc, &m, 0, BYTES, &err) == -1, "cut");
    EXPECT_TEXT(err.message, "the file was cut");
    for (int i = 0; i < THREADS; i++) pthread_create(&ids[i], NULL, copy_many, &m);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(ids[i], &wrong);
        EXPECT(!wrong, "%s", (char *)wrong);
    }
    file_map_close(&m);
}

/* Memory behind a file that is too short stands for shared memory of a host that is full. */
static void test_no_room(void)
{
    struct error err = {0};
    struct file_map m;
    FILE *room = tmpfile();
    uint32_t crc;
    EXPECT(file_write_atomic(path, data, BYTES, &err) == 0 && file_map_open(&m, path, &err) == 0, "%s", err.message);
    void *target = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(room), 0);
    EXPECT(target != MAP_FAILED && file_map_copy(target, &crc, &m, 0, BYTES, &err) == -1, "no room");
    EXPECT_TEXT(err.message, "no memory left");
    munmap(target, BYTES);
    fclose(room);
    file_map_close(&m);
}

int main(void)
{
    struct random r = random_stream(4, RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < BYTES; i++) data[i] = (uint8_t)random_u32(&r);
    int fd = mkstemp(path);
    EXPECT(fd >= 0, "no temporary file");
    close(fd);
    test_copies();
    test_map();
    test_cut();
    test_no_room();
    unlink(path);
    return check_verdict();
}
