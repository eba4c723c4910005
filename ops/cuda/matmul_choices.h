/* matmul_choices.h - the ways (algorithms) in which cuBLASLt makes the products of this process, kept as text in checkpoints.
 *
 * cuBLASLt's heuristics may answer otherwise in another process (tools set other limits, environment variables choose other heuristics); a run
 * that is continued with the ways of its checkpoint has the same bits. A way is what cuBLASLt's interface tells of an algorithm, by name.
 *
 * All functions are called from one thread. */
#ifndef OPS_CUDA_MATMUL_CHOICES_H
#define OPS_CUDA_MATMUL_CHOICES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/text.h"
#include "ops/cuda/matmul.h"

enum way_field { WAY_ID, WAY_TILE, WAY_STAGES, WAY_SPLIT_K, WAY_REDUCTION, WAY_SWIZZLE, WAY_CUSTOM, WAY_INNER_SHAPE, WAY_CLUSTER, WAY_FIELDS };
struct matmul_way { int32_t field[WAY_FIELDS]; }; /* WAY_NONE: the algorithm has no such attribute */
enum { WAY_NONE = -1 };

/* The checkpoint's way for such a product; NULL when it has none. Borrowed, until the next call here. */
const struct matmul_way *matmul_choice_given(const struct matmul_spec *spec);
/* The product will go this way, unless a checkpoint says otherwise before it first runs. */
void matmul_choice_offered(const struct matmul_spec *spec, const struct matmul_way *way);
/* It has been asked for, and goes this way from now on; `taken`: the checkpoint's. */
void matmul_choice_made(const struct matmul_spec *spec, const struct matmul_way *way, bool taken);
/* Products of different kinds that have run, and how many of them go the checkpoint's way. */
struct matmul_counts { int products, taken; } matmul_counts(void);
void matmul_choices_clear(void);

/* Adds all, those of the checkpoint that were not asked for yet, too: "ladnn-products 1 BYTES CRC-32C cuBLASLt VERSION, CARD", then BYTES bytes,
 * a line for each. Nothing when there are none. */
void matmul_choices_give(struct text *out);
/* From now on products that first run go these ways. Text that begins otherwise is not taken. *end: what follows. For another card, driver or
 * cuBLASLt there is nothing: *other then says (mem_free) what they were for, else NULL. -1 with err: damaged. */
int matmul_choices_take(const char *text, size_t bytes, const char **end, char **other, struct error *err);
#endif
