/* test_io_near_duplicates.c - pairs of look-alike hashes beside all pairs tried one by one; the hash of a picture and of its kin; crowds. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "io/pack/near_duplicates.h"
#include "tests/unit/check.h"

enum { COUNT = 3000 };
static uint8_t looks[COUNT][LOOK_BYTES];
static const uint8_t *list[COUNT];
static uint8_t *seen; /* (COUNT, COUNT) how often a pair was told */
static int wrong;

static int distance(const uint8_t *a, const uint8_t *b)
{
    int bits = 0;
    for (int i = 0; i < LOOK_BYTES; i++)
        for (int k = 0; k < 8; k++) bits += (a[i] >> k & 1) != (b[i] >> k & 1);
    return bits;
}

static void take(void *context, int i, int j, int told)
{
    ++*(int *)context;
    wrong += i >= j || distance(looks[i], looks[j]) != told;
    seen[i * COUNT + j]++;
}

static void flip(uint8_t *look, struct random *r, int bits)
{
    for (int i = 0; i < bits; i++) {
        int at = (int)random_below(r, 8 * LOOK_BYTES);
        look[at / 8] ^= (uint8_t)(1 << at % 8);
    }
}

/* Random hashes, every third one near to an earlier one. */
static void test_pairs(void)
{
    struct random r = random_stream(1, RANDOM_TEST, 0, 0);
    int told = 0, near = 0, missed = 0, doubled = 0;
    for (int i = 0; i < COUNT; i++) {
        for (int k = 0; k < LOOK_BYTES; k++) looks[i][k] = (uint8_t)random_below(&r, 256);
        if (i % 3 == 2) {
            memcpy(looks[i], looks[random_below(&r, i)], LOOK_BYTES);
            flip(looks[i], &r, (int)random_below(&r, 16));
        }
        list[i] = i % 50 == 7 ? NULL : looks[i];
    }
    memset(seen, 0, (size_t)COUNT * COUNT);
    wrong = 0;
    look_pairs(list, COUNT, take, &told);
    for (int i = 0; i < COUNT; i++)
        for (int j = i + 1; j < COUNT; j++) {
            bool want = list[i] && list[j] && distance(looks[i], looks[j]) <= LOOK_DISTANCE;
            near += want;
            missed += want && !seen[i * COUNT + j];
            doubled += seen[i * COUNT + j] > want;
        }
    EXPECT(near > 500 && told == near && !missed && !doubled && !wrong, "%d near, %d told, %d missed, %d doubled, %d wrong", near, told, missed,
           doubled, wrong);
}

/* All alike: a bounded number of pairs. */
static void test_crowd(void)
{
    int told = 0;
    for (int i = 0; i < COUNT; i++) {
        memset(looks[i], 0x5a, LOOK_BYTES);
        list[i] = looks[i];
    }
    look_pairs(list, COUNT, take, &told);
    EXPECT(told == COUNT * LOOK_CROWD - LOOK_CROWD * (LOOK_CROWD + 1) / 2, "%d pairs", told);
    told = 0;
    look_pairs(list, 0, take, &told);
    EXPECT(told == 0, "none");
}

static void make_picture(struct image *image, int height, int width, int seed)
{
    *image = (struct image){height, width, 1, mem_alloc((size_t)(height * width))};
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            image->pixels[y * width + x] = (uint8_t)(128 + 50 * sin(seed + 9.0 * x / width) + 50 * cos(2 * seed + 7.0 * y / height + 4.0 * x / width));
}

static void test_looks(void)
{
    struct image a, b, c;
    uint8_t look[3][LOOK_BYTES];
    make_picture(&a, 200, 300, 1);
    make_picture(&b, 131, 190, 1);
    make_picture(&c, 200, 300, 5);
    look_of(look[0], &a);
    look_of(look[1], &b);
    look_of(look[2], &c);
    EXPECT(distance(look[0], look[1]) <= LOOK_DISTANCE, "another size of the same: %d bits", distance(look[0], look[1]));
    EXPECT(distance(look[0], look[2]) > 3 * LOOK_DISTANCE, "another picture: %d bits", distance(look[0], look[2]));
    image_free(&a);
    image_free(&b);
    image_free(&c);
}

int main(void)
{
    seen = mem_alloc((size_t)COUNT * COUNT);
    test_pairs();
    test_crowd();
    test_looks();
    mem_free(seen);
    return check_verdict();
}
