#!/usr/bin/env bash
# Training on the GPU, end to end on a small phantom set: the same bits in two runs, with and without a captured graph, after a stop and a
# continuation; pictures sampled on the card or on the host; a checkpoint that the CPU continues.
# Usage: training.sh PROGRAM WORK-FOLDER [emulated]     emulated: on a card that is not there, with small pictures
set -uo pipefail
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
program=$1 work=$2
size=224 stored=256 scale=0.15 batch=16
[ "${3:-}" = emulated ] && size=32 stored=40 scale=0.04 batch=8
rm -rf "$work" && mkdir -p "$work"
failed=0
quiet() { "$@" >>"$work/log" 2>&1; }
hold() { # text, command ...
  local what=$1
  shift
  if "$@"; then echo "holds: $what"; else echo "FAILS: $what"; failed=1; fi
}

quiet "$program" phantom --out "$work/images" --dataset d0 --scale $scale &&
  quiet "$program" pack --preset covid-ct --in "$work/images" --out "$work/shards" --size $stored || { tail -n 3 "$work/log"; exit 1; }
on() { # backend, folder, settings ...
  local backend=$1 folder=$2
  shift 2
  quiet "$program" train --data "$work/shards" --out "$work/$folder" --set train.backend="$backend" --set train.batch=$batch \
    --set augment.size=$size --set model.backbone=resnet18 --set train.epochs=2 "$@"
}
bits=(--set train.deterministic=true --set train.virtual_shards=1 --set train.precision=bf16)
steps() { grep '"type": "step"' "$work/$1/record.jsonl"; }
same() { cmp -s "$work/$1/predictions.csv" "$work/$2/predictions.csv" && [ "$(steps "$1" | wc -l)" -gt 3 ] && [ "$(steps "$1")" = "$(steps "$2")" ]; }
differ() { [ "$(steps "$1" | wc -l)" -gt 3 ] && [ "$(steps "$2" | wc -l)" -gt 3 ] && ! same "$1" "$2"; }
losses() { grep -o '"val_loss": [0-9.e-]*' "$work/$1/record.jsonl" | cut -d' ' -f2; }
close() { paste <(losses "$1") <(losses "$2") | awk -v limit="$3" '{d = $1 > $2 ? $1 - $2 : $2 - $1; if (d > limit * $2) bad = 1; n++} END {exit bad || n < 1}'; }

on cuda whole "${bits[@]}" || { tail -n 3 "$work/log"; exit 1; }
[ "${3:-}" != emulated ] || hold "no call of the host touches the card's memory" env LADNN_GUARD=1 "$program" train --data "$work/shards" \
  --out "$work/guarded" --set train.backend=cuda --set train.batch=4 --set augment.size=32 --set model.backbone=resnet18 --set train.precision=bf16 --set train.epochs=1 2>>"$work/log"
on cuda again "${bits[@]}"
hold "two runs have the same bits" same whole again
on cuda uncaptured "${bits[@]}" --set train.capture=false
hold "with and without a captured graph, the same bits" same whole uncaptured
on cuda parted "${bits[@]}" --set train.max_steps=2
XDG_CACHE_HOME=$work/elsewhere on cuda parted "${bits[@]}" # where no plan is kept
hold "its plans are those of the checkpoint" grep -qE "[1-9][0-9]* of [0-9]+ cuDNN plans are those of the checkpoint" "$work/log"
hold "stopped after two steps and continued, the same bits" same whole parted
if [ "${3:-}" = emulated ]; then # whose cuBLASLt can be told to choose otherwise
  LADNN_OTHER_WAYS=1 on cuda other "${bits[@]}"
  hold "other ways of linear layers have other bits" differ whole other
  on cuda parted2 "${bits[@]}" --set train.max_steps=2
  LADNN_OTHER_WAYS=1 on cuda parted2 "${bits[@]}"
  hold "continued where cuBLASLt chooses otherwise, the same bits" same whole parted2
  # and a card on which cuDNN has no convolution that sums what it writes
  on cuda asked "${bits[@]}" --set gpu.sums=apart
  hold "normalisations take their sums from convolutions: other bits when asked not to" differ whole asked
  LADNN_NO_STATISTICS=1 on cuda apart "${bits[@]}"
  hold "then the bits are those of gpu.sums=apart" same apart asked
  hold "what cuDNN does not have is told" grep -qE "no engine within the limits for ([0-9]+) of \1 graphs" "$work/log"
  LADNN_NO_STATISTICS=1 on cuda later "${bits[@]}" --set train.max_steps=2
  XDG_CACHE_HOME=$work/elsewhere on cuda later "${bits[@]}" # here it has them
  hold "a run that began without them goes on without, the same bits" same apart later
fi
on cuda fp32 --set train.precision=fp32 && on cpu cpu --set train.precision=fp32
hold "fp32 takes the course of the CPU" close fp32 cpu 0.02
on cuda crossed --set train.precision=fp32 --set train.max_steps=3
hold "a checkpoint of the GPU is continued on the CPU" on cpu crossed --set train.precision=fp32
hold "to where the others end" close crossed cpu 0.02
ranks() { # folder, ranks: they share the one card
  quiet mpirun --oversubscribe --bind-to none -np "$2" "$program" train --data "$work/shards" --out "$work/$1" --set train.backend=cuda \
    --set train.batch=$batch --set augment.size=$size --set model.backbone=resnet18 --set train.epochs=2 --set train.deterministic=true \
    --set train.virtual_shards=2 --set train.precision=bf16 --set dist.backend=mpi
}
ranks one 1 && ranks two 2
hold "two ranks give the bits of one" same one two
[ $failed = 0 ] && echo "training on the GPU: all held" || tail -n 5 "$work/log"
exit $failed
