#!/usr/bin/env bash
# A real Slurm for tests: munged, slurmctld and two slurmd as virtual nodes n1 and n2 (4 CPUs and 2 pretended GPUs each) on this machine.
# Needs no root, touches nothing outside the caller's folder; the daemons listen on loopback only (loopback.c).
#   cluster.sh possible                    prints Slurm's version when this machine can do it, else status 1 and what is missing
#   eval "$(cluster.sh start WORK [PID])"  starts it within 30 s; what it prints points Slurm's commands at this cluster (or is `false`). The
#                                          cluster is stopped when the process PID ends, however it does: give it $$, so that a killed test
#                                          leaves nothing behind
#   cluster.sh wait WORK JOB ... SECONDS   until these jobs (whole arrays, or tasks as 12_3) have left the queue
#   cluster.sh node-fail WORK n1           takes a node down as a failure does: its jobs are requeued
#   cluster.sh node-return WORK n1
#   cluster.sh left WORK                   lists the processes of the cluster and of its jobs; status 1 when there are none
#   cluster.sh stop WORK                   cancels the jobs, ends the daemons
# While it runs, WORK/slurm holds everything: slurm.conf, sockets, state, log. Where WORK's path is long or odd, WORK/slurm is a link to a
# folder below /tmp, because the path of a Unix socket has room for 108 bytes. Afterwards there is WORK/slurm-log alone, for looking at.
# CLUSTER_SETTINGS may hold more lines for slurm.conf, for example MaxArraySize=11.
set -uo pipefail
PATH=$PATH:/usr/sbin:/sbin # where Debian keeps the daemons, and where ordinary users do not look
here=$(cd "$(dirname "$0")" && pwd)
longest_path=60
start_s=30
daemons=(slurmd-n1 slurmd-n2 slurmctld munged) # in the order in which they are ended

say() { echo "cluster.sh: $*" >&2; }
usage() { sed -n '4,12s/^# *//p' "$0" >&2; exit 2; }

# until_true SECONDS command ...: asks five times a second.
until_true() {
  local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
  shift
  until "$@"; do
    [ "${EPOCHREALTIME/[.,]/}" -lt $end ] || return 1
    sleep 0.2
  done
}

possible() {
  local missing=() p
  for p in munged munge slurmctld slurmd sbatch srun squeue scancel scontrol sinfo flock setsid cc; do
    command -v $p >/dev/null || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && slurmctld -V && return
  echo "missing: ${missing[*]} (Debian: apt-get install slurm-wlm munge gcc)"
  return 1
}

# ---- processes ----

# launch NAME command ...: a daemon in a session of its own; its number goes to run/NAME.
launch() {
  local name=$1
  shift
  setsid "$@" </dev/null >"$folder/log/$name.out" 2>&1 9<&- &
  echo $! >"$folder/run/$name"
}

# A zombie has ended: nobody may be there to reap it.
ended() { case $(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) in '' | Z | X) return 0 ;; *) return 1 ;; esac; }

# daemon NAME: its number, if it still runs and is not a stranger that got the same number.
daemon() {
  local pid
  pid=$(cat "$folder/run/$1" 2>/dev/null) && [ -n "$pid" ] && ! ended "$pid" && grep -qzF -- "$folder/" "/proc/$pid/cmdline" && echo "$pid"
}

# Slurm's process that leads each job's step, and what jobs have started: known by the variables that Slurm gives them.
job_processes() {
  local p
  for p in /proc/[0-9]*; do
    grep -qzxF "SLURM_CONF=$folder/slurm.conf" "$p/environ" 2>/dev/null || continue
    if [ "$(cat "$p/comm" 2>/dev/null)" = slurmstepd ] || grep -qz ^SLURM_JOB_ID= "$p/environ" 2>/dev/null; then
      ended "${p#/proc/}" || echo "${p#/proc/}"
    fi
  done
}
processes() {
  local name
  for name in "${daemons[@]}" guard; do daemon "$name"; done
  job_processes
}

# ---- start ----

# Three ports in a row where nobody listens: Slurm wants to know them beforehand. Who starts next looks only when these are taken
# (start_cluster holds a lock), and starts its search elsewhere.
choose_ports() {
  local used first
  used=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '{split($2, a, ":"); print a[2]}')
  for ((first = 10000 + $$ % 5000 * 4; first < 32000; first += 4)); do # below the ports that systems give away
    grep -qxE "$(printf '%04X|%04X|%04X' $first $((first + 1)) $((first + 2)))" <<<"$used" || { echo $first; return; }
  done
  say "no three free ports between 10000 and 32000"
  return 1
}

write_configuration() { # first of three ports
  local host user
  host=$(hostname -s) user=$(id -un)
  cat >"$folder/slurm.conf" <<END
ClusterName=ladnn-test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$1
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
CredType=cred/munge
# A requeued job waits until its old credential has expired, by default two minutes.
AuthInfo=socket=$folder/munge/sock,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
TmpFS=$folder/tmp/%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=5,bf_interval=5,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
GresTypes=gpu
# A node that was taken down stays so.
ReturnToService=1
SlurmdTimeout=20
SlurmctldTimeout=20
InactiveLimit=0
KillWait=5
MinJobAge=600
JobRequeue=1
RequeueExit=99
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/log/jobcomp.txt
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$(($1 + 1)) CPUs=4 RealMemory=4000 Gres=gpu:2 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$(($1 + 2)) CPUs=4 RealMemory=4000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
${CLUSTER_SETTINGS:-}
END
  echo "NodeName=n[1-2] Name=gpu File=$folder/dev/gpu[0-1]" >"$folder/gres.conf"
  # No control group is used. Named, version 1 is loaded and does nothing; slurmd does not start where its search finds none mounted.
  echo CgroupPlugin=cgroup/v1 >"$folder/cgroup.conf"
  ln -s /dev/null "$folder/dev/gpu0" && ln -s /dev/null "$folder/dev/gpu1" # Slurm asks for devices whose names end with their numbers
}

# Makes WORK/slurm and sets folder.
make_folder() {
  local work=$1
  mkdir -p "$work" && work=$(cd "$work" && pwd -P) || return 1
  folder=$work/slurm
  [ -e "$folder" ] || [ -L "$folder" ] && { say "$folder exists: a cluster runs there, or was not stopped; first: cluster.sh stop $1"; return 1; }
  if [ ${#folder} -lt $longest_path ] && [[ $folder != *[!A-Za-z0-9/._-]* ]]; then
    mkdir "$folder" || return 1
  else
    folder=$(mktemp -d /tmp/ladnn-slurm.XXXXXX) && ln -s "$folder" "$work/slurm" || return 1
  fi
  chmod 755 "$folder" && mkdir -p "$folder"/{log,run,state,munge,dev,spool/n1,spool/n2,tmp/n1,tmp/n2} && chmod 711 "$folder/munge"
}

answers() { "$@" >/dev/null 2>&1; }
nodes_idle() { [ "$(timeout 10 sinfo -h -N -o '%N %t' 2>/dev/null | sort -u | grep -cE '^n[12] idle$')" = 2 ]; }
any_dead() { local name; for name in "${daemons[@]}"; do daemon "$name" >/dev/null || return 0; done; return 1; }
idle_or_dead() { any_dead || nodes_idle; }

launch_daemons() {
  local port
  exec 9</tmp && flock -w 120 9 || { say "another start holds the lock on /tmp"; return 1; }
  SECONDS=0
  port=$(choose_ports) && write_configuration "$port" || return 1
  cc -shared -fPIC -O1 -o "$folder/loopback.so" "$here/loopback.c" || return 1
  (umask 077 && head -c 128 /dev/urandom >"$folder/munge/key") || return 1
  # --force: a build folder that a group may write to is good enough for a test's key
  launch munged munged --foreground --force --socket="$folder/munge/sock" --key-file="$folder/munge/key" --pid-file="$folder/munge/pid" \
    --seed-file="$folder/munge/seed" --log-file="$folder/log/munged.log"
  until_true $start_s answers munge -S "$folder/munge/sock" -n || { say "munged does not answer"; return 1; }
  launch slurmctld env LD_PRELOAD="$folder/loopback.so" slurmctld -D -f "$SLURM_CONF"
  launch slurmd-n1 env LD_PRELOAD="$folder/loopback.so" slurmd -D -f "$SLURM_CONF" -N n1
  launch slurmd-n2 env LD_PRELOAD="$folder/loopback.so" slurmd -D -f "$SLURM_CONF" -N n2
  until_true $((start_s - SECONDS)) idle_or_dead || { say "the nodes are not idle after $start_s s"; return 1; }
  any_dead && { say "a daemon has ended"; return 1; }
  exec 9<&-
}

start() { # work, number of a process or nothing
  local work
  possible >/dev/null || { say "$(possible)"; return 1; }
  [ -n "$2" ] && ended "$2" && { say "there is no process $2"; return 1; }
  make_folder "$1" || return 1
  work=$(cd "$1" && pwd)
  export SLURM_CONF=$folder/slurm.conf
  [ -z "$2" ] || launch guard bash "$here/cluster.sh" guard "$work" "$2" "$folder/" # the last for daemon()
  if ! launch_daemons; then
    tail -v -n 15 "$folder"/log/* >&2
    stop "$1"
    return 1
  fi
  # Inside another cluster's job, or where its users have defaults, the caller has variables that would speak of that one.
  [ ${#inherited[@]} -eq 0 ] || echo "unset ${inherited[*]}"
  printf 'export SLURM_CONF=%q\n' "$SLURM_CONF"
}

guard() { # work, number of a process
  until ended "$2"; do sleep 1; done
  stop "$1"
}

# ---- use ----

waiting() { [ -z "$(timeout 20 squeue -h -o %i -j "$1")" ]; }
wait_for() { # job ... seconds
  local seconds=${*: -1} job list
  [[ $seconds =~ ^[0-9]+$ ]] || usage
  for job in "${@:1:$#-1}"; do
    timeout 20 scontrol -o show job "$job" >/dev/null || { say "no job $job"; return 2; }
  done
  list=$(IFS=,; echo "${*:1:$#-1}")
  until_true "$seconds" waiting "$list" && return
  say "after $seconds s there still are:"
  squeue -j "$list" >&2
  return 1
}

node_is() { [[ $(timeout 20 sinfo -h -n "$1" -o %T) =~ ^($2)$ ]]; }
node_fail() { timeout 20 scontrol update nodename="$1" state=down reason=test && until_true 10 node_is "$1" 'down\*?'; }
node_return() { timeout 20 scontrol update nodename="$1" state=resume && until_true 10 node_is "$1" 'idle|mixed|allocated|completing'; }

# ---- stop ----

queue_empty() { [ -z "$(timeout 10 squeue -h -o %F 2>/dev/null)" ]; }
cancel_jobs() {
  local jobs
  daemon slurmctld >/dev/null || return 0
  mapfile -t jobs < <(timeout 10 squeue -h -o %F | sort -u)
  [ ${#jobs[@]} -eq 0 ] && return
  timeout 20 scancel "${jobs[@]}" # TERM, and KILL after KillWait
  until_true 20 queue_empty || say "jobs that do not end: $(timeout 10 squeue -h -o %i | xargs)"
}

# end_processes SIGNAL SECONDS pid ...
all_ended() { local pid; for pid; do ended "$pid" || return 1; done; }
end_processes() {
  local signal=$1 seconds=$2
  shift 2
  [ $# -gt 0 ] || return 0
  kill -s "$signal" "$@" 2>/dev/null
  until_true "$seconds" all_ended "$@"
}

stop() { # work
  local name pid orphans status=0
  pid=$(daemon guard) && [ "$pid" != $$ ] && end_processes TERM 5 "$pid"
  cancel_jobs
  for name in "${daemons[@]}"; do
    pid=$(daemon "$name") || continue
    end_processes TERM 10 "$pid" || { say "$name does not end on SIGTERM"; status=1; end_processes KILL 5 "$pid"; }
  done
  mapfile -t orphans < <(job_processes)
  [ ${#orphans[@]} -eq 0 ] || { say "left by jobs, now killed: ${orphans[*]}"; status=1; end_processes KILL 5 "${orphans[@]}"; }
  rm -rf "$1/slurm-log" && cp -r "$folder/log" "$1/slurm-log" && rm -rf "$folder" && rm -rf "$1/slurm" || status=1
  return $status
}

# ---- arguments ----

mapfile -t inherited < <(compgen -e | grep -E '^(SLURM|SBATCH|SRUN|SALLOC|SQUEUE|SINFO|SCANCEL|SCONTROL)_')
unset "${inherited[@]}"
case ${1-} in
  possible) [ $# -eq 1 ] || usage; possible; exit ;;
  start) [ $# -eq 2 ] || [ $# -eq 3 ] || usage; start "$2" "${3-}" || { echo false; exit 1; }; exit ;;
  wait) [ $# -ge 4 ] || usage ;;
  node-fail | node-return) [ $# -eq 3 ] || usage ;;
  left | stop) [ $# -eq 2 ] || usage ;;
  guard) [ $# -eq 4 ] || usage ;;
  *) usage ;;
esac
folder=$(readlink -e "$2/slurm") && [ -d "$folder/run" ] || { say "no cluster in $2"; exit 1; }
export SLURM_CONF=$folder/slurm.conf
case $1 in
  wait) wait_for "${@:3}" ;;
  node-fail) node_fail "$3" ;;
  node-return) node_return "$3" ;;
  left) found=$(processes); [ -n "$found" ] && echo "$found" ;;
  stop) stop "$2" ;;
  guard) guard "$2" "$3" ;;
esac
