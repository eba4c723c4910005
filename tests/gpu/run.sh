#!/usr/bin/env bash
# Everything that only a GPU can show, in one command, within BUDGET seconds (480). What is worth most comes first: is it right (each operation,
# a network of each kind beside PyTorch's: parity.py), how fast is it beside PyTorch, then all else. What there was no time for is listed as left
# out; each figure is written when it is there, and the tables are made whatever ends the script. Usage: tests/gpu/run.sh BUILD-FOLDER OUT-FOLDER
#   BUILD-FOLDER   holds ladnn and tests/ (a build with CUDA, or what tests/gpu/bundle.sh has packed)
#   OUT-FOLDER     gets gpu.jsonl, gpu.md, deviceprop.json (the card as cuDNN describes it) and the logs
# CUDA's libraries are looked for in LD_LIBRARY_PATH, in the wheels of PYTHON (python3), in the toolkit. Status 77 when there is no GPU, 1 when a check failed.
set -uo pipefail
build=$(cd "$1" && pwd) out=$2
here=$(cd "$(dirname "$0")" && pwd)
tests=$(dirname "$here")
mkdir -p "$out"
out=$(cd "$out" && pwd)
lines=$out/gpu.jsonl
budget=${BUDGET:-480} python=${PYTHON:-python3}
backbones=(${BACKBONES:-resnet18 efficientnet_b0 densenet121 resnet50 vgg16 densenet169 efficientnet_b1})
: >"$lines"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
[ -x "$build/bin/mpirun" ] && export PATH=$build/bin:$PATH OPAL_PREFIX=$build
# Libraries are for our programs alone (with): PyTorch, and the system's commands, have their own.
wheels=$("$python" -c 'import glob, site; print(":".join(d for s in site.getsitepackages() + [site.getusersitepackages()] for d in glob.glob(s + "/nvidia/*/lib")))' 2>/dev/null)
libraries=$([ -d "$build/lib" ] && echo "$build/lib:")${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}${wheels:+$wheels:}${CUDA_HOME:-/usr/local/cuda}/lib64
export XDG_CACHE_HOME=$out/cache # plans of this card, for the second start
with() { LD_LIBRARY_PATH=$libraries "$@"; }
failed=0

left() { echo $((budget - SECONDS)); }
# note NAME VERDICT SECONDS
note() {
  echo "$1: $2 ($3 s)"
  printf '{"what": "check", "name": "%s", "verdict": "%s", "seconds": %d}\n' "$1" "$2" "$3" >>"$lines"
}
last_line() { tail -n 1 "$1" 2>/dev/null | tr -d '"\\' | tr -cd '[:print:]' | cut -c 1-160; }

# check NAME SECONDS-AT-MOST COMMAND ...
check() {
  local name=$1 most=$2 start=$SECONDS rc
  shift 2
  [ "$(left)" -lt 10 ] && { note "$name" "left out: no time" 0; return; }
  [ "$most" -gt "$(left)" ] && most=$(left)
  with timeout -k 5 "$most" "$@" >"$out/$name.log" 2>&1
  rc=$?
  case $rc in
    0) note "$name" passed $((SECONDS - start)) ;;
    77) note "$name" "left out: $(last_line "$out/$name.log")" $((SECONDS - start)) ;;
    124 | 137) note "$name" "stopped after $most s" $((SECONDS - start)); failed=1 ;;
    *) note "$name" "FAILED ($rc): $(last_line "$out/$name.log")" $((SECONDS - start)); failed=1 ;;
  esac
}

# One line of bench into the table's file: BACKBONE BATCH [settings].
ours() {
  local b=$1 batch=$2 most=60 start=$SECONDS log
  shift 2
  log=$out/bench-$b-$batch${1:+-${2#*.}}.log
  [ "$(left)" -lt 15 ] && { note "ladnn $b batch $batch" "left out: no time" 0; return; }
  [ $most -gt "$(left)" ] && most=$(left)
  with timeout -k 5 "$most" "$build/ladnn" bench train --backend cuda --precision bf16 --backbone "$b" --batch "$batch" --steps 20 --warmup 5 --json "$@" \
    2>"$log" >>"$lines" || { note "ladnn $b batch $batch" "FAILED: $(last_line "$log")" $((SECONDS - start)); failed=1; }
}
# All batches of a network in one process, which takes seconds to start: BACKBONE MODE SECONDS-AT-MOST BATCH ...
peer() {
  local b=$1 mode=$2 most=$3 start=$SECONDS log=$out/torch-$1-$2.log
  shift 3
  [ "$(left)" -lt $((most / 2)) ] && { note "torch $mode $b batch $*" "left out: no time" 0; return; }
  [ "$most" -gt "$(left)" ] && most=$(left)
  timeout -k 5 "$most" "$python" "$here/torch_train.py" "$b" --mode "$mode" --batch "$@" >>"$lines" 2>"$log" ||
    note "torch $mode $b batch $*" "not all figures: $(last_line "$log")" $((SECONDS - start))
}

finish() {
  trap - EXIT
  "$python" "$here/table.py" "$lines" >"$out/gpu.md" && cat "$out/gpu.md"
  echo "$SECONDS s, $([ $failed = 0 ] && echo "nothing failed" || echo "SOMETHING FAILED")"
}
trap finish EXIT
trap 'exit 1' INT TERM

with timeout 60 "$build/tests/test_cuda_card" describe "$out/deviceprop.json" >"$out/describe.log" 2>&1
case $? in
  0) note describe passed $SECONDS ;;
  77)
    echo "tests/gpu/run.sh: $(last_line "$out/describe.log")" >&2
    trap - EXIT
    exit 77
    ;;
  *) note describe "FAILED: $(last_line "$out/describe.log")" $SECONDS; failed=1 ;; # the card is there: all else may hold
esac
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem --format=csv 2>&1 | tee "$out/device.csv"
check doctor 20 "$build/ladnn" doctor
check operations 90 "$build/tests/test_cuda_card"
stored() { check "stored-$1-$2" 40 "$build/tests/test_models_parity" "$tests" "$1" cuda "$2"; }
# Networks beside this machine's PyTorch, on this card: f32 small, bf16 as training has it. Without PyTorch, beside stored numbers.
# SECONDS-AT-MOST BACKBONE ...
parity() {
  local most=$1 start=$SECONDS rc b
  shift
  [ "$(left)" -lt 30 ] && { note "PyTorch's results $*" "left out: no time" 0; return; }
  [ "$most" -gt "$(left)" ] && most=$(left)
  timeout -k 5 "$most" "$python" "$here/parity.py" "$build/tests/network_results" --libraries "$libraries" --size 64 224 --batch 4 32 \
    --seconds $((most - 25)) --lines "$lines" "$@" >>"$out/parity.log" 2>&1
  rc=$?
  case $rc in
    0) ;;
    77)
      note "PyTorch's results $*" "left out: $(last_line "$out/parity.log")" $((SECONDS - start))
      for b in "$@"; do stored "$b" bf16 && stored "$b" f32; done
      ;;
    124 | 137) note "PyTorch's results $*" "stopped after $most s" $((SECONDS - start)); failed=1 ;;
    *) note "PyTorch's results $*" "FAILED ($rc), see parity.log: $(last_line "$out/parity.log")" $((SECONDS - start)); failed=1 ;;
  esac
}
parity 120 resnet18 densenet121 efficientnet_b0

for b in "${backbones[@]}"; do
  for batch in 32 256; do ours "$b" $batch; done
  peer "$b" eager 60 32 256
done
[ "$(left)" -gt 15 ] && with timeout 30 "$build/ladnn" bench train --backend cuda --precision bf16 --backbone "${backbones[0]}" --batch 32 --steps 1 --warmup 2 --json 2>/dev/null |
  sed 's/"what": "train"/"what": "second start"/' >>"$lines" # with a warm plan cache

check training 120 bash "$here/training.sh" "$build/ladnn" "$out/training.work"
parity 150 vgg16 resnet50 efficientnet_b1 densenet169
for b in "${backbones[@]}"; do ours "$b" 32 --set bench.kinds=true; done
for b in "${backbones[@]}"; do ours "$b" 32 --set gpu.sums=apart; done
for b in "${backbones[@]}"; do peer "$b" compile 100 32 256; done
for b in "${backbones[@]}"; do ours "$b" 64; done
for b in resnet18 densenet121 efficientnet_b0; do stored $b f32; done
if command -v compute-sanitizer >/dev/null; then
  check sanitizer 90 compute-sanitizer --error-exitcode 1 "$build/tests/test_models_parity" "$tests" efficientnet_b0 cuda bf16
else
  note sanitizer "left out: compute-sanitizer is not here" 0
fi
exit $failed
