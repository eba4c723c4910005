/* Philox against the known answers of the Random123 distribution; streams: independent, repeatable, well spread. */
#include "base/random.h"

#include "base/hash.h"
#include "tests/unit/check.h"

static void known_answers(void)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        philox4x32(out, known[i].counter, known[i].key);
        EXPECT(!memcmp(out, known[i].out, sizeof out), "vector %d: %08x %08x %08x %08x", i, out[0], out[1], out[2], out[3]);
    }
}

/* The layout of a stream is part of every result: this number must never change. */
static void layout_is_fixed(void)
{
    struct random r = random_stream(1, RANDOM_TEST, 2, 3);
    uint32_t out[4], counter[4] = {7 / 2, 0, 2, 3}, key[2] = {1, 9u * 0x9E3779B9u};
    philox4x32(out, counter, key);
    EXPECT(random_u64_at(&r, 7) == ((uint64_t)out[3] << 32 | out[2]), "odd numbers are the upper half");
    EXPECT(random_u64_at(&r, 6) == ((uint64_t)out[1] << 32 | out[0]), "even numbers are the lower half");
    EXPECT(random_u32_at(&r, 7) == out[3], "32 bits are the top of 64");
}

static void streams_differ(void)
{
    enum { STREAMS = 2 * 3 * 4 * 4, NUMBERS = 8 };
    static uint64_t all[STREAMS * NUMBERS];
    int n = 0, equal = 0;
    for (uint64_t seed = 0; seed < 2; seed++)
        for (int purpose = 1; purpose < 4; purpose++)
            for (uint64_t a = 0; a < 4; a++)
                for (uint64_t b = 0; b < 4; b++) {
                    struct random r = random_stream(seed, (enum random_purpose)purpose, a, b);
                    for (int i = 0; i < NUMBERS; i++) all[n++] = random_u64(&r);
                }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++) equal += all[i] == all[j];
    EXPECT(equal == 0, "%d equal pairs among %d numbers", equal, n);
}

static void sequence_is_random_access(void)
{
    struct random r = random_stream(42, RANDOM_TEST, 0, 0), start = r;
    int wrong = 0;
    for (uint64_t i = 0; i < 100; i++) wrong += random_u64(&r) != random_u64_at(&start, i);
    EXPECT(wrong == 0, "%d differ", wrong);
}

static void moments(void)
{
    enum { N = 200000 };
    struct random r = random_stream(5, RANDOM_TEST, 1, 1);
    double sum = 0, squares = 0, uniform = 0, lowest = 1, highest = 0;
    for (int i = 0; i < N; i++) {
        double z = random_normal(&r), u = random_uniform(&r);
        sum += z;
        squares += z * z;
        uniform += u;
        lowest = u < lowest ? u : lowest;
        highest = u > highest ? u : highest;
    }
    EXPECT_NEAR(sum / N, 0, 5 / sqrt(N)); /* five standard errors */
    EXPECT_NEAR(squares / N, 1, 5 * sqrt(2.0 / N));
    EXPECT_NEAR(uniform / N, 0.5, 5 * sqrt(1.0 / 12 / N));
    EXPECT(lowest >= 0 && highest < 1, "uniform in [%g, %g]", lowest, highest);
}

/* Box and Muller's formula as the C library computes it. */
static void by_library(double out[2], const struct random *r, uint64_t pair)
{
    double u = (double)(random_u64_at(r, 2 * pair) >> 12) * 0x1p-52, v = (double)(random_u64_at(r, 2 * pair + 1) >> 12) * 0x1p-52;
    double radius = sqrt(-2 * log(1 - u)), angle = 6.283185307179586476925 * v;
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

static void rows_of_normals(void)
{
    enum { N = 100001 };
    static float row[N], piece[N];
    struct random r = random_stream(5, RANDOM_TEST, 2, 2), sequence = r;
    double squares = 0, sum = 0, product = 0, z[2], worst = 0;
    int wrong = 0;
    random_normals(row, N, 1, &r, 0);
    for (int i = 0; i + 1 < N; i += 2) {
        double first = random_normal(&sequence);
        by_library(z, &r, (uint64_t)i / 2);
        wrong += row[i] != (float)first;
        worst = fmax(worst, fmax(fabs(first - z[0]) / (1 + fabs(z[0])), fabs(row[i + 1] - z[1]) / (1 + fabs(z[1])) / 1e8));
        sum += row[i + 1];
        squares += (double)row[i + 1] * row[i + 1];
        product += (double)row[i] * row[i + 1];
    }
    EXPECT(wrong == 0, "%d differ from the sequence", wrong);
    EXPECT(worst > 0 && worst < 4e-15, "%g away from the library's formula", worst);
    EXPECT_NEAR(sum / (N / 2), 0, 5 / sqrt(N / 2));
    EXPECT_NEAR(squares / (N / 2), 1, 5 * sqrt(2.0 / (N / 2)));
    EXPECT_NEAR(product / (N / 2), 0, 5 / sqrt(N / 2));
    for (int i = 0, step = 2; i < N; i += step, step = (step * 7 + 6) % 1000 & ~1) { /* pieces of every length */
        if (step < 2) step = 2;
        random_normals(piece + i, N - i < step ? N - i : step, 1, &r, (uint64_t)i / 2);
    }
    EXPECT(!memcmp(piece, row, sizeof row), "pieces differ from the whole");
    EXPECT(crc32c(0, row, sizeof row) == 0xe57fb316, "other numbers than elsewhere: %08x", crc32c(0, row, sizeof row));
}

static void below_and_shuffle(void)
{
    enum { N = 60000, SIDES = 6 };
    struct random r = random_stream(6, RANDOM_TEST, 0, 0);
    int count[SIDES] = {0}, seen[SIDES] = {0}, first[SIDES] = {0};
    for (int i = 0; i < N; i++) count[random_below(&r, SIDES)]++;
    for (int i = 0; i < SIDES; i++) EXPECT_NEAR(count[i], N / SIDES, 5 * sqrt(N * 5.0 / 36));
    EXPECT(random_below(&r, 1) == 0, "only one value");
    EXPECT(random_range(&r, 2, 3) >= 2 && random_range(&r, 2, 3) < 3, "range");
    for (int i = 0; i < N; i++) {
        int64_t v[SIDES] = {0, 1, 2, 3, 4, 5};
        random_shuffle(&r, v, SIDES);
        first[v[0]]++;
        for (int k = 0; k < SIDES; k++) seen[v[k]]++;
    }
    for (int i = 0; i < SIDES; i++) {
        EXPECT(seen[i] == N, "value %d seen %d times", i, seen[i]);
        EXPECT_NEAR(first[i], N / SIDES, 5 * sqrt(N * 5.0 / 36));
    }
}

int main(void)
{
    known_answers();
    layout_is_fixed();
    streams_differ();
    sequence_is_random_access();
    moments();
    rows_of_normals();
    below_and_shuffle();
    return check_verdict();
}
