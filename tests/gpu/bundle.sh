#!/usr/bin/env bash
# Builds for one GPU generation and packs the programs with every library but the system's and the driver's into a folder, which then runs
# on any x86-64 machine with glibc 2.36 or newer and NVIDIA's driver: tests/gpu/run.sh FOLDER OUT.
# CUDA's libraries themselves (cuDNN, cuBLASLt, NCCL) are not packed: LD_LIBRARY_PATH must name them there.
# Usage: tests/gpu/bundle.sh FOLDER [ARCHITECTURE]     default architecture: 90 (H100, H200)
set -euo pipefail
folder=$1 architecture=${2:-90}
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/build/bundle-$architecture
# Without DICOM: its libraries are larger than all others together and nothing here reads it.
cmake -S "$root" -B "$build" -G Ninja -DLADNN_CUDA_ARCHITECTURES="$architecture" -DDCMTK_INCLUDE=OFF >"$root/build/bundle.log"
cmake --build "$build"
rm -rf "$folder"
mkdir -p "$folder"/{bin,lib,tests,share/openmpi}
folder=$(cd "$folder" && pwd)

programs=("$build/ladnn" "$build"/tests/{test_models_parity,test_cuda_card,test_cuda_plans,network_results})
of_mpi() { ompi_info --path "$1" --parsable | sed 's/.*://'; }
plugins=$(of_mpi pkglibdir)
below=${plugins#"$(of_mpi prefix)"/} # where Open MPI looks for them, below OPAL_PREFIX
strip -o "$folder/ladnn" "$build/ladnn"
for p in "${programs[@]:1}"; do [ -e "$p" ] && strip -o "$folder/tests/$(basename "$p")" "$p"; done
for p in mpirun orted; do cp -L "$(command -v $p)" "$folder/bin/$p"; done
cp -r "$(of_mpi pkgdatadir)"/*.txt "$folder/share/openmpi/"
mkdir -p "$folder/$below"
# Transports of fabrics that need drivers of their own are left behind.
find "$plugins" -name '*.so' | grep -vE 'ucx|ofi|psm|openib|usnic|portals' | xargs -I{} cp -L {} "$folder/$below/"

# Every library that they name, but glibc's and NVIDIA's.
{ ldd "$folder/ladnn" "$folder"/tests/* "$folder"/bin/* "$folder/$below"/*.so || true; } |
  awk '$2 == "=>" && $3 ~ /^\// {print $1, $3}' | sort -u |
  grep -vE '^(libc|libm|libdl|libpthread|librt|libresolv|ld-linux[^ ]*)\.so|^lib(cudnn|cublas|nccl|cuda)' |
  while read -r name path; do cp -L "$path" "$folder/lib/$name"; done
strip "$folder"/lib/*.so* 2>/dev/null || true
du -sh "$folder" | cut -f 1
