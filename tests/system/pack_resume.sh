#!/usr/bin/env bash
# timeout=400
# Packing on ranks, killed at random moments and continued: always the bytes of one run in one go, and nothing is taken over
# that an earlier run left damaged.
source "$(dirname "$0")/common.sh.inc"

"$ladnn" phantom --out phantom --scale 0.05 >phantom.log 2>&1 || exit 1
pack() { "$ladnn" pack --preset covid-ct --size 48 --in "${from:-phantom}" --name p --shards 3 "$@"; }
export -f pack
export ladnn
same_shards() {
  [ "$(cd "$1" && ls ./*.h5)" = "$(cd "$2" && ls ./*.h5)" ] || return 1
  for f in "$1"/*.h5; do cmp "$f" "$2/$(basename "$f")" || return 1; done
}
nothing_hidden() { ! ls -A "$1" | grep '^\.'; }

began=$(date +%s%N)
check "in one go" pack --out straight
took_ms=$((($(date +%s%N) - began) / 1000000 + 1))

check "three ranks" mpi 3 "$ladnn" pack --preset covid-ct --size 48 --in phantom --name p --shards 3 --out ranks
check "three ranks, the same bytes" same_shards straight ranks
check "gzip" pack --out gzip --filter gzip
check "gzip on two ranks" mpi 2 "$ladnn" pack --preset covid-ct --size 48 --in phantom --name p --shards 3 --out gzip2 --filter gzip
check "gzip, the same bytes" same_shards gzip gzip2

killed=0 RANDOM=7
for i in $(seq "${KILLS:-50}"); do
  (exec "$ladnn" pack --preset covid-ct --size 48 --in phantom --name p --shards 3 --out "killed-$i" >kill.log 2>&1) &
  pid=$!
  sleep "$(awk "BEGIN { print $RANDOM / 32768 * $took_ms / 1000 }")"
  kill -9 $pid 2>/dev/null && killed=$((killed + 1))
  wait $pid 2>/dev/null
  pack --out "killed-$i" >kill.log 2>&1 || { failed=$((failed + 1)); echo "FAILED: continuing after kill $i"; tail -3 kill.log; }
  check "after kill $i, the same bytes" same_shards straight "killed-$i"
  check "after kill $i, nothing else" nothing_hidden "killed-$i"
  rm -rf "killed-$i"
done
check "kills met a running program" test $killed -gt 10

# A picture of the last part is bad and strict stops there: the parts before it are kept, and judged by the next run.
cp -r phantom broken
victim=$(tail -n 1 broken/test_meta.csv | cut -d, -f1)
victim=$(find broken/CT_* -name "$victim*" | head -n 1)
interrupt() { # leaves a half-made packing in $1
  cp "$victim" whole.png
  : >"$victim"
  from=broken pack --out "$1" --strict >"$1.log" 2>&1
  cp whole.png "$victim"
  touch -r "phantom/${victim#broken/}" "$victim"
  ls "$1"/.p-packing/*.journal | wc -l
}
check "strict leaves finished parts" test "$(interrupt half)" -ge 3
from=broken pack --out half >half.again 2>&1
check "they are taken over" grep -q "images were there from an interrupted run" half.again
check "the same bytes" same_shards straight half

flip() { # one byte in the middle
  /usr/bin/python3 -c 'import sys; p = sys.argv[1]; d = bytearray(open(p, "rb").read()); d[len(d) // 2] ^= 1; open(p, "wb").write(d)' "$1"
}
interrupt damaged >/dev/null
flip damaged/.p-packing/p-train-00000-of-00003.h5
flip damaged/.p-packing/p-train-00001-of-00003.h5.journal
from=broken pack --out damaged >damaged.again 2>&1
check "a damaged shard is made again" grep -q "p-train-00000-of-00003.h5 is made again: .*CRC-32C" damaged.again
check "a damaged journal is not believed" grep -q "p-train-00001-of-00003.h5 is made again: the journal is damaged" damaged.again
check "the same bytes again" same_shards straight damaged

interrupt changed >/dev/null
source_file=$(sed -n 3p broken/train_meta.csv | cut -d, -f1)
touch "$(find broken/CT_* -name "$source_file*" | head -n 1)"
from=broken pack --out changed >changed.again 2>&1
check "a changed picture is read again" grep -q "is made again: .* has changed" changed.again
check "the same bytes still" same_shards straight changed

interrupt other >/dev/null
from=broken pack --out other --size 32 >other.again 2>&1
check "other settings begin anew" grep -q "is made again: other settings" other.again
check "and are whole" "$ladnn" inspect other --verify
# Killed, then cut in another way: parts of the first cutting do not stay.
"$ladnn" phantom --out cut --scale 0.1 >cut.log 2>&1
"$ladnn" pack --preset covid-ct --in cut --out recut --name c --size 64 --shards 9 --threads 1 >cut.log 2>&1 &
pid=$!
for _ in $(seq 500); do [ "$(ls -A recut/.c-packing/*.journal 2>/dev/null | wc -l)" -ge 2 ] && break; sleep 0.005; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
mkdir -p recut/.c-packing && cp -n recut/*-train-*.h5 recut/.c-packing/ 2>/dev/null # when it was faster than the kill
check "other shards than before the kill" "$ladnn" pack --preset covid-ct --in cut --out recut --name c --size 64 --shards 4
check "are the set" "$ladnn" inspect recut --verify
check "and no others" test "$(ls recut/*.h5 | grep -vc 'of-00004')" -eq 0
verdict
