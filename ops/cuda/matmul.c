/* matmul.c - see matmul.h. */
#include "ops/cuda/matmul.h"

#include <stdint.h>

#include "base/memory.h"
#include "ops/cuda/cuda_device_private.h"

struct matmul {
    struct matmul_spec s;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulAlgo_t way;
};

static cudaDataType_t type_of(enum dtype dtype)
{
    return dtype == DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

#define SET(m, name, value) MATMUL_CHECK(cublasLtMatmulDescSetAttribute((m)->operation, name, &(value), sizeof(value)))

static void describe_operation(struct matmul *m)
{
    const struct matmul_spec *s = &m->s;
    const cublasComputeType_t sums = s->in == DTYPE_F32 && s->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const cublasOperation_t a = s->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, b = s->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasLtEpilogue_t end = s->bias ? (s->relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS)
                                           : (s->relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT);
    MATMUL_CHECK(cublasLtMatmulDescCreate(&m->operation, sums, CUDA_R_32F));
    SET(m, CUBLASLT_MATMUL_DESC_TRANSA, a);
    SET(m, CUBLASLT_MATMUL_DESC_TRANSB, b);
    SET(m, CUBLASLT_MATMUL_DESC_EPILOGUE, end);
    const void *bias = device.matmul_workspace; /* any aligned address, until there is one */
    if (s->bias) SET(m, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
}

static void describe_matrix(cublasLtMatrixLayout_t *layout, enum dtype dtype, int rows, int columns, bool transposed)
{
    uint64_t stored_rows = (uint64_t)(transposed ? columns : rows), stored_columns = (uint64_t)(transposed ? rows : columns);
    MATMUL_CHECK(cublasLtMatrixLayoutCreate(layout, type_of(dtype), stored_rows, stored_columns, (int64_t)stored_rows));
}

static int choose(struct matmul *m, struct error *err)
{
    const uint64_t workspace = DEVICE_MATMUL_WORKSPACE;
    const uint32_t alignment = 16, reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE; /* and none */
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    cublasLtMatmulPreference_t wishes;
    cublasLtMatmulHeuristicResult_t result;
    int count = 0;
    MATMUL_CHECK(cublasLtMatmulPreferenceCreate(&wishes));
    MATMUL_CHECK(cublasLtMatmulPreferenceSetAttribute(wishes, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace));
    MATMUL_CHECK(cublasLtMatmulPreferenceSetAttribute(wishes, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions));
    for (int i = 0; i < 4; i++) MATMUL_CHECK(cublasLtMatmulPreferenceSetAttribute(wishes, alignments[i], &alignment, sizeof alignment));
    cublasStatus_t status = cuda.cublasLtMatmulAlgoGetHeuristic(device.matmul, m->operation, m->a, m->b, m->d, m->d, wishes, 1, &result, &count);
    MATMUL_CHECK(cublasLtMatmulPreferenceDestroy(wishes));
    if (status == CUBLAS_STATUS_SUCCESS && count == 1 && result.state == CUBLAS_STATUS_SUCCESS) {
        m->way = result.algo;
        return 0;
    }
    const struct matmul_spec *s = &m->s;
    return error_set(err, "cuBLASLt: no way for a product of %d x %d by %d: %s", s->rows, s->columns, s->inner,
                     cuda.cublasLtGetStatusString(status == CUBLAS_STATUS_SUCCESS ? CUBLAS_STATUS_NOT_SUPPORTED : status));
}

struct matmul *matmul_open(const struct matmul_spec *spec, struct error *err)
{
    struct matmul *m = NEW(struct matmul);
    m->s = *spec;
    describe_operation(m);
    describe_matrix(&m->a, spec->in, spec->rows, spec->inner, spec->a_transposed);
    describe_matrix(&m->b, spec->in, spec->inner, spec->columns, spec->b_transposed);
    describe_matrix(&m->d, spec->out, spec->rows, spec->columns, false);
    if (choose(m, err) == 0) return m;
    matmul_close(m);
    return NULL;
}

void matmul_close(struct matmul *m)
{
    if (!m) return;
    cublasLtMatrixLayout_t layouts[] = {m->a, m->b, m->d};
    for (int i = 0; i < 3; i++) MATMUL_CHECK(cublasLtMatrixLayoutDestroy(layouts[i]));
    MATMUL_CHECK(cublasLtMatmulDescDestroy(m->operation));
    mem_free(m);
}

void matmul_run(struct matmul *m, void *d, const void *a, const void *b, const void *bias)
{
    const float one = 1, zero = 0;
    ASSERT(((uintptr_t)d | (uintptr_t)a | (uintptr_t)b | (uintptr_t)bias) % 16 == 0 && m->s.bias == (bias != NULL));
    if (bias) SET(m, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    MATMUL_CHECK(cublasLtMatmul(device.matmul, m->operation, &one, a, m->a, b, m->b, &zero, d, m->d, d, m->d, &m->way, device.matmul_workspace,
                                DEVICE_MATMUL_WORKSPACE, device.stream));
}
