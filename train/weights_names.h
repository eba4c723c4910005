/* weights_names.h - which tensor of a published file is which of ours. Our names are torchvision's; timm's and older ones follow from them by a
 * few rules (weights_names.c), not by lists. */
#ifndef TRAIN_WEIGHTS_NAMES_H
#define TRAIN_WEIGHTS_NAMES_H
#include "io/weights/weights_file.h"
#include "models/graph.h"

/* The name that tensor `name` of a file would have in torchvision's network (mem_free). */
char *weights_name_here(const char *backbone, const char *name);

/* What a network needs: its parameters in order, then running mean and variance of each normalisation. */
struct weights_target {
    char *name;
    int param;        /* of the graph, or -1: a running statistic */
    int ndim;
    int64_t dims[4];
    bool head;
};
struct weights_target *weights_targets(int *count, const struct graph *g); /* weights_targets_free */
void weights_targets_free(struct weights_target *t, int count);

/* ---- a file held against a network ---- */
enum weights_match { MATCH_SAME, MATCH_RENAMED, MATCH_HEAD, MATCH_COUNTER, MATCH_UNUSED, MATCH_MISSING, MATCH_KINDS };
/* same: that name and shape; renamed: after a rule, or a matrix that is written as a convolution; head: the last layer with another number
 * of outputs; counter: num_batches_tracked, which no computation needs; unused: of no use here; missing: wanted, but not in the file. */
extern const char *const weights_match_names[];
struct weights_row {
    enum weights_match match;
    int tensor, target; /* -1: none */
};
struct weights_matching {
    struct weights_target *target;
    int target_count;
    struct weights_row *row; /* the file's tensors in order, then what is missing */
    int row_count, counts[MATCH_KINDS];
    int64_t head_outputs;    /* of the file, 0: it has no head */
    int head_wanted;         /* outputs of the network */
};
/* -1 with err when two tensors would be the same of ours, or one has another shape. weights_matching_free also then. */
int weights_match(struct weights_matching *m, const struct weights_file *f, const struct graph *g, struct error *err);
void weights_matching_free(struct weights_matching *m);
#endif
