#!/usr/bin/env bash
# timeout=300  Stops and their traces: signals through the launcher, the lead of a warning, progress.json in every state, a clock that jumps.
source "$(dirname "$0")/common.sh.inc"
small_data 0.03
options=(--data shards --set model.backbone=efficientnet_b0 --set optim.name=sgd --set optim.lr=1e-3 --set augment.size=32 --set train.batch=4
  --set train.threads=1 --set train.checkpoint_keep=1)
train=("$ladnn" train "${options[@]}")
of() { /usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1] + "/progress.json"))[sys.argv[2]])' "$1" "$2"; }
progress() { # RUN KEY VALUE ...: progress.json has these
  local run=$1
  shift
  for (( ; $#; )); do [ "$(of "$run" "$1")" = "$2" ] || { echo "$1 is $(of "$run" "$1"), want $2"; return 1; }; shift 2; done
}
begun() { # RUN STEPS
  for _ in $(seq 600); do [ "$(grep -c '"step"' "$1/record.jsonl" 2>/dev/null)" -ge "$2" ] 2>/dev/null && return; sleep 0.05; done
  echo "$1 did not begin"; false
}
ends_with() { local rc=0; wait "$2" || rc=$?; echo "exit status $rc, want $1"; [ $rc -eq "$1" ]; }
continued() { cmp straight/best.h5 "$1/best.h5" && cmp straight/predictions.csv "$1/predictions.csv" && cmp straight/metrics.json "$1/metrics.json"; }

check "straight run" mpi 2 "${train[@]}" --set train.epochs=16 --out straight
check "finished" progress straight state finished attempt 1 epoch 16 epochs 16 batch 6 batches 6 step 96 eta_s 0 error None signal None
check "research use only" grep -q "research use only" straight/progress.json

# USR2 to the launcher, to one rank that is not the first; TERM.
mpi 2 "${train[@]}" --set train.epochs=16 --set train.stop_signal=usr2 --out usr2 >usr2.log 2>&1 &
launcher=$!
check "begins" begun usr2 5
kill -USR2 $launcher
check "mpirun passes SIGUSR2 on and answers 75" ends_with 75 $launcher
check "stopped" progress usr2 state stopped signal SIGUSR2 error None
check "continues" mpi 2 "${train[@]}" --set train.epochs=16 --out usr2
check "to the same end" continued usr2
check "as the second attempt" progress usr2 state finished attempt 2
mpi 2 "${train[@]}" --set train.epochs=16 --set train.stop_signal=usr2 --out one >one.log 2>&1 &
launcher=$!
check "begins" begun one 5
kill -USR2 "$(pgrep -P $launcher | tail -1)"
check "one rank's signal stops all" ends_with 75 $launcher
check "stopped" progress one state stopped signal "signal to another rank"
mpi 2 "${train[@]}" --set train.epochs=16 --out term >term.log 2>&1 &
launcher=$!
check "begins" begun term 5
kill -TERM $launcher
check "mpirun itself answers 1 to SIGTERM" ends_with 1 $launcher
check "the ranks stop with a checkpoint" progress term state stopped signal SIGTERM

# Limits; a failure; a death.
expect_error "step limit" 75 "with a checkpoint" "${train[@]}" --set train.epochs=16 --set train.max_steps=3 --out steps
check "stopped" progress steps state stopped signal train.max_steps step 3 batch 3
expect_error "time limit" 75 "with a checkpoint" "${train[@]}" --set train.epochs=16 --set train.time_limit_s=0.5 --out seconds
check "stopped" progress seconds state stopped signal train.time_limit_s
expect_error "a failure" 1 "the (loss|gradient)|not a number" mpi 2 "${train[@]}" --set optim.lr=100 --set optim.momentum=0.99 --out nan
check "failed" progress nan state failed signal None
check "with its error" bash -c '/usr/bin/python3 -c "import json; print(json.load(open(\"nan/progress.json\"))[\"error\"])" | grep -Eq "epoch [0-9]+"'
"${train[@]}" --set train.epochs=200 --out dead >dead.log 2>&1 &
launcher=$!
check "begins" begun dead 5
sleep 2.5
kill -9 $launcher
wait $launcher 2>/dev/null
check "a death leaves 'running'" progress dead state running pid $launcher attempt 1
check "with an estimate of the rest" /usr/bin/python3 -c 'import json; p = json.load(open("dead/progress.json")); assert p["eta_s"] > 0 and p["train_loss"] > 0 and p["seconds"] > 2'

# The lead of a warning signal.
"${train[@]}" --set train.epochs=1 --set train.lead_s=86400 --out lead >lead.log 2>&1
check "a stop's time is told" grep -Eq 'a stop takes about [0-9.]+ s \(save [0-9.]+ s \+ step [0-9.]+ s\); the warning comes 86400 s before the end' lead.log
check "no warning" bash -c '! grep -q "warning: " lead.log'
"${train[@]}" --set train.epochs=1 --set train.lead_s=0.001 --out short >short.log 2>&1
check "too short a lead is a warning with a remedy" grep -Eq 'warning: a stop takes .* more than half of train.lead_s = 0.001.*set train.lead_s = [0-9]+0 \(in a grid: slurm.lead_s\)$' short.log
expect_error "the measured checkpoint stands" 75 "with a checkpoint" "${train[@]}" --set train.epochs=1 --set train.lead_s=9 --set train.max_steps=2 --out saved
check "it does not change the run" mpi 2 "${train[@]}" --set train.epochs=16 --set train.lead_s=9 --out led
check "its bits are the same" continued led

# Durations are the monotonic clock's.
if "${CC:-cc}" -shared -fPIC -o shim.so "$tests/tools/jumping_clock.c" 2>cc.log; then
  LD_PRELOAD="$PWD/shim.so" "${train[@]}" --set train.epochs=4 --set train.time_limit_s=3000 --set train.checkpoint_every_s=1000 --out jump >jump.log 2>&1
  check "a wall clock that jumps" test $? -eq 0
  check "it did jump" bash -c 'test $(grep -oE "^[0-9]{2}:" jump.log | sort -u | wc -l) -gt 3'
  check "no duration did" /usr/bin/python3 -c '
import json
times = [json.loads(line)["seconds"] for line in open("jump/record.jsonl") if "seconds" in line]
assert len(times) == 4 and all(0 < t < 250 for t in times), times
assert 0 < json.load(open("jump/progress.json"))["seconds"] < 250'
else
  echo "not tested here: a jumping clock (no compiler)"
fi
verdict
