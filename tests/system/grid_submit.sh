#!/usr/bin/env bash
# timeout=120  What `ladnn grid` hands to Slurm: the scripts to the letter, with the pretended commands of tests/slurm/fake.
source "$(dirname "$0")/common.sh.inc"
export FAKE_SLURM_LOG=$PWD/log FAKE_SLURM_QUEUE=$PWD/queue PATH=$tests/slurm/fake:$PATH
small_data 0.05
: >log
: >queue
mkdir -p data && mv shards data/d0
cat >grid.cfg <<'EOF'
grid = {
    name = "golden";
    datasets = ( { name = "d0"; data = "data/d0"; } );
    backbones = ["resnet18", "vgg16"];
    methods = ["baseline", "ladnn"];
    seeds = [1, 2];
    override = ( { backbone = "vgg16"; method = "ladnn"; train = { batch = 4; }; } );
};
augment = { size = 32; };
train = { epochs = 1; batch = 8; };
slurm = { partition = "gpu"; time = "01:00:00"; setup = "module load openmpi"; options = "--constraint=h100 --exclusive"; };
EOF
cat >site.cfg <<'EOF'
slurm = { partition = "long"; account = "ct"; gpus_per_rank = 1; cpus_per_rank = 8; memory = "32G"; throttle = 4; lead_s = 90; };
grid = { ranks = 4; };
EOF
submit() { "$ladnn" grid submit --file grid.cfg --config site.cfg --out "runs/a b" "$@"; }
says() { grep -qF -- "$1" "$2"; }
counts() { [ "$(grep -c -- "$1" "$2")" = "$3" ] || { grep -c -- "$1" "$2"; return 1; }; }

# ---- a plan says what would be, and writes nothing ----
check "the plan" "$ladnn" grid plan --file grid.cfg --out plan
"$ladnn" grid plan --file grid.cfg --out plan >plan.txt
check "eight cells, numbered" counts 'd0-[a-z0-9]*-[a-z]*-s[12] *pending' plan.txt 8
check "the last of them" says '7  d0-vgg16-ladnn-s2' plan.txt
check "an override" says 'runs' <(grep 'vgg16-ladnn-s1' plan.txt | sed 's/batch 4/runs/')
check "nothing written" test ! -e plan

# ---- a dry run prints the two scripts ----
submit --dry-run >dry.txt 2>/dev/null
check "no call" test ! -s log
check "nothing written" test ! -e "runs/a b/grid/submit-0001"
cat >wanted.txt <<EOF
---- array.sbatch
#!/usr/bin/env bash
#SBATCH --job-name=ladnn-golden
#SBATCH --array=0-7%4
#SBATCH --output="$PWD/runs/a b/grid/logs/%A_%a.log"
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --time=01:00:00
#SBATCH --signal=B:USR2@90
#SBATCH --nodes=1
#SBATCH --ntasks=4
#SBATCH --cpus-per-task=8
#SBATCH --gres=gpu:4
#SBATCH --mem=32G
#SBATCH --partition=long
#SBATCH --account=ct
#SBATCH --constraint=h100
#SBATCH --exclusive
trap 'scontrol requeue "\$SLURM_JOB_ID" || exit 99; exit' USR2
module load openmpi
exec '$ladnn' grid cell --config '$PWD/runs/a b/grid/submit-0001/grid.cfg' --out '$PWD/runs/a b' --tasks '$PWD/runs/a b/grid/submit-0001/tasks.txt' --index \$((SLURM_ARRAY_TASK_ID + 0))
---- collect.sbatch
#!/usr/bin/env bash
#SBATCH --job-name=ladnn-golden-collect
#SBATCH --dependency=afterany:JOB1
#SBATCH --output="$PWD/runs/a b/grid/logs/collect-%j.log"
#SBATCH --time=00:30:00
#SBATCH --ntasks=1
#SBATCH --partition=long
#SBATCH --account=ct
module load openmpi
'$ladnn' grid status --out '$PWD/runs/a b'
exec '$ladnn' report '$PWD/runs/a b' --out '$PWD/runs/a b'/report
EOF
without_remarks() { sed -e '/^# /d' -e '/^export /d' -e '/^$/d' -e 's/  *# .*//' "$1"; }
check "the scripts to the letter" diff <(without_remarks dry.txt) wanted.txt

# ---- submitted: sbatch twice, the second behind the first ----
check "submission" submit
check "two calls of sbatch" counts '^sbatch --parsable' log 2
check "the array first" says '    #SBATCH --array=0-7%4' log
check "then who collects" says '    #SBATCH --dependency=afterany:1001' log
check "the scripts parse" bash -n "runs/a b/grid/submit-0001/array.sbatch"
check "eight tasks" counts . "runs/a b/grid/submit-0001/tasks.txt" 8
check "the list for a report" says 'index,name,folder,dataset,backbone,method,seed,identity,epochs' "runs/a b/grid/cells.csv"
check "a cell's own settings are a file for ladnn train" says 'batch = 4;' "runs/a b/grid/cells/d0-vgg16-ladnn-s2.cfg"

# ---- again: what is in the queue is not submitted twice ----
printf '1001 %d PENDING\n' 0 1 2 3 4 5 6 >queue
"$ladnn" grid status --out "runs/a b" >status.txt
check "seven wait" says '8 cells, 1 pending, 7 queued' status.txt
check "one more" submit
check "that one only" says '    #SBATCH --array=0-0%4' log
check "its name" diff "runs/a b/grid/submit-0002/tasks.txt" <(echo d0-vgg16-ladnn-s2)
printf '1001 3 RUNNING None\n1003 0 PENDING launch failed requeued held\n' >queue
"$ladnn" grid status --out "runs/a b" >status.txt
check "by the second submission too, and why it waits" grep -Eq 'd0-vgg16-ladnn-s2 +queued .* launch failed requeued held$' status.txt
check "one runs" says '8 cells, 6 pending, 1 queued, 1 running' status.txt
: >queue

# ---- more cells than an array may have ----
: >log
check "several arrays" "$ladnn" grid submit --file grid.cfg --out many --set slurm.max_array=3
check "three of them" counts '    #SBATCH --array=0-[12]$' log 3
check "the second begins with the fourth cell" says 'SLURM_ARRAY_TASK_ID + 3' log
check "all are waited for" says 'afterany:1001:1002:1003' log

# ---- odd names; a site whose sbatch says more than it is asked ----
: >log
export FAKE_SLURM_CHATTER='sbatch: charged to account 12'
check "a name with quotes and percent" "$ladnn" grid submit --file grid.cfg --out "runs/it's \"100%\""
unset FAKE_SLURM_CHATTER
check "the job's number is found" grep -q '^1001 0$' runs/it*/grid/submit-0001/jobs.txt
check "as sbatch reads it" says "#SBATCH --output=\"$PWD/runs/it's \\\"100%%\\\"/grid/logs/%A_%a.log\"" log
expect_error "a backslash" 1 'takes no log file in a folder whose name has a backslash' "$ladnn" grid submit --file grid.cfg --out 'runs/b\s'

# ---- other epochs are another result ----
mkdir -p epochs && "$ladnn" grid run --file grid.cfg --out epochs --only d0-resnet18-baseline-s1 >/dev/null 2>&1
check "one is done" says '1 done' <("$ladnn" grid plan --file grid.cfg --out epochs)
sed 's/epochs = 1/epochs = 2/' grid.cfg >two.cfg
check "not with two epochs" says '1 stale' <("$ladnn" grid plan --file two.cfg --out epochs)
mv epochs/grid/cells.csv cells.csv
sed '2s/,1$/,x/' cells.csv >epochs/grid/cells.csv
expect_error "a damaged list" 1 'cells.csv:2: seed or epochs is no whole number' "$ladnn" grid status --out epochs
head -n 1 cells.csv >epochs/grid/cells.csv
expect_error "an empty list" 1 'cells.csv: no cell in it' "$ladnn" grid status --out epochs

# ---- the live table: where squeue fails once, it is asked again; in a file without control characters ----
printf '1001 %d PENDING Priority\n' 0 1 >queue
"$ladnn" grid status --out "runs/a b" --watch >watch.txt 2>watch.err &
watcher=$!
for _ in {1..50}; do grep -q Priority watch.txt && break; sleep 0.1; done
mv queue queue.away
for _ in {1..50}; do grep -q 'asking again' watch.err && break; sleep 0.1; done
check "a failed look is told" grep -q 'warning: squeue answers: .*; asking again' watch.err
check "and does not end it" kill "$watcher"
check "no control characters" bash -c "! grep -q \$'\\033' watch.txt"
mv queue.away queue
: >queue

# ---- what may be wrong ----
export FAKE_SLURM_FAIL="sbatch: error: invalid partition specified: long"
expect_error "no such partition" 1 'ladnn grid: sbatch: error: invalid partition specified: long' "$ladnn" grid submit --file grid.cfg --out "runs/a b"
check "a refused submission is not in the queue" test ! -e "runs/a b/grid/submit-0003/jobs.txt"
: >log
export FAKE_SLURM_FAIL_FROM=2
expect_error "refused half-way" 1 'invalid partition' "$ladnn" grid submit --file grid.cfg --out half --set slurm.max_array=3
check "the first array is taken back" says 'scancel 1001' log
unset FAKE_SLURM_FAIL FAKE_SLURM_FAIL_FROM
export FAKE_SLURM_FAIL="squeue: error: unable to contact slurm controller"
expect_error "no controller" 1 'squeue answers: squeue: error: unable to contact' "$ladnn" grid status --out "runs/a b"
unset FAKE_SLURM_FAIL
bad() { # NAME PATTERN sed-expression: a grid file with a mistake in it
  sed "$3" grid.cfg >bad.cfg
  expect_error "$1" 1 "$2" "$ladnn" grid plan --file bad.cfg --out plan
}
bad "an unknown key" "bad.cfg:5: unknown key 'grid.method'" 's/methods =/method =/'
bad "an unknown key of a group" "bad.cfg:10: unknown key 'train.epoch'" 's/epochs =/epoch =/'
bad "an empty list" 'bad.cfg:6: grid.seeds must be a list with at least one value' 's/\[1, 2\]/[]/'
bad "two cells with one folder" "bad.cfg:6: '1' stands twice in grid.seeds: two cells would have the same folder" 's/\[1, 2\]/[1, 1]/'
bad "an unknown backbone" "model.backbone = 'vgg61' is not one of" 's/"vgg16"\]/"vgg61"]/'
bad "an override of nothing" 'bad.cfg:7: no cell of the grid is meant by this override' 's/backbone = "vgg16"/backbone = "vgg19"/'
bad "a wrong type" 'bad.cfg:10: train.batch must be a whole number' 's/batch = 8/batch = "8"/'
bad "a folder's name" "cannot be part of a folder's name" 's/name = "d0"/name = "..\/d0"/'
bad "no list" 'grid.backbones is missing' '/backbones/d'
expect_error "no grid file" 2 'grid.file is not set' "$ladnn" grid submit --out fresh
expect_error "no grid there" 1 'no grid here' "$ladnn" grid status --out fresh
sed 's,data/d0,data/nowhere,' grid.cfg >lost.cfg
expect_error "missing shards" 1 'd0-resnet18-baseline-s1: .*nowhere' "$ladnn" grid submit --file lost.cfg --out lost
check "a plan shows them" says '8 no data' <("$ladnn" grid plan --file lost.cfg --out lost)
expect_error "nothing matches" 1 "grid.only = 'x\*' matches no cell" "$ladnn" grid plan --file grid.cfg --only 'x*'
echo 'taken' >file
expect_error "unwritable output" 1 'file' "$ladnn" grid submit --file grid.cfg --out file/runs
verdict
