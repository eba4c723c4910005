#!/usr/bin/env bash
# What a cell of a grid costs beside its training: wall time of `ladnn grid run` less the seconds of all epochs in the records, per cell. That is
# the start of the program, opening data and network, weights, the last checkpoint, the test on 20 images and the results.
#   tests/bench/cell_overhead.sh PROGRAM [WORK]     nothing else should run; ROUNDS=3 for a median of three
set -euo pipefail
ladnn=$(realpath "$1")
work=${2:-$(mktemp -d)}
mkdir -p "$work" && cd "$work"
"$ladnn" phantom --out phantom --scale 0.1 >/dev/null 2>&1
"$ladnn" pack --preset covid-ct --in phantom --out shards --name d0 --size 96 >/dev/null 2>&1
backbones=(vgg16 resnet18 resnet50 densenet121 densenet169 efficientnet_b0 efficientnet_b1)

seconds_of() { # BACKBONE DETERMINISTIC: of one cell
  rm -rf out
  cat >grid.cfg <<EOC
grid = { name = "overhead"; datasets = ( { name = "d0"; data = "shards"; } ); backbones = ["$1"]; methods = ["ladnn"]; seeds = [1, 2]; };
augment = { size = 32; };
train = { epochs = 1; deterministic = $2; };
EOC
  local started=${EPOCHREALTIME/./}
  "$ladnn" grid run --file grid.cfg --out out >run.log 2>&1 || { cat run.log >&2; exit 1; }
  local ended=${EPOCHREALTIME/./}
  cat out/d0-*/record.jsonl | awk -v us=$((ended - started)) '/"type": "epoch"/ { match($0, /"seconds": [0-9.e+-]*/); sum += substr($0, RSTART + 11, RLENGTH - 11) }
    END { printf "%.2f\n", (us / 1e6 - sum) / 2 }'
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
echo "| backbone | seconds beside training | with train.deterministic |"
echo "|---|---|---|"
for backbone in "${backbones[@]}"; do
  usual=$(for _ in $(seq "${ROUNDS:-1}"); do seconds_of "$backbone" false; done | median)
  exact=$(for _ in $(seq "${ROUNDS:-1}"); do seconds_of "$backbone" true; done | median)
  echo "| $backbone | $usual | $exact |"
done
