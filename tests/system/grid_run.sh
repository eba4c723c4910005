#!/usr/bin/env bash
# timeout=600  `ladnn grid run`: cells here, several at once; killed, interrupted, made stale, given up, tried again.
source "$(dirname "$0")/common.sh.inc"
small_data 0.05
mkdir -p data && mv shards data/d0
cat >grid.cfg <<'EOF'
grid = {
    name = "here";
    datasets = ( { name = "d0"; data = "data/d0"; } );
    backbones = ["resnet18"];
    methods = ["baseline", "ladnn"];
    seeds = [1];
};
augment = { size = 32; };
train = { epochs = 2; batch = 8; deterministic = true; virtual_shards = 2; };
EOF
grid() { "$ladnn" grid "$@"; } # in the background: the program itself, so that its number is known
says() { grep -Eq -- "$1" "$2"; }
first=d0-resnet18-baseline-s1

# ---- undisturbed: one at a time on one rank, two at a time on two ranks: the same bits ----
check "two cells, one at a time" grid run --file grid.cfg --out one
check "two at a time on two ranks" grid run --file grid.cfg --out two --jobs 2 --ranks 2
for run in one/d0*; do
  for file in best.h5 predictions.csv metrics.json; do check "$(basename "$run") $file" cmp "$run/$file" "two/$(basename "$run")/$file"; done
done
started=${EPOCHREALTIME/./}
grid run --file grid.cfg --out one >again.log 2>&1
check "finished ones are not run again" says '0 of 2 cells: 2 done' again.log
check "which takes less than half a second" [ $((${EPOCHREALTIME/./} - started)) -lt 500000 ]
check "a cell's file runs it by hand" bash -c "'$ladnn' train --config one/grid/cells/$first.cfg 2>&1 | grep -q 'finished already'"

# ---- settings change: those cells are stale, nothing else ----
awk '/seeds/ { print; print "    override = ( { method = \"baseline\"; optim = { lr = 1e-4; }; } );"; next } { print }' grid.cfg >changed.cfg
grid plan --file changed.cfg --out one >plan.txt
check "one is stale" says '2 cells, 1 stale, 1 done' plan.txt
check "and run again" grid run --file changed.cfg --out one
check "all are done" says '2 cells, 2 done' <(grid status --out one)
check "not the same numbers" bash -c "! cmp -s one/$first/best.h5 two/$first/best.h5"

# ---- a rank killed: goes on; the whole program killed: the cells end with it; Ctrl-C: a checkpoint ----
sed 's/epochs = 2/epochs = 32/' grid.cfg >long.cfg
"$ladnn" grid run --file long.cfg --out quiet --only "$first" >/dev/null 2>&1
state() { sed -n "s/^ *\"$2\": *\"\{0,1\}\([^\",]*\).*/\1/p" "$1/$first/progress.json" 2>/dev/null; }
wait_for_step() { # FOLDER STEP: and holds the run there, so that no machine is too fast for what is to happen to it
  for _ in {1..600}; do
    [ "$(state "$1" state)" = running ] && [ "$(state "$1" step)" -ge "$2" ] && kill -STOP "$(state "$1" pid)" && return
    sleep 0.05
  done
  return 1
}
go() { kill -CONT "$(state "$1" pid)" 2>/dev/null || true; }
"$ladnn" grid run --file long.cfg --out storm --only "$first" --ranks 2 >storm.log 2>&1 &
runner=$!
check "it runs" wait_for_step storm 2
killed=$(state storm pid)
check "a rank is killed" kill -9 "$killed"
again() { [ "$(grep -c begin "storm/$first/attempts.jsonl")" = 2 ] && [ "$(state storm pid)" != "$killed" ]; }
for _ in {1..300}; do again && break; sleep 0.1; done
check "it is started again" again
check "and goes on" wait_for_step storm 4
check "the program is killed" kill -9 $runner
wait $runner 2>/dev/null
pid=$(state storm pid)
for _ in {1..100}; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
check "its cell ends with it" bash -c "! kill -0 $pid 2>/dev/null"
check "which is seen" says "$first +crashed" <(grid status --out storm)
"$ladnn" grid run --out storm --only "$first" >storm2.log 2>&1 &
runner=$!
step=$(state storm step)
check "it goes on" wait_for_step storm $((step + 1))
check "an interrupt" kill -INT $runner
go storm
wait $runner
check "ends with status 75" [ $? = 75 ]
check "says what it did" says 'SIGINT: the cells stop with a checkpoint' storm2.log
check "which is seen" says "$first +stopped" <(grid status --out storm)
check "and ends well" grid run --out storm --only "$first"
for file in best.h5 predictions.csv metrics.json; do check "the bits of an undisturbed run: $file" cmp "quiet/$first/$file" "storm/$first/$file"; done
check "JSON" /usr/bin/python3 -c "
import json, subprocess, sys
cells = json.loads(subprocess.run(['$ladnn', 'grid', 'status', '--out', 'storm', '--json'], capture_output=True, check=True).stdout)['cells']
assert [c['state'] for c in cells] == ['done', 'pending'] and cells[0]['attempts'] >= 4, cells"

rm -rf quiet storm

# ---- a cell that crashes every time is given up, and a retry counts anew ----
mkdir fake && printf '#!/bin/sh\necho "host rank 0: out of luck"\nkill -9 $$\n' >fake/mpirun && chmod +x fake/mpirun
PATH=$PWD/fake:$PATH grid run --file grid.cfg --out crash --only "$first" --ranks 2 --set grid.crashes=3 >crash.log 2>&1
check "status 1" [ $? = 1 ]
check "three times and no more" [ "$(grep -c begin "crash/$first/attempts.jsonl")" = 3 ]
check "with the reason" says "$first failed: given up after 3 crashes at step 0: killed by Killed: host rank 0: out of luck" crash.log
check "kept for whoever looks" says "$first +failed .*given up after 3 crashes" <(grid status --out crash)
check "a retry" grid retry --out crash --local --ranks 1
check "helps" says '2 cells, 1 pending, 1 done' <(grid status --out crash)
check "nothing is left to retry" bash -c "'$ladnn' grid retry --out crash --local 2>&1 | grep -q '0 of 2 cells to try again'"

# ---- a warning that comes while two ranks start is not lost ----
for wait in 0.1 0.2; do
  "$ladnn" grid run --file long.cfg --out early --only "$first" --ranks 2 >early.log 2>&1 &
  runner=$!
  sleep $wait
  kill -TERM $runner
  for _ in {1..300}; do kill -0 $runner 2>/dev/null || break; sleep 0.1; done
  check "ended, $wait s after the start" bash -c "! kill -9 $runner 2>/dev/null"
  wait $runner
  check "with status 75" [ $? = 75 ]
done

# ---- a folder deleted under a running cell, a file in the place of one: the other cell is done ----
sed 's/"baseline", "ladnn"/"ladnn", "baseline"/; s/epochs = 2/epochs = 4/' grid.cfg >other.cfg
"$ladnn" grid run --file other.cfg --out gone >gone.log 2>&1 &
runner=$!
for _ in {1..300}; do grep -q '"state": "running"' gone/d0-resnet18-ladnn-s1/progress.json 2>/dev/null && break; sleep 0.1; done
mv gone/d0-resnet18-ladnn-s1 away && touch gone/d0-resnet18-ladnn-s1
wait $runner
check "told" says 'd0-resnet18-ladnn-s1 failed: gone/d0-resnet18-ladnn-s1' gone.log
check "the other is done" says '1 cells done, 1 failed' gone.log

# ---- shards packed anew behind the plan: not a crash, and not done twice ----
"$ladnn" pack --preset covid-ct --in phantom --out other --name phantom --size 64 >/dev/null 2>&1
cp -r data/d0 kept
PATH=/nowhere "$ladnn" grid submit --file grid.cfg --out anew >/dev/null 2>&1 # fails without sbatch, but the list is written
rm -rf data/d0 && mv other data/d0
grid run --out anew --only "$first" >anew.log 2>&1
check "said once" says "$first failed .*attempt 1: its data are not those that were planned" anew.log
check "planned anew, it is done" says "$first +done" <(grid plan --file grid.cfg --out anew)
rm -rf data/d0 && mv kept data/d0

# ---- a copied grid runs in its own folder ----
cp -r two copied && rm copied/$first/metrics.json
check "the copy" grid run --out copied
check "is done" says '2 cells, 2 done' <(grid status --out copied)

# ---- a folder that cannot be written, a disk that is full ----
touch "one/file"
expect_error "no folder" 1 'one/file' "$ladnn" grid run --file grid.cfg --out one/file
expect_error "no launcher" 1 'mpirun is not on PATH' env PATH=/nowhere "$ladnn" grid run --file grid.cfg --out other --ranks 2
check "one ladnn grid a folder" bash -c "exec 9>one/grid/lock && flock 9 && ! '$ladnn' grid run --file grid.cfg --out one 2>lock.log && grep -q 'another ladnn grid is at work' lock.log"
verdict
