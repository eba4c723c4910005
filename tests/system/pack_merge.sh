#!/usr/bin/env bash
# timeout=300  ladnn pack --merge: two packed sets become one under a new split by patient, pixel for pixel; pictures that both have are
# taken once, people who share one stay together; what cannot be united is refused.
source "$(dirname "$0")/common.sh.inc"
"$ladnn" phantom --out one --scale 0.1 --dataset d0 >one.log 2>&1
"$ladnn" phantom --out two --scale 0.1 --dataset d0 --set phantom.seed=7 >two.log 2>&1
for set in one two; do check "pack $set" "$ladnn" pack --preset covid-ct --in $set --out s-$set --name $set --size 48; done
check "merge" "$ladnn" pack --merge s-one,s-two --out both --name both
check "it is whole" "$ladnn" inspect both --verify
check "synthetic stays synthetic" bash -c '"$0" inspect both | grep -q SYNTHETIC' "$ladnn"
check "every image once, with the pixels and labels it had, no patient in two splits" /usr/bin/python3 - <<'PY'
import glob, h5py
def read(folder, prefix=""):
    rows, splits = {}, {}
    for path in sorted(glob.glob(folder + "/*.h5")):
        with h5py.File(path) as f:
            for i in range(len(f["file"])):
                text = lambda name: f[name][i].decode() if isinstance(f[name][i], bytes) else f[name][i]
                name = prefix + text("file")
                assert name not in rows, name
                rows[name] = (f["images"][i][..., 0].tobytes(), int(f["covid"][i]), tuple(f["lesion"][i]), bytes(f["source_sha256"][i]))
                splits.setdefault(text("patient"), set()).add(f.attrs["split"])
    return rows, splits
both, splits = read("both")
parts = {**read("s-one", "one/")[0], **read("s-two", "two/")[0]}
seen = set()
for name, row in parts.items():
    if name in both: assert both[name] == row, name
    else: assert row[3] in seen, name + " is missing"
    seen.add(row[3])
assert set(both) <= set(parts) and len(both) > 150, len(both)
assert all(len(s) == 1 for s in splits.values())
PY
check "again, on two ranks: the same bytes" mpirun --oversubscribe --bind-to none -np 2 "$ladnn" pack --merge s-one,s-two --out again --name both
for f in both/*.h5; do check "$f" cmp "$f" "again/$(basename "$f")"; done
check "a set with itself adds nothing" "$ladnn" pack --merge s-one,s-one --out self --name self
check "and says so" grep -q "pictures that were there already, left out: $(ls one/CT_*/* | wc -l)" self/self-report.txt
check "another size" "$ladnn" pack --preset covid-ct --in two --out s-32 --name two --size 32
expect_error "two sizes" 1 "different sizes" "$ladnn" pack --merge s-one,s-32 --out x --name x
expect_error "resized twice" 1 "not resized again" "$ladnn" pack --merge s-one,s-two --out x --name x --size 32
check "no file is called mis-named" grep -q "read by content: 0" both/both-report.txt
expect_error "into itself" 1 "is one of the sets to merge" "$ladnn" pack --merge s-one,s-two --out s-one --name one
expect_error "one set" 1 "nothing to merge" "$ladnn" pack --merge s-one --out x --name x
expect_error "a set that is not there" 1 "s-none" "$ladnn" pack --merge s-one,s-none --out x --name x
expect_error "merge and preset" 1 "exclude each other" "$ladnn" pack --merge s-one,s-two --preset covid-ct --in one --out x --name x
check "original sizes" bash -c 'for s in one two; do "$0" pack --preset covid-ct --in $s --out o-$s --name $s --size 0 || exit; done' "$ladnn"
check "are resized once" "$ladnn" pack --merge o-one,o-two --out o-both --name both --size 48
check "to the same pixels" /usr/bin/python3 - <<'PY'
import glob, h5py
def sums(folder):
    return {name: int(crc) for p in glob.glob(folder + "/*.h5") for f in [h5py.File(p)] for name, crc in zip(f["file"][:], f["crc32c"][:])}
assert sums("both") == sums("o-both") and len(sums("both")) > 150
PY
verdict
