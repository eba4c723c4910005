/* choices.h - what the libraries have chosen, as one text that goes with a checkpoint: products (matmul_choices.h), then plans (plan_cache.h).
 * The contract is that of ops->choices_get and choices_set. */
#ifndef OPS_CUDA_CHOICES_H
#define OPS_CUDA_CHOICES_H
#include <stddef.h>
#include "base/error.h"
#include "base/text.h"

void choices_give(struct text *out);
int choices_take(const char *text, size_t bytes, char **other, struct error *err);
#endif
