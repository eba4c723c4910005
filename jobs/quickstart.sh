#!/usr/bin/env bash
# The main job from nothing: set up, build, make (or take) a data set, pack it, train baseline and LA-DNN on 2 MPI ranks,
# test both, write the report page and print its table. Under five minutes on two cores with the phantom.
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
  mpirun --oversubscribe -np "$ranks" "$ladnn" train --config jobs/cfg/ladnn.cfg --data "$data" --out "$out/runs-$tag/$backbone-$method" \
    --set model.backbone="$backbone" --set model.method="$method" "${settings[@]}"
done

say "report"
"$ladnn" report "$out/runs-$tag" --out "$out/report-$tag" --png false
printf '\n%s research use only, not for diagnosis\n' "$synthetic"
awk -F, -v data="$tag" -v backbone="$backbone" '
  function percent(v) { return v == "" ? "n/a" : sprintf("%.1f%%", 100 * v) }
  function row(name, method, of) {
    printf "%-16s %-10s %12s %8s %8s %10s\n", name, method, percent(of[method, "sensitivity"]), percent(of[method, "auc"]),
      percent(of[method, "f1"]), percent(of[method, "accuracy"])
  }
  $1 == data && $2 == backbone { mean[$3, $7] = $10; paper[$3, $7] = $15; if ($15 != "") printed = 1 }
  END {
    printf "%-16s %-10s %12s %8s %8s %10s\n", "backbone", "method", "sensitivity", "AUC", "F1", "accuracy"
    row(backbone, "baseline", mean); row(backbone, "ladnn", mean)
    if (printed) { row("in the paper", "baseline", paper); row("in the paper", "ladnn", paper) }
  }' "$out/report-$tag/table2.csv"
printf 'the page: %s\n' "$out/report-$tag/report.html"
