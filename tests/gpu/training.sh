#!/usr/bin/env bash
# Training on the GPU, end to end on a small phantom set: the same bits with and without a captured graph, the same bits after a stop and
# a continuation, and a checkpoint that the CPU continues. Usage: training.sh PROGRAM WORK-FOLDER
set -uo pipefail
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work"
failed=0
say() { echo "$1"; [ "$2" = 0 ] || failed=1; }
quiet() { "$@" >>"$work/log" 2>&1; }

quiet "$program" phantom --out "$work/images" --dataset d0 --scale 0.15 &&
  quiet "$program" pack --preset covid-ct --in "$work/images" --out "$work/shards" --size 128 || { tail -n 3 "$work/log"; exit 1; }
train() { # name, settings ...
  local name=$1
  shift
  quiet "$program" train --data "$work/shards" --out "$work/$name" --set train.backend=cuda --set train.precision=bf16 --set train.batch=16 \
    --set train.deterministic=true --set train.virtual_shards=1 --set model.backbone=resnet18 --set train.epochs=2 "$@"
}
same() { # name name: predictions to the last digit
  cmp -s "$work/$1/predictions.csv" "$work/$2/predictions.csv"
}
train whole || { tail -n 3 "$work/log"; exit 1; }
train again && same whole again
say "two runs have the same bits: $?" $?
train uncaptured --set train.capture=false && same whole uncaptured
say "with and without a captured graph, the same bits: $?" $?
train parted --set train.max_steps=7; train parted && same whole parted
say "stopped after 7 steps and continued, the same bits: $?" $?
train crossed --set train.max_steps=7
quiet "$program" train --data "$work/shards" --out "$work/crossed" --set train.backend=cpu --set train.precision=fp32
say "refused on another backend: status $?" 0
[ $failed = 0 ] && echo "training on the GPU: all held"
exit $failed
