/* emulated_card.c - linked into a program, gives it a card that is not there (fake_cuda.h) before main begins. By the environment:
 *   LADNN_COUNT_CALLS      a recorded step tells how many calls it has
 *   LADNN_GUARD            the card's memory is out of the host's reach, as a real one's is
 *   LADNN_CARD_MB=N        it has so much
 *   LADNN_HANG_AT=N        it stands still after the N-th repetition of a recorded step
 *   LADNN_BAD_GRADIENT=N   its N-th weight gradient is not finite
 *   LADNN_OTHER_WAYS       cuBLASLt's heuristics choose otherwise
 *   LADNN_NO_STATISTICS    no convolution sums what it writes
 *   LADNN_WRONG            convolutions are a little off */
#include <stdlib.h>

#include "tests/cuda/emulator.h"
#include "tests/tools/fake_cuda.h"
#include "tests/tools/fake_nccl.h"

__attribute__((constructor)) static void install(void)
{
    fake_cuda_install();
    fake_cuda.guarded = getenv("LADNN_GUARD") != NULL; /* slow */
    if (getenv("LADNN_HANG_AT")) fake_cuda.hang_at = atol(getenv("LADNN_HANG_AT"));
    if (getenv("LADNN_BAD_GRADIENT")) fake_cuda.bad_gradient = atol(getenv("LADNN_BAD_GRADIENT"));
    if (getenv("LADNN_NO_STATISTICS")) fake_cuda.no_statistics = -1;
    fake_cuda.wrong = getenv("LADNN_WRONG") != NULL;
    fake_cuda.other_ways = getenv("LADNN_OTHER_WAYS") != NULL;
    if (getenv("LADNN_CARD_MB")) fake_cuda.room = (size_t)atol(getenv("LADNN_CARD_MB")) << 20;
    emulator_queue(fake_queue);
#ifdef LADNN_HAVE_NCCL
    fake_nccl_install();
#endif
}
