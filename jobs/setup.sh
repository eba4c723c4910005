#!/usr/bin/env bash
# Makes sure that what the build needs is there: installs Debian's packages where it may, else says exactly what is missing.
# Usage: jobs/setup.sh [build|test]   (test adds what the tests compare with: clang, PyTorch, h5py, scikit-learn,
# and a Slurm that the tests start themselves)
set -euo pipefail

packages=(gcc g++ cmake ninja-build pkg-config libopenmpi-dev openmpi-bin libhdf5-dev libconfig-dev libpng-dev
  libjpeg62-turbo-dev zlib1g-dev libdeflate-dev libtiff-dev libdcmtk-dev libcairo2-dev libdnnl-dev)
if [ "${1:-build}" = test ]; then
  packages+=(clang libomp-dev hdf5-tools procps python3 python3-numpy python3-h5py python3-pil python3-sklearn python3-pydicom
    slurm-wlm munge)
fi

if ! command -v dpkg-query >/dev/null; then
  echo "setup: no Debian package tools here; CMake's table will say what is missing." >&2
  echo "setup: on a cluster, something like: module load gcc cmake openmpi hdf5 libconfig libpng libjpeg-turbo zlib onednn/2" >&2
  exit 0
fi

missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0

command="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" = 0 ]; then
  sudo=()
elif sudo -n true 2>/dev/null; then
  sudo=(sudo)
else
  echo "setup: these packages are missing and this user may not install them. Ask for, or load modules of:" >&2
  echo "    sudo $command" >&2
  exit 1
fi
echo "setup: $command"
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" $command -qq >/dev/null
