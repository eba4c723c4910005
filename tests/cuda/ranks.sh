#!/usr/bin/env bash
# Ranks with a card each, connected by NCCL (emulated, tests/tools/fake_nccl.h): the bits of one rank, recorded steps, a shared card, a rank that
# stands still. Usage: ranks.sh EMULATED-PROGRAM WORK-FOLDER
source "$(dirname "$0")/common.sh.inc"
settings=(--data "$work/shards" --set train.backend=cuda --set train.batch=8 --set augment.size=32 --set model.backbone=resnet18 --set train.epochs=2)
train() { # folder, ranks, settings ...
  local folder=$1 ranks=$2
  shift 2
  timeout 120 mpirun --oversubscribe --bind-to none -np "$ranks" "$program" train --out "$work/$folder" "${settings[@]}" "$@" >"$work/$folder.log" 2>&1
}
steps() { grep '"type": "step"' "$work/$1/record.jsonl"; }
same() { [ "$(steps "$1" | wc -l)" -gt 3 ] && [ "$(steps "$1")" = "$(steps "$2")" ] && cmp -s "$work/$1/predictions.csv" "$work/$2/predictions.csv"; }
bits=(--set train.deterministic=true --set train.virtual_shards=2)

train one 1 "${bits[@]}"
train two 2 "${bits[@]}"
hold "cards are connected by NCCL" grep -q "2 cards are connected by NCCL" "$work/two.log"
hold "two cards give the bits of one" same one two
train unrecorded 2 "${bits[@]}" --set train.capture=false
hold "recorded or not, the same bits" same two unrecorded
train usual 2 --set dist.bucket_mb=4
train alone 1
hold "sums that overlap with backward take the same course" bash -c 'paste <(grep -o "\"val_loss\": [0-9.e-]*" "$0") <(grep -o "\"val_loss\": [0-9.e-]*" "$1") | awk "{d = \$2 - \$4; if (d < 0) d = -d; if (d > 0.02 * \$2) bad = 1; n++} END {exit bad || n < 2}"' \
  "$work/usual/record.jsonl" "$work/alone/record.jsonl"
train rounded 2 --set dist.bucket_mb=4 --set dist.gradients=bf16
hold "sums in bf16 take nearly the same course" bash -c 'paste <(grep -o "\"val_loss\": [0-9.e-]*" "$0") <(grep -o "\"val_loss\": [0-9.e-]*" "$1") | awk "{d = \$2 - \$4; if (d < 0) d = -d; if (d > 0.02 * \$2) bad = 1; n++} END {exit bad || n < 2}"' \
  "$work/rounded/record.jsonl" "$work/usual/record.jsonl"
hold "and are rounded" bash -c '! cmp -s "$0" "$1"' <(steps rounded) <(steps usual)
train fixed 2 "${bits[@]}" --set dist.gradients=bf16
hold "in fixed order they are refused" grep -q "train.deterministic needs dist.gradients = fp32" "$work/fixed.log"
train staged 2 --set dist.backend=mpi --set dist.gradients=bf16
hold "through the host, too" grep -q "sum in fp32 only" "$work/staged.log"
LADNN_SHARED_CARD=1 train shared 2
hold "two ranks on one card are refused, with a hint" bash -c 'grep -q "ranks 0 and 1 both have card" "$0" && grep -q "dist.backend=mpi" "$0"' "$work/shared.log"

# of_rank FOLDER RANK: its process, when the run has made some steps.
of_rank() {
  for _ in $(seq 600); do [ "$(grep -c '"type": "step"' "$work/$1/record.jsonl" 2>/dev/null)" -gt 3 ] 2>/dev/null && break; sleep 0.1; done
  pgrep -f "$work/$1 " | while read -r pid; do grep -qz "OMPI_COMM_WORLD_RANK=$2" /proc/$pid/environ 2>/dev/null && echo "$pid"; done | head -n 1
}

# A rank that is killed while the cards sum.
train killed 2 --set train.epochs=50 --set dist.timeout_s=5 --set train.checkpoint_every_s=0.2 &
run=$!
kill -KILL "$(of_rank killed 1)"
wait $run
rc=$?
hold "a rank that is killed ends the run (status $rc)" test $rc -ne 0 -a $rc -ne 124
hold "and is named" grep -qE "rank 1 .*signal 9|rank 1" "$work/killed.log"
train killed 2 --set train.epochs=50 --set train.max_steps=9999 --set train.time_limit_s=1
hold "the checkpoint is whole and continued" grep -q "continuing from step" "$work/killed.log"

# A rank that stands still while the other's card waits for it.
timeout 100 mpirun --oversubscribe --bind-to none -np 2 "$program" train --out "$work/still" "${settings[@]}" --set train.epochs=50 --set dist.timeout_s=4 \
  >"$work/still.log" 2>&1 &
mpirun=$!
victim=$(of_rank still 1)
kill -STOP "$victim"
start=$SECONDS
wait $mpirun
rc=$?
kill -CONT "$victim" 2>/dev/null
hold "a rank that stands still ends the run (status $rc) within its limit ($((SECONDS - start)) s)" test $rc -ne 0 -a $rc -ne 124 -a $((SECONDS - start)) -lt 30
hold "and is named" grep -qE "rank 1 .*(silent|last seen|has not|stopped)|waits? for.* rank 1|rank 1" "$work/still.log"
[ $failed = 0 ] && echo "ranks with cards: all held" || tail -n 5 "$work"/*.log
exit $failed
