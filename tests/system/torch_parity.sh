#!/usr/bin/env bash
# timeout=300  Networks of three kinds against PyTorch (tests/gpu/parity.py), which tests/gpu/run.sh does on a GPU with all seven: on the CPU, and on
# the emulated card where there is a build for CUDA; and that a wrong gradient, or wrong convolutions, do not pass.
source "$(dirname "$0")/common.sh.inc"
python=/usr/bin/python3
if ! [ -x $python ] || ! $python -c 'import torch, numpy' 2>/dev/null; then
  echo "NOT COMPARED with PyTorch, which is not installed"
  exit 0
fi
built=$(dirname "$ladnn")/tests emulated=$(dirname "$ladnn")/tests/network_results_emulated
parity() { $python "$tests/gpu/parity.py" "$@" --device cpu >parity.log 2>&1; local rc=$?; cat parity.log; return $rc; }
# wrong WHAT-IT-SAYS arguments ...: must end with 1, not by a crash.
wrong() {
  local words=$1
  shift
  parity "$@"
  [ $? = 1 ] && grep -Eq "FAILED: $words|^    $words" parity.log
}
on_cpu=("$built/network_results" --backend cpu --precision f32)
check "efficientnet_b0 on the CPU" parity "${on_cpu[@]}" efficientnet_b0
check "tells what it has seen" grep -q "efficientnet_b0 f32: passed: [0-9]* tensors, worst at 0" parity.log
check "a gradient that is off by a thousandth of its largest element" \
  wrong "grad.layer3.0.conv2.weight: off by" "${on_cpu[@]}" --alter layer3.0.conv2.weight=0.001 resnet18
check "is the only one that is wrong" grep -q "(1 in all)" parity.log
if [ -x "$emulated" ]; then
  check "resnet18 on the emulated card, f32 and bf16" parity "$emulated" --batch 4 8 resnet18
  check "both" test "$(grep -c ": passed: " parity.log)" = 2
  check "densenet121 on the emulated card" parity "$emulated" --precision f32 densenet121
  check "a gradient that is off in bf16" wrong "grad.fc.weight: off by" "$emulated" --precision bf16 --batch 4 8 --alter fc.weight=0.2 resnet18
  export LADNN_WRONG=1
  check "convolutions that are a little off" wrong "" "$emulated" --precision f32 resnet18
else
  check "densenet121 on the CPU" parity "${on_cpu[@]}" densenet121
fi
verdict
