#!/usr/bin/env bash
# Everything that only a GPU can show, in one command, within BUDGET seconds (480): checks first, then the table beside PyTorch.
# What there was no time for is listed as left out. Usage: tests/gpu/run.sh BUILD-FOLDER OUT-FOLDER
#   BUILD-FOLDER   holds ladnn and tests/ (a build with CUDA, or what tests/gpu/bundle.sh has packed)
#   OUT-FOLDER     gets gpu.jsonl, gpu.md, deviceprop.json (the card as cuDNN describes it) and the logs
# Status 77 when there is no GPU, 1 when a check failed.
set -uo pipefail
build=$(cd "$1" && pwd) out=$2
here=$(cd "$(dirname "$0")" && pwd)
tests=$(dirname "$here")
mkdir -p "$out"
out=$(cd "$out" && pwd)
lines=$out/gpu.jsonl
budget=${BUDGET:-480} python=${PYTHON:-python3}
backbones=(${BACKBONES:-resnet18 densenet121 efficientnet_b0 resnet50 vgg16 densenet169 efficientnet_b1})
: >"$lines"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
[ -d "$build/lib" ] && export LD_LIBRARY_PATH=$build/lib:${LD_LIBRARY_PATH:-} OPAL_PREFIX=$build
[ -x "$build/bin/mpirun" ] && export PATH=$build/bin:$PATH
failed=0

left() { echo $((budget - SECONDS)); }

# check NAME SECONDS-AT-MOST COMMAND ...
check() {
  local name=$1 most=$2 start=$SECONDS rc verdict
  shift 2
  if [ "$(left)" -lt 10 ]; then
    verdict="left out: no time"
  else
    [ "$most" -gt "$(left)" ] && most=$(left)
    timeout "$most" "$@" >"$out/$name.log" 2>&1
    rc=$?
    case $rc in
      0) verdict=passed ;;
      77) verdict="left out: $(tail -n 1 "$out/$name.log" | tr -d '"\\')" ;;
      124) verdict="stopped after $most s" failed=1 ;;
      *) verdict="FAILED ($rc)" failed=1 ;;
    esac
  fi
  echo "$name: $verdict ($((SECONDS - start)) s)"
  printf '{"what": "check", "name": "%s", "verdict": "%s", "seconds": %d}\n' "$name" "$verdict" $((SECONDS - start)) >>"$lines"
}

# One line of bench into the table's file.
ours() { # backbone batch
  [ "$(left)" -lt 15 ] && { echo "left out: ladnn $1 batch $2"; return; }
  timeout 60 "$build/ladnn" bench train --backend cuda --precision bf16 --backbone "$1" --batch "$2" --steps 20 --warmup 5 --json \
    2>"$out/bench-$1-$2.log" >>"$lines" || { echo "ladnn bench $1 batch $2 failed: $(tail -n 1 "$out/bench-$1-$2.log")"; failed=1; }
}
peer() { # backbone batch mode
  local most=$([ "$3" = compile ] && echo 120 || echo 60)
  [ "$(left)" -lt "$most" ] && { echo "left out: torch $3 $1 batch $2"; return; }
  timeout "$most" "$python" "$here/torch_train.py" "$1" --batch "$2" --mode "$3" >>"$lines" 2>"$out/torch-$1-$2-$3.log" || echo "torch $3 $1 batch $2: no figure"
}

if ! why=$("$build/tests/test_cuda_card" describe "$out/deviceprop.json" 2>&1); then
  echo "tests/gpu/run.sh: ${why##*$'\n'}" >&2
  exit 77
fi
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem --format=csv 2>&1 | tee "$out/device.csv"
check doctor 20 "$build/ladnn" doctor
check operations 90 "$build/tests/test_cuda_card"
for b in resnet18 densenet121 efficientnet_b0 vgg16; do
  check "parity-$b-f32" 40 "$build/tests/test_models_parity" "$tests" "$b" cuda f32
  check "parity-$b-bf16" 40 "$build/tests/test_models_parity" "$tests" "$b" cuda bf16
done
check training 120 bash "$here/training.sh" "$build/ladnn" "$out/training.work"
if command -v compute-sanitizer >/dev/null; then
  check sanitizer 60 compute-sanitizer --error-exitcode 1 "$build/tests/test_models_parity" "$tests" efficientnet_b0 cuda bf16
else
  check sanitizer 10 bash -c 'echo "compute-sanitizer is not here"; exit 77'
fi
for b in "${backbones[@]}"; do
  for batch in 32 256; do
    ours "$b" $batch
    peer "$b" $batch eager
  done
done
for b in "${backbones[@]}"; do ours "$b" 64; done
for b in "${backbones[@]}"; do peer "$b" 32 compile; done
"$python" "$here/table.py" "$lines" | tee "$out/gpu.md"
echo "$SECONDS s, $([ $failed = 0 ] && echo "nothing failed" || echo "SOMETHING FAILED")"
exit $failed
