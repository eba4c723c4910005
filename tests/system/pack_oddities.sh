#!/usr/bin/env bash
# timeout=400
# What people hand in: folders beside the classes, other words for the splits, headers in other dress, names of any bytes, one picture
# twice under two patients, pictures too long to store, a set in two halves, a stop in the middle.
source "$(dirname "$0")/common.sh.inc"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

"$ladnn" phantom --out phantom --scale 0.1 >phantom.log 2>&1 || exit 1
mkdir -p tree/COVID tree/healthy
cp phantom/CT_COVID/* tree/COVID/ && cp phantom/CT_NonCOVID/* tree/healthy/
pack=("$ladnn" pack --name t --size 32)
tree=("${pack[@]}" --preset imagefolder)
images() { "$ladnn" inspect "$1" --json | /usr/bin/python3 -c 'import json, sys; print(*[s["images"] for s in json.load(sys.stdin)["splits"].values()])'; }
report() { cat "$1/t-report.txt"; }

# Beside the classes.
mkdir parted && for s in Training validation testing; do mkdir -p parted/$s && cp -r tree/COVID tree/healthy parted/$s/; done
find parted/validation -type f | sed -n '1~2p' | xargs rm
for s in Training validation testing; do for f in parted/$s/*/*; do mv "$f" "${f%.*}-$s.${f##*.}"; done; done
check "other words for the splits" "${tree[@]}" --in parted --out parted.out
check "all three are filled" bash -c 'set -- $1; [ $1 -gt 0 ] && [ $2 -gt 0 ] && [ $2 -lt $1 ] && [ $3 -eq $1 ]' _ "$(images parted.out)"
mkdir parted/val && expect_error "two folders for one split" any "both 'val' and 'validation' would be the split 'val'" "${tree[@]}" --in parted --out x
rmdir parted/val && mkdir parted/more && cp "$(ls tree/COVID/* | head -n 1)" parted/stray.png && cp parted/stray.png parted/testing/stray2.png
check "folders and pictures beside" "${tree[@]}" --in parted --out beside.out
check "are listed" bash -c 'grep -q "^beside the classes, not looked into: 3" "$1" && grep -q "^  more/: a folder beside" "$1" && grep -q "^  testing/stray2.png: a picture outside" "$1"' _ beside.out/t-report.txt
expect_error "and stop --strict" any "strict: 3 folders or pictures lie beside the classes" "${tree[@]}" --in parted --out x --strict
check "the preset lists them, too" bash -c 'mkdir phantom/CT_other && "$@" && rmdir phantom/CT_other' _ "${pack[@]}" --preset covid-ct --in phantom --out ct.out
check "by name" grep -q "^  CT_other/: a folder beside" ct.out/t-report.txt
expect_error "two classes, the hint says" any "exactly two classes" "${tree[@]}" --in phantom/.. --out x

# CSV in other dress.
check "a tree" "${tree[@]}" --in tree --out plain
sed '1s/.*/ FILE, Patient ,Figure,SPLIT,Covid,ggo,CSLD,crpa,airbr,insepthi/; s/,train,/,TRAIN,/; s/,val,/, Validation,/; s/,test,/,Testing,/' plain/t-split.csv >dressed.csv
check "headers and splits in any case" "${pack[@]}" --manifest dressed.csv --images tree --out dressed
check "the same set" bash -c 'for f in plain/*.h5; do cmp "$f" "dressed/${f##*/}" || h5diff "$f" "dressed/${f##*/}" /crc32c || exit 1; done'
sed '1s/covid/covud/' plain/t-split.csv >misspelt.csv
expect_error "a misspelt column" any "unknown column 'covud' \(known: file, patient, split, covid, figure, GGO" "${pack[@]}" --manifest misspelt.csv --images tree --out x
sed "2,\$s|^|$PWD/tree/|" plain/t-split.csv >absolute.csv
sed '2,$s|^|.//./|' plain/t-split.csv >dotted.csv
{ cat dotted.csv; sed -n 2p plain/t-split.csv; } >twice.csv
expect_error "a file under two names" any "twice.csv:[0-9]+: the file .* was listed before, in twice.csv:2" "${pack[@]}" --manifest twice.csv --images tree --out x
check "one name of many" bash -c '"$@" | grep -q "^images without a row: 0"' _ "${pack[@]}" --manifest dotted.csv --images tree --out dotted
check "the same bytes" bash -c 'for f in plain/*.h5; do h5diff "$f" "dotted/${f##*/}" /file || exit 1; done'
{ sed -n 1p plain/t-split.csv; printf '%5000d\n' 1; } >endless.csv
expect_error "a field without end" any "endless.csv:2: a field of 5000 bytes; 4096 are the most" "${pack[@]}" --manifest endless.csv --images tree --out x
check "absolute names" "${pack[@]}" --manifest absolute.csv --images /nowhere --out absolute
check "are found" bash -c '[ "$1" = "$2" ]' _ "$(images plain)" "$(images absolute)"

# Names of any bytes.
mkdir -p names/COVID names/healthy
i=0; for f in tree/COVID/* tree/healthy/*; do i=$((i + 1)); cp "$f" "names/$(basename "$(dirname "$f")")/$(printf 'n\xe9 %d\\x41 \\.png' $i)"; done
cp tree/COVID/"$(ls tree/COVID | head -n 1)" "names/COVID/$(printf 'a\\xE9.png')" && cp tree/COVID/"$(ls tree/COVID | tail -n 1)" "names/COVID/$(printf 'a\xe9.png')"
check "names that are not UTF-8" "${tree[@]}" --in names --out names.out
check "come back from the split" "${pack[@]}" --manifest names.out/t-split.csv --images names --out names.again
check "all of them" bash -c '[ "$1" = "$2" ] && grep -q "rows without a file: 0" names.again/t-report.txt && grep -q "images without a row: 0" names.again/t-report.txt' _ "$(images names.out)" "$(images names.again)"
check "Python reads them" /usr/bin/python3 -c 'import glob, h5py
names = [n.decode() for p in sorted(glob.glob("names.out/*.h5")) for n in h5py.File(p)["file"][:]]
assert len(set(names)) == len(names) and any("\\xE9" in n for n in names), names[:3]
assert open("names.out/t-split.csv", encoding="utf-8").read()'

# One picture, two patients: they stay together.
mkdir -p twins/COVID twins/healthy
cp tree/COVID/* twins/COVID/ && cp tree/healthy/* twins/healthy/
for f in tree/healthy/*; do cp "$f" "twins/healthy/copy-$(basename "$f")"; done
check "copies under other names" "${tree[@]}" --in twins --out twins.out
check "stay in one split" bash -c '! grep -q "ACROSS SPLITS" twins.out/t-report.txt'
check "and are counted" grep -q "whose patients stay together: $(ls tree/healthy | wc -l)" twins.out/t-report.txt

# Too long to be stored as it is: left out, with the reason.
cp -r tree long && /usr/bin/python3 -c 'from PIL import Image; Image.new("L", (3, 65537), 7).save("long/COVID/long.png")'
check "a picture of 65537 rows" "$ladnn" pack --name t --size 0 --preset imagefolder --in long --out long.out
check "is left out" bash -c 'grep -q "unreadable images, left out: 1" long.out/t-report.txt && grep -q "3 x 65537 pixels" long.out/t-report.txt'

# Large pictures make more shards of themselves.
check "2048 pixels a side" "$ladnn" pack --name t --size 2048 --colour rgb --preset imagefolder --in tree --out large
check "in shards of at most 96 MiB" bash -c 'for f in large/*.h5; do [ $(stat -c %s "$f") -lt 101000000 ] || exit 1; done; ! ls large/*train*of-00001.h5 2>/dev/null'
mkdir -p wide/COVID wide/healthy && /usr/bin/python3 -c 'from PIL import Image
for i in range(20): Image.linear_gradient("L").rotate(i).resize((3000, 3000)).save("wide/%s/w%02d.png" % (("COVID", "healthy")[i % 2], i), compress_level=1)'
check "9 megapixels each, of original size" /usr/bin/python3 -c 'import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=open("peak", "w"))
sys.exit(code)' "$ladnn" pack --name t --size 0 --preset imagefolder --in wide --out large
check "the same" bash -c 'for f in large/*.h5; do [ $(stat -c %s "$f") -lt 101000000 ] || exit 1; done; ! ls large/*train*of-00001.h5 2>/dev/null'
check "in less than 500 MB" bash -c '[ $(cat peak) -lt 500000 ]'
check "cut alike on ranks" bash -c 'mpi 2 "$0" pack --name t --size 0 --preset imagefolder --in wide --out large2 && for f in large/*.h5; do cmp "$f" large2/${f##*/} || exit 1; done' "$ladnn"
rm -rf large large2 wide

# An earlier set keeps its split until the new one is whole.
check "a set" "${tree[@]}" --in tree --out kept --seed 1
cp kept/t-split.csv kept.csv
cp -r tree cut && : >"$(ls cut/COVID/*.png | head -n 1)" && expect_error "another split, stopped" any "strict: .*an empty file" "${tree[@]}" --in cut --out kept --seed 2 --strict
check "the split is still that of the shards" cmp kept.csv kept/t-split.csv
check "a third one" "${tree[@]}" --in tree --out kept --seed 3
check "comes with its split" bash -c '! cmp -s kept.csv kept/t-split.csv && grep -q "the split is in kept/t-split.csv" kept/t-report.txt'
mv kept/t-val-00000-of-00001.h5 "kept/t-val-00000-of-00001 (1).h5"
check "a shard under another name is told" bash -c '"$0" inspect kept 2>&1 | grep -qF "t-val-00000-of-00001 (1).h5 is not named as a shard"' "$ladnn"

# Pictures of other kinds.
mkdir -p kinds && cp -r tree/COVID tree/healthy kinds/ && /usr/bin/python3 -c 'from PIL import Image; Image.new("L", (9, 9)).save("kinds/COVID/a.bmp")' && touch kinds/COVID/scan.nii.gz
check "a BMP and a NIfTI" "${tree[@]}" --in kinds --out kinds.out
check "are warned of" grep -q "WARNING: 2 files or folders cannot be read" kinds.out/t-report.txt
check "with the reason" grep -q "COVID/a.bmp: a format that is not read" kinds.out/t-report.txt

# Merging.
check "a set of its own" "${pack[@]}" --preset imagefolder --in tree --out half1 --patient '^([A-Za-z0-9._]+)-'
/usr/bin/python3 - <<'PY'
import os
from PIL import Image
for c in ("COVID", "healthy"):
    os.makedirs("tree2/" + c)
    for n in os.listdir("tree/" + c):
        Image.open(f"tree/{c}/{n}").convert("L").point(lambda v: 255 - v).save(f"tree2/{c}/{n}", **({} if n.endswith("png") else {"quality": 90}))
PY
check "and its negative" "${pack[@]}" --preset imagefolder --in tree2 --out half2 --patient '^([A-Za-z0-9._]+)-'
check "merged, with a blank between" "${pack[@]}" --merge "half1, half2" --out both
check "namesakes are counted" grep -qE "WARNING: [0-9]+ patients of the same name in several sets" both/t-report.txt

# Settings that cannot be.
touch afile && expect_error "--out is a file" any "afile: not a folder" "${tree[@]}" --in tree --out afile
expect_error "a name with a slash" any "the data set's name 'a/b' must be" "$ladnn" pack --name a/b --preset imagefolder --in tree --out x
check "no window is a window" "${tree[@]}" --in tree --out window --window none
expect_error "a sheet is a PNG" any "a contact sheet is a PNG file" "$ladnn" inspect plain --sheet sheet.jpg
check "grey pictures are counted as such" grep -qE "^grey pictures \(one plane, or three equal ones\): [0-9]+ of [0-9]+" plain/t-report.txt

# DICOM files say whose slice they are.
if /usr/bin/python3 - <<'PY'
import os, sys
try:
    import numpy as np
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid
except ImportError:
    sys.exit(77)
for c in ("COVID", "healthy"):
    os.makedirs("scans/" + c)
    for i in range(12):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = ExplicitVRLittleEndian, generate_uid()
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        d = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
        d.is_little_endian, d.is_implicit_VR = True, False
        d.PatientID = f"{c}{i // 3}"
        d.Rows = d.Columns = 32
        d.SamplesPerPixel, d.PhotometricInterpretation, d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 1, "MONOCHROME2", 16, 16, 15, 1
        d.RescaleSlope, d.RescaleIntercept = (0 if i == 11 else 1), -1024
        d.PixelData = (np.arange(1024, dtype=np.int16).reshape(32, 32) + 40 * i).tobytes()
        d.save_as(f"scans/{c}/slice{i}", write_like_original=False)
PY
then
  check "DICOM slices" "${tree[@]}" --in scans --out scans.out --window lung
  check "are of the patients that they name" grep -q "patients named by their DICOM files (PatientID): of 24 pictures" scans.out/t-report.txt
  check "and no others" bash -c '[ "$(cut -d, -f2 scans.out/t-split.csv | sed 1d | sort -u | wc -l)" = 8 ]'
  check "a slope of 0 is no slice" bash -c '[ "$(grep -c "rescale slope is 0" scans.out/t-report.txt)" = 2 ]'
else
  echo "not tested here: DICOM's patients (pydicom is not installed)"
fi

# A stop in the middle.
mkdir -p many/COVID many/healthy
for i in $(seq 12); do for f in tree/COVID/*; do cp "$f" "many/COVID/$i-$(basename "$f")"; cp "$f" "many/healthy/$i-$(basename "$f")"; done; done
"$ladnn" pack --name t --size 1024 --preset imagefolder --in many --out stopped --threads 1 --shards 8 >stop.log 2>&1 &
pid=$!
for _ in $(seq 200); do ls stopped/.t-packing/*.journal >/dev/null 2>&1 && break; sleep 0.02; done
kill -TERM $pid; wait $pid
check "SIGTERM: status 75" test $? -eq 75
check "and a word about it" bash -c 'grep -q "stopped by SIGTERM" stop.log && grep -q "the same command continues" stop.log'
check "which does" "$ladnn" pack --name t --size 1024 --preset imagefolder --in many --out stopped --shards 8
check "from where it was" bash -c '"$0" inspect stopped --verify >/dev/null' "$ladnn"
verdict
