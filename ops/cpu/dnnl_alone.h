/* dnnl_alone.h - primitives of one thread each, run side by side. How oneDNN divides a sum between its threads depends on
 * their number, and so do the bits; in deterministic mode (struct ops_tuning) sums are divided by the shape instead, and
 * each part is a primitive that was compiled for one thread, whichever thread runs it.
 */
#ifndef OPS_CPU_DNNL_ALONE_H
#define OPS_CPU_DNNL_ALONE_H
#include "ops/cpu/dnnl_shared.h"

/* No result may depend on the number of threads. Handles ask when they are created. */
void deterministic_set(bool on);
bool deterministic(void);

/* Primitives opened between the two are compiled for one thread. `alone_begin` returns what `alone_end` takes. */
int alone_begin(void);
void alone_end(int threads);

/* Calls job(context, j, thread) for each j in [0, jobs), each on one thread; `thread` names its buffers and is for the functions below. */
typedef void side_job(void *context, int j, int thread);
void side_by_side(int jobs, side_job *job, void *context);

/* Inside a job: a buffer of the thread's own, with nothing in it; */
enum desk { DESK_PRIMITIVE, DESK_WEIGHTS, DESK_OPERAND, DESK_RESULT, DESK_COUNT };
void *desk(int thread, enum desk which, size_t bytes);
/* primitive_run, of a primitive compiled for one thread; */
void primitive_run_alone(const struct primitive *p, int thread, const void *const data[]);
/* stored weights as the step wants them. */
const void *step_weights_alone(const struct step *s, int thread, const float *stored);

/* to[i] = parts[i] + parts[i + stride] + ...: `count` parts, in this order. */
void parts_add(float *to, const float *parts, int count, size_t stride, size_t n);
#endif
