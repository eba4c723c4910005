#!/usr/bin/env python3
"""Markdown from the JSON lines of tests/gpu/run.sh: table.py LINES.jsonl -> the tables of PERFORMANCE.md.

The floor is what arithmetic and memory allow (bytes and multiplications counted by hand for batch 32, one H200 at 790 TFLOP/s bf16
and 4.3 TB/s); all but the weights' share grows with the batch.
"""
import json
import sys

FLOOR_MS = {"vgg16": 5.45, "resnet18": 0.83, "resnet50": 2.90, "densenet121": 2.90, "densenet169": 3.51, "efficientnet_b0": 1.58,
            "efficientnet_b1": 2.24}  # at batch 32

rows = [json.loads(line) for line in open(sys.argv[1]) if line.startswith("{")]
ours = {(r["backbone"], r["batch"]): r for r in rows if r.get("backend") == "cuda" and "images_per_s" in r}
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
checks = [r for r in rows if r.get("what") == "check"]
if checks:
    print("\n| check | verdict | seconds |\n|---|---|---|")
    for r in checks:
        print(f"| {r['name']} | {r['verdict']} | {r['seconds']:.1f} |")
