#!/usr/bin/env bash
# The fault campaign: a small deterministic training is killed at random moments and continued by the same command until it is finished;
# its results must be those of the undisturbed run, bit for bit.
#   tests/fault/run.sh PROGRAM WORK [KILLS=200] [SEED=1]
# PROGRAM is ladnn_faulty of a build's tests/: the program with points at which it can be told to die (base/fault.h). Killed are a rank, the
# launcher, both, or the process itself at such a point (mid-checkpoint, mid-record ...); or a warning signal asks for a stop. The number of ranks
# changes from attempt to attempt. A difference, a hang or a wrong exit status is a failure, which keeps its folder.
source "$(dirname "$0")/../system/common.sh.inc" "$(realpath "$1")" "$(cd "$(dirname "$0")/.." && pwd)" "$2"
kills_wanted=${3:-200}
RANDOM=${4:-1}
limit_s=120
started=$SECONDS
exec 2>shell.log # where the shell tells of each killed job
export TMPDIR=$(mktemp -d /tmp/ladnn-fault-XXXXXX) # a killed launcher leaves its things there
export OMPI_MCA_btl_vader_backing_directory=$TMPDIR OMPI_MCA_osc_sm_backing_directory=$TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
points=(lock:1 fence:1 record:20 tensor:3000 checkpoint-state:8 checkpoint-ready:8 checkpoint-aside:2 checkpoint-placed:8 checkpoint-removal:6
  publish:3 published:3) # and how often each is passed in a run, at most
options=(--data shards --set model.backbone=efficientnet_b0 --set optim.name=sgd --set optim.lr=1e-3 --set augment.size=32 --set train.batch=4
  --set train.epochs=3 --set train.threads=1 --set train.deterministic=true --set train.virtual_shards=2 --set train.checkpoint_every_s=0.1
  --set train.take_over=true --set train.take_over_s=20)

fail() {
  echo "FAILED (run $run, attempt $attempt, $kind): $*"
  tail -n 15 log
  cat history
  grep -v Killed shell.log
  exit 1
}
# start RANKS FAULT SIGNAL: one attempt, in the background.
start() {
  LADNN_FAULT=$2 mpirun --oversubscribe --bind-to none -np "$1" "$ladnn" train "${options[@]}" --set train.stop_signal="$3" --out run >log 2>&1 &
  launcher=$!
}
finish() { # waits for the launcher; its status is in rc
  local until=$((SECONDS + limit_s))
  while kill -0 $launcher 2>/dev/null; do
    [ $SECONDS -lt $until ] || { kill -9 $launcher $(pgrep -P $launcher); fail "hangs: not done after $limit_s s"; }
    sleep 0.05
  done
  rc=0
  wait $launcher 2>/dev/null || rc=$?
}
wait_gone() { # PIDS: ranks whose launcher was killed end by themselves
  local until=$((SECONDS + limit_s)) pid
  for pid in "$@"; do
    while [ -r "/proc/$pid/stat" ] && ! grep -q ') Z ' "/proc/$pid/stat" 2>/dev/null; do
      [ $SECONDS -lt $until ] || fail "rank with pid $pid is still there"
      sleep 0.1
    done
  done
}
differs() { # what of `run` differs from `straight`
  for file in best.h5 predictions.csv metrics.json; do cmp -s straight/$file run/$file || echo $file; done
  diff <(sed 's/, "seconds".*//' straight/record.jsonl) <(sed 's/, "seconds".*//' run/record.jsonl) >/dev/null || echo record.jsonl
  same_state straight run >/dev/null 2>&1 || echo checkpoint
  find run -name '*.tmp-*' -o -name '*.new-*' -o -name 'tmp-*'
}
ms() { echo $(($(date +%s%N) / 1000000)); }

small_data 0.03
run=straight attempt=1 kind=undisturbed
: >history
before=$(ms)
start 2 "" usr2
finish
[ $rc -eq 0 ] || fail "the undisturbed run ends with status $rc"
whole_ms=$(($(ms) - before))
mv run straight
echo "undisturbed: $(grep -c '"step"' straight/record.jsonl) record lines, $whole_ms ms on 2 ranks"
start 1 record:3 usr2
finish
grep -q "fault: record:3" log || fail "the program does not die when it is told to: use tests/ladnn_faulty of a build"
rm -rf run

declare -A count=() continued=()
kills=0
for ((run = 1; kills < kills_wanted; run++)); do
  rm -rf run
  : >history
  orphans=() hit=()
  for ((attempt = 1; ; attempt++)); do
    ranks=$((1 + RANDOM % 2)) delay_ms=$((RANDOM % whole_ms)) fault="" signal=usr2
    case $((RANDOM % 8)) in
      0) kind="kill -9 a rank" ;;
      1) kind="kill -9 launcher and ranks" ;;
      2) kind="kill -9 the launcher" ;;
      3) kind="stop by SIGUSR2" ;;
      4) kind="stop by SIGTERM" signal=term ;;
      *)
        point=${points[RANDOM % ${#points[@]}]}
        kind="at ${point%:*}" fault=${point%:*}:$((1 + RANDOM % ${point#*:})) ;;
    esac
    [ $kills -lt "$kills_wanted" ] || { kind=undisturbed fault=""; }
    start $ranks "$fault" $signal
    if [ -z "$fault" ] && [ "$kind" != undisturbed ]; then
      sleep "$((delay_ms / 1000)).$(printf %03d $((delay_ms % 1000)))"
      pids=($(pgrep -P $launcher))
      stepping=$(grep -c "first step done" log)
      case $kind in
        "kill -9 a rank") [ ${#pids[@]} -eq 0 ] || kill -9 "${pids[RANDOM % ${#pids[@]}]}" ;;
        "kill -9 launcher and ranks") kill -9 $launcher "${pids[@]}" ;;
        "kill -9 the launcher") kill -9 $launcher; orphans+=("${pids[@]}") ;;
        "stop by SIGUSR2") kill -USR2 $launcher ;;
        "stop by SIGTERM") kill -TERM $launcher ;;
      esac 2>/dev/null
    fi
    finish
    echo "attempt $attempt: $kind $fault, $ranks ranks, status $rc" >>history
    [ $rc -ne 0 ] || break
    if [ -n "$fault" ]; then
      grep -q "fault: $fault" log || fail "status $rc without the fault"
    elif [ "$kind" = undisturbed ]; then
      fail "ends with status $rc"
    elif [ "$kind" = "stop by SIGUSR2" ] && [ "$stepping" -gt 0 ]; then
      [ $rc -eq 75 ] || fail "status $rc, want 75"
    fi
    kills=$((kills + 1))
    count[$kind]=$((${count[$kind]:-0} + 1))
    hit+=("$kind")
  done
  wait_gone "${orphans[@]}"
  different=$(differs)
  [ -z "$different" ] || fail "other than the undisturbed run:" $different
  for kind in "${hit[@]}"; do continued[$kind]=$((${continued[$kind]:-0} + 1)); done
done

printf '\n%-28s %6s %10s\n' "kind of kill" kills continued
for kind in "${!count[@]}"; do printf '%-28s %6d %10d\n' "$kind" "${count[$kind]}" "${continued[$kind]:-0}"; done | sort
echo "$kills kills in $((run - 1)) runs, $((SECONDS - started)) s: every run ended with the bits of the undisturbed one"
