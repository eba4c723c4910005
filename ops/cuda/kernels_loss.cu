/* kernels_loss.cu - the loss and its gradient, in double as in train/loss.c; ops/loss.h has the formulas. One block: a batch is small.
 *
 * Bytes at least, for N images: N*24 targets, N*outputs*4 logits in, as many out: nothing; the launch is all it costs. */
#include "ops/cuda/device.h"

static __device__ double probability(double z) { return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z)); }

/* log(1 + exp(-z)) for t = 1, log(1 + exp(z)) for t = 0, without overflow. */
static __device__ double cross_entropy(double z, double t) { return fmax(z, 0.0) - z * t + log1p(exp(-fabs(z))); }

/* Gradient of one image into d (NULL: none); its loss. */
static __device__ double bce_image(float *d, const float *z, const float *t, double unit, struct loss_spec spec)
{
    bool positive = false;
    double loss = 0;
    for (int l = 1; l < LOSS_TARGETS; l++) positive |= t[l] > 0;
    for (int l = 0; l < LOSS_TARGETS; l++) {
        double weight = l == 0 ? spec.covid_weight : spec.lesions && positive ? 1 : 0;
        if (weight > 0) loss += weight * cross_entropy(z[l], t[l]); /* an ignored NaN logit must not reach the sum */
        if (d) d[l] = weight > 0 ? (float)(unit * weight * (probability(z[l]) - t[l])) : 0;
    }
    return loss * unit;
}

/* Two logits: their softmax is the sigmoid of their difference. */
static __device__ double softmax_image(float *d, const float *z, const float *t, int total_images)
{
    double margin = (double)z[1] - z[0];
    if (d) d[1] = (float)((probability(margin) - t[0]) / total_images), d[0] = -d[1];
    return cross_entropy(margin, t[0]);
}

static __global__ void __launch_bounds__(THREADS)
    loss_kernel(double *sums, float *dlogits, const float *logits, const float *targets, int images, int total_images, int outputs, struct loss_spec spec)
{
    __shared__ double part[2][THREADS];
    double loss = 0, covid = 0;
    for (int i = (int)threadIdx.x; i < images; i += THREADS) {
        const float *z = logits + (int64_t)i * outputs, *t = targets + (int64_t)i * LOSS_TARGETS;
        float *d = dlogits ? dlogits + (int64_t)i * outputs : NULL;
        if (spec.kind == LOSS_BCE) {
            loss += bce_image(d, z, t, 1.0 / ((double)total_images * LOSS_TARGETS), spec);
            covid += cross_entropy(z[0], t[0]);
        } else {
            double entropy = softmax_image(d, z, t, total_images);
            loss += entropy / total_images, covid += entropy;
        }
    }
    part[0][threadIdx.x] = loss, part[1][threadIdx.x] = covid;
    __syncthreads();
    if (threadIdx.x >= 2) return;
    double sum = 0;
    for (int i = 0; i < THREADS && i < images; i++) sum += part[threadIdx.x][i];
    sums[threadIdx.x] = sum;
}

void launch_loss(double *sums, float *dlogits, const float *logits, const float *targets, int images, int total_images,
                 const struct loss_spec *spec, cuda_stream stream)
{
    LAUNCH(loss_kernel, 1, THREADS, stream, sums, dlogits, logits, targets, images, total_images, loss_outputs(spec), *spec);
}
