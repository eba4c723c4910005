#!/usr/bin/env bash
# timeout=300  A disk that fills up or goes away while a run writes: one clear line, an earlier checkpoint that is whole, and the same end once
# there is room again. Checkpoints damaged in every way are passed over, and it is said.
source "$(dirname "$0")/common.sh.inc"
small_data 0.03
options=(--data "$PWD/shards" --set model.backbone=efficientnet_b0 --set optim.name=sgd --set optim.lr=1e-3 --set augment.size=32 --set train.batch=4
  --set train.threads=1 --set train.epochs=6)
train=("$ladnn" train "${options[@]}")
same_run() { cmp straight/best.h5 "$1/best.h5" && cmp straight/predictions.csv "$1/predictions.csv" && cmp straight/metrics.json "$1/metrics.json" && same_state straight "$1"; }
begun() { # RUN STEPS
  for _ in $(seq 600); do [ "$(grep -c '"step"' "$1/record.jsonl" 2>/dev/null)" -ge "$2" ] 2>/dev/null && return; sleep 0.02; done
  echo "$1 did not begin"; false
}
one_line() { [ "$(grep -c '^ladnn train: ' "$1")" -eq 1 ] && ! grep -q "assertion\|MPI_ABORT" "$1"; }
check "straight run" "${train[@]}" --out straight

# ---- damaged checkpoints: both that stand are tried, newest first ----
damage() { # how, folder of a checkpoint
  case $1 in
    "flipped byte") printf 'x' | dd of="$2/state.h5" bs=1 seek=200000 conv=notrunc ;;
    "cut state") truncate -s 100000 "$2/state.h5" ;;
    "empty state") : >"$2/state.h5" ;;
    "no state") rm "$2/state.h5" ;;
    "empty sum") : >"$2/SHA256" ;;
    "no sum") rm "$2/SHA256" ;;
    "another's sum") sed -i 's/^./z/' "$2/SHA256" ;;
  esac 2>/dev/null
}
"${train[@]}" --out begun --set train.max_steps=15 >begun.log 2>&1
check "two checkpoints" test "$(ls begun/checkpoints | tr '\n' ' ')" = "step-0000000012 step-0000000015 "
for how in "flipped byte" "cut state" "empty state" "no state" "empty sum" "no sum" "another's sum"; do
  rm -rf run && cp -r begun run
  damage "$how" run/checkpoints/step-0000000015
  "${train[@]}" --out run >damaged.log 2>&1
  check "$how: goes on" test $? -eq 0
  check "$how: says so" grep -q "warning: .*step-0000000015" damaged.log
  check "$how: from the one before" grep -q "continuing from step 12 " damaged.log
  check "$how: to the same end" same_run run
done
rm -rf run && cp -r begun run
damage "cut state" run/checkpoints/step-0000000015
damage "no sum" run/checkpoints/step-0000000012
"${train[@]}" --out run >damaged.log 2>&1
check "none is whole: both are named" bash -c 'grep -q step-0000000015 damaged.log && grep -q step-0000000012 damaged.log'
check "none is whole: begins anew, to the same end" same_run run

# ---- a disk ----
disk=$PWD/disk
mkdir -p "$disk"
trap 'umount "$disk" 2>/dev/null' EXIT
if mount -t tmpfs -o size=56m none "$disk" 2>/dev/null; then
  expect_error "full at the second checkpoint" 1 "^ladnn train: .*checkpoints/.*(No space|space left)" "${train[@]}" --out "$disk/run"
  check "in one line" one_line expect.err
  check "the first is whole" test "$(ls "$disk/run/checkpoints")" = step-0000000006
  check "told as a failure" grep -q '"state": "failed"' "$disk/run/progress.json"
  mount -o remount,size=200m "$disk"
  "${train[@]}" --out "$disk/run" >room.log 2>&1
  check "with room it goes on" test $? -eq 0
  check "from there" grep -q "continuing from step 6 " room.log
  cp -r "$disk/run" full
  check "to the same end" same_run full
  rm -rf "$disk/run"

  # Every byte is taken while it runs: the record is what fails first.
  "${train[@]}" --out "$disk/run" --set train.epochs=100 >eaten.log 2>&1 &
  pid=$!
  check "begins" begun "$disk/run" 8
  dd if=/dev/zero of="$disk/filler" bs=64k 2>/dev/null
  rc=0
  wait $pid || rc=$?
  check "ends with status 1" test $rc -eq 1
  check "in one line that names the cause" bash -c 'grep -Eq "^ladnn train: .*disk/run/.*No space left" eaten.log'
  check "and only one" one_line eaten.log
  rm "$disk/filler"
  expect_error "goes on when there is room" 75 "continuing from step" "${train[@]}" --out "$disk/run" --set train.epochs=100 --set train.max_steps=1
  rm -rf "$disk/run"

  # The disk becomes unwritable.
  "${train[@]}" --out "$disk/run" --set train.epochs=100 >ro.log 2>&1 &
  pid=$!
  check "begins" begun "$disk/run" 8
  for _ in $(seq 200); do mount -o remount,ro "$disk" 2>/dev/null && break; sleep 0.01; done # only while no file is open for writing
  if grep -q " $disk tmpfs ro" /proc/mounts; then
    rc=0
    wait $pid || rc=$?
    check "read-only: ends with status 1" test $rc -eq 1
    check "read-only: says so" grep -q "^ladnn train: .*Read-only" ro.log
  else
    kill -9 $pid
    wait $pid 2>/dev/null
  fi
  mount -o remount,rw "$disk"
  mkdir "$disk/closed"
  mount -o remount,ro "$disk"
  expect_error "unwritable from the start" 1 "^ladnn train: .*closed/run.*(Read-only|denied)" "${train[@]}" --out "$disk/closed/run"
  check "in one line" one_line expect.err
  umount "$disk"
else
  echo "not tested here: a full disk (no permission to mount)"
fi
verdict
