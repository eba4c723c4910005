/* matmul.c - see matmul.h. */
#include "ops/cuda/matmul.h"

#include <stdint.h>

#include "base/log.h"
#include "base/memory.h"
#include "ops/cuda/cuda_device_private.h"
#include "ops/cuda/matmul_choices.h"

struct matmul {
    struct matmul_spec s;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulAlgo_t way; /* the heuristics', until `settled` */
    bool settled;             /* the checkpoint was asked */
};
/* Each is summed in a fixed order; in place, by atomic additions, is not among them. */
static const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE; /* and none */

static cudaDataType_t type_of(enum dtype dtype)
{
    return dtype == DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static cublasComputeType_t sums_of(const struct matmul_spec *s)
{
    return s->in == DTYPE_F32 && s->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
}

#define SET(m, name, value) MATMUL_CHECK(cublasLtMatmulDescSetAttribute((m)->operation, name, &(value), sizeof(value)))

static void describe_operation(struct matmul *m)
{
    const struct matmul_spec *s = &m->s;
    const cublasOperation_t a = s->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, b = s->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasLtEpilogue_t end = s->bias ? (s->relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS)
                                           : (s->relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT);
    MATMUL_CHECK(cublasLtMatmulDescCreate(&m->operation, sums_of(s), CUDA_R_32F));
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
    const uint32_t alignment = 16;
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

/* ---- a way as numbers, and back ---- */

static const struct { cublasLtMatmulAlgoConfigAttributes_t name; size_t bytes; } attributes[WAY_FIELDS] = {
    [WAY_ID] = {CUBLASLT_ALGO_CONFIG_ID, 4},
    [WAY_TILE] = {CUBLASLT_ALGO_CONFIG_TILE_ID, 4},
    [WAY_STAGES] = {CUBLASLT_ALGO_CONFIG_STAGES_ID, 4},
    [WAY_SPLIT_K] = {CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 4},
    [WAY_REDUCTION] = {CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, 4},
    [WAY_SWIZZLE] = {CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, 4},
    [WAY_CUSTOM] = {CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, 4},
    [WAY_INNER_SHAPE] = {CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, 2},
    [WAY_CLUSTER] = {CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, 2},
};

static struct matmul_way way_of(const cublasLtMatmulAlgo_t *algorithm)
{
    struct matmul_way way;
    for (int i = 0; i < WAY_FIELDS; i++) {
        int32_t value = 0; /* little-endian, as every machine of CUDA's: two bytes are its lower half */
        size_t written;
        cublasStatus_t status = cuda.cublasLtMatmulAlgoConfigGetAttribute(algorithm, attributes[i].name, &value, attributes[i].bytes, &written);
        way.field[i] = status == CUBLAS_STATUS_SUCCESS ? value : WAY_NONE;
    }
    return way;
}

static cublasStatus_t build(cublasLtMatmulAlgo_t *algorithm, const struct matmul *m, const struct matmul_way *way)
{
    const cudaDataType_t in = type_of(m->s.in), out = type_of(m->s.out);
    cublasStatus_t status = cuda.cublasLtMatmulAlgoInit(device.matmul, sums_of(&m->s), CUDA_R_32F, in, in, out, out, way->field[WAY_ID], algorithm);
    for (int i = WAY_ID + 1; i < WAY_FIELDS && status == CUBLAS_STATUS_SUCCESS; i++)
        if (way->field[i] != WAY_NONE)
            status = cuda.cublasLtMatmulAlgoConfigSetAttribute(algorithm, attributes[i].name, &way->field[i], attributes[i].bytes);
    return status;
}

/* Goes the checkpoint's way, if it can be gone here within the limits. */
static bool take(struct matmul *m, const struct matmul_way *way)
{
    cublasLtMatmulAlgo_t algorithm;
    cublasLtMatmulHeuristicResult_t result;
    bool fixed_order = way->field[WAY_REDUCTION] == WAY_NONE || !((uint32_t)way->field[WAY_REDUCTION] & ~reductions);
    cublasStatus_t status = fixed_order ? build(&algorithm, m, way) : CUBLAS_STATUS_NOT_SUPPORTED;
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cuda.cublasLtMatmulAlgoCheck(device.matmul, m->operation, m->a, m->b, m->d, m->d, &algorithm, &result);
    if (status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= DEVICE_MATMUL_WORKSPACE) {
        m->way = algorithm;
        return true;
    }
    log_warn("the checkpoint's way for a product of %d x %d by %d cannot be gone here (%s): the run goes on, with other roundings than it would have had",
             m->s.rows, m->s.columns, m->s.inner, status == CUBLAS_STATUS_SUCCESS ? "it needs more workspace" : cuda.cublasLtGetStatusString(status));
    return false;
}

/* At the first run: by then a run that is continued has read its checkpoint. */
static void settle(struct matmul *m)
{
    const struct matmul_way *given = matmul_choice_given(&m->s);
    const bool taken = given && take(m, given);
    const struct matmul_way way = way_of(&m->way);
    matmul_choice_made(&m->s, &way, taken);
    m->settled = true;
}

struct matmul *matmul_open(const struct matmul_spec *spec, struct error *err)
{
    struct matmul *m = NEW(struct matmul);
    m->s = *spec;
    describe_operation(m);
    describe_matrix(&m->a, spec->in, spec->rows, spec->inner, spec->a_transposed);
    describe_matrix(&m->b, spec->in, spec->inner, spec->columns, spec->b_transposed);
    describe_matrix(&m->d, spec->out, spec->rows, spec->columns, false);
    if (choose(m, err)) {
        matmul_close(m);
        return NULL;
    }
    const struct matmul_way way = way_of(&m->way);
    matmul_choice_offered(spec, &way);
    return m;
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
    if (!m->settled) settle(m);
    if (bias) SET(m, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    MATMUL_CHECK(cublasLtMatmul(device.matmul, m->operation, &one, a, m->a, b, m->b, &zero, d, m->d, d, m->d, &m->way, device.matmul_workspace,
                                DEVICE_MATMUL_WORKSPACE, device.stream));
}
