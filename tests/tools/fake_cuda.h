/* fake_cuda.h - a card that is not there: the call table of ops/cuda filled with functions on host memory, so that the CUDA backend runs, and can
 * be compared with its definition, on any machine.
 *
 * Work is done when it is queued. Between the beginning and the end of a capture it is only remembered, and done at each launch of the graph;
 * what CUDA forbids meanwhile (memory, waiting) ends the test. Fresh memory is full of NaN. Graphs of cuDNN are made by cuDNN, which needs no
 * card for that; what they compute is worked out here from their facts, in double, with the types, strides and ids that they name. */
#ifndef TESTS_FAKE_CUDA_H
#define TESTS_FAKE_CUDA_H
#include <stdbool.h>
#include <stddef.h>

struct dnn_target;
struct fake_cuda {
    int driver, cards, major;  /* what the card says of itself: 13000, 1, 9 */
    size_t room;               /* bytes that may be taken */
    long blocks, pinned;       /* live allocations */
    long captures, launches, graphs; /* graphs: live */
    long runs, products;       /* of plans, of cuBLASLt */
    long statistics;           /* of the runs, those that take sums of what they write */
    int no_statistics;         /* there is no plan for these with so many images; -1: with any number */
    struct dnn_target *target; /* when set, cuDNN is asked for a plan for this card as well */
    bool compile;              /* also for one in four of the graphs that need its compiler */
    _Atomic long served, compiled, unserved;
    bool guarded;              /* set before the first allocation: only what runs on the card may touch its memory */
    long hang_at;              /* the launch of a graph after which the card does nothing more; 0: none */
    bool other_ways;           /* cuBLASLt's heuristics choose ways that sum otherwise */
    size_t matmul_version;     /* of cuBLASLt */
    long bad_gradient;         /* this weight gradient, counted from the start, has an infinite element; 0: none */
    bool rough;                /* sums of convolutions are off by 1e-4 of themselves: the comparison must see it */
    bool wrong;                /* convolutions are a little off: the comparison must see it */
};
extern struct fake_cuda fake_cuda;
/* Before cuda_open. */
void fake_cuda_install(void);
/* Does f(arguments) now, or at each launch of the graph that is being recorded. The arguments are copied. */
void fake_queue(void (*f)(const void *arguments), const void *arguments, size_t bytes);
/* The same, and what is queued later waits until done() says true (a sum with other processes). */
void fake_queue_until(void (*f)(const void *arguments), const void *arguments, size_t bytes, bool (*done)(void));
/* Goes on as far as possible; true when nothing waits. */
bool fake_progress(void);
#endif
