/* cuda_device_private.h - what cuda_device*.c share. */
#ifndef OPS_CUDA_CUDA_DEVICE_PRIVATE_H
#define OPS_CUDA_CUDA_DEVICE_PRIVATE_H
#include "ops/cuda/cuda_calls.h"
#include "ops/cuda/cuda_device.h"

struct device {
    bool open;
    struct device_facts facts;
    cudaStream_t stream;
    cudnnHandle_t dnn;
    cublasLtHandle_t matmul;
    void *matmul_workspace;
    bool tf32;
    double limit_s; /* of a wait; 0: none */
    bool no_capture, recording; /* recording: between begin and end of a capture */
    int recordings;             /* that may use what buffers outgrew */
};
extern struct device device;
enum { DEVICE_MATMUL_WORKSPACE = 32 << 20 };

void device_wait_for(cudaEvent_t event); /* NULL: all that is queued */
void device_memory_open(void);
void device_memory_close(void);
void device_retired_free(void); /* what buffers outgrew; called when no recording is left */
#endif
