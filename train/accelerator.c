/* accelerator.c - what `ladnn doctor` says of the GPU: the truth of the backend itself. */
#include "ops/ops.h"
#include "train/commands.h"

int accelerator_look(char *what, size_t bytes, struct error *err)
{
    const struct ops *ops = ops_find("cuda", err);
    if (!ops || ops->attach(0, err)) return -1;
    ops->describe(what, bytes);
    return 0;
}
