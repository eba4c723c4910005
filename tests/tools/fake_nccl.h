/* fake_nccl.h - NCCL between emulated cards (fake_cuda.h) of processes that MPI has started: its sums are MPI's, queued as a card's are. A rank
 * that does not come holds up the others' queues, not their hosts. With LADNN_SHARED_CARD all ranks of a host say that they have one card. */
#ifndef TESTS_FAKE_NCCL_H
#define TESTS_FAKE_NCCL_H
/* Before comm_attach_device. */
void fake_nccl_install(void);
#endif
