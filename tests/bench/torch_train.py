#!/usr/bin/env python3
"""Training speed of PyTorch on this CPU: forward + backward + Adam of torchvision's networks with six outputs.

Prints one JSON line per configuration. The figure to beat is the best over layouts and batches.
Usage: torch_train.py BACKBONE [--batch 16] [--layout channels_last|nchw] [--steps 5] [--threads 2] [--infer]
"""
import argparse
import json
import resource
import time

import torch
import torchvision

parser = argparse.ArgumentParser()
parser.add_argument("backbone")
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--layout", default="channels_last", choices=["channels_last", "nchw"])
parser.add_argument("--steps", type=int, default=5)
parser.add_argument("--warmup", type=int, default=2)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--infer", action="store_true")
a = parser.parse_args()

torch.set_num_threads(a.threads)
torch.manual_seed(1)
net = getattr(torchvision.models, a.backbone)(num_classes=6)
memory_format = torch.channels_last if a.layout == "channels_last" else torch.contiguous_format
net = net.to(memory_format=memory_format)
x = torch.randn(a.batch, 3, 224, 224).to(memory_format=memory_format)
t = torch.randint(0, 2, (a.batch, 6)).float()
optimiser = torch.optim.Adam(net.parameters(), lr=5e-5, weight_decay=5e-4)


def step():
    if a.infer:
        with torch.no_grad():
            net(x)
        return
    optimiser.zero_grad(set_to_none=True)
    torch.nn.functional.binary_cross_entropy_with_logits(net(x), t).backward()
    optimiser.step()


net.train(not a.infer)
seconds = []
for i in range(a.warmup + a.steps):
    start = time.perf_counter()
    step()
    if i >= a.warmup:
        seconds.append(time.perf_counter() - start)
seconds.sort()
median = (seconds[len(seconds) // 2] + seconds[(len(seconds) - 1) // 2]) / 2
print(json.dumps({
    "what": "infer" if a.infer else "train", "backbone": a.backbone, "backend": "torch " + torch.__version__,
    "layout": a.layout, "batch": a.batch, "threads": a.threads, "steps": a.steps, "images_per_s": a.batch / median,
    "step_ms_median": 1e3 * median, "step_ms_min": 1e3 * seconds[0], "step_ms_max": 1e3 * seconds[-1],
    "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6}), flush=True)
