/* cuda_device.c - opening the card, see cuda_device.h. */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "ops/cuda/cuda_device_private.h"
#include "ops/cuda/matmul_choices.h"
#include "ops/cuda/plan_cache.h"

struct device device;

enum { OLDEST_MAJOR = 8 }; /* bf16 on tensor cores */

static int driver_error(struct error *err, cudaError_t status, int driver, int runtime)
{
    if (status == cudaErrorStubLibrary) {
        error_set(err, "no GPU: the libcuda.so.1 that was found is the toolkit's stub, not a driver");
        return error_hint(err, "take the folder of the stub out of LD_LIBRARY_PATH");
    }
    if (driver == 0) {
        error_set(err, "no GPU: this machine has no NVIDIA driver");
        return error_hint(err, "run on a node with a GPU (Slurm: --gres=gpu:1), in a container with --gpus all or --nv; or use the CPU (train.backend, eval.backend = cpu)");
    }
    if (status == cudaErrorInsufficientDriver || driver / 1000 < runtime / 1000) {
        error_set(err, "the NVIDIA driver is too old: it runs CUDA %d.%d, this program needs %d.%d", driver / 1000, driver % 1000 / 10, runtime / 1000,
                  runtime % 1000 / 10);
        return error_hint(err, "install a newer driver, or build with an older CUDA toolkit");
    }
    if (status == cudaErrorNoDevice) {
        error_set(err, "no GPU: the NVIDIA driver shows this process none");
        return error_hint(err, "is CUDA_VISIBLE_DEVICES empty, or did the job not ask for a GPU (Slurm: --gres=gpu:1)?");
    }
    return error_set(err, "no GPU: %s", cuda.cudaGetErrorString(status));
}

/* How many cards this process sees: at least one, or -1 with err. */
static int count_devices(struct device_facts *f, struct error *err)
{
    int count = 0;
    cudaError_t status = cuda.cudaGetDeviceCount(&count);
    f->driver = f->runtime = 0;
    cuda.cudaDriverGetVersion(&f->driver);
    cuda.cudaRuntimeGetVersion(&f->runtime);
    if (status == cudaSuccess && count > 0) return count;
    cuda.cudaGetLastError(); /* it is told here; later calls must not find it */
    return driver_error(err, status == cudaSuccess ? cudaErrorNoDevice : status, f->driver, f->runtime);
}

int cuda_device_count(struct error *err)
{
    struct device_facts ignored;
    return count_devices(&ignored, err);
}

static int read_facts(struct device_facts *f, int index, struct error *err)
{
    struct cudaDeviceProp p;
    int count = count_devices(f, err);
    if (count < 0) return -1;
    if (index < 0 || index >= count) {
        error_set(err, "GPU %d is asked for, this process sees %d", index, count);
        return error_hint(err, "start no more ranks on a node than it has GPUs");
    }
    cudaError_t status = cuda.cudaGetDeviceProperties(&p, index);
    if (status != cudaSuccess) return error_set(err, "GPU %d: %s", index, cuda.cudaGetErrorString(status));
    f->index = index;
    f->major = p.major, f->minor = p.minor;
    f->processors = p.multiProcessorCount;
    f->memory = p.totalGlobalMem;
    snprintf(f->name, sizeof f->name, "%s", p.name);
    if (p.major >= OLDEST_MAJOR) return 0;
    error_set(err, "GPU %d (%s) has compute capability %d.%d: %d.0 is needed", index, p.name, p.major, p.minor, OLDEST_MAJOR);
    return error_hint(err, "an A100, H100, H200 or newer, or the CPU backend");
}

static int open_libraries(struct error *err)
{
    if (cuda_load_dnn(err) || cuda_load_matmul(err)) return -1;
    cudnnStatus_t dnn = cuda.cudnnCreate(&device.dnn);
    if (dnn != CUDNN_STATUS_SUCCESS) return error_set(err, "cuDNN: %s: %s", cuda.cudnnGetErrorString(dnn), cuda_dnn_reason());
    cublasStatus_t matmul = cuda.cublasLtCreate(&device.matmul);
    if (matmul != CUBLAS_STATUS_SUCCESS) return error_set(err, "cuBLASLt: %s", cuda.cublasLtGetStatusString(matmul));
    DNN_CHECK(cudnnSetStream(device.dnn, device.stream));
    return 0;
}

static int open_device(struct error *err)
{
    cudaError_t status = cuda.cudaSetDevice(device.facts.index);
    if (status == cudaSuccess) status = cuda.cudaStreamCreateWithFlags(&device.stream, cudaStreamNonBlocking);
    if (status == cudaSuccess) status = cuda.cudaMalloc(&device.matmul_workspace, DEVICE_MATMUL_WORKSPACE);
    if (status != cudaSuccess) {
        error_set(err, "GPU %d (%s): %s", device.facts.index, device.facts.name, cuda.cudaGetErrorString(status));
        return error_hint(err, "is another process using it? see nvidia-smi");
    }
    return open_libraries(err);
}

int cuda_open(int index, struct error *err)
{
    if (device.open && device.facts.index == index) return 0;
    if (device.open) return error_set(err, "GPU %d is open: one process drives one GPU", device.facts.index);
    struct device_facts facts = {0};
    if (read_facts(&facts, index, err)) return -1;
    device.facts = facts;
    device.open = true;
    if (open_device(err)) {
        cuda_close();
        return -1;
    }
    device_memory_open();
    return 0;
}

void cuda_close(void)
{
    if (!device.open) return;
    plan_cache_clear();
    matmul_choices_clear();
    device_memory_close();
    if (device.matmul) cuda.cublasLtDestroy(device.matmul);
    if (device.dnn) cuda.cudnnDestroy(device.dnn);
    cuda.cudaFree(device.matmul_workspace);
    if (device.stream) cuda.cudaStreamDestroy(device.stream);
    device = (struct device){0};
}

bool cuda_is_open(void) { return device.open; }
const struct device_facts *device_facts(void) { return &device.facts; }
char *device_text(void)
{
    const struct device_facts *f = &device.facts;
    return mem_format("%s, compute capability %d.%d, driver %d", f->name, f->major, f->minor, f->driver);
}
cuda_stream device_stream(void) { return device.stream; }
void device_set_tf32(bool on) { device.tf32 = on; }
bool device_tf32(void) { return device.tf32; }

void device_set_limit(double seconds) { device.limit_s = seconds; }

/* Asks again and again: a step is a matter of milliseconds, and sleeping would make it longer. */
void device_wait_for(cudaEvent_t event)
{
    enum { SPIN_S = 1, SLEEP_US = 1000 };
    double start = clock_s();
    cudaError_t status;
    ASSERT(!device.recording);
    while ((status = event ? cuda.cudaEventQuery(event) : cuda.cudaStreamQuery(device.stream)) == cudaErrorNotReady) {
        double waited = clock_s() - start;
        if (device.limit_s > 0 && waited > device.limit_s)
            die_hint("nvidia-smi, and the kernel's log (dmesg: NVRM, Xid), tell of a card that has failed; dist.timeout_s is the limit",
                     "GPU %d (%s) has not finished its work for %.0f s", device.facts.index, device.facts.name, waited);
        if (waited > SPIN_S) usleep(SLEEP_US);
        else sched_yield();
    }
    CHECK(status == cudaSuccess, "GPU %d (%s): %s", device.facts.index, device.facts.name, cuda.cudaGetErrorString(status));
}

void device_wait(void) { device_wait_for(NULL); }
