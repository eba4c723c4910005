#!/usr/bin/env python3
"""Training speed of PyTorch on this GPU, the peer of `ladnn bench train --backend cuda`.

One step: forward and backward in bf16 (autocast), channels_last, fused Adam with L2 decay, data already on the card. Steps are queued ahead
as in a training loop that reads no losses, and waited for in blocks of ten: the best that PyTorch can do (ours waits for each step, because
training reads each loss). compile: max-autotune, which includes CUDA graphs. Prints one JSON line for each batch; one that fails has "error"
instead of a figure.
Usage: torch_train.py BACKBONE --batch N ... [--mode eager|compile] [--blocks 3]
"""
import argparse
import json
import statistics
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("backbone")
parser.add_argument("--batch", type=int, nargs="+", default=[32])
parser.add_argument("--mode", default="eager", choices=["eager", "compile"])
parser.add_argument("--blocks", type=int, default=3)
parser.add_argument("--warmup", type=int, default=5)
a = parser.parse_args()
STEPS = 10  # of a block


def measure(row, batch):
    import torch
    import torchvision

    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    torch.cuda.reset_peak_memory_stats()
    if a.mode == "compile":
        torch._dynamo.reset()  # else a second batch size is compiled as one of any size
    row["backend"] = "torch " + torch.__version__
    row["device"] = torch.cuda.get_device_name(0)
    started = time.perf_counter()
    net = getattr(torchvision.models, a.backbone)(num_classes=6).cuda().to(memory_format=torch.channels_last).train()
    x = torch.randn(batch, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    t = torch.randint(0, 2, (batch, 6), device="cuda").float()
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-5, weight_decay=5e-4, fused=True)
    model = torch.compile(net, mode="max-autotune") if a.mode == "compile" else net

    def step():
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x), t)
        loss.backward()
        optimiser.step()

    step()
    torch.cuda.synchronize()
    row["first_step_s"] = time.perf_counter() - started
    for _ in range(a.warmup):
        step()
    milliseconds = []
    for _ in range(a.blocks):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(STEPS):
            step()
        torch.cuda.synchronize()
        milliseconds.append(1e3 * (time.perf_counter() - start) / STEPS)
    row["step_ms_median"] = statistics.median(milliseconds)
    row["step_ms_min"] = min(milliseconds)
    row["images_per_s"] = 1e3 * batch / row["step_ms_median"]
    row["peak_mb"] = torch.cuda.max_memory_allocated() / 1e6


failed = 0
for size in a.batch:
    line = {"what": "train", "backbone": a.backbone, "backend": "torch", "mode": a.mode, "batch": size, "precision": "bf16"}
    try:
        measure(line, size)
    except Exception as error:  # the table says what could not be had
        line["error"] = (f"{type(error).__name__}: {error}".splitlines() or ["?"])[0][:200]
        failed = 1
    print(json.dumps(line), flush=True)
sys.exit(failed)
