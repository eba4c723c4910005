/* near_duplicates.c - see near_duplicates.h.
 *
 * Pairs are found by sorting: the hash is cut into PIECES pieces, and once for each of them all pictures with that piece equal lie together.
 * Two hashes at most LOOK_DISTANCE = PIECES - 1 bits apart have one piece equal at least (pigeonhole). A pair that meets in several is told
 * at the first. */
#include "io/pack/near_duplicates.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { SIDE = 16, BITS = 8 * LOOK_BYTES, PIECES = LOOK_DISTANCE + 1, LIMBS = LOOK_BYTES / 8 };
_Static_assert((BITS + PIECES - 1) / PIECES <= 32, "a piece is a 32-bit number");

struct hash { /* the same bits as numbers */
    uint64_t limb[LIMBS];
};
struct bucket {
    uint32_t piece;
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

#define INLINE static inline __attribute__((always_inline))

INLINE int distance_of(const struct hash *a, const struct hash *b)
{
    int distance = 0;
    for (int i = 0; i < LIMBS; i++) distance += __builtin_popcountll(a->limb[i] ^ b->limb[i]);
    return distance;
}

static uint32_t piece_of(const struct hash *h, int p)
{
    int from = BITS * p / PIECES, width = BITS * (p + 1) / PIECES - from, limb = from / 64, shift = from % 64;
    uint64_t bits = h->limb[limb] >> shift;
    if (shift + width > 64) bits |= h->limb[limb + 1] << (64 - shift);
    return (uint32_t)(bits & ((1ull << width) - 1));
}

/* Whether an earlier piece already brought the two together. */
static bool met_before(const struct hash *a, const struct hash *b, int piece)
{
    for (int e = 0; e < piece; e++)
        if (piece_of(a, e) == piece_of(b, e)) return true;
    return false;
}

static int by_piece(const void *a, const void *b)
{
    const struct bucket *x = a, *y = b;
    return x->piece != y->piece ? (x->piece > y->piece) - (x->piece < y->piece) : (x->index > y->index) - (x->index < y->index);
}

struct search {
    const struct hash *hashes;
    const struct bucket *buckets;
    int count, piece;
    void (*found)(void *context, int i, int j, int distance);
    void *context;
};

/* Neighbours in the sorted row; a flat border is everybody's, so a crowd is not compared all with all. */
INLINE void compare_neighbours(const struct search *s)
{
    const struct bucket *b = s->buckets;
    for (int i = 0; i < s->count; i++)
        for (int j = i + 1; j < s->count && j - i <= LOOK_CROWD && b[j].piece == b[i].piece; j++) {
            const struct hash *x = &s->hashes[b[i].index], *y = &s->hashes[b[j].index];
            int distance = distance_of(x, y);
            if (distance <= LOOK_DISTANCE && !met_before(x, y, s->piece)) s->found(s->context, b[i].index, b[j].index, distance);
        }
}

static void compare_plain(const struct search *s)
{
    compare_neighbours(s);
}

#ifdef __x86_64__
__attribute__((target("popcnt"))) static void compare_popcnt(const struct search *s)
{
    compare_neighbours(s);
}
#endif

static void compare(const struct search *s)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("popcnt")) {
        compare_popcnt(s);
        return;
    }
#endif
    compare_plain(s);
}

void look_pairs(const uint8_t *const *looks, int count, void (*found)(void *context, int i, int j, int distance), void *context)
{
    struct bucket *b = NEW_ARRAY(struct bucket, count);
    struct hash *h = NEW_ARRAY(struct hash, count);
    for (int i = 0; i < count; i++)
        if (looks[i]) memcpy(&h[i], looks[i], sizeof *h);
    for (int p = 0; p < PIECES; p++) {
        int n = 0;
        for (int i = 0; i < count; i++)
            if (looks[i]) b[n++] = (struct bucket){piece_of(&h[i], p), i};
        if (n) qsort(b, (size_t)n, sizeof *b, by_piece);
        compare(&(struct search){h, b, n, p, found, context});
    }
    mem_free(h);
    mem_free(b);
}
