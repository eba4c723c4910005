/* near_duplicates.c - see near_duplicates.h.
 *
 * Pairs are found by sorting: once for each of the hash's 16 words, all pictures with that word equal lie together. LOOK_DISTANCE is
 * below 16, so one word at least of two such hashes is equal (pigeonhole). A pair that meets in several words is told at the first. */
#include "io/near_duplicates.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { SIDE = 16, WORDS = LOOK_BYTES / 2, CROWD = 2000 };
_Static_assert((int)LOOK_DISTANCE < (int)WORDS, "two near hashes must share a word");

struct bucket {
    uint16_t word;
    int index;
};

void look_of(uint8_t look[LOOK_BYTES], const struct image *image)
{
    struct image small;
    size_t channels = (size_t)image->channels;
    memset(look, 0, LOOK_BYTES);
    image_resize(&small, image, SIDE, SIDE + 1);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            const uint8_t *p = small.pixels + ((size_t)y * (SIDE + 1) + (size_t)x) * channels;
            size_t green = channels / 2; /* of RGB; a grey picture's only one */
            if (p[green] > p[channels + green]) look[2 * y + x / 8] |= (uint8_t)(1 << x % 8);
        }
    image_free(&small);
}

int look_distance(const uint8_t a[LOOK_BYTES], const uint8_t b[LOOK_BYTES])
{
    int distance = 0;
    for (int i = 0; i < LOOK_BYTES; i += 8) {
        uint64_t x, y;
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        distance += __builtin_popcountll(x ^ y);
    }
    return distance;
}

static uint16_t word_of(const uint8_t *look, int w)
{
    return (uint16_t)(look[2 * w] | look[2 * w + 1] << 8);
}

/* Whether an earlier word already brought the two together. */
static bool met_before(const uint8_t *a, const uint8_t *b, int w)
{
    for (int e = 0; e < w; e++)
        if (word_of(a, e) == word_of(b, e)) return true;
    return false;
}

static int by_word(const void *a, const void *b)
{
    const struct bucket *x = a, *y = b;
    return x->word != y->word ? (x->word > y->word) - (x->word < y->word) : (x->index > y->index) - (x->index < y->index);
}

void look_pairs(const uint8_t *const *looks, int count, void (*found)(void *context, int i, int j, int distance), void *context)
{
    struct bucket *b = NEW_ARRAY(struct bucket, count);
    for (int w = 0; w < WORDS; w++) {
        int n = 0;
        for (int i = 0; i < count; i++)
            if (looks[i]) b[n++] = (struct bucket){word_of(looks[i], w), i};
        if (n) qsort(b, (size_t)n, sizeof *b, by_word);
        for (int i = 0; i < n; i++)
            for (int j = i + 1; j < n && j - i < CROWD && b[j].word == b[i].word; j++) { /* a flat border is everybody's: bounded */
                const uint8_t *x = looks[b[i].index], *y = looks[b[j].index];
                int distance = look_distance(x, y);
                if (distance <= LOOK_DISTANCE && !met_before(x, y, w)) found(context, b[i].index, b[j].index, distance);
            }
    }
    mem_free(b);
}
