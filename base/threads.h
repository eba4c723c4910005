/* threads.h - how many threads a rank may use. */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H
/* `setting` when it is not 0; else the cores this process is bound to, or, when it is not bound, its share of the host's cores
 * among the `local_size` ranks there. At least 1. */
int threads_of_rank(int setting, int local_size);
#endif
