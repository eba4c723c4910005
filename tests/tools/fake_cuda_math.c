/* fake_cuda_math.c - see fake_cuda.h: products of cuBLASLt, worked out on the host. */
#include "tests/tools/fake_cuda_math.h"

#include <string.h>

#include "base/memory.h"
#include "ops/cuda/cuda_calls.h"
#include "tests/tools/fake_cuda.h"


struct operation { /* stands behind cublasLtMatmulDesc_t */
    int32_t a, b;
    cublasLtEpilogue_t end;
    const void *bias;
};
struct matrix { /* behind cublasLtMatrixLayout_t */
    bool bf16;
    int64_t rows, columns, apart;
};

static cublasStatus_t lt_create(cublasLtHandle_t *h) { return *h = (cublasLtHandle_t)mem_alloc(1), CUBLAS_STATUS_SUCCESS; }
static cublasStatus_t lt_destroy(cublasLtHandle_t h) { return mem_free(h), CUBLAS_STATUS_SUCCESS; }
static const char *lt_status(cublasStatus_t s) { return s ? "refused" : "fine"; }
static cublasStatus_t operation_create(cublasLtMatmulDesc_t *d, cublasComputeType_t sums, cudaDataType_t scale)
{
    CHECK((sums == CUBLAS_COMPUTE_32F || sums == CUBLAS_COMPUTE_32F_FAST_TF32) && scale == CUDA_R_32F, "sums must be f32");
    return *d = (cublasLtMatmulDesc_t)NEW(struct operation), CUBLAS_STATUS_SUCCESS;
}
static cublasStatus_t operation_destroy(cublasLtMatmulDesc_t d) { return mem_free(d), CUBLAS_STATUS_SUCCESS; }
static cublasStatus_t operation_set(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t name, const void *value, size_t bytes)
{
    struct operation *o = (struct operation *)d;
    bool pointer = name == CUBLASLT_MATMUL_DESC_BIAS_POINTER;
    if (bytes != (pointer ? sizeof(void *) : sizeof(int32_t))) return CUBLAS_STATUS_INVALID_VALUE;
    if (pointer) memcpy(&o->bias, value, bytes);
    else if (name == CUBLASLT_MATMUL_DESC_TRANSA) memcpy(&o->a, value, bytes);
    else if (name == CUBLASLT_MATMUL_DESC_TRANSB) memcpy(&o->b, value, bytes);
    else if (name == CUBLASLT_MATMUL_DESC_EPILOGUE) memcpy(&o->end, value, bytes);
    else return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}
static cublasStatus_t matrix_create(cublasLtMatrixLayout_t *m, cudaDataType_t type, uint64_t rows, uint64_t columns, int64_t apart)
{
    if ((type != CUDA_R_16BF && type != CUDA_R_32F) || apart < (int64_t)rows || !rows || !columns) return CUBLAS_STATUS_INVALID_VALUE;
    struct matrix *made = NEW(struct matrix);
    *made = (struct matrix){type == CUDA_R_16BF, (int64_t)rows, (int64_t)columns, apart};
    return *m = (cublasLtMatrixLayout_t)made, CUBLAS_STATUS_SUCCESS;
}
static cublasStatus_t matrix_destroy(cublasLtMatrixLayout_t m) { return mem_free(m), CUBLAS_STATUS_SUCCESS; }
static cublasStatus_t wishes_create(cublasLtMatmulPreference_t *p) { return *p = (cublasLtMatmulPreference_t)mem_alloc(1), CUBLAS_STATUS_SUCCESS; }
static cublasStatus_t wishes_destroy(cublasLtMatmulPreference_t p) { return mem_free(p), CUBLAS_STATUS_SUCCESS; }
static cublasStatus_t wishes_set(cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t name, const void *value, size_t bytes)
{
    size_t wanted = name == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? sizeof(uint64_t) : sizeof(uint32_t);
    return p && value && bytes == wanted ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

struct product {
    struct operation o;
    struct matrix a, b, d;
    const void *pa, *pb;
    void *pd;
};
static double element(const struct matrix *m, const void *p, bool transposed, int64_t row, int64_t column)
{
    return fake_load(p, m->bf16, (size_t)(transposed ? column + row * m->apart : row + column * m->apart));
}
static void run_product(const void *arguments)
{
    const struct product *m = arguments;
    bool ta = m->o.a == CUBLAS_OP_T, tb = m->o.b == CUBLAS_OP_T;
    int64_t inner = ta ? m->a.rows : m->a.columns;
    bool bias = m->o.end == CUBLASLT_EPILOGUE_BIAS || m->o.end == CUBLASLT_EPILOGUE_RELU_BIAS;
    bool relu = m->o.end == CUBLASLT_EPILOGUE_RELU || m->o.end == CUBLASLT_EPILOGUE_RELU_BIAS;
    for (int64_t column = 0; column < m->d.columns; column++)
        for (int64_t row = 0; row < m->d.rows; row++) {
            double sum = bias ? fake_load(m->o.bias, m->d.bf16, (size_t)row) : 0;
            for (int64_t i = 0; i < inner; i++) sum += element(&m->a, m->pa, ta, row, i) * element(&m->b, m->pb, tb, i, column);
            fake_store(m->pd, m->d.bf16, (size_t)(row + column * m->d.apart), relu && sum < 0 ? 0 : sum);
        }
}
/* Do the sizes and types fit? */
static bool fits(const struct operation *o, const struct matrix *a, const struct matrix *b, const struct matrix *d)
{
    int64_t rows = o->a ? a->columns : a->rows, inner_a = o->a ? a->rows : a->columns, inner_b = o->b ? b->columns : b->rows;
    return rows == d->rows && inner_a == inner_b && (o->b ? b->rows : b->columns) == d->columns && a->bf16 == b->bf16 && (a->bf16 || !d->bf16);
}
static cublasStatus_t choose(cublasLtHandle_t h, cublasLtMatmulDesc_t o, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                             cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t p, int most, cublasLtMatmulHeuristicResult_t *result, int *count)
{
    memset(result, 0, sizeof *result);
    *count = h && p && most == 1 && c == d && fits((struct operation *)o, (struct matrix *)a, (struct matrix *)b, (struct matrix *)d);
    return *count ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}
static cublasStatus_t multiply(cublasLtHandle_t h, cublasLtMatmulDesc_t o, const void *alpha, const void *pa, cublasLtMatrixLayout_t a, const void *pb,
                               cublasLtMatrixLayout_t b, const void *beta, const void *pc, cublasLtMatrixLayout_t c, void *pd, cublasLtMatrixLayout_t d,
                               const cublasLtMatmulAlgo_t *way, void *workspace, size_t bytes, cudaStream_t stream)
{
    if (!h || *(const float *)alpha != 1 || *(const float *)beta != 0 || pc != pd || c != d || !way || !workspace || !bytes || !stream)
        return CUBLAS_STATUS_INVALID_VALUE;
    struct product m = {*(struct operation *)o, *(struct matrix *)a, *(struct matrix *)b, *(struct matrix *)d, pa, pb, pd};
    fake_cuda.products++;
    fake_queue(run_product, &m, sizeof m);
    return CUBLAS_STATUS_SUCCESS;
}

void fake_math_install(void)
{
    cuda.cublasLtCreate = lt_create, cuda.cublasLtDestroy = lt_destroy, cuda.cublasLtGetStatusString = lt_status;
    cuda.cublasLtMatmul = multiply, cuda.cublasLtMatmulAlgoGetHeuristic = choose;
    cuda.cublasLtMatmulDescCreate = operation_create, cuda.cublasLtMatmulDescDestroy = operation_destroy;
    cuda.cublasLtMatmulDescSetAttribute = operation_set;
    cuda.cublasLtMatrixLayoutCreate = matrix_create, cuda.cublasLtMatrixLayoutDestroy = matrix_destroy;
    cuda.cublasLtMatmulPreferenceCreate = wishes_create, cuda.cublasLtMatmulPreferenceDestroy = wishes_destroy;
    cuda.cublasLtMatmulPreferenceSetAttribute = wishes_set;
}
