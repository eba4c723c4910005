/* cuda_device_replay.c - a body of calls as one CUDA graph, see cuda_device.h.
 *
 * The first call only runs the body: plans are made, buffers grow, kernels are loaded, none of which a capture allows. Capture is thread-local:
 * other threads (the loader's, those that compile plans) go on calling CUDA meanwhile. */
#include "base/memory.h"
#include "ops/cuda/cuda_device_private.h"

struct recording {
    cudaGraphExec_t graph; /* NULL after the first call */
};

static void record(struct recording *r, void (*body)(void *context), void *context)
{
    cudaGraph_t graph = NULL;
    CUDA_CHECK(cudaStreamBeginCapture(device.stream, cudaStreamCaptureModeThreadLocal));
    device.recording = true;
    body(context);
    device.recording = false;
    CUDA_CHECK(cudaStreamEndCapture(device.stream, &graph));
    CUDA_CHECK(cudaGraphInstantiate(&r->graph, graph, 0));
    CUDA_CHECK(cudaGraphDestroy(graph));
}

void device_replay(struct recording **r, void (*body)(void *context), void *context)
{
    if (device.no_capture || device.recording) { /* within another recording it is a part of that */
        body(context);
        return;
    }
    if (!*r) {
        *r = NEW(struct recording);
        device.recordings++;
        body(context);
        return;
    }
    if (!(*r)->graph) record(*r, body, context);
    CUDA_CHECK(cudaGraphLaunch((*r)->graph, device.stream));
}

void device_recording_free(struct recording *r)
{
    if (!r) return;
    ASSERT(!device.recording);
    if (r->graph) {
        device_wait();
        CUDA_CHECK(cudaGraphExecDestroy(r->graph));
    }
    mem_free(r);
    if (--device.recordings == 0) device_retired_free();
}

bool device_recording(void) { return device.recording; }
void device_set_capture(bool on) { device.no_capture = !on; }
