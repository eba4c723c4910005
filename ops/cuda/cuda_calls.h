/* cuda_calls.h - every function of NVIDIA's that the backend calls, in one table.
 *
 * DESIGN: a program built with the GPU path must start on machines without a card and say why the card is not used. The CUDA runtime is linked
 * statically: it comes without the driver (which it looks for at the first call and reports as an error), and the own kernels are compiled
 * against it. cuDNN and cuBLASLt (1.5 GB of libraries) are loaded when first needed: from where the loader looks (LD_LIBRARY_PATH, `module
 * load`), else from the folder of the build. Tests put functions of their own here (tests/tools/fake_cuda.h).
 *
 * The headers of CUDA and cuDNN are included by this header alone and by dnn_graph.c. */
#ifndef OPS_CUDA_CUDA_CALLS_H
#define OPS_CUDA_CUDA_CALLS_H
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "base/error.h"

#define CUDA_RUNTIME_CALLS(X)                                                                                                                  \
    X(cudaGetErrorString) X(cudaGetLastError) X(cudaDriverGetVersion) X(cudaRuntimeGetVersion) X(cudaGetDeviceCount) X(cudaSetDevice)          \
    X(cudaGetDeviceProperties) X(cudaMallocManaged) X(cudaMalloc) X(cudaFree) X(cudaMemGetInfo) X(cudaHostAlloc) X(cudaFreeHost) X(cudaMemcpyAsync)                 \
    X(cudaMemsetAsync) X(cudaStreamCreateWithFlags) X(cudaStreamDestroy) X(cudaStreamSynchronize) X(cudaStreamQuery)                           \
    X(cudaEventQuery) X(cudaEventCreateWithFlags)                                                                                              \
    X(cudaEventDestroy) X(cudaEventRecord) X(cudaEventSynchronize) X(cudaEventElapsedTime) X(cudaStreamBeginCapture) X(cudaStreamEndCapture)   \
    X(cudaGraphInstantiate) X(cudaGraphLaunch) X(cudaGraphDestroy) X(cudaGraphExecDestroy)

#define CUDA_DNN_CALLS(X)                                                                                                                      \
    X(cudnnGetVersion) X(cudnnGetErrorString) X(cudnnGetLastErrorString) X(cudnnCreate) X(cudnnDestroy) X(cudnnSetStream)                      \
    X(cudnnBackendCreateDescriptor) X(cudnnBackendDestroyDescriptor) X(cudnnBackendSetAttribute) X(cudnnBackendGetAttribute)                   \
    X(cudnnBackendFinalize) X(cudnnBackendExecute)

#define CUDA_MATMUL_CALLS(X)                                                                                                                   \
    X(cublasLtCreate) X(cublasLtDestroy) X(cublasLtGetStatusString) X(cublasLtMatmul) X(cublasLtMatmulDescCreate) X(cublasLtMatmulDescDestroy) \
    X(cublasLtMatmulDescSetAttribute) X(cublasLtMatrixLayoutCreate) X(cublasLtMatrixLayoutDestroy) X(cublasLtMatmulPreferenceCreate)           \
    X(cublasLtMatmulPreferenceDestroy) X(cublasLtMatmulPreferenceSetAttribute) X(cublasLtMatmulAlgoGetHeuristic)             \
    X(cublasLtGetVersion) X(cublasLtMatmulAlgoInit) X(cublasLtMatmulAlgoCheck) X(cublasLtMatmulAlgoConfigGetAttribute)                          \
    X(cublasLtMatmulAlgoConfigSetAttribute)

struct cuda_calls {
#define CUDA_FIELD(name) __typeof__(&name) name;
    CUDA_RUNTIME_CALLS(CUDA_FIELD) /* always there */
    CUDA_DNN_CALLS(CUDA_FIELD)     /* NULL until cuda_load_dnn */
    CUDA_MATMUL_CALLS(CUDA_FIELD)  /* NULL until cuda_load_matmul */
#undef CUDA_FIELD
};
extern struct cuda_calls cuda;

/* Once loaded, they stay. -1 with err and hint. Not thread safe. */
int cuda_load_dnn(struct error *err);
int cuda_load_matmul(struct error *err);

/* One line on failure: what failed, why. */
#define CUDA_CHECK(call)                                                                                             \
    do {                                                                                                             \
        cudaError_t status_ = cuda.call;                                                                             \
        CHECK(status_ == cudaSuccess, "CUDA: %s: %s", #call, cuda.cudaGetErrorString(status_));                      \
    } while (0)
#define DNN_CHECK(call)                                                                                              \
    do {                                                                                                             \
        cudnnStatus_t status_ = cuda.call;                                                                           \
        CHECK(status_ == CUDNN_STATUS_SUCCESS, "cuDNN: %s: %s: %s", #call, cuda.cudnnGetErrorString(status_), cuda_dnn_reason()); \
    } while (0)
#define MATMUL_CHECK(call)                                                                                           \
    do {                                                                                                             \
        cublasStatus_t status_ = cuda.call;                                                                          \
        CHECK(status_ == CUBLAS_STATUS_SUCCESS, "cuBLASLt: %s: %s", #call, cuda.cublasLtGetStatusString(status_));   \
    } while (0)
/* Why cuDNN refused the last call of this thread; valid until the thread's next call of this. */
const char *cuda_dnn_reason(void);
#endif
