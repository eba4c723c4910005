#!/usr/bin/env python3
"""Markdown from the JSON lines of tests/gpu/run.sh: table.py LINES.jsonl -> the tables of PERFORMANCE.md.

The floor is what arithmetic and memory allow (bytes and multiplications counted by hand for batch 32, one H200 at 790 TFLOP/s bf16
and 4.3 TB/s); all but the weights' share grows with the batch.
"""
import json
import sys

FLOOR_MS = {"vgg16": 5.45, "resnet18": 0.83, "resnet50": 2.90, "densenet121": 2.90, "densenet169": 3.51, "efficientnet_b0": 1.58,
            "efficientnet_b1": 2.24}  # at batch 32



def read(path):
    for line in open(path):
        try:
            yield json.loads(line)
        except ValueError:  # cut off with the program that wrote it
            continue


rows = list(read(sys.argv[1]))
measured = [r for r in rows if r.get("backend") == "cuda" and "images_per_s" in r and r.get("what") == "train"]
apart = {(r["backbone"], r["batch"]): r for r in measured if r.get("sums") == "apart"}
ours = {(r["backbone"], r["batch"]): r for r in measured if "kinds_ms" not in r and r.get("sums") != "apart"}
kinds = {(r["backbone"], r["batch"]): r["kinds_ms"] for r in measured if "kinds_ms" in r}
peer = {(r["backbone"], r["batch"], r["mode"]): r for r in rows if str(r.get("backend", "")).startswith("torch")}
devices = sorted({r["device"] for r in rows if "device" in r})


def figure(row, key="images_per_s", form="{:.0f}"):
    if row is None:
        return "not run"
    return form.format(row[key]) if key in row else row.get("error", "failed")


def ratio(row, other):
    return f"{row['images_per_s'] / other['images_per_s']:.2f}" if row and other and "images_per_s" in other else ""


print(f"Device: {', '.join(devices) or 'unknown'}; images per second, training, bf16, one GPU.\n")
print("| network | batch | PyTorch eager | PyTorch compiled | ladnn | times eager | times compiled | share of the floor | first step s |")
print("|---|---|---|---|---|---|---|---|---|")
for name in FLOOR_MS:
    for batch in sorted({b for n, b in ours if n == name} | {b for n, b, _ in peer if n == name}):
        mine, eager, compiled = ours.get((name, batch)), peer.get((name, batch, "eager")), peer.get((name, batch, "compile"))
        floor = f"{FLOOR_MS[name] * batch / 32 / mine['step_ms_median']:.0%}" if mine else ""
        print(f"| {name} | {batch} | {figure(eager)} | {figure(compiled)} | {figure(mine)} | {ratio(mine, eager)} | {ratio(mine, compiled)} | "
              f"{floor} | {figure(mine, 'first_step_s', '{:.2f}')} |")
for r in rows:
    if r.get("what") == "second start":
        print(f"\nStart to the end of the first step with a warm plan cache, {r['backbone']} batch {r['batch']}: {r['first_step_s']:.2f} s.")
if apart:
    print("\nMilliseconds of a step with the sums of batch normalisation taken by the convolutions (gpu.sums=fused), and by own kernels (apart):\n")
    print("| network | batch | fused | apart |\n|---|---|---|---|")
    for (name, batch), row in apart.items():
        print(f"| {name} | {batch} | {figure(ours.get((name, batch)), 'step_ms_median', '{:.2f}')} | {figure(row, 'step_ms_median', '{:.2f}')} |")
if kinds:
    names = sorted({k for row in kinds.values() for k in row})
    print("\nMilliseconds of a step by kind of layer, forward + backward, each layer waited for (a wait costs some 0.01 ms):\n")
    print(f"| network | batch | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for (name, batch), row in kinds.items():
        print(f"| {name} | {batch} | " + " | ".join(f"{row[k][0]:.2f} + {row[k][1]:.2f}" if k in row else "" for k in names) + " |")
checks = [r for r in rows if r.get("what") == "check"]
if checks:
    print("\n| check | verdict | seconds |\n|---|---|---|")
    for r in checks:
        print(f"| {r['name']} | {r['verdict']} | {r['seconds']:.1f} |")
