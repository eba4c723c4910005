/* plan_cache.h - cuDNN's plans, made once per process, kept between runs.
 *
 * A plan is asked for when a layer is made and waited for when it first runs; the first wait makes all that were asked for until then, in
 * parallel threads, because cuDNN's compiler takes about a second for each. Whoever asks for the same graph gets the same plan.
 *
 * DESIGN: a kept plan is a file in a folder, named after the SHA-256 of everything that it depends on: the graph, cuDNN's version, the card,
 * the driver, the limits, how it was chosen. So nothing is ever out of date, and any number of processes may share a folder: files are
 * written whole or not at all. A file that is damaged is told of and made anew. Deleting the folder is always safe, but may change bits:
 * another cuDNN may choose other engines.
 *
 * All functions are called from one thread. */
#ifndef OPS_CUDA_PLAN_CACHE_H
#define OPS_CUDA_PLAN_CACHE_H
#include "ops/cuda/dnn_graph.h"

struct plan_cache_options {
    const char *folder; /* NULL: $XDG_CACHE_HOME/ladnn/plans or ~/.cache/ladnn/plans; "": nothing is kept */
    int threads;        /* 0: one for each core of the process, at most 16 */
    int candidates;     /* 1: cuDNN's first choice; more: the fastest of so many by the clock (needs the card) */
    const struct dnn_target *target; /* NULL: the card in use; else plans are for this one, borrowed */
    const char *target_name;         /* with a target: what it is, for the key */
};
/* Before the first plan is asked for; forgets what was made. Without it: all zeros. */
void plan_cache_open(const struct plan_cache_options *options);
/* Destroys all plans. */
void plan_cache_clear(void);

struct kept_plan;
/* Takes g. When no engine on tensor cores is within the limits any other may serve. NULL with err when cuDNN refuses the graph itself. */
struct kept_plan *plan_ask(struct dnn_graph *g, const struct dnn_limits *limits, struct error *err);
/* The same for a graph that can be done without: no other engine serves, and that there is none is kept, too, in the folder and with a
 * checkpoint. It takes a long search to find that out, and finding one later would change bits. */
struct kept_plan *plan_wish(struct dnn_graph *g, const struct dnn_limits *limits, struct error *err);
/* Waits. NULL with err when there is no plan. Lives until plan_cache_clear. */
const struct dnn_plan *plan_wait(struct kept_plan *p, struct error *err);
struct plan_cache_counts { int asked, taken, restored, made, damaged; } plan_cache_counts(void);

/* ---- plans that go with a checkpoint: a run continued with them has the same bits, whatever has become of the folder ---- */
/* Adds those that are ready, wishes that were not granted, and a checkpoint's that were not asked for yet, under a line that says what they are
 * for. Nothing when there are none. */
void plan_cache_give(struct text *out);
/* From now on plans that are asked for are taken from here first, and of those that are not here the folder's. For another card, driver or
 * cuDNN there is nothing: *other then says (mem_free) what they were for, else NULL. -1 with err: damaged. */
int plan_cache_take(const char *text, size_t bytes, char **other, struct error *err);
#endif
