#!/usr/bin/env bash
# What goes wrong with a GPU, on the emulated card: it stands still, a gradient is infinite, its memory is too small.
# Usage: faults.sh EMULATED-PROGRAM WORK-FOLDER
source "$(dirname "$0")/common.sh.inc"
train() { # folder, settings ...
  local folder=$1
  shift
  timeout 100 "$program" train --data "$work/shards" --out "$work/$folder" --set train.backend=cuda --set train.batch=4 --set augment.size=32 \
    --set model.backbone=resnet18 "$@" >"$work/$folder.log" 2>&1
}
says() { grep -qE "$2" "$work/$1.log"; }

# A card that stands still after some steps: the run ends by itself, within the limit, and what it saved is continued.
LADNN_HANG_AT=9 train still --set train.epochs=3 --set dist.timeout_s=2
rc=$?
hold "a card that stands still ends the run (status $rc), within its limit" test $rc -eq 1
hold "and is named, with a hint" bash -c 'grep -qE "GPU 0 \(a card that is not there\) has not finished its work for [2-5] s" "$0" && grep -q "hint: nvidia-smi" "$0"' "$work/still.log"
train still --set train.epochs=3
hold "the same command continues from the checkpoint" bash -c 'grep -q "continuing from step" "$0" && grep -q "results in" "$0"' "$work/still.log"

# A gradient that is not finite, in the third step (20 convolutions each, the last one first): the layer is named, nothing is updated or saved.
LADNN_BAD_GRADIENT=42 train bad --set train.epochs=1
rc=$?
hold "an infinite gradient ends the run (status $rc), its layer is named" bash -c 'test $1 -eq 1 && grep -q "epoch 1 batch 3: the gradient.s norm is inf (first in layer4.1.conv1.weight)" "$0"' \
  "$work/bad.log" $rc
hold "and nothing of it is kept" test ! -e "$work/bad/checkpoints"

# Too little memory: the batch that the message names does fit.
LADNN_CARD_MB=290 train small --set train.batch=64 --set augment.size=64 --set train.epochs=1
rc=$?
fits=$(grep -oE "batch of [0-9]+ images" "$work/small.log" | grep -oE "[0-9]+" | head -n 1)
hold "too large a batch is refused (status $rc), and one that fits is named (${fits:-none})" test $rc -eq 1 -a "${fits:-0}" -gt 0
LADNN_CARD_MB=290 train smaller --set train.batch="${fits:-64}" --set augment.size=64 --set train.epochs=1
hold "it does fit" says smaller "results in"
[ $failed = 0 ] && echo "faults of a GPU: all held" || tail -n 5 "$work"/*.log
exit $failed
