/* kernels_update.cu - the arenas: norm of the gradients, the optimiser's step, sums over virtual shards, roundings. ops/optim.h has the rules.
 *
 * Bytes at least, for P floats: norm 4*P; Adam 28*P, SGD 20*P, each 2*P more with a bf16 copy; tree sum of s parts 4*(s+1)*P; narrow
 * 12*P; round and widen 6*P. */
#include "ops/cuda/columns.h"

enum { FOUR = 4, NORM_CHUNK = 1 << 14, NORM_PARTS = 8 * MULTIPROCESSORS };

/* Values at .. at+3 of an arena of `count`; 0 past its end. */
static __device__ __forceinline__ void four_load(float *v, const float *p, int64_t at, int64_t count)
{
    if (at + FOUR <= count) {
        float4 q = *(const float4 *)(p + at);
        v[0] = q.x, v[1] = q.y, v[2] = q.z, v[3] = q.w;
    } else {
        for (int i = 0; i < FOUR; i++) v[i] = at + i < count ? p[at + i] : 0;
    }
}
static __device__ __forceinline__ void four_store(float *p, const float *v, int64_t at, int64_t count)
{
    if (at + FOUR <= count) *(float4 *)(p + at) = float4{v[0], v[1], v[2], v[3]};
    else
        for (int i = 0; at + i < count; i++) p[at + i] = v[i];
}
static __device__ __forceinline__ void four_round(bf16 *p, const float *v, int64_t at, int64_t count)
{
    if (at + FOUR <= count) *(uint2 *)(p + at) = uint2{half_pair(v[0], v[1]), half_pair(v[2], v[3])};
    else
        for (int i = 0; at + i < count; i++) p[at + i] = (bf16)half_pair(v[i], 0);
}

/* ---- norm ---- */

static int norm_parts(int64_t count) { return clamp(ceil_div(count, NORM_CHUNK), 1, NORM_PARTS); }
size_t norm_of_scratch(int64_t count) { return sizeof(double) * (size_t)norm_parts(count); }

/* The sum over a block's threads, in thread order by halves; for thread 0. */
static __device__ double block_sum(double sum)
{
    __shared__ double part[THREADS];
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if ((int)threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    return part[0];
}

static __global__ void __launch_bounds__(THREADS) squares_kernel(double *partial, const float *gradients, int64_t count)
{
    double sum = 0;
    for (int64_t at = line_first() * FOUR; at < count; at += line_step() * FOUR) {
        float g[FOUR];
        four_load(g, gradients, at, count);
        UNROLL for (int i = 0; i < FOUR; i++) sum += (double)g[i] * g[i];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

static __global__ void __launch_bounds__(THREADS) norm_kernel(double *norm, const double *partial, int parts)
{
    double sum = 0;
    for (int i = (int)threadIdx.x; i < parts; i += THREADS) sum += partial[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *norm = sqrt(sum);
}

void launch_norm_of(double *norm, const float *gradients, int64_t count, void *scratch, cuda_stream stream)
{
    int parts = norm_parts(count);
    CHECK(aligned(gradients), "gradients must be 16-byte aligned");
    LAUNCH(squares_kernel, (unsigned)parts, THREADS, stream, (double *)scratch, gradients, count);
    LAUNCH(norm_kernel, 1, THREADS, stream, norm, (const double *)scratch, parts);
}

/* ---- update ---- */

struct update_factors { float decay, beta1, beta2, rest1, rest2, eps; };
struct update_arenas {
    float *w, *m, *v;
    const float *gradients;
    const struct optim_now *now;
    bf16 *copy;
    int64_t count;
};

template <bool ADAM>
static __global__ void __launch_bounds__(THREADS) update_kernel(struct update_arenas a, struct update_factors f, double clip, const double *norm)
{
    const struct optim_now now = *a.now;
    double length = *norm;
    if (!(length - length == 0)) return; /* not finite */
    float scale = clip > 0 ? (float)fmin(1.0, clip / (length + 1e-6)) : 1;
    for (int64_t at = line_first() * FOUR; at < a.count; at += line_step() * FOUR) {
        float g[FOUR], w[FOUR], m[FOUR], v[FOUR];
        four_load(g, a.gradients, at, a.count), four_load(w, a.w, at, a.count), four_load(m, a.m, at, a.count);
        if (ADAM) four_load(v, a.v, at, a.count);
        UNROLL for (int i = 0; i < FOUR; i++) {
            float d = g[i] * scale + f.decay * w[i];
            if (ADAM) {
                m[i] = f.beta1 * m[i] + f.rest1 * d;
                v[i] = f.beta2 * v[i] + f.rest2 * d * d;
                w[i] -= now.step * m[i] / (sqrtf(v[i]) * now.root + f.eps);
            } else {
                m[i] = now.momentum * m[i] + d;
                w[i] -= now.step * m[i];
            }
        }
        four_store(a.w, w, at, a.count), four_store(a.m, m, at, a.count);
        if (ADAM) four_store(a.v, v, at, a.count);
        if (a.copy) four_round(a.copy, w, at, a.count);
    }
}

void launch_update(float *parameters, float *m, float *v, const float *gradients, int64_t count, const struct optim_spec *spec,
                   const struct optim_now *now, const double *norm, uint16_t *copy, cuda_stream stream)
{
    struct update_arenas a = {parameters, m, v, gradients, now, copy, count};
    struct update_factors f = {(float)spec->weight_decay, (float)spec->beta1, (float)spec->beta2, (float)(1 - spec->beta1), (float)(1 - spec->beta2),
                               (float)spec->eps};
    CHECK(aligned(parameters) && aligned(m) && aligned(v) && aligned(gradients) && aligned(copy), "arenas must be 16-byte aligned");
    if (count == 0) return;
    dim3 grid = line_blocks(ceil_div(count, FOUR));
    if (spec->kind == OPTIM_ADAM) LAUNCH((update_kernel<true>), grid, THREADS, stream, a, f, spec->clip_norm, norm);
    else LAUNCH((update_kernel<false>), grid, THREADS, stream, a, f, spec->clip_norm, norm);
}

/* ---- sums over virtual shards ---- */

enum { TREE = 16 }; /* leaves that one kernel adds up: a power of two, so that larger trees are trees of these */
template <class V> struct tree_parts { V *at[TREE]; };

template <class V> static __global__ void __launch_bounds__(THREADS) tree_kernel(tree_parts<V> parts, int shards, int64_t count)
{
    for (int64_t at = line_first(); at < count; at += line_step()) {
        V v[TREE];
        UNROLL for (int s = 0; s < TREE; s++) v[s] = s < shards ? parts.at[s][at] : 0;
        UNROLL for (int half = 1; half < TREE; half *= 2)
            UNROLL for (int s = 0; s < TREE; s += 2 * half)
                if (s + half < shards) v[s] += v[s + half];
        parts.at[0][at] = v[0];
    }
}

template <class V> static void tree_sum(V *const all[], int shards, size_t count, cuda_stream stream)
{
    for (int apart = 1; apart < shards && count; apart *= TREE) /* heads that lie so far apart hold the sums up to the next */
        for (int first = 0; first + apart < shards; first += apart * TREE) {
            tree_parts<V> parts = {};
            int leaves = 0;
            for (int s = first; s < shards && leaves < TREE; s += apart) parts.at[leaves++] = all[s];
            LAUNCH((tree_kernel<V>), line_blocks((int64_t)count), THREADS, stream, parts, leaves, (int64_t)count);
        }
}

void launch_tree_sum(float *const parts[], int shards, size_t count, cuda_stream stream) { tree_sum(parts, shards, count, stream); }
void launch_tree_sum_double(double *const parts[], int shards, size_t count, cuda_stream stream) { tree_sum(parts, shards, count, stream); }

/* ---- roundings ---- */

static __global__ void narrow_kernel(float *to, const double *from, int64_t count)
{
    for (int64_t at = line_first(); at < count; at += line_step()) to[at] = (float)from[at];
}

void launch_narrow(float *to, const double *from, size_t count, cuda_stream stream)
{
    if (count) LAUNCH(narrow_kernel, line_blocks((int64_t)count), THREADS, stream, to, from, (int64_t)count);
}

static __global__ void __launch_bounds__(THREADS) round_kernel(bf16 *to, const float *from, int64_t count)
{
    for (int64_t at = line_first() * FOUR; at < count; at += line_step() * FOUR) {
        float v[FOUR];
        four_load(v, from, at, count);
        four_round(to, v, at, count);
    }
}

static __global__ void __launch_bounds__(THREADS) widen_kernel(float *to, const bf16 *from, int64_t count)
{
    for (int64_t at = line_first() * FOUR; at < count; at += line_step() * FOUR) {
        float v[FOUR] = {};
        if (at + FOUR <= count) {
            uint2 q = *(const uint2 *)(from + at);
            v[0] = low_half(q.x), v[1] = high_half(q.x), v[2] = low_half(q.y), v[3] = high_half(q.y);
        } else {
            for (int i = 0; at + i < count; i++) v[i] = low_half(from[at + i]);
        }
        four_store(to, v, at, count);
    }
}

void launch_widen(float *to, const uint16_t *from, int64_t count, cuda_stream stream)
{
    CHECK(aligned(to) && aligned(from), "arenas must be 16-byte aligned");
    if (count) LAUNCH(widen_kernel, line_blocks(ceil_div(count, FOUR)), THREADS, stream, to, from, count);
}

void launch_round(uint16_t *to, const float *from, int64_t count, cuda_stream stream)
{
    CHECK(aligned(to) && aligned(from), "arenas must be 16-byte aligned");
    if (count) LAUNCH(round_kernel, line_blocks(ceil_div(count, FOUR)), THREADS, stream, to, from, count);
}
