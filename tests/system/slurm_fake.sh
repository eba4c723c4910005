#!/usr/bin/env bash
# timeout=60  The pretended Slurm of tests/slurm/fake records and answers as its heading says.
source "$(dirname "$0")/common.sh.inc"
export FAKE_SLURM_LOG=$PWD/log PATH=$tests/slurm/fake:$PATH
printf '#!/bin/sh\necho "a  b"\n' >job.sh
same() { diff <("${@:2}") <(printf "$1"); } # TEXT command ...: prints exactly that

check "the first number" same '1001\n' sbatch --parsable --array=0-3%2 -J 'two words' job.sh with arguments
check "from standard input, the next" same 'Submitted batch job 1002\n' sbatch -p main <job.sh
check "a wrapped command" same '1003\n' sbatch --parsable --dependency afterany:1001 --wrap="hostname"
expect_error "a missing script" 1 '^sbatch: error: Unable to open file nosuch.sh$' sbatch nosuch.sh
echo hostname >bare.sh
expect_error "a script that names no interpreter" 1 'does not look like a batch script' sbatch bare.sh
export FAKE_SLURM_FAIL="sbatch: error: invalid partition specified: nosuch"
expect_error "failing on demand" 1 '^sbatch: error: invalid partition specified: nosuch$' sbatch --parsable job.sh
check "others do not fail" scontrol requeue 1001_2
export FAKE_SLURM_FAIL_FROM=8
check "nor does it before its time" same '1004\n' sbatch --parsable job.sh
expect_error "but then" 1 'nosuch' sbatch --parsable job.sh
unset FAKE_SLURM_FAIL FAKE_SLURM_FAIL_FROM

check "cancelled" scancel -b -s USR2 1001_0
check "an empty queue" same '' squeue -h -r -o '%i %T'
echo '1001_0 RUNNING' >queue
export FAKE_SLURM_QUEUE=$PWD/queue
check "a queue" same '1001_0 RUNNING\n' squeue -h -r -o '%i %T'
expect_error "an unknown job" 1 'Invalid job id specified' scontrol show job 7
expect_error "an unknown word" 1 '^invalid keyword: destroy$' scontrol destroy
check "a step" same '0 in\n' srun --mpi=pmix -n 2 --label sh -c 'echo $SLURM_PROCID "$(cat)"' <<<in
expect_error "a step's status" 7 '^$' srun -N1 -n2 sh -c 'echo >&2; exit 7'
expect_error "a step of nothing" 1 'No command given' srun -n 2

cat >expected <<'END'
sbatch --parsable --array=0-3%2 -J two\ words job.sh with arguments
    #!/bin/sh
    echo "a  b"
  = 1001
sbatch -p main
    #!/bin/sh
    echo "a  b"
  = 1002
sbatch --parsable --dependency afterany:1001 --wrap=hostname
  = 1003
sbatch nosuch.sh
  = 1
sbatch bare.sh
    hostname
  = 1
sbatch --parsable job.sh
    #!/bin/sh
    echo "a  b"
  = 1
scontrol requeue 1001_2
sbatch --parsable job.sh
    #!/bin/sh
    echo "a  b"
  = 1004
sbatch --parsable job.sh
    #!/bin/sh
    echo "a  b"
  = 1
scancel -b -s USR2 1001_0
squeue -h -r -o %i\ %T
squeue -h -r -o %i\ %T
scontrol show job 7
scontrol destroy
srun --mpi=pmix -n 2 --label sh -c echo\ \$SLURM_PROCID\ \"\$\(cat\)\"
srun -N1 -n2 sh -c echo\ \>\&2\;\ exit\ 7
srun -n 2
END
check "the log" diff log expected

many() { for i in {1..8}; do sbatch --parsable job.sh & done; wait; }
check "eight at once get eight numbers" same "$(printf '%d\\n' {1005..1012})" bash -c "$(declare -f many); many | sort"
expect_error "without a log" 3 'FAKE_SLURM_LOG is not set' env -u FAKE_SLURM_LOG squeue
verdict
