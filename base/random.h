/* random.h - counter-based random numbers: Philox4x32-10 (Salmon et al., SC'11, "Parallel random numbers: as easy as
 * 1, 2, 3"). A number is a pure function of (seed, purpose, a, b, index): no state, so the order in which ranks and
 * threads ask changes nothing, and a resumed run asks the same questions again. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H
#include <stdint.h>

enum random_purpose { /* never renumber: results depend on it */
    RANDOM_INIT = 1,     /* a = parameter index */
    RANDOM_SHUFFLE = 2,  /* a = epoch */
    RANDOM_AUGMENT = 3,  /* a = epoch, b = sample */
    RANDOM_DROPOUT = 4,  /* a = row key, b = layer */
    RANDOM_DROP_PATH = 5,/* a = row key, b = layer */
    RANDOM_ROW_KEY = 6,  /* a = epoch, b = sample */
    RANDOM_SPLIT = 7,
    RANDOM_PHANTOM = 8,
    RANDOM_TEST = 9,
    RANDOM_BOOTSTRAP = 10,
    RANDOM_EXPLAIN = 11, /* a = image, b = 0: order of equal pixels, 1: a map without meaning */
    RANDOM_TRIAL = 12,
};

struct random { /* a plain value; copy freely */
    uint64_t seed;
    uint32_t purpose;
    uint64_t a, b;
    uint64_t index; /* next number of the sequential helpers below */
};
/* The raw generator: out = Philox4x32-10(counter, key). */
void philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

struct random random_stream(uint64_t seed, enum random_purpose purpose, uint64_t a, uint64_t b);
/* Number `index` of the stream: random access. The 32-bit number is the upper half of the 64-bit one. */
uint32_t random_u32_at(const struct random *r, uint64_t index);
uint64_t random_u64_at(const struct random *r, uint64_t index);
/* Sequential: take the next number (random_normal takes two, random_below rarely more than one). */
uint32_t random_u32(struct random *r);
uint64_t random_u64(struct random *r);
double random_uniform(struct random *r);                        /* [0, 1), 53 bits */
double random_range(struct random *r, double low, double high); /* [low, high) */
double random_normal(struct random *r);                         /* mean 0, deviation 1 (Box-Muller) */
/* out[i] = deviation times a normal, i < count: those of pair `first_pair` (of the stream's numbers 2 pair and 2 pair + 1) and the next
 * ones, out[0] as random_normal gives it for the same numbers. The same bits on every CPU. For long rows. */
void random_normals(float *out, int64_t count, double deviation, const struct random *r, uint64_t first_pair);
int64_t random_below(struct random *r, int64_t n);              /* 0 .. n-1, unbiased */
/* Fisher-Yates shuffle of n values. */
void random_shuffle(struct random *r, int64_t *values, int64_t n);
#endif
