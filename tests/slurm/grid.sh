#!/usr/bin/env bash
# timeout=600  A grid on a real Slurm, disturbed: one cell's rank is killed, one is warned and requeued twice, one node fails, one cell
# fails on purpose. What it ends with must equal, bit for bit, an undisturbed run without Slurm; the failed cell is listed with its reason.
#   grid.sh PROGRAM TESTS WORK          12 cells (ctest)
#   grid.sh PROGRAM TESTS WORK full [QUIET]     the paper's 28, one of them ended by a real time limit again and again; QUIET: the undisturbed run
#                                               of an earlier time, else it is made first (about 20 GB, and half an hour of two cores)
source "$(dirname "$0")/../system/common.sh.inc"
full=${4-}
cluster() { bash "$tests/slurm/cluster.sh" "$1" "$work" "${@:2}"; }
started=$SECONDS
small_data 0.1
mkdir data && mv shards data/d0
"$ladnn" pack --preset covid-ct --in phantom --out data/d0d1 --name d0d1 --size 96 --set pack.split=make --set pack.seed=2 >/dev/null 2>&1 || exit 1

backbones='"resnet18", "densenet121", "efficientnet_b0"'
long=40 longest=40 end_s=300 # epochs of the cells that are disturbed: quick machines need some
[ -z "$full" ] || longest=300 end_s=1200 backbones='"resnet18", "densenet121", "vgg16", "resnet50", "densenet169", "efficientnet_b0", "efficientnet_b1"'
cat >grid.cfg <<EOF
grid = {
    name = "storm";
    config = ["$tests/../jobs/cfg/ladnn.cfg"];
    datasets = ( { name = "d0"; data = "data/d0"; }, { name = "d0d1"; data = "data/d0d1"; } );
    backbones = [$backbones];
    methods = ["baseline", "ladnn"];
    seeds = [1];
    override = (
        { dataset = "d0d1"; backbone = "efficientnet_b0"; method = "baseline"; train = { covid_weight = 0.0; }; },
        { dataset = "d0"; backbone = "resnet18"; method = "baseline"; train = { epochs = $longest; }; },
        { dataset = "d0"; backbone = "resnet18"; method = "ladnn"; train = { epochs = $long; }; },
        { dataset = "d0"; backbone = "densenet121"; method = "baseline"; train = { epochs = 16; }; }
    );
};
augment = { size = 32; };
train = { epochs = 2; batch = 16; deterministic = true; virtual_shards = 2; checkpoint_every_s = 0.0; checkpoint_keep = 1; };
EOF
cells=12 bad=d0d1-efficientnet_b0-baseline-s1
[ -z "$full" ] || cells=28

# ---- without Slurm, without disturbance ----
[ -z "${5-}" ] || mv "$5" quiet
"$ladnn" grid run --file grid.cfg --out quiet --jobs 2 >quiet.log 2>&1
[ -n "${5-}" ] || check "all but one are done" grep -q "$((cells - 1)) cells done, 1 failed, 0 to be continued" quiet.log
echo "local run: $((SECONDS - started)) s"

# ---- on Slurm ----
trap 'cluster stop >/dev/null 2>&1' EXIT
eval "$(cluster start $$)" || exit 1
cat >site.cfg <<'EOF'
slurm = { time = "00:10:00"; lead_s = 30; throttle = 3; };
grid = { ranks = 2; };
EOF
check "submitted" "$ladnn" grid submit --file grid.cfg --config site.cfg --out storm
"$ladnn" grid submit --file grid.cfg --config site.cfg --out storm >again.log 2>&1
check "not a second time" grep -q "^.* 0 of $cells cells: " again.log
array=$(cut -d' ' -f1 storm/grid/submit-0001/jobs.txt)

field() { sed -n "s/^ *\"$2\": *\"\{0,1\}\([^\",]*\).*/\1/p" "storm/$1/progress.json" 2>/dev/null; }
runs() { [ "$(field "$1" state)" = running ] && [ "$(field "$1" step)" -gt "${2:-0}" ]; }
raw_job() { squeue -h -r -o '%F %K %A' | awk -v a="$array" -v i="$(($(grep -nx "$1" storm/grid/submit-0001/tasks.txt | cut -d: -f1) - 1))" '$1 == a && $2 == i { print $3 }'; }
attempts() { grep -c '"type": "begin"' "storm/$1/attempts.jsonl"; }

warned=d0-resnet18-baseline-s1 struck=d0-resnet18-ladnn-s1 killed=d0-densenet121-baseline-s1
check "a cell runs" wait_until 120 runs $killed
rank=$(field $killed pid)
check "one of its ranks is killed" kill -9 "$rank"

for times in 1 2; do
  check "a cell is running (warning $times)" wait_until 120 runs $warned $((times * 2))
  step=$(field $warned step)
  if [ -n "$full" ]; then check "its time limit is cut" scontrol update "JobId=$(raw_job $warned)" TimeLimit=1
  else timeout 3 scancel -b -s USR2 "$(raw_job $warned)"; fi # it tries again for ever, though the first try arrives
  again() { [ "$(attempts $warned)" -gt "$times" ] && runs $warned "$step"; }
  if [ "$times" = 1 ]; then # meanwhile
    check "another runs" wait_until 60 runs $struck
    node=$(squeue -h -j "$(raw_job $struck)" -o %N)
    check "its node fails" cluster node-fail "$node"
    check "and returns" cluster node-return "$node"
  fi
  check "it is started again" wait_until 200 again
done
collect() { squeue -h -o %j | grep -q collect; }
finished() { ! collect; }
check "all ends" wait_until $end_s finished
"$ladnn" grid status --out storm >status.txt
check "all but one are done" grep -q "$cells cells, 1 failed, $((cells - 1)) done" status.txt
check "the failed one with its reason" grep -Eq "$bad +failed .*leaves the baseline nothing to learn" status.txt
check "the warned one was started three times" [ "$(attempts $warned)" -ge 3 ]
check "and went on at the very next step" grep -q 'continuing from step' "storm/$warned/train.log"
check "the killed one twice" [ "$(attempts $killed)" = 2 ]
check "the struck one twice" [ "$(attempts $struck)" -ge 2 ]
check "the killed one's crash is told" grep -q '"outcome": "crashed"' "storm/$killed/attempts.jsonl"
for run in quiet/d0*; do
  name=$(basename "$run")
  [ "$name" = "$bad" ] && continue
  for file in metrics.json predictions.csv best.h5; do check "$name: $file" cmp "$run/$file" "storm/$name/$file"; done
done
check "the collecting job made the report" [ -s storm/report/report.html ]
check "the failed cell is in it, with its reason" grep -q 'leaves the baseline nothing to learn' storm/report/report.html
check "a report of the quiet grid" "$ladnn" report quiet --out quiet/report
check "the same table, to the last digit" cmp quiet/report/table2.csv storm/report/table2.csv
check "a failed cell leaves no result" [ ! -e "storm/$bad/metrics.json" ]

# ---- again: only what failed ----
"$ladnn" grid submit --file grid.cfg --config site.cfg --out storm --dry-run >again.txt 2>again.log
check "the failed one would be submitted again" grep -q "1 of $cells cells: $((cells - 1)) done" again.log
check "a retry runs it here" bash -c "! '$ladnn' grid retry --out storm --local >retry.log 2>&1 && grep -q '$bad failed' retry.log"
sed -i 's/covid_weight = 0.0/covid_weight = 4.0/' grid.cfg
"$ladnn" grid plan --file grid.cfg --out storm >plan.txt
check "changed settings make it stale" grep -q "$bad *stale" plan.txt
check "and are run" "$ladnn" grid run --file grid.cfg --out storm
check "the grid is whole" bash -c "'$ladnn' grid status --out storm | grep -q '$cells cells, $cells done'"
echo "all: $((SECONDS - started)) s"
[ $failed -eq 0 ] || tail -n 5 storm/grid/logs/*.log
verdict
