/* buckets.c - equal parts of the gradient arena, each summed as one request.
 *
 * DESIGN. Backward fills the arena from its start, so buckets become whole in order. One request per bucket is kept until
 * buckets_wait; a call of buckets_ready tests those under way, which is what moves their data while backward computes. */
#include "dist/buckets.h"

#include "base/clock.h"
#include "base/memory.h"

struct buckets {
    struct comm *comm;
    float *gradients;
    int64_t count;
    bool fixed_order, overlap;
    int parts, started, finished; /* [0, finished) are done, [finished, started) may still be under way */
    struct comm_request **requests;
};

enum { LINE_FLOATS = 16 }; /* bucket borders fall on cache lines */

struct buckets *buckets_open(struct comm *c, float *gradients, int64_t count, size_t bucket_bytes, bool fixed_order, bool overlap)
{
    ASSERT(count >= 0 && bucket_bytes > 0);
    struct buckets *b = NEW(struct buckets);
    double parts = (double)count * sizeof(float) / (double)bucket_bytes + 0.5;
    int64_t most = count / LINE_FLOATS;
    *b = (struct buckets){.comm = c, .gradients = gradients, .count = count, .fixed_order = fixed_order, .overlap = overlap};
    b->parts = parts < 1 || most < 1 ? 1 : parts < (double)most ? (int)parts : (int)most;
    b->requests = NEW_ARRAY(struct comm_request *, b->parts);
    return b;
}

static void finish_started(struct buckets *b)
{
    for (; b->finished < b->started; b->finished++) comm_wait(b->requests[b->finished]);
}

void buckets_close(struct buckets *b)
{
    if (!b) return;
    finish_started(b);
    mem_free(b->requests);
    mem_free(b);
}

/* First element of a bucket. */
static int64_t border(const struct buckets *b, int bucket)
{
    if (bucket == b->parts) return b->count;
    int64_t lines = b->count / LINE_FLOATS;
    return (lines / b->parts * bucket + lines % b->parts * bucket / b->parts) * LINE_FLOATS;
}

static void start_covered(struct buckets *b, int64_t end)
{
    for (; b->started < b->parts && border(b, b->started + 1) <= end; b->started++) {
        int64_t first = border(b, b->started), past = border(b, b->started + 1);
        b->requests[b->started] = comm_sum_start(b->comm, b->gradients + first, past - first, b->fixed_order, "sum of gradients");
    }
}

void buckets_ready(struct buckets *b, int64_t end)
{
    ASSERT(end <= b->count);
    if (!b->overlap) return;
    start_covered(b, end);
    for (int i = b->finished; i < b->started; i++) comm_test(b->requests[i]);
}

double buckets_wait(struct buckets *b)
{
    double started_s = clock_s();
    start_covered(b, b->count);
    finish_started(b);
    b->started = b->finished = 0;
    return clock_s() - started_s;
}

int buckets_count(const struct buckets *b)
{
    return b->parts;
}
