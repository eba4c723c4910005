#!/usr/bin/env bash
# Training speed beside PyTorch on the same machine in the same hour: for each backbone the two run in turn, `ROUNDS` times; a
# figure is the median over rounds of the program's own median images/s. PyTorch gets its best of both layouts and batch 8 and 16.
# Needs python3-torch and python3-torchvision (Debian). Usage: tests/bench/compare.sh PROGRAM [BACKBONE ...]   -> Markdown
set -euo pipefail
program=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
backbones=("$@")
[ ${#backbones[@]} -gt 0 ] || backbones=(vgg16 resnet18 resnet50 densenet121 densenet169 efficientnet_b0 efficientnet_b1)
rounds=${ROUNDS:-2} threads=${THREADS:-$(nproc)} steps=${STEPS:-3} python=${PYTHON:-/usr/bin/python3}
log=${LOG:-compare.jsonl}
: >"$log"

ours() { "$program" bench train --backbone "$1" --batch "$2" --precision "$3" --threads "$threads" --steps "$steps" --warmup 2 --json 2>/dev/null; }
torch() { "$python" "$here/torch_train.py" "$1" --batch "$2" --layout "$3" --threads "$threads" --steps "$steps" --warmup 1; }

for b in "${backbones[@]}"; do
  for _ in $(seq "$rounds"); do
    for batch in 16 8; do
      for layout in channels_last nchw; do torch "$b" $batch $layout >>"$log"; done
      ours "$b" $batch fp32 >>"$log"
      ours "$b" $batch bf16 >>"$log" || true
    done
  done
done

"$python" - "$log" <<'PY'
import json, statistics, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
def groups(select):
    found = {}
    for r in rows:
        key = select(r)
        if key: found.setdefault(key, []).append(r)
    return {k: (statistics.median(r["images_per_s"] for r in v), statistics.median(r["peak_rss_mb"] for r in v)) for k, v in found.items()}
print("| network | PyTorch fp32 img/s (layout, batch) | ladnn fp32 img/s | ratio | ladnn bf16 img/s | ratio | peak MB at batch 16: PyTorch, ladnn fp32, bf16 |")
print("|---|---|---|---|---|---|---|")
for b in dict.fromkeys(r["backbone"] for r in rows):
    t = groups(lambda r: (r["layout"], r["batch"]) if r["backbone"] == b and "layout" in r else None)
    o = groups(lambda r: (r["precision"], r["batch"]) if r["backbone"] == b and "precision" in r else None)
    best = max(t, key=lambda k: t[k][0])
    cell = lambda p: max((v[0] for k, v in o.items() if k[0] == p), default=float("nan"))
    memory = min(v[1] for k, v in t.items() if k[1] == 16)
    peak = lambda p: o.get((p, 16), (0, float("nan")))[1]
    print(f"| {b} | {t[best][0]:.2f} ({best[0]}, {best[1]}) | {cell('fp32'):.2f} | {cell('fp32') / t[best][0]:.2f} | {cell('bf16'):.2f} | "
          f"{cell('bf16') / t[best][0]:.2f} | {memory:.0f}, {peak('fp32'):.0f}, {peak('bf16'):.0f} |")
PY
