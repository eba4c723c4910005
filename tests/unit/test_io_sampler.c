/* The order is a permutation that depends on (seed, epoch) alone; slices tile a batch for every count and cut. */
#include <stdlib.h>

#include "io/load/sampler.h"
#include "tests/unit/check.h"

enum { N = 1000 };

static int is_permutation(const int64_t *order, int64_t n)
{
    static unsigned char seen[N];
    memset(seen, 0, sizeof seen);
    for (int64_t i = 0; i < n; i++) {
        if (order[i] < 0 || order[i] >= n || seen[order[i]]++) {
            return 0;
        }
    }
    return 1;
}

static void test_order(void)
{
    static int64_t a[N], b[N];
    for (int64_t n = 0; n <= N; n += 125) {
        sampler_order(a, n, 7, 3);
        EXPECT(is_permutation(a, n), "n = %d", (int)n);
    }
    sampler_order(a, N, 7, 3);
    sampler_order(b, N, 7, 3);
    EXPECT(memcmp(a, b, sizeof a) == 0, "the same question has the same answer");
    sampler_order(b, N, 7, 4);
    EXPECT(memcmp(a, b, sizeof a) != 0, "epochs differ");
    sampler_order(b, N, 8, 3);
    EXPECT(memcmp(a, b, sizeof a) != 0, "seeds differ");
    int fixed = 0;
    for (int i = 0; i < N; i++) {
        fixed += a[i] == i;
    }
    EXPECT(fixed < 12, "a random permutation has about one fixed point, this has %d", fixed);
}

/* Where an image lands is uniform: over many epochs each place gets image 0 equally often (chi-square, 9 degrees of
 * freedom; 27.9 is passed by 99.9 %). */
static void test_uniform(void)
{
    int hits[10] = {0};
    int64_t order[10];
    for (uint64_t epoch = 0; epoch < 5000; epoch++) {
        sampler_order(order, 10, 1, epoch);
        for (int i = 0; i < 10; i++) {
            hits[i] += order[i] == 0;
        }
    }
    double chi = 0;
    for (int i = 0; i < 10; i++) {
        chi += (hits[i] - 500.0) * (hits[i] - 500.0) / 500.0;
    }
    EXPECT(chi < 27.9, "chi-square %g", chi);
}

static void test_slices(void)
{
    for (int count = 0; count < 40; count++) {
        for (int shards = 1; shards < 12; shards++) {
            int expected = 0, low = count, high = 0;
            for (int v = 0; v < shards; v++) {
                int first, number;
                sampler_slice(&first, &number, count, shards, v);
                if (first != expected) {
                    EXPECT(0, "count %d shards %d v %d: first %d, want %d", count, shards, v, first, expected);
                }
                expected += number;
                low = number < low ? number : low;
                high = number > high ? number : high;
            }
            EXPECT(expected == count && high - low <= 1, "count %d shards %d", count, shards);
        }
    }
    int first, number;
    sampler_slice(&first, &number, 10, 4, 1); /* 3 3 2 2 */
    EXPECT(first == 3 && number == 3, "%d + %d", first, number);
    sampler_slice(&first, &number, 10, 4, 2);
    EXPECT(first == 6 && number == 2, "%d + %d", first, number);
}

int main(void)
{
    test_order();
    test_uniform();
    test_slices();
    return check_verdict();
}
