#!/usr/bin/env bash
# The main job from nothing: set up, build, make (or take) a data set, pack it, train baseline and LA-DNN on 2 MPI ranks,
# test both and print the table. Under five minutes on two cores with the phantom.
#
#   jobs/quickstart.sh                    synthetic phantom data, a few epochs
#   COVID_CT=DIR jobs/quickstart.sh       the real data set (covid-ct layout) with the paper's recipe
#
# OUT (default runs/), BACKBONE (resnet18), RANKS (2) and BUILD (build/) may be set in the environment.
set -euo pipefail
if [ $# -gt 0 ]; then # help, or a mistake
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
  [ "$1" = --help ] && exit 0 || exit 2
fi
if [ -n "${COVID_CT:-}" ]; then COVID_CT=$(realpath -e -- "$COVID_CT"); fi # as seen from where the user stands
cd "$(dirname "$0")/.."

backbone=${BACKBONE:-resnet18}
ranks=${RANKS:-2}
build=${BUILD:-build}
out=${OUT:-runs}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

say() { printf '\n== %s\n' "$*"; }

say "set-up and build"
bash jobs/setup.sh
cmake -S . -B "$build" -G Ninja >"${TMPDIR:-/tmp}/ladnn-cmake.$$" || { cat "${TMPDIR:-/tmp}/ladnn-cmake.$$"; exit 1; }
sed -n '/What this build found/,/^$/p' "${TMPDIR:-/tmp}/ladnn-cmake.$$"
rm -f "${TMPDIR:-/tmp}/ladnn-cmake.$$"
cmake --build "$build"
ladnn=$build/ladnn

if [ -n "${COVID_CT:-}" ]; then
  say "pack $COVID_CT"
  data=$out/shards-d0 tag=d0 synthetic=""
  "$ladnn" pack --preset covid-ct --in "$COVID_CT" --out "$data" --name d0
  settings=()
else
  say "phantom: a synthetic data set (no patient, no diagnosis)"
  data=$out/shards-phantom tag=phantom synthetic=" SYNTHETIC data:"
  [ -e "$out/phantom/test_meta.csv" ] || "$ladnn" phantom --out "$out/phantom"
  say "pack"
  "$ladnn" pack --preset covid-ct --in "$out/phantom" --out "$data" --name phantom
  # A network without ImageNet's weights needs larger steps; half-size pictures keep the whole script under five minutes.
  settings=(--set train.epochs=4 --set optim.lr=5e-4 --set augment.size=112)
fi
"$ladnn" inspect "$data"

for method in baseline ladnn; do
  say "train $backbone $method on $ranks ranks"
  mpirun --oversubscribe -np "$ranks" "$ladnn" train --config jobs/cfg/ladnn.cfg --data "$data" --out "$out/$tag-$backbone-$method" \
    --set model.backbone="$backbone" --set model.method="$method" "${settings[@]}"
done

say "results"
value() { sed -n "s/^ *\"$2\": *\([0-9.eE+-]*\|null\),*$/\1/p" "$1" | head -1; }
printf '%s research use only, not for diagnosis\n' "$synthetic"
printf '%-14s %-10s %12s %8s %8s %10s   %s\n' backbone method sensitivity AUC F1 accuracy "run folder"
for method in baseline ladnn; do
  run=$out/$tag-$backbone-$method
  m=$run/metrics.json
  printf '%-14s %-10s %12s %8s %8s %10s   %s\n' "$backbone" "$method" \
    $(for k in sensitivity auc f1 accuracy; do value "$m" $k | awk '{ if ($1 == "null") print "n/a"; else printf "%.1f%%\n", 100 * $1 }'; done) "$run"
done
if [ -n "${COVID_CT:-}" ]; then
  awk -v b="$backbone" '$1 == b {
    printf "%-14s %-10s %11s%% %7s%% %7s%% %9s%%   Table 2 of the paper (ImageNet weights)\n", b, "baseline", $2, $4, $6, $8
    printf "%-14s %-10s %11s%% %7s%% %7s%% %9s%%   Table 2 of the paper (ImageNet weights)\n", b, "ladnn", $3, $5, $7, $9
  }' jobs/cfg/table2-d0.txt
fi
