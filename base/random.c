/* random.c - Philox4x32-10 and the streams built on it.
 *
 * DESIGN: number i of a stream is 64 bits, one half of the Philox block i/2. The key holds seed and purpose, the
 * counter holds the block number and (a, b). The layout is one to one while seed, a and b are below 2^32, so two
 * streams never share a block. A 32-bit number is the upper half of the 64-bit one: both kinds can be mixed freely.
 */
#include "base/random.h"

#include "base/error.h"
#include "base/random_private.h"

void philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_MULTIPLIER_0 * x0, p1 = (uint64_t)PHILOX_MULTIPLIER_1 * x2;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x1 = (uint32_t)p1;
        x3 = (uint32_t)p0;
        k0 += PHILOX_WEYL_0;
        k1 += PHILOX_WEYL_1;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

struct random random_stream(uint64_t seed, enum random_purpose purpose, uint64_t a, uint64_t b)
{
    return (struct random){.seed = seed, .purpose = (uint32_t)purpose, .a = a, .b = b};
}

struct random_block random_block_of(const struct random *r)
{
    uint64_t place = r->a ^ (r->b << 32 | r->b >> 32);
    return (struct random_block){.place = {(uint32_t)place, (uint32_t)(place >> 32)},
                                 .key = {(uint32_t)r->seed, (uint32_t)(r->seed >> 32) ^ (r->purpose * PHILOX_WEYL_0)}};
}

/* Numbers 2 block and 2 block + 1. */
static void block_at(uint64_t out[2], const struct random *r, uint64_t block)
{
    struct random_block b = random_block_of(r);
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), b.place[0], b.place[1]}, x[4];
    philox4x32(x, counter, b.key);
    out[0] = (uint64_t)x[1] << 32 | x[0];
    out[1] = (uint64_t)x[3] << 32 | x[2];
}

uint64_t random_u64_at(const struct random *r, uint64_t index)
{
    uint64_t both[2];
    block_at(both, r, index / 2);
    return both[index % 2];
}

uint32_t random_u32_at(const struct random *r, uint64_t index)
{
    return (uint32_t)(random_u64_at(r, index) >> 32);
}

uint32_t random_u32(struct random *r)
{
    return random_u32_at(r, r->index++);
}

uint64_t random_u64(struct random *r)
{
    return random_u64_at(r, r->index++);
}

static double to_uniform(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

double random_uniform(struct random *r)
{
    return to_uniform(random_u64(r));
}

double random_range(struct random *r, double low, double high)
{
    double value = low + (high - low) * random_uniform(r);
    return value < high ? value : low; /* rounding may reach `high` */
}

int64_t random_below(struct random *r, int64_t n)
{
    ASSERT(n > 0);
    uint64_t bound = (uint64_t)n, value;
    uint64_t uneven = (UINT64_MAX % bound + 1) % bound; /* 2^64 mod n: the lowest values are drawn again */
    do value = random_u64(r);
    while (value < uneven);
    return (int64_t)(value % bound);
}

void random_shuffle(struct random *r, int64_t *values, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = random_below(r, i + 1), kept = values[i];
        values[i] = values[j];
        values[j] = kept;
    }
}
