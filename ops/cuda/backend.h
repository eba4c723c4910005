/* backend.h - the CUDA backend's way in: everything else goes through struct ops. */
#ifndef OPS_CUDA_BACKEND_H
#define OPS_CUDA_BACKEND_H
#include "ops/ops.h"

/* The table. Nothing of it but names may be used before `attach` has taken a card. */
const struct ops *ops_cuda(void);
#endif
