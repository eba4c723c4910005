/* cuda_calls.c - see cuda_calls.h. */
#include "ops/cuda/cuda_calls.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/library.h"

#ifndef LADNN_CUDA_LIBRARIES
#define LADNN_CUDA_LIBRARIES "" /* where the build found cuDNN, */
#define LADNN_MATMUL_LIBRARIES "" /* and cuBLASLt */
#endif

#define CUDA_LINKED(name) .name = name,
struct cuda_calls cuda = {CUDA_RUNTIME_CALLS(CUDA_LINKED)};

#define CUDA_FIND(name) &&library_find(&cuda.name, library, #name, err)

int cuda_load_dnn(struct error *err)
{
    if (cuda.cudnnCreate) return 0;
    void *library = library_open("libcudnn.so.9", LADNN_CUDA_LIBRARIES, err);
    if (!library) {
        error_prefix(err, "cuDNN is not there");
        return error_hint(err, "module load cudnn, or put the folder of libcudnn.so.9 into LD_LIBRARY_PATH");
    }
    if (!(true CUDA_DNN_CALLS(CUDA_FIND))) {
        cuda.cudnnCreate = NULL;
        return error_prefix(err, "libcudnn.so.9");
    }
    size_t version = cuda.cudnnGetVersion();
    if (version >= 91100) return 0;
    cuda.cudnnCreate = NULL;
    error_set(err, "cuDNN %zu.%zu.%zu is too old: 9.11 is needed", version / 10000, version / 100 % 100, version % 100);
    return error_hint(err, "module load a newer cudnn");
}

int cuda_load_matmul(struct error *err)
{
    char name[40];
    if (cuda.cublasLtCreate) return 0;
    snprintf(name, sizeof name, "libcublasLt.so.%d", CUBLAS_VER_MAJOR);
    void *library = library_open(name, LADNN_MATMUL_LIBRARIES, err);
    if (!library) {
        error_prefix(err, "cuBLAS is not there");
        return error_hint(err, "module load cuda, or put the folder of %s into LD_LIBRARY_PATH", name);
    }
    if (true CUDA_MATMUL_CALLS(CUDA_FIND)) return 0;
    cuda.cublasLtCreate = NULL;
    return error_prefix(err, "%s", name);
}

const char *cuda_dnn_reason(void)
{
    static _Thread_local char why[600];
    *why = 0;
    cuda.cudnnGetLastErrorString(why, sizeof why);
    return *why ? why : "no reason given";
}
