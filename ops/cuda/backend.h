/* backend.h - the CUDA backend's way in: everything else goes through struct ops. */
#ifndef OPS_CUDA_BACKEND_H
#define OPS_CUDA_BACKEND_H
#include "ops/ops.h"

/* The table, on the card that cuda_open took; opens card 0 when none is open. NULL with err and hint when there is none to use. */
const struct ops *ops_cuda(struct error *err);
#endif
