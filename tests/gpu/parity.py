#!/usr/bin/env python3
"""Whole networks against the PyTorch that is installed here: logits in evaluation and training, loss and its gradient, every parameter's
gradient, every running statistic, after one step from the same weights on the same pictures.

    parity.py TOOL [--backend cuda] [--device cuda] [--precision f32] [--seconds N] [--lines FILE] [--alter NAME=SHARE] BACKBONE ...

TOOL is tests/tools/network_results.c, built; it computes with --backend, PyTorch with --device. Both are measured against PyTorch in float64.

f32: TF32 off on both sides. Of each tensor, |ours - float64| (L2) may be TIMES_F32 times |PyTorch's f32 - float64|, and RELATIVE_F32 of its norm
  (a gradient's that is small beside the largest: no such limit).
  The pictures are those of tests/reference/make_networks.py, chosen so that no ReLU's input is so near to 0 that rounding moves it across.
bf16: PyTorch computes with autocast (AMP). Its errors are what bf16 costs, and partly luck (a ReLU's input that rounding moves across 0; a
  norm's bias, the sum of what nearly cancels): so it runs RUNS_BF16 times, all but once with pictures that are rounded at random instead of to the
  nearest. Over the gradients our errors may be MEDIAN_BF16 times the usual (rms) one of these runs in the median, and MOST_BF16 times for nineteen of
  twenty; for each tensor TIMES_BF16 times the largest. Ours may be smaller: weight gradients are f32, autocast's are rounded.
No error is taken to be below one rounding of the precision, nor a gradient's below PyTorch's median one: a small tensor can be exact by luck. Nor
a running statistic's below 16 roundings of f32: a variance is what is left of the mean square when the mean's square is taken away, and here
means are several deviations from 0.

The networks are torchvision's; without torchvision those of tests/reference/torch_networks.py; with both their float64 results are compared first.
--alter adds SHARE of the largest element to each element of that gradient of ours: the comparison must fail. One line of JSON for each
comparison goes to --lines. Ends with 1 when a comparison failed, with 77 when there is no PyTorch or no such device."""
import argparse
import functools
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

try:
    import numpy as np
    import torch
except ImportError as why:
    print("NOT COMPARED with PyTorch, which is not installed:", why)
    sys.exit(77)
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reference"))
import networks  # noqa: E402

TIMES_F32, RELATIVE_F32 = 8.0, 1e-3
TIMES_BF16, MOST_BF16, MEDIAN_BF16, RUNS_BF16 = 4.0, 2.0, 1.25, 4
SMALL = 1e-4  # of the largest gradient: below it a gradient is what is left of large numbers that cancel
ROUNDING = {"f32": 2.0**-24, "bf16": 2.0**-9}
STATISTIC = 2.0**-20
SALTS = {"vgg16": 14, "resnet18": 2, "resnet50": 1}  # of make_networks.py; 0 else


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("tool")
    p.add_argument("backbones", nargs="+", choices=networks.BACKBONES, metavar="BACKBONE")
    p.add_argument("--backend", default="cuda")
    p.add_argument("--device", default="cuda")
    p.add_argument("--precision", nargs=1, action="extend", choices=["f32", "bf16"], help="may be repeated; default: both")
    p.add_argument("--batch", type=int, nargs=2, default=[4, 16], help="in f32, in bf16")
    p.add_argument("--size", type=int, nargs=2, default=[64, 64])
    p.add_argument("--seconds", type=float, default=1e9, help="begin no comparison after so many")
    p.add_argument("--libraries", help="LD_LIBRARY_PATH of TOOL")
    p.add_argument("--lines")
    p.add_argument("--alter")
    a = p.parse_args()
    a.precision = a.precision or ["f32", "bf16"]
    return a


def read_safetensors(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    header.pop("__metadata__")
    results = {}
    for name, t in header.items():
        first, end = t["data_offsets"]
        results[name] = torch.from_numpy(np.frombuffer(data, np.float32, (end - first) // 4, first).copy()).reshape(t["shape"])
    return results


def step(net, x, y, amp):
    """Everything that TOOL writes, by the same names; the network is changed."""
    device = x.device.type

    def forward():
        with torch.autocast(device, dtype=torch.bfloat16, enabled=amp):
            return net(x)

    net.eval()
    with torch.no_grad():
        results = {"eval": forward()}
    net.train()
    logits = forward()
    logits = logits.float() if amp else logits
    loss = networks.loss(logits, y)
    results.update(train=logits, loss=loss.reshape(1), dlogits=torch.autograd.grad(loss, logits, retain_graph=True)[0])
    loss.backward()
    results.update({"grad." + name: p.grad for name, p in net.named_parameters()})
    for name, m in networks.norms(net).items():
        results.update({"running_mean." + name: m.running_mean, "running_var." + name: m.running_var})
    return {name: value.detach().double().cpu() for name, value in results.items()}


def rounded_at_random(x, seed):
    """To bf16, up or down, in proportion to how near both are."""
    noise = torch.from_numpy(np.random.default_rng(seed).integers(0, 1 << 16, x.shape, dtype=np.int32))
    return (x.view(torch.int32) + noise & -(1 << 16)).view(torch.float32)


@functools.lru_cache(maxsize=1)
def weights(backbone):
    net = networks.build(backbone)
    networks.fill_parameters(net, backbone)
    return net.state_dict()


def reference(backbone, size, batch, device, dtype, amp=False, runs=1):
    """Of each run."""
    x, y = networks.pictures(batch, size, SALTS.get(backbone, 0)), networks.labels(batch)
    net = networks.build(backbone).to(device=device, dtype=dtype)
    results = []
    for run in range(runs):
        net.load_state_dict(weights(backbone))
        net.zero_grad(set_to_none=True)
        pixels = rounded_at_random(x, run) if run else x
        results.append(step(net, pixels.to(device=device, dtype=dtype), y.to(device=device, dtype=dtype), amp))
    return results


def limits(exact, theirs, precision):
    """How far off our L2 norm may be, and what is usual, by name."""
    runs = {name: [float((run[name] - v).norm()) for run in theirs] for name, v in exact.items()}
    error = {name: statistics.fmean(e * e for e in of) ** 0.5 for name, of in runs.items()}
    norm = {name: float(v.norm()) for name, v in exact.items()}
    gradients = [name for name in exact if name.startswith("grad.")]
    largest = max(norm[name] for name in gradients)
    typical = statistics.median(error[name] / norm[name] for name in gradients if norm[name] > 1e-9 * largest)
    least = {name: STATISTIC if name.startswith("running") else ROUNDING[precision] for name in exact}
    least.update(dict.fromkeys(gradients, typical))
    unit = {name: max(error[name], norm[name] * least[name]) for name in exact}
    likely = norm["dlogits"] * error["train"] / exact["train"].numel() ** 0.5  # of logits with that error in a random direction
    unit["loss"] = max(unit["loss"], likely)
    if precision == "bf16":
        return {name: TIMES_BF16 * max(u, *runs[name]) for name, u in unit.items()}, unit
    small = {name: name in gradients and norm[name] < SMALL * largest for name in exact}
    return {name: TIMES_F32 * u if small[name] else min(TIMES_F32 * u, RELATIVE_F32 * norm[name]) for name, u in unit.items()}, unit


def compare(ours, exact, theirs, precision):
    """What is wrong, and one line about what was seen."""
    wrong = [f"{name}: only one has it" for name in set(ours) ^ set(exact)]
    wrong += [f"{name}: {tuple(ours[name].shape)}, but {tuple(v.shape)}" for name, v in exact.items() if name in ours and ours[name].shape != v.shape]
    if wrong:
        return wrong, "other tensors"
    limit, unit = limits(exact, theirs, precision)
    error = {name: float((ours[name].double() - v).norm()) for name, v in exact.items()}
    for name in exact:
        if not error[name] <= limit[name]:  # so that NaN is wrong, too
            wrong.append(f"{name}: off by {error[name]:.3g}, limit {limit[name]:.3g}, norm {float(exact[name].norm()):.3g}")
    share = {name: error[name] / limit[name] if limit[name] else float(error[name] > 0) for name in exact}
    worst = max(share, key=lambda name: share[name])
    times = sorted(error[name] / unit[name] for name in exact if name.startswith("grad."))
    median, most = times[len(times) // 2], times[len(times) * 19 // 20]
    if precision == "bf16" and not (median <= MEDIAN_BF16 and most <= MOST_BF16):
        wrong.append(f"gradients are off by {median:.2f} times what PyTorch's are in the median, {most:.2f} times for one in twenty")
    relative = statistics.median(error[name] / max(float(v.norm()), 1e-30) for name, v in exact.items() if name.startswith("grad."))
    return wrong, (f"{len(exact)} tensors, worst at {share[worst]:.2f} of its limit ({worst}); gradients off by {relative:.2g}, {median:.2f} times "
                   f"PyTorch's, in the median; one in twenty {most:.2f} times")


def same_networks(backbone, device):
    """torchvision's and ours, in float64."""
    if not networks.torchvision:
        return []
    here = reference(backbone, 64, 2, device, torch.float64)[0]
    there, networks.torchvision = networks.torchvision, None
    own = reference(backbone, 64, 2, device, torch.float64)[0]
    networks.torchvision = there
    alike = {n for n, v in here.items() if n in own and float((own[n] - v).norm()) <= 1e-9 * float(v.norm()) + 1e-12}
    return [f"{n}: torch_networks.py differs from torchvision" for n in here if n not in alike]


def run_tool(a, backbone, size, batch, precision, path):
    command = [a.tool, backbone, str(size), str(batch), str(SALTS.get(backbone, 0)), a.backend, precision, path] + ([a.alter] if a.alter else [])
    environment = dict(os.environ, **({"LD_LIBRARY_PATH": a.libraries} if a.libraries else {}))
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def compare_one(a, backbone, precision, exact):
    which = precision == "bf16"
    size, batch = a.size[which], a.batch[which]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "ours.safetensors")
        tool = run_tool(a, backbone, size, batch, precision, path)
        if (size, batch) not in exact:
            exact[size, batch] = reference(backbone, size, batch, a.device, torch.float64)[0]
        theirs = reference(backbone, size, batch, a.device, torch.float32, which, RUNS_BF16 if which else 1)
        said = tool.communicate()[0]
        if tool.returncode:
            return [f"{a.tool} ended with {tool.returncode}: {said.strip()[-300:]}"], "nothing to compare"
        ours = read_safetensors(path)
    return compare(ours, exact[size, batch], theirs, precision)


def main():
    a = arguments()
    if a.device == "cuda" and not torch.cuda.is_available():
        print("NOT COMPARED with PyTorch, which sees no GPU")
        sys.exit(77)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    started, failed = time.monotonic(), 0
    for backbone in a.backbones:
        exact, alike = {}, None
        for precision in a.precision:
            begun = time.monotonic()
            name = f"PyTorch {torch.__version__} {backbone} {precision}"
            if begun - started > a.seconds:
                verdict, wrong = "left out: no time", []
            else:
                alike = same_networks(backbone, a.device) if alike is None and not a.alter else []
                wrong, seen = compare_one(a, backbone, precision, exact)
                wrong = alike + wrong
                verdict = f"FAILED: {wrong[0]} ({len(wrong)} in all)" if wrong else f"passed: {seen}"
                failed += bool(wrong)
            took = time.monotonic() - begun
            print(f"{name}: {verdict} ({took:.1f} s)", *(f"\n    {w}" for w in wrong[1:9]), flush=True)
            if a.lines:
                with open(a.lines, "a") as f:
                    f.write(json.dumps({"what": "check", "name": name, "verdict": verdict, "seconds": took}) + "\n")
    sys.exit(failed > 0)


main()
