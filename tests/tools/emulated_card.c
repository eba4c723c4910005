/* emulated_card.c - linked into a program, gives it a card that is not there (fake_cuda.h) before main begins. With LADNN_COUNT_CALLS a
 * recorded step tells how many calls it has; with LADNN_GUARD the card's memory is out of the host's reach, as a real one's is. */
#include <stdlib.h>

#include "tests/cuda/emulator.h"
#include "tests/tools/fake_cuda.h"
#include "tests/tools/fake_nccl.h"

__attribute__((constructor)) static void install(void)
{
    fake_cuda_install();
    fake_cuda.guarded = getenv("LADNN_GUARD") != NULL; /* slow */
    emulator_queue(fake_queue);
#ifdef LADNN_HAVE_NCCL
    fake_nccl_install();
#endif
}
