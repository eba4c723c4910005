/* ctest: mpi=1,2,3,4 timeout=120 */
/* test_dist_comm.c - the communicator: exact sums (whole-number floats, memcmp), the order of the tree bit by bit, agreement,
 * gathering, buckets. Chunks are made small by hand so that the path of very long vectors runs too. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "dist/buckets.h"
#include "dist/comm_mpi.h"

static struct comm *comm;
static int rank, size;

static void set_chunk(size_t bytes)
{
    if (!strcmp(comm_kind(comm), "mpi")) ((struct mpi_state *)comm->state)->chunk_bytes = bytes;
}

/* ---- exact sums ---- */

static float whole(int of_rank, int64_t i)
{
    return (float)((i * 7 + of_rank * 13) % 1001 - 500);
}

static void check_exact(int64_t count, bool fixed_order)
{
    float *mine = NEW_ARRAY(float, count), *want = NEW_ARRAY(float, count);
    for (int64_t i = 0; i < count; i++) {
        mine[i] = whole(rank, i);
        for (int r = 0; r < size; r++) want[i] += whole(r, i);
    }
    comm_wait(comm_sum_start(comm, mine, count, fixed_order, "exact sum"));
    EXPECT(!memcmp(mine, want, (size_t)count * sizeof *mine), "count %lld fixed %d", (long long)count, fixed_order);
    mem_free(mine);
    mem_free(want);
}

static void test_exact_sums(void)
{
    static const int64_t counts[] = {0, 1, 3, 1000, 8192, 8193, (1 << 20) + 7};
    static const size_t chunks[] = {1 << 26, 1 << 16, 4096 + 8};
    for (size_t k = 0; k < sizeof chunks / sizeof *chunks; k++) {
        set_chunk(chunks[k]);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            check_exact(counts[i], true);
            check_exact(counts[i], false);
        }
    }
    set_chunk(1 << 26);
}

/* ---- the tree ---- */

static float rough(int of_rank, int64_t i) /* sums in another order have other bits */
{
    struct random r = random_stream(1, RANDOM_TEST, (uint64_t)of_rank, (uint64_t)i);
    return (float)(random_normal(&r) * exp(8 * random_uniform(&r)));
}

static double tree(double (*value)(int, int64_t), int low, int high, int64_t i, bool in_float)
{
    if (high - low == 1) return value(low, i);
    int half = 1;
    while (2 * half < high - low) half *= 2;
    double below = tree(value, low, low + half, i, in_float), above = tree(value, low + half, high, i, in_float);
    return in_float ? (double)((float)below + (float)above) : below + above;
}

static double rough_double(int of_rank, int64_t i)
{
    return (double)rough(of_rank, i) / 3;
}

static double rough_float(int of_rank, int64_t i)
{
    return (double)rough(of_rank, i);
}

static void test_tree_order(void)
{
    static const int64_t counts[] = {1, 2, 5, 777, 8192, 20011};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        int64_t count = counts[k];
        float *mine = NEW_ARRAY(float, count), *want = NEW_ARRAY(float, count);
        double *wide = NEW_ARRAY(double, count), *want_wide = NEW_ARRAY(double, count);
        for (int64_t i = 0; i < count; i++) {
            mine[i] = rough(rank, i);
            wide[i] = rough_double(rank, i);
            want[i] = (float)tree(rough_float, 0, size, i, true);
            want_wide[i] = tree(rough_double, 0, size, i, false);
        }
        comm_wait(comm_sum_start(comm, mine, count, true, "tree"));
        comm_sum_double(comm, wide, (int)count, "tree of doubles");
        EXPECT(!memcmp(mine, want, (size_t)count * sizeof *mine), "floats, count %lld", (long long)count);
        EXPECT(!memcmp(wide, want_wide, (size_t)count * sizeof *wide), "doubles, count %lld", (long long)count);
        mem_free(mine);
        mem_free(want);
        mem_free(wide);
        mem_free(want_wide);
    }
}

/* ---- many at once ---- */

static void test_many_in_flight(void)
{
    enum { REQUESTS = 60, COUNT = 3000 };
    struct comm_request *requests[REQUESTS];
    float *values = NEW_ARRAY(float, REQUESTS * COUNT);
    for (int64_t i = 0; i < REQUESTS * COUNT; i++) values[i] = whole(rank, i);
    for (int q = 0; q < REQUESTS; q++) requests[q] = comm_sum_start(comm, values + q * COUNT, 50 * q, q % 3 != 0, "one of many");
    double one = 1;
    comm_sum_double(comm, &one, 1, "while they run");
    EXPECT(one == size, "%g", one);
    for (int q = REQUESTS - 1; q >= 0; q -= 2) comm_wait(requests[q]); /* any order of waiting */
    for (int q = 0; q < REQUESTS; q += 2) {
        while (!comm_test(requests[q])) {}
        comm_wait(requests[q]);
    }
    int wrong = 0;
    for (int q = 0; q < REQUESTS; q++)
        for (int64_t i = q * COUNT; i < (q + 1) * COUNT; i++) {
            float want = whole(rank, i);
            if (i < q * COUNT + 50 * q) {
                want = 0;
                for (int r = 0; r < size; r++) want += whole(r, i);
            }
            wrong += values[i] != want;
        }
    EXPECT(wrong == 0, "%d values", wrong);
    mem_free(values);
}

/* ---- small operations ---- */

static void test_broadcast_and_max(void)
{
    for (int root = 0; root < size; root++)
        for (int64_t bytes = 0; bytes < 100000; bytes = bytes * 7 + 1) {
            uint8_t *data = mem_zero((size_t)bytes);
            int64_t wrong = 0;
            for (int64_t i = 0; i < bytes && rank == root; i++) data[i] = (uint8_t)(i * 31 + root);
            set_chunk(1000);
            comm_broadcast(comm, data, (size_t)bytes, root, "broadcast");
            for (int64_t i = 0; i < bytes; i++) wrong += data[i] != (uint8_t)(i * 31 + root);
            EXPECT(wrong == 0, "root %d bytes %lld", root, (long long)bytes);
            mem_free(data);
        }
    set_chunk(1 << 26);
    double most[3] = {rank, -rank, rank == size - 1 ? NAN : 0};
    comm_max_double(comm, most, 3, "maximum");
    EXPECT(most[0] == size - 1 && most[1] == 0 && isnan(most[2]), "%g %g %g", most[0], most[1], most[2]);
    comm_barrier(comm, "barrier");
}

static void test_gather(void)
{
    size_t mine_bytes = (size_t)(rank * 5003), *counts = NEW_ARRAY(size_t, size);
    uint8_t *mine = mem_alloc(mine_bytes);
    memset(mine, 'a' + rank, mine_bytes);
    void *all;
    set_chunk(1024);
    comm_gather(comm, mine, mine_bytes, &all, counts, "gather");
    set_chunk(1 << 26);
    EXPECT((all != NULL) == (rank == 0), "only rank 0 gets them");
    size_t at = 0, wrong = 0;
    for (int r = 0; r < size && all; r++) {
        EXPECT(counts[r] == (size_t)(r * 5003), "rank %d: %zu bytes", r, counts[r]);
        for (size_t i = 0; i < counts[r]; i++) wrong += ((uint8_t *)all)[at++] != 'a' + r;
    }
    EXPECT(wrong == 0, "%zu bytes", wrong);
    mem_free(all);
    mem_free(mine);
    mem_free(counts);
}

static void test_agreement(void)
{
    struct error err = {{0}, {0}};
    EXPECT(comm_agree(comm, 0, &err, "agree") == 0, "nobody failed");
    for (int first = 0; first < size; first++) {
        int rc = rank >= first ? error_set(&err, "shard-%d.h5: truncated", rank) : 0;
        if (rc) error_hint(&err, "copy it again");
        EXPECT(comm_agree(comm, rc, &err, "agree") == -1, "somebody failed");
        char want[64] = "shard-0.h5: truncated";
        if (size > 1) snprintf(want, sizeof want, "rank %d: shard-%d.h5: truncated", first, first);
        EXPECT(!strcmp(err.message, want) && !strcmp(err.hint, "copy it again"), "'%s' '%s', want '%s'", err.message, err.hint, want);
        EXPECT(comm_any(comm, rank == first, "any"), "one said yes");
    }
    EXPECT(!comm_any(comm, false, "any"), "nobody said yes");
}

/* ---- buckets ---- */

static void run_buckets(float *gradients, int64_t count, size_t bucket_bytes, bool fixed_order, bool overlap, struct random *r)
{
    struct buckets *b = buckets_open(comm, gradients, count, bucket_bytes, fixed_order, overlap);
    EXPECT(buckets_count(b) >= 1, "%d", buckets_count(b));
    for (int step = 0; step < 2; step++) {
        for (int64_t i = 0; i < count; i++) gradients[i] = rough(rank, i);
        for (int64_t end = 0; end < count && random_below(r, 20);) { /* sometimes backward never says the rest */
            end += 1 + random_below(r, count / 5 + 1);
            buckets_ready(b, end < count ? end : count);
        }
        EXPECT(buckets_wait(b) >= 0, "a time");
    }
    buckets_close(b);
}

static void test_buckets(void)
{
    struct random r = random_stream(3, RANDOM_TEST, 0, 0);
    for (int trial = 0; trial < 25; trial++) {
        int64_t count = trial ? 1 + random_below(&r, 30000) : 0;
        size_t bucket_bytes = (size_t)(4 + random_below(&r, 20000));
        float *early = NEW_ARRAY(float, count), *late = NEW_ARRAY(float, count), *want = NEW_ARRAY(float, count);
        for (int64_t i = 0; i < count; i++) want[i] = (float)tree(rough_float, 0, size, i, true);
        run_buckets(early, count, bucket_bytes, true, true, &r);
        run_buckets(late, count, bucket_bytes, true, false, &r);
        size_t bytes = (size_t)count * sizeof *early;
        EXPECT(!memcmp(early, want, bytes), "overlap: the tree, count %lld", (long long)count);
        EXPECT(!memcmp(late, want, bytes), "no overlap: the tree, count %lld", (long long)count);
        run_buckets(early, count, bucket_bytes, false, true, &r);
        run_buckets(late, count, bucket_bytes, false, false, &r);
        EXPECT(!memcmp(early, late, bytes), "MPI's sum: overlap changes no bit, count %lld", (long long)count);
        mem_free(early);
        mem_free(late);
        mem_free(want);
    }
}

static void test_self(void)
{
    struct error err = {{0}, {0}};
    EXPECT(!comm_open("nonsense", 1, &err), "no such kind");
    EXPECT_TEXT(err.message, "nonsense");
    if (getenv("OMPI_COMM_WORLD_SIZE")) return;
    struct comm *alone = comm_open("auto", 1, &err);
    EXPECT(alone && !strcmp(comm_kind(alone), "self") && comm_size(alone) == 1, "no launcher: self");
    double x = 2;
    comm_sum_double(alone, &x, 1, "alone");
    EXPECT(x == 2 && comm_agree(alone, error_set(&err, "bad"), &err, "agree") == -1 && !strcmp(err.message, "bad"), "%s", err.message);
    int started = 1;
    MPI_Initialized(&started);
    EXPECT(!started, "self starts no MPI");
    comm_close(alone);
}

int main(void)
{
    struct error err;
    test_self();
    comm = comm_open("mpi", 60, &err);
    if (!comm) die_error(&err);
    rank = comm_rank(comm);
    size = comm_size(comm);
    EXPECT(comm_local_size(comm) >= 1 && comm_local_rank(comm) < comm_local_size(comm), "%d", comm_local_rank(comm));
    comm_describe_step(comm, "test %d", 1);
    test_exact_sums();
    test_tree_order();
    test_many_in_flight();
    test_broadcast_and_max();
    test_gather();
    test_agreement();
    test_buckets();
    comm_close(comm);
    comm_close(NULL);
    return check_verdict();
}
