#!/usr/bin/env python3
"""Training speed of PyTorch on this GPU, the peer of `ladnn bench train --backend cuda`.

One step: forward and backward in bf16 (autocast), channels_last, fused Adam with L2 decay, data already on the card. Prints one JSON
line per configuration; a mode that fails prints a line with "error" instead of a figure.
Usage: torch_train.py BACKBONE --batch N [--mode eager|compile] [--steps 20] [--budget SECONDS]
"""
import argparse
import json
import statistics
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("backbone")
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--mode", default="eager", choices=["eager", "compile"])
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--warmup", type=int, default=5)
a = parser.parse_args()
row = {"what": "train", "backbone": a.backbone, "backend": "torch", "mode": a.mode, "batch": a.batch, "precision": "bf16"}


def measure():
    import torch
    import torchvision

    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    started = time.perf_counter()
    net = getattr(torchvision.models, a.backbone)(num_classes=6).cuda().to(memory_format=torch.channels_last).train()
    x = torch.randn(a.batch, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    t = torch.randint(0, 2, (a.batch, 6), device="cuda").float()
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
    for _ in range(a.steps):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        step()
        end.record()
        end.synchronize()
        milliseconds.append(begin.elapsed_time(end))
    row["backend"] = "torch " + torch.__version__
    row["device"] = torch.cuda.get_device_name(0)
    row["step_ms_median"] = statistics.median(milliseconds)
    row["step_ms_min"] = min(milliseconds)
    row["images_per_s"] = 1e3 * a.batch / row["step_ms_median"]
    row["peak_mb"] = torch.cuda.max_memory_allocated() / 1e6


try:
    measure()
except Exception as error:  # the table says what could not be had
    row["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
print(json.dumps(row), flush=True)
sys.exit(1 if "error" in row else 0)
