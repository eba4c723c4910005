#!/usr/bin/env bash
# timeout=600  With train.deterministic a step has the same bits on 1, 2 and 3 threads: gradients (Adam's first moment), weights, statistics.
source "$(dirname "$0")/common.sh.inc"
small_data 0.05
export -f same_state last_state
export OMP_WAIT_POLICY=passive
options=(--data shards --set augment.size=32 --set train.batch=8 --set train.epochs=1 --set train.max_steps=1)
deterministic=(--set train.deterministic=true --set train.virtual_shards=2)

step() { # folder, threads, options ...: one step, which ends with status 75
  local out=$1 threads=$2 rc=0
  shift 2
  "$ladnn" train "${options[@]}" --threads "$threads" --out "$out" "$@" || rc=$?
  [ $rc -eq 75 ]
}

for backbone in efficientnet_b0 resnet18 densenet121; do
  for n in 1 2 3; do
    check "$backbone on $n threads" step $backbone-$n $n "${deterministic[@]}" --set model.backbone=$backbone
  done
  for n in 2 3; do
    check "$backbone: state of $n threads" same_state $backbone-1 $backbone-$n
  done
done
# The check can fail: without the setting, threads show.
for n in 1 2; do
  check "not deterministic, $n threads" step loose-$n $n --set model.backbone=efficientnet_b0
done
check "states differ when not deterministic" bash -c '! same_state loose-1 loose-2'
verdict
