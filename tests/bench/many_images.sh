#!/usr/bin/env bash
# Memory of `ladnn pack` on a folder of many small pictures. Usage: tests/bench/many_images.sh PROGRAM [COUNT]   (default 200000)
# Prints images, seconds, peak resident memory; fails above 500 MB. Pictures: 32 x 24 PNG, all different, in 2 class folders.
set -euo pipefail
program=$1 count=${2:-200000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-/usr/bin/python3}" - "$work/in" "$count" <<'PY'
import os, struct, sys, zlib
folder, count = sys.argv[1], int(sys.argv[2])
def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 24, 8, 0, 0, 0, 0))
for i in range(count):
    name = f"{folder}/{'covid' if i % 2 else 'other'}/{i // 10000:03d}"
    if i % 10000 < 2: os.makedirs(name, exist_ok=True)
    rows = b"".join(b"\0" + bytes((i * 7 + x * (y + 1) * (1 + i % 13)) % 256 for x in range(32)) for y in range(24)) if i < 64 else rows
    state = struct.pack(">I", i)
    open(f"{name}/p{i // 3:06d}-{i:06d}.png", "wb").write(head + chunk(b"IDAT", zlib.compress(state.join([rows[:1], rows[5:]]), 1)) + chunk(b"IEND", b""))
PY
start=$(date +%s.%N)
/usr/bin/time -f '%M' -o "$work/peak" ${WRAP:-} "$program" pack --preset imagefolder --in "$work/in" --out "$work/out" --name many --size "${SIZE:-32}" \
  --patient '^(p[0-9]+)-' >"$work/log" 2>&1 || { tail -n 5 "$work/log"; exit 1; }
awk -v n="$count" -v s="$start" -v e="$(date +%s.%N)" -v m="$(cat "$work/peak")" 'BEGIN {
  printf "%d images in %.1f s (%.0f images/s), peak %.0f MB\n", n, e - s, n / (e - s), m / 1024; exit m / 1024 > 500 }'
