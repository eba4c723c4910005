/* fake_matmul.c - see fake_cuda.h: products of cuBLASLt, worked out on the host, in the ways that its algorithms' attributes name. */
#include <string.h>

#include "base/memory.h"
#include "ops/cuda/cuda_calls.h"
#include "tests/tools/fake_cuda.h"
#include "tests/tools/fake_cuda_math.h"

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

/* A way is its attributes, kept in cublasLtMatmulAlgo_t. Algorithm 21 sums at once, 66 in parts (split-k) that are rounded to float. */
enum { AT_ONCE = 21, IN_PARTS = 66, ATTRIBUTES = CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID + 1, WAY_MARK = 0x5a17 };
struct way {
    int32_t mark, value[ATTRIBUTES]; /* by cublasLtMatmulAlgoConfigAttributes_t */
};
_Static_assert(sizeof(struct way) <= sizeof(cublasLtMatmulAlgo_t), "a way does not fit");

static size_t attribute_bytes(cublasLtMatmulAlgoConfigAttributes_t name)
{
    return name == CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID || name == CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID ? 2 : 4;
}
static size_t lt_version(void) { return fake_cuda.matmul_version; }
static cublasStatus_t way_init(cublasLtHandle_t h, cublasComputeType_t sums, cudaDataType_t scale, cudaDataType_t a, cudaDataType_t b,
                               cudaDataType_t c, cudaDataType_t d, int id, cublasLtMatmulAlgo_t *algorithm)
{
    struct way way = {WAY_MARK, {[CUBLASLT_ALGO_CONFIG_ID] = id, [CUBLASLT_ALGO_CONFIG_SPLITK_NUM] = 1}};
    if (!h || !sums || scale != CUDA_R_32F || a != b || c != d) return CUBLAS_STATUS_INVALID_VALUE;
    if (id != AT_ONCE && id != IN_PARTS) return CUBLAS_STATUS_NOT_SUPPORTED;
    memset(algorithm, 0, sizeof *algorithm);
    memcpy(algorithm, &way, sizeof way);
    return CUBLAS_STATUS_SUCCESS;
}
static cublasStatus_t way_get(const cublasLtMatmulAlgo_t *algorithm, cublasLtMatmulAlgoConfigAttributes_t name, void *value, size_t bytes,
                              size_t *written)
{
    struct way way;
    memcpy(&way, algorithm, sizeof way);
    if (way.mark != WAY_MARK || (int)name >= ATTRIBUTES || bytes != attribute_bytes(name)) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(value, &way.value[name], bytes);
    *written = bytes;
    return CUBLAS_STATUS_SUCCESS;
}
static cublasStatus_t way_set(cublasLtMatmulAlgo_t *algorithm, cublasLtMatmulAlgoConfigAttributes_t name, const void *value, size_t bytes)
{
    struct way way;
    memcpy(&way, algorithm, sizeof way);
    if (way.mark != WAY_MARK || name == CUBLASLT_ALGO_CONFIG_ID || (int)name >= ATTRIBUTES || bytes != attribute_bytes(name))
        return CUBLAS_STATUS_INVALID_VALUE;
    way.value[name] = 0;
    memcpy(&way.value[name], value, bytes);
    memcpy(algorithm, &way, sizeof way);
    return CUBLAS_STATUS_SUCCESS;
}

struct product {
    struct operation o;
    int parts;
    struct matrix a, b, d;
    const void *pa, *pb;
    void *pd;
};
static double element(const struct matrix *m, const void *p, bool transposed, int64_t row, int64_t column)
{
    return load(p, m->bf16, (size_t)(transposed ? column + row * m->apart : row + column * m->apart));
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
            double sum = bias ? load(m->o.bias, m->d.bf16, (size_t)row) : 0;
            for (int part = 0; part < m->parts; part++) {
                double of_part = m->parts > 1 ? 0 : sum;
                for (int64_t i = inner * part / m->parts; i < inner * (part + 1) / m->parts; i++)
                    of_part += element(&m->a, m->pa, ta, row, i) * element(&m->b, m->pb, tb, i, column);
                sum = m->parts > 1 ? (float)sum + (float)of_part : of_part;
            }
            store(m->pd, m->d.bf16, (size_t)(row + column * m->d.apart), relu && sum < 0 ? 0 : sum);
        }
}
/* Do the sizes and types fit? */
static bool fits(const struct operation *o, const struct matrix *a, const struct matrix *b, const struct matrix *d)
{
    int64_t rows = o->a ? a->columns : a->rows, inner_a = o->a ? a->rows : a->columns, inner_b = o->b ? b->columns : b->rows;
    return rows == d->rows && inner_a == inner_b && (o->b ? b->rows : b->columns) == d->columns && a->bf16 == b->bf16 && (a->bf16 || !d->bf16);
}
/* What the heuristics say, of whatever product. */
static void way_suggest(cublasLtMatmulAlgo_t *algorithm)
{
    const bool parts = fake_cuda.other_ways;
    const struct way way = {WAY_MARK, {[CUBLASLT_ALGO_CONFIG_ID] = parts ? IN_PARTS : AT_ONCE,
                                       [CUBLASLT_ALGO_CONFIG_SPLITK_NUM] = parts ? 3 : 1,
                                       [CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME] = parts ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE : 0,
                                       [CUBLASLT_ALGO_CONFIG_TILE_ID] = CUBLASLT_MATMUL_TILE_64x64,
                                       [CUBLASLT_ALGO_CONFIG_STAGES_ID] = CUBLASLT_MATMUL_STAGES_64x4,
                                       [CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID] = CUBLASLT_CLUSTER_SHAPE_2x1x1}};
    memcpy(algorithm, &way, sizeof way);
}
static cublasStatus_t choose(cublasLtHandle_t h, cublasLtMatmulDesc_t o, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                             cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t p, int most, cublasLtMatmulHeuristicResult_t *result, int *count)
{
    memset(result, 0, sizeof *result);
    way_suggest(&result->algo);
    *count = h && p && most == 1 && c == d && fits((struct operation *)o, (struct matrix *)a, (struct matrix *)b, (struct matrix *)d);
    return *count ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}
/* Does the way fit? Only what was set completely does. */
static cublasStatus_t check(cublasLtHandle_t h, cublasLtMatmulDesc_t o, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                            cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *algorithm, cublasLtMatmulHeuristicResult_t *result)
{
    struct way way;
    memcpy(&way, algorithm, sizeof way);
    const int32_t *v = way.value, parts = v[CUBLASLT_ALGO_CONFIG_SPLITK_NUM];
    if (!h || way.mark != WAY_MARK || c != d || !fits((struct operation *)o, (struct matrix *)a, (struct matrix *)b, (struct matrix *)d))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (parts < 1 || (parts > 1) != (v[CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME] != 0) || (parts > 1 && v[CUBLASLT_ALGO_CONFIG_ID] != IN_PARTS) ||
        v[CUBLASLT_ALGO_CONFIG_TILE_ID] != CUBLASLT_MATMUL_TILE_64x64 || v[CUBLASLT_ALGO_CONFIG_STAGES_ID] != CUBLASLT_MATMUL_STAGES_64x4 ||
        v[CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID] != CUBLASLT_CLUSTER_SHAPE_2x1x1)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *result = (cublasLtMatmulHeuristicResult_t){.algo = *algorithm, .workspaceSize = (size_t)parts << 20};
    return CUBLAS_STATUS_SUCCESS;
}
static cublasStatus_t multiply(cublasLtHandle_t h, cublasLtMatmulDesc_t o, const void *alpha, const void *pa, cublasLtMatrixLayout_t a, const void *pb,
                               cublasLtMatrixLayout_t b, const void *beta, const void *pc, cublasLtMatrixLayout_t c, void *pd, cublasLtMatrixLayout_t d,
                               const cublasLtMatmulAlgo_t *way, void *workspace, size_t bytes, cudaStream_t stream)
{
    if (!h || *(const float *)alpha != 1 || *(const float *)beta != 0 || pc != pd || c != d || !way || !workspace || !bytes || !stream)
        return CUBLAS_STATUS_INVALID_VALUE;
    struct way taken;
    memcpy(&taken, way, sizeof taken);
    if (taken.mark != WAY_MARK) return CUBLAS_STATUS_INVALID_VALUE;
    const int parts = taken.value[CUBLASLT_ALGO_CONFIG_SPLITK_NUM];
    struct product m = {*(struct operation *)o, parts, *(struct matrix *)a, *(struct matrix *)b, *(struct matrix *)d, pa, pb, pd};
    fake_cuda.products++;
    fake_queue(run_product, &m, sizeof m);
    return CUBLAS_STATUS_SUCCESS;
}

void fake_matmul_install(void)
{
    cuda.cublasLtCreate = lt_create, cuda.cublasLtDestroy = lt_destroy, cuda.cublasLtGetStatusString = lt_status;
    cuda.cublasLtMatmul = multiply, cuda.cublasLtMatmulAlgoGetHeuristic = choose;
    cuda.cublasLtGetVersion = lt_version, cuda.cublasLtMatmulAlgoInit = way_init, cuda.cublasLtMatmulAlgoCheck = check;
    cuda.cublasLtMatmulAlgoConfigGetAttribute = way_get, cuda.cublasLtMatmulAlgoConfigSetAttribute = way_set;
    cuda.cublasLtMatmulDescCreate = operation_create, cuda.cublasLtMatmulDescDestroy = operation_destroy;
    cuda.cublasLtMatmulDescSetAttribute = operation_set;
    cuda.cublasLtMatrixLayoutCreate = matrix_create, cuda.cublasLtMatrixLayoutDestroy = matrix_destroy;
    cuda.cublasLtMatmulPreferenceCreate = wishes_create, cuda.cublasLtMatmulPreferenceDestroy = wishes_destroy;
    cuda.cublasLtMatmulPreferenceSetAttribute = wishes_set;
}
