#!/usr/bin/env bash
# timeout=240  What the grid needs of Slurm does work: arrays with a limit, GPUs, requeue by a signal's trap, afterany, MPI, a node's failure.
source "$(dirname "$0")/../system/common.sh.inc"
cluster() { bash "$tests/slurm/cluster.sh" "${@:1:1}" "$work" "${@:2}"; }
lines=$(cluster start $$) || exit 1
eval "$lines"

# submit NAME OPTIONS ... <script: prints the number; the job's output goes to NAME.out, tasks' to NAME-INDEX.out
submit() {
  local name=$1
  shift
  { echo '#!/usr/bin/env bash'; cat; } >"$name.sh"
  sbatch --parsable -J "$name" "$@" "$name.sh"
}
ended_as() { grep -c " Name=$1 JobState=$2 " "$folder/log/jobcomp.txt"; } # NAME STATE: how many jobs
said() { grep -E '^(run|warned|rank)' "$1" | sort; } # without what Slurm, the shell and libraries add about jobs taken away and odd machines
folder=$(readlink -f slurm)

# ---- the daemons listen on loopback alone ----
addresses() { # of the cluster's three ports, as the kernel writes them
  local ports
  ports=$(grep -oE 'Port=[0-9]+' "$folder/slurm.conf" | cut -d = -f 2 | xargs printf '%04X|%04X|%04X')
  cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == "0A" {print $2}' | grep -E ":($ports)\$"
}
check "three listen" [ "$(addresses | wc -l)" = 3 ]
check "on 127.0.0.1" [ "$(addresses | grep -c ^0100007F:)" = 3 ]

# ---- arrays ----
task='echo "$(date +%s%N) start $SLURM_ARRAY_TASK_ID $SLURMD_NODENAME ${CUDA_VISIBLE_DEVICES-unset}"; sleep 1; echo "$(date +%s%N) end"'
most_at_once() { sort -n "$@" | awk '$2 == "start" && ++n > most {most = n} $2 == "end" {n--} END {print most}'; }
devices() { grep -h start "$@" | awk '{print $4, $5}' | sort -u | wc -l; }

limited=$(submit limited --array=0-3%2 --gres=gpu:1 -o limited-%a.out <<<"$task")
check "an array of four ends" cluster wait "$limited" 30
check "all four ran" [ "$(grep -c end limited-?.out | grep -c ':1$')" = 4 ]
check "never more than two of %2 at once" [ "$(most_at_once limited-?.out)" = 2 ]
check "each sees one GPU" [ "$(cat limited-?.out | grep -cE ' n[12] [01]$')" = 4 ]

# ---- all at once: four GPUs are there, the four jobs below need two CPUs each ----
free=$(submit free --array=0-3 --gres=gpu:1 -o free-%a.out <<<"$task")
requeued=$(submit requeued --array=5 --requeue --open-mode=append -o requeued-%a.out <<'END'
echo "run ${SLURM_RESTART_COUNT:-0}"
[ -z "${SLURM_RESTART_COUNT-}" ] || exit 0
trap 'echo warned; scontrol requeue $SLURM_JOB_ID' USR2
touch requeued.ready
for i in {1..300}; do sleep 0.1; done
END
)
failing=$(submit failing --array=0-1 -o failing-%a.out <<<'sleep 0.5; touch failing.$SLURM_ARRAY_TASK_ID; exit $SLURM_ARRAY_TASK_ID')
after=$(submit after --dependency=afterany:"$failing" -o after.out <<<'ls failing.[01] | wc -l')

cat >hello.c <<'END'
#include <mpi.h>
#include <stdio.h>
int main(int argc, char **argv) {
  int rank, size, sum = 0;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int one = rank + 1;
  MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  printf("rank %d of %d: sum %d\n", rank, size, sum);
  return MPI_Finalize();
}
END
check "mpicc" mpicc -o hello hello.c
by_mpirun=$(submit mpirun -N1 -n2 -t 1 -o mpirun.out <<<'mpirun --bind-to none -np 2 ./hello')
by_srun=$(submit srun -N1 -n2 -t 1 -o srun.out <<<'srun --mpi=pmix -n2 ./hello')

ready() { for _ in {1..100}; do [ -e requeued.ready ] && return; sleep 0.1; done; return 1; }
check "the job that will be requeued runs" ready
signalled=$SECONDS
check "USR2 reaches the batch script" scancel -b -s USR2 "${requeued}_5"
check "it ends" cluster wait "$requeued" 30
seconds=$((SECONDS - signalled))
check "within 15 s ($seconds)" [ $seconds -le 15 ]
check "and was run twice" diff <(said requeued-5.out) <(printf 'run 0\nrun 1\nwarned\n')

check "the others end" cluster wait "$free" "$failing" "$after" "$by_mpirun" "$by_srun" 30
check "four at once where nothing limits" [ "$(most_at_once free-?.out)" = 4 ]
check "on four different GPUs" [ "$(devices free-?.out)" = 4 ]
check "the failed task is on record" [ "$(ended_as failing FAILED) $(ended_as failing COMPLETED)" = "1 1" ]
check "the dependent job came after both tasks" [ "$(cat after.out)" = 2 ]
for way in mpirun srun; do
  check "two ranks by $way" diff <(said $way.out) <(printf 'rank %d of 2: sum 3\n' 0 1)
done

# ---- a node fails ----
struck=$(submit struck -w n1 --requeue --open-mode=append -o struck.out <<'END'
echo "run ${SLURM_RESTART_COUNT:-0}"
[ "${SLURM_RESTART_COUNT-}" ] || sleep 60
END
)
running() { for _ in {1..100}; do [ -s struck.out ] && return; sleep 0.1; done; return 1; }
check "a job runs on n1" running
check "n1 fails" cluster node-fail n1
check "and stays down" [ "$(sinfo -h -n n1 -o %T)" = down ]
check "its job waits again" [ "$(squeue -h -j "$struck" -o %T)" = PENDING ]
check "n1 returns" cluster node-return n1
check "the job ends" cluster wait "$struck" 30
check "in its second run" diff <(said struck.out) <(printf 'run 0\nrun 1\n')

# ---- a second cluster, whose owner is killed ----
{ bash -c "bash '$tests/slurm/cluster.sh' start '$work/second' \$\$ >second.lines && kill -9 \$\$"; } 2>second.log
second=$(readlink -f second/slurm)
check "it runs beside the first" grep -q "$second" second.lines
check "the first still answers" scontrol ping
vanished() { for _ in {1..100}; do [ -e second/slurm ] || return 0; sleep 0.1; done; return 1; }
check "it ends after its owner" vanished
check "with all it had" [ -z "$(pgrep -f "$second/")" ]

# ---- the end ----
check "an unknown job is told" bash -c "! bash '$tests/slurm/cluster.sh' wait '$work' 999 1"
check "a second start is refused" bash -c "! bash '$tests/slurm/cluster.sh' start '$work' $$"
check "which eval sees" bash -c "! eval \"\$(bash '$tests/slurm/cluster.sh' start '$work')\""
submit stubborn -o stubborn.out <<<'trap "" TERM; sleep 300' >stubborn.id
mapfile -t daemons < <(cluster left)
check "the daemons are seen" [ ${#daemons[@]} -ge 4 ]
check "stop" cluster stop
state_or_none() { local p; for p in "${daemons[@]}"; do grep -H ^State "/proc/$p/status" 2>/dev/null; done; }
check "no daemon is left" [ -z "$(state_or_none | grep -v zombie)" ]
check "nor the folder" [ ! -e "$folder" ]
echo "$SECONDS s"
verdict
