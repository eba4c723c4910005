/* cuda_calls.c - see cuda_calls.h. */
#include "ops/cuda/cuda_calls.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#ifndef LADNN_CUDA_LIBRARIES
#define LADNN_CUDA_LIBRARIES "" /* where the build found cuDNN and cuBLASLt */
#endif

#define CUDA_LINKED(name) .name = name,
struct cuda_calls cuda = {CUDA_RUNTIME_CALLS(CUDA_LINKED)};

/* The library by its name, else in the build's folder. */
static void *open_library(const char *name, char *why, size_t bytes)
{
    char path[1024];
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    snprintf(why, bytes, "%s", library ? "" : dlerror());
    snprintf(path, sizeof path, "%s/%s", LADNN_CUDA_LIBRARIES, name);
    return library || !*LADNN_CUDA_LIBRARIES ? library : dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/* A function into its field; false when the library has none of this name. */
static bool find(void *field, void *library, const char *name, struct error *err)
{
    void *address = dlsym(library, name);
    if (!address) return error_set(err, "the library has no %s", name) == 0;
    memcpy(field, &address, sizeof address);
    return true;
}

#define CUDA_FIND(name) &&find(&cuda.name, library, #name, err)

int cuda_load_dnn(struct error *err)
{
    char why[600];
    if (cuda.cudnnCreate) return 0;
    void *library = open_library("libcudnn.so.9", why, sizeof why);
    if (!library) {
        error_set(err, "cuDNN is not there: %s", why);
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
    char why[600], name[40];
    if (cuda.cublasLtCreate) return 0;
    snprintf(name, sizeof name, "libcublasLt.so.%d", CUBLAS_VER_MAJOR);
    void *library = open_library(name, why, sizeof why);
    if (!library) {
        error_set(err, "cuBLAS is not there: %s", why);
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
