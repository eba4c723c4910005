/* comm_schedule.c - the three schedules of a sum and the binomial broadcast. */
#include "dist/comm_schedule.h"

static struct comm_step step_send(int to, int64_t at, int64_t count)
{
    return (struct comm_step){.send_to = to, .recv_from = -1, .send_at = at, .send_count = count};
}

static struct comm_step step_receive(int from, int64_t at, int64_t count, enum comm_combine combine)
{
    return (struct comm_step){.send_to = -1, .recv_from = from, .recv_at = at, .recv_count = count, .combine = combine};
}

static enum comm_combine side(int rank, int distance)
{
    return rank & distance ? COMBINE_BELOW : COMBINE_ABOVE;
}

static int sum_doubling(struct comm_step *steps, int rank, int size, int64_t count)
{
    int n = 0;
    for (int distance = 1; distance < size; distance *= 2) {
        int peer = rank ^ distance;
        steps[n++] = (struct comm_step){peer, peer, 0, count, 0, count, side(rank, distance)};
    }
    return n;
}

/* Down: at each level the pair splits its common range, the lower rank keeps the first half. Up: the way back. */
static int sum_halving(struct comm_step *steps, int rank, int size, int64_t count)
{
    int n = 0;
    int64_t at = 0;
    for (int distance = 1; distance < size; distance *= 2) {
        int peer = rank ^ distance;
        int64_t first = count / 2, second = count - first;
        if (rank & distance) {
            steps[n++] = (struct comm_step){peer, peer, at, first, at + first, second, COMBINE_BELOW};
            at += first;
            count = second;
        } else {
            steps[n++] = (struct comm_step){peer, peer, at + first, second, at, first, COMBINE_ABOVE};
            count = first;
        }
    }
    for (int level = n - 1; level >= 0; level--) {
        struct comm_step down = steps[level];
        steps[n++] = (struct comm_step){down.send_to, down.recv_from, down.recv_at, down.recv_count,
                                        down.send_at, down.send_count, COMBINE_STORE};
    }
    return n;
}

/* Walks from the root of the tree down to this rank; the steps are done in the opposite order. */
static int sum_up(struct comm_step *steps, int rank, int size, int64_t count)
{
    int n = 0, low = 0, high = size;
    while (high - low > 1) {
        int half = 1;
        while (2 * half < high - low) half *= 2;
        int middle = low + half;
        if (rank == low) steps[n++] = step_receive(middle, 0, count, COMBINE_ABOVE);
        if (rank == middle) steps[n++] = step_send(low, 0, count);
        if (rank < middle)
            high = middle;
        else
            low = middle;
    }
    for (int i = 0; i < n / 2; i++) {
        struct comm_step kept = steps[i];
        steps[i] = steps[n - 1 - i];
        steps[n - 1 - i] = kept;
    }
    return n;
}

int schedule_broadcast(struct comm_step *steps, int rank, int size, int root, int64_t count)
{
    int n = 0, mask = 1, place = (rank - root + size) % size; /* place 0 is the root */
    while (mask < size && !(place & mask)) mask *= 2;
    if (place) steps[n++] = step_receive((place - mask + root) % size, 0, count, COMBINE_STORE);
    for (mask /= 2; mask > 0; mask /= 2)
        if (place + mask < size) steps[n++] = step_send((place + mask + root) % size, 0, count);
    return n;
}

int schedule_sum(struct comm_step *steps, int rank, int size, int64_t count, bool many)
{
    bool power_of_two = (size & (size - 1)) == 0;
    if (power_of_two && many) return sum_halving(steps, rank, size, count);
    if (power_of_two) return sum_doubling(steps, rank, size, count);
    int n = sum_up(steps, rank, size, count);
    return n + schedule_broadcast(steps + n, rank, size, 0, count);
}
