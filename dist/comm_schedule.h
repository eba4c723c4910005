/* comm_schedule.h - private to dist/: who sends what to whom, as a plain list of steps. Knows nothing of MPI.
 *
 * DESIGN. Every sum is the tree over [0, size) that splits at the largest power of two below: ((0+1)+(2+3)) for four ranks,
 * as in ops/ops.h. Three schedules give that tree, element by element, with the same bits:
 *   size a power of two, few elements:  recursive doubling; all ranks exchange everything, log2(size) steps;
 *   size a power of two, many elements: recursive halving, then doubling back; each rank sums its own part, so that
 *       2 (size-1)/size times the vector travels instead of log2(size) times (Thakur, Rabenseifner, Gropp 2005, but with
 *       the nearest partner first: that is what keeps the tree);
 *   any other size: up the tree to rank 0, then a binomial broadcast.
 */
#ifndef DIST_COMM_SCHEDULE_H
#define DIST_COMM_SCHEDULE_H
#include <stdbool.h>
#include <stdint.h>

enum comm_combine {
    COMBINE_STORE, /* what comes is put in place */
    COMBINE_ABOVE, /* values = values + what comes: it stands for the higher ranks */
    COMBINE_BELOW, /* values = what comes + values */
};
struct comm_step { /* first send and receive, both at once; then combine. Peer -1: none. Offsets count elements. */
    int send_to, recv_from;
    int64_t send_at, send_count, recv_at, recv_count;
    enum comm_combine combine;
};
enum { COMM_STEPS_MAX = 128 }; /* two per level, ranks are an int */

/* Both return the number of steps. `many`: halving pays. */
int schedule_sum(struct comm_step *steps, int rank, int size, int64_t count, bool many);
int schedule_broadcast(struct comm_step *steps, int rank, int size, int root, int64_t count);
#endif
