#!/usr/bin/env bash
# timeout=240  A grid of cells of one rank: a preemption's TERM goes to job steps alone, so the rank must be one; it goes on to the same bits.
source "$(dirname "$0")/../system/common.sh.inc"
cluster() { bash "$tests/slurm/cluster.sh" "$1" "$work" "${@:2}"; }
small_data 0.1
mkdir data && mv shards data/d0
cell=d0-resnet18-ladnn-s1
cat >grid.cfg <<'EOF'
grid = {
    name = "single";
    datasets = ( { name = "d0"; data = "data/d0"; } );
    backbones = ["resnet18"];
    methods = ["ladnn"];
    seeds = [1];
};
augment = { size = 32; };
train = { epochs = 40; batch = 16; deterministic = true; virtual_shards = 2; };
EOF
echo 'slurm = { time = "00:10:00"; lead_s = 30; };' >site.cfg
check "undisturbed" "$ladnn" grid run --file grid.cfg --out quiet
trap 'cluster stop >/dev/null 2>&1' EXIT
eval "$(cluster start $$)" || exit 1
check "submitted" "$ladnn" grid submit --file grid.cfg --config site.cfg --out single
array=$(cut -d' ' -f1 single/grid/submit-0001/jobs.txt)
field() { sed -n "s/^ *\"$1\": *\"\{0,1\}\([^\",]*\).*/\1/p" single/$cell/progress.json; }
runs() { [ "$(field state)" = running ] && [ "$(field step)" -gt 2 ]; }
check "it runs" wait_until 60 runs
check "its step is told to end" scancel -s TERM "$array"
finished() { ! squeue -h -o %A | grep -q .; }
check "all ends" wait_until 120 finished
check "it stopped with a checkpoint" grep -q '"outcome": "stopped"' single/$cell/attempts.jsonl
check "and went on" grep -q 'continuing from step' single/$cell/train.log
check "it is done" grep -q "1 cells, 1 done" <("$ladnn" grid status --out single)
for file in metrics.json predictions.csv best.h5; do check "the same bits: $file" cmp "single/$cell/$file" "quiet/$cell/$file"; done
[ $failed -eq 0 ] || tail -n 20 single/grid/logs/*.log single/$cell/attempts.jsonl
verdict
