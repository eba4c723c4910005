#!/usr/bin/env bash
# Sets up and runs every test: a release build with gcc (all tests), a sanitizer build (fast tests), a clang build (fast tests).
# Usage: tests/run.sh [release|sanitize|clang ...]   default: all three
set -euo pipefail
cd "$(dirname "$0")/.."
started=$(date +%s)
bash jobs/setup.sh test
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMP_WAIT_POLICY=passive # two tests at a time: a thread that waits leaves its core to the other
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(release sanitize clang)

build_and_test() { # name, ctest arguments, cmake arguments ...
  local name=$1 select=$2
  shift 2
  echo "== $name: build ($(($(date +%s) - started)) s)"
  cmake -S . -B "build/$name" -G Ninja "$@" >"build/$name.log" 2>&1 || { cat "build/$name.log"; return 1; }
  cmake --build "build/$name" 2>&1 | tail -n 3
  echo "== $name: test ($(($(date +%s) - started)) s)"
  (cd "build/$name" && ctest --output-on-failure -j 2 $select)
}

mkdir -p build
for part in "${parts[@]}"; do
  case $part in
    release) build_and_test release "" ;;
    sanitize)
      export ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0
      build_and_test sanitize "-L fast" -DLADNN_SANITIZE=address,undefined -DLADNN_CUDA_ARCHITECTURES=90-real
      unset ASAN_OPTIONS LSAN_OPTIONS ;;
    clang) build_and_test clang "-L fast" -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DLADNN_CUDA_ARCHITECTURES=90-real ;;
    *) echo "tests/run.sh: no part '$part'" >&2; exit 2 ;;
  esac
done
echo "== all parts passed in $(($(date +%s) - started)) s: ${parts[*]}"
