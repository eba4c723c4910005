#!/usr/bin/env bash
# Packing and reading beside what people do without ladnn, on the same pictures, in turn, on this machine: medians of ROUNDS rounds.
# Needs python3-pil and python3-h5py; python3-torchvision for the rows of torch. NEWER: another Python, with newer Pillow and h5py, whose
# packing is a row of its own. PACK: how ladnn is told what the folder is (--preset imagefolder ...). With `cc`, libdeflate and libjpeg the
# decoding libraries are timed alone, too.
# Usage: tests/bench/compare_data.sh PROGRAM COVID_CT_FOLDER   -> Markdown
set -euo pipefail
program=$1 data=$2
here=$(cd "$(dirname "$0")" && pwd)
rounds=${ROUNDS:-5} python=${PYTHON:-/usr/bin/python3} newer=${NEWER:-} options=${PACK:---preset covid-ct}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
peer() { "$python" "$here/peers_data.py" "$@"; }
pack() { # threads, filter
  rm -rf "$work/shards-$2"
  local start=$(date +%s.%N)
  /usr/bin/time -f '%U %S %M' -o "$work/use" "$program" pack $options --in "$data" --out "$work/shards-$2" --name d0 --threads "$1" \
    --colour rgb --set pack.filter="$2" >"$work/out" 2>"$work/err"
  local end=$(date +%s.%N)
  read -r user system peak <"$work/use"
  awk -v t="$1" -v f="$2" -v s="$start" -v e="$end" -v u="$user" -v y="$system" -v m="$peak" 'BEGIN {
    printf "{\"what\": \"ladnn pack, filter %s, %d thread%s\", \"seconds\": %.3f, \"cpu_s\": %.3f, \"peak_mb\": %.1f}\n", f, t, (t > 1 ? "s" : ""), e - s, u + y, m / 1024 }'
}
read_back() { # layout
  peer read "$work/$1.h5" | sed "s/h5py, image by image/h5py, image by image, $1/"
  peer batches "$work/$1.h5" | sed "s/of a batch/of a batch, $1/"
}
cc -O2 "$here/codecs_alone.c" -ldeflate -ljpeg -o "$work/codecs_alone" || echo "no libdeflate or libjpeg to time alone" >&2
for _ in $(seq "$rounds"); do
  for layout in contiguous chunked gzip; do peer pack "$data" "$work/$layout.h5" $layout; done
  [ -z "$newer" ] || "$newer" "$here/peers_data.py" pack "$data" "$work/newer.h5" contiguous | sed 's/"Pillow/"newer Pillow/'
  [ ! -x "$work/codecs_alone" ] || find "$data" -type f | "$work/codecs_alone"
  pack 1 none
  pack "$(nproc)" none
  pack 1 gzip
  for layout in contiguous chunked gzip; do read_back $layout || true; done
  peer workers "$work/chunked.h5" "$(nproc)" | sed 's/"h5py/"h5py, chunked,/' || true
  "$program" bench load --data "$work/shards-none" --batch 16 --threads 1 --steps 9 --json 2>/dev/null
  "$program" bench load --data "$work/shards-none" --batch 16 --threads "$(nproc)" --steps 9 --json 2>/dev/null
  peer folder "$data" 0 || true
  peer folder "$data" "$(nproc)" || true
done >"$work/log"
cp "$work/log" "${LOG:-/dev/null}"
"$python" - "$work/log" <<'PY'
import json, statistics, sys
rows = {}
for line in open(sys.argv[1]):
    r = json.loads(line)
    name = r["what"] if r["what"] != "load" else f"bench load, {r['kind']}, {r['threads']} thread{'s' if r['threads'] > 1 else ''}"
    rows.setdefault(name, []).append(r)
median = lambda name, key: statistics.median(r[key] for r in rows[name])
versions = {r["pillow"] for name in rows for r in rows[name] if "pillow" in r}
if versions: print("Pillow", ", ".join(sorted(versions)), "\n")
print("| packing | seconds | CPU seconds | CPU, times Pillow + h5py contiguous | peak MB |\n|---|---|---|---|---|")
base = median("Pillow + h5py, contiguous", "cpu_s")
for name in rows:
    wall, peak = (f"{median(name, key):.{digits}f}" if key in rows[name][0] else "" for key, digits in (("seconds", 2), ("peak_mb", 0)))
    if wall or "inflate_s" in rows[name][0]: print(f"| {name} | {wall} | {median(name, 'cpu_s'):.2f} | {base / median(name, 'cpu_s'):.2f} | {peak} |")
print("\n| reading, shuffled, batch 16 | images/s | GB/s | share of memcpy |\n|---|---|---|---|")
for name, all in rows.items():
    if "images_per_s" not in all[0]: continue
    share = f"{100 * median(name, 'of_copy'):.0f} %" if "of_copy" in all[0] and "network" not in name else ""
    gb = f"{median(name, 'gb_per_s'):.2f}" if "gb_per_s" in all[0] else f"{median(name, 'bytes_per_s') / 1e9:.2f}" if "bytes_per_s" in all[0] and "network" not in name else ""
    print(f"| {name} | {median(name, 'images_per_s'):.0f} | {gb} | {share} |")
PY
