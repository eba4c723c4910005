/* plan_cache_private.h - what plan_cache.c and plan_cache_text.c share. */
#ifndef OPS_CUDA_PLAN_CACHE_PRIVATE_H
#define OPS_CUDA_PLAN_CACHE_PRIVATE_H
#include "ops/cuda/cuda_calls.h"
#include "ops/cuda/dnn_run.h"
#include "ops/cuda/plan_cache.h"

enum { CANDIDATES_MAX = 16 };
enum state { ASKED, MISSING, READY, FAILED };
struct kept_plan {
    char key[65];
    struct dnn_graph *graph; /* NULL once there is a plan */
    struct dnn_limits limits;
    struct dnn_plan found[CANDIDATES_MAX]; /* found[0] is the plan, in the end */
    int found_count;
    enum state state;
    bool wish;    /* FAILED is an answer that is kept */
    bool damaged; /* there was a file, of no use */
    bool taken;   /* from a checkpoint */
    struct error err;
    struct kept_plan *next;
};
struct plan_cache {
    bool open;
    char *folder, *card;
    int threads, candidates;
    const struct dnn_target *target;
    struct dnn_target *own_target;
    struct kept_plan *plans;
    struct plan_cache_counts counts;
    struct given { /* from a checkpoint: a plan's text, as a file has it */
        char *text;
        bool asked; /* by a plan of this process */
        struct given *next;
    } *given;
};
extern struct plan_cache plan_cache;

int plan_cache_know_target(struct error *err); /* the card and its name, when they are first needed */
void plan_restore(struct kept_plan *p);        /* from the checkpoint, or the folder: READY, or MISSING. In any thread */
void plan_keep(const struct kept_plan *p);     /* in the folder */
void plan_given_forget(void);
#endif
