#!/usr/bin/env python3
"""Training loss in bf16 beside fp32's spread over seeds: trains every seed in both precisions and compares the epochs' mean losses.

A pair difference |bf16 - fp32| of one seed should not be larger than what another seed alone makes of fp32's curve.
Usage: bf16_curve.py PROGRAM SHARDS WORK [--seeds N] [-- train's options]   (WORK: an empty folder for the runs; prints Markdown)
"""
import argparse, itertools, json, statistics, subprocess, sys


def train_losses(program, shards, out, precision, seed, options):
    command = [program, "train", "--data", shards, "--out", out, "--set", f"train.precision={precision}", "--set", f"train.seed={seed}"]
    subprocess.run(command + options, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = [json.loads(line) for line in open(f"{out}/record.jsonl")]
    return [line["train_loss"] for line in lines if line["type"] == "epoch"]


def main():
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("shards")
    parser.add_argument("work")
    parser.add_argument("--seeds", type=int, default=4)
    a = parser.parse_args(sys.argv[1:split])
    curves = {
        p: [train_losses(a.program, a.shards, f"{a.work}/{p}-{s}", p, s, sys.argv[split + 1:]) for s in range(1, a.seeds + 1)]
        for p in ("fp32", "bf16")
    }
    print("| epoch | fp32 mean | fp32 lowest .. highest seed | bf16 mean | bf16 lowest .. highest | bf16 - fp32, same seed | seed - seed, fp32 |")
    print("|---|---|---|---|---|---|---|")
    same_all, other_all, inside = [], [], 0
    for e, (full, half) in enumerate(zip(zip(*curves["fp32"]), zip(*curves["bf16"]))):
        same = statistics.mean(abs(x - y) for x, y in zip(full, half))
        other = statistics.mean(abs(x - y) for x, y in itertools.combinations(full, 2))
        same_all.append(same)
        other_all.append(other)
        inside += min(full) <= statistics.mean(half) <= max(full)
        print(f"| {e + 1} | {statistics.mean(full):.4f} | {min(full):.4f} .. {max(full):.4f} | {statistics.mean(half):.4f} | "
              f"{min(half):.4f} .. {max(half):.4f} | {same:.4f} | {other:.4f} |")
    ratio = statistics.mean(same_all) / statistics.mean(other_all)
    print(f"\nbf16 against fp32 of the same seed: {ratio:.2f} of the mean difference between two fp32 seeds; "
          f"bf16's mean lies within fp32's seeds in {inside} of {len(same_all)} epochs.")
    return 0 if ratio <= 1 and inside == len(same_all) else 1


if __name__ == "__main__":
    sys.exit(main())
