#!/usr/bin/env bash
# timeout=400. A training step of every network runs on oneDNN's vector kernels: no `ref` and, with AVX-512, no `gemm` kernel.
source "$(dirname "$0")/common.sh.inc"

slow=',(ref|(x64:)?gemm:)'
grep -qw avx512vl /proc/cpuinfo || slow=',ref' # without AVX-512 oneDNN's small matrix products are gemm

# Of one step; the kernels of weight import (reorder) do not count.
kernels_of() { # backbone precision
  DNNL_VERBOSE=1 "$ladnn" bench train --backbone "$1" --batch 2 --precision "$2" --set bench.warmup=1 --set bench.steps=1 2>"$1.err" |
    awk -F, '$1 == "onednn_verbose" && $2 == "exec" && $4 != "reorder" { print $4 "," $5 }' | sort -u >"$1-$2.kernels"
}
no_slow_kernel() {
  kernels_of "$1" "$2"
  [ -s "$1-$2.kernels" ] || { echo "no kernel listed"; cat "$1.err"; return 1; }
  ! grep -E "$slow" "$1-$2.kernels"
}

precisions=fp32
if "$ladnn" bench train --backbone resnet18 --batch 1 --set bench.size=32 --precision bf16 --set bench.warmup=0 --set bench.steps=1 >bf16.log 2>&1
then precisions="fp32 bf16"
else grep -q "no bf16" bf16.log && echo "bf16 not looked at: this CPU has none" || { cat bf16.log; exit 1; }
fi
for precision in $precisions; do
  for backbone in vgg16 resnet18 resnet50 densenet121 densenet169 efficientnet_b0 efficientnet_b1; do
    check "$backbone $precision" no_slow_kernel $backbone $precision
  done
done
# Where CPUID cannot be made to fault, a CPU whose AMX is hidden does without, and says so; it does not crash.
tiny() { "$ladnn" bench train --backbone resnet18 --batch 1 --set bench.size=32 --precision "$1" --set bench.warmup=0 --set bench.steps=1; }
bf16_or_no() { tiny bf16 2>no.err || grep -q "no bf16" no.err; }
if "${CC:-cc}" -shared -fPIC -o shim.so "$tests/tools/no_cpuid_faults.c" -ldl 2>cc.log; then
  export LD_PRELOAD=$PWD/shim.so
  check "without CPUID faults, fp32" tiny fp32
  check "without CPUID faults, bf16 or a clear no" bf16_or_no
  unset LD_PRELOAD
else
  check "the shim compiles" false
fi
check "a reference kernel would be seen" grep -qE "$slow" <<<"convolution,ref:any"
verdict
