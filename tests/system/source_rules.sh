#!/usr/bin/env bash
# The rules of the house, read from the source: who may include whom, which folder owns which third-party header, who may
# allocate, print and end the program.
source "$(dirname "$0")/common.sh.inc"
root=$(cd "$tests/.." && pwd)
cd "$root" || exit 1

# offenders FOLDERS PATTERN: lines of sources in those folders that match.
offenders() {
  local folders=$1 pattern=$2
  grep -rnE --include=*.c --include=*.cc --include=*.h --include=*.inc --include=*.cu -- "$pattern" $folders
}
forbid() { # text, folders, pattern, [exception pattern]
  local found
  found=$(offenders "$2" "$3" | grep -vE -- "${4:-^$}")
  if [ -n "$found" ]; then
    failed=$((failed + 1))
    echo "FAILED: $1:"
    echo "$found" | head -5
  else
    passed=$((passed + 1))
  fi
}

forbid "base includes base only" base '#include "(io|ops|dist|models|train|jobs)/'
forbid "io includes base, dist and io" io '#include "(ops|models|train|jobs)/'
forbid "ops includes base and ops" ops '#include "(io|dist|models|train|jobs)/'
forbid "dist includes base and dist" dist '#include "(io|ops|models|train|jobs)/'
forbid "models includes base, ops, models" models '#include "(io|dist|train|jobs)/'
forbid "train does not include jobs" train '#include "jobs/'
forbid "jobs includes base and the rooms' commands" jobs '#include "(ops|dist|models)/'
forbid "jobs sees the rooms' commands; grid and report also what planning and reading runs needs" jobs '#include "(io|train)/' \
  '"(io|train)/commands\.h"|^jobs/(grid|report)/.*"(io/(csv|labels)|io/shard/(shard|dataset_summary)|train/(results|patients|identity|progress))\.h"'
forbid "cairo belongs to jobs/report/plot_png.c" "base io ops dist models train jobs" 'cairo\.h' '^jobs/report/plot_png\.c'
forbid "ops/ref does not know ops/cpu" ops/ref '#include "ops/cpu/'
forbid "who runs is known in ops.c alone" "models train" 'ops/(cpu|ref|cuda)/|ops_(cpu|ref|cuda)\b'
forbid "libconfig belongs to base" "io ops dist models train jobs" '<libconfig'
forbid "HDF5 and picture formats belong to io" "base ops dist models train jobs" '<(hdf5|png|jpeglib|tiffio|dcmtk)' 'jobs/cmd_doctor'
forbid "oneDNN belongs to ops/cpu" "base io ops/ref dist models train jobs" 'dnnl' 'LADNN_|doctor'
forbid "CUDA and cuDNN belong to ops/cuda, NCCL to dist" "base io ops/ref ops/cpu ops/host models train jobs" '<(cuda|cudnn|nccl|cublas)' 
forbid "MPI belongs to dist" "base io ops models train jobs" '<mpi\.h>|[^O]MPI_[A-Z]' 'LADNN_|doctor'
forbid "malloc belongs to base/memory.c" "base io ops dist models train jobs" '[^_a-z](malloc|calloc|realloc|free|strdup)\(' '^base/memory.c|H5free|(ops|device)(->|\.)free|"|\*'
forbid "exit belongs to base and mains" "io ops dist models train" '[^_a-z](exit|abort)\(' '//|\*|"'
forbid "rand() is nowhere" "base io ops dist models train jobs" '[^_a-z](rand|srand|drand48)\('
forbid "no TODO, no commented-out preprocessor" "base io ops dist models train jobs" 'TODO|FIXME|\bXXX\b|#if 0'

# The check can fail.
mkdir -p "$work/probe" && echo '#include "train/loss.h"' >"$work/probe/a.c"
if [ -n "$(offenders "$work/probe" '#include "(train)/')" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: the probe was not seen"; fi
verdict
