#!/usr/bin/env bash
# timeout=300  A second copy of a run takes its folder over; the first ends at its next look, also when it was stopped meanwhile.
source "$(dirname "$0")/common.sh.inc"
small_data 0.05
options=(--data shards --set model.backbone=efficientnet_b0 --set optim.name=sgd --set augment.size=32 --set train.batch=8 --set train.epochs=25
  --set optim.lr=1e-3 --set train.threads=1 --set train.checkpoint_keep=1)
take=(--set train.take_over=true)
begun() { # RUN STEPS: until so many steps stand in its record
  for _ in $(seq 300); do [ "$(grep -c '"step"' "$1/record.jsonl" 2>/dev/null)" -ge "$2" ] 2>/dev/null && return; sleep 0.05; done
  echo "$1 did not begin"; false
}
state() { grep -o '"state": "[a-z]*"' "$1/progress.json" | cut -d '"' -f 4; }
attempt() { grep -o '"attempt": [0-9]*' "$1/progress.json" | grep -o '[0-9]*$'; }
same_run() { # as the straight one: weights, predictions, metrics, record without times
  cmp straight/best.h5 "$1/best.h5" && cmp straight/predictions.csv "$1/predictions.csv" && cmp straight/metrics.json "$1/metrics.json" &&
    diff <(sed 's/, "seconds".*//' straight/record.jsonl) <(sed 's/, "seconds".*//' "$1/record.jsonl")
}

check "straight run" "$ladnn" train "${options[@]}" --out straight

# A live copy: it ends by itself within a second or two, the newcomer waits for it.
"$ladnn" train "${options[@]}" --out live >live1.log 2>&1 &
first=$!
check "first copy begins" begun live 12
check "second copy runs to the end" "$ladnn" train "${options[@]}" --out live "${take[@]}"
cp check.log live2.log
rc=0; wait $first || rc=$?
check "the first ends with status 1" test $rc -eq 1
check "and says who has taken over" grep -q "live: attempt 2 has taken over this run folder; this copy (attempt 1) ends" live1.log
check "the second waited for it" grep -q "live: it left after" live2.log
check "the end is the straight run's" same_run live
check "told as the second attempt's" test "$(state live) $(attempt live)" = "finished 2"

# A stopped copy: the newcomer goes on without it; when it wakes up it writes nothing.
"$ladnn" train "${options[@]}" --out stopped >stopped1.log 2>&1 &
first=$!
check "first copy begins" begun stopped 12
kill -STOP $first
"$ladnn" train "${options[@]}" --out stopped "${take[@]}" --set train.take_over_s=1 >stopped2.log 2>&1 &
second=$!
check "the second goes on without it" bash -c 'for _ in $(seq 100); do grep -q "still locked, but its holder can write nothing" stopped2.log && exit; sleep 0.1; done; exit 1'
sleep 1
kill -CONT $first
rc=0; wait $first || rc=$?
check "the first ends with status 1" test $rc -eq 1
check "and says who has taken over" grep -q "attempt 2 has taken over this run folder; this copy (attempt 1) ends" stopped1.log
expect_error "a third is refused while the second works" 1 "another ladnn is working" "$ladnn" train "${options[@]}" --out stopped
rc=0; wait $second || rc=$?
check "the second ends well" test $rc -eq 0
check "the end is the straight run's" same_run stopped

# It wakes up only when the run is finished.
"$ladnn" train "${options[@]}" --out late >late1.log 2>&1 &
first=$!
check "first copy begins" begun late 12
kill -STOP $first
check "the second runs to the end" "$ladnn" train "${options[@]}" --out late "${take[@]}" --set train.take_over_s=0.5
before=$(find late -type f -printf '%p %T@ %s\n' | sort | sha256sum)
kill -CONT $first
rc=0; wait $first || rc=$?
check "the first ends with status 1" test $rc -eq 1
check "and has touched nothing" test "$before" = "$(find late -type f -printf '%p %T@ %s\n' | sort | sha256sum)"
check "the end is the straight run's" same_run late

# All ranks of the older copy end; the newcomer's other rank waits with its rank 0.
mpi 2 "$ladnn" train "${options[@]}" --out ranks >ranks1.log 2>&1 &
first=$!
check "first copy begins" begun ranks 12
check "two ranks take over" mpi 2 "$ladnn" train "${options[@]}" --out ranks "${take[@]}" --set dist.timeout_s=5
rc=0; wait $first || rc=$?
check "the first ends with status 1" test $rc -eq 1
check "its error is told once" test "$(grep -c 'attempt 2 has taken over' ranks1.log)" -eq 1
verdict
