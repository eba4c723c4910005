#!/usr/bin/env bash
# timeout=200
# Trees of class folders, splits that are made, odd names and odd folders, the contact sheet, and how fast shards are read.
source "$(dirname "$0")/common.sh.inc"

"$ladnn" phantom --out phantom --scale 0.1 >phantom.log 2>&1 || exit 1
mkdir -p tree/COVID/deep tree/healthy
cp phantom/CT_COVID/* tree/COVID/ && cp phantom/CT_NonCOVID/* tree/healthy/
touch tree/SYNTHETIC
pack=("$ladnn" pack --preset imagefolder --size 32)
same_shards() { for f in "$1"/*.h5; do cmp "$f" "$2/$(basename "$f")" || return 1; done; }

check "a tree" "${pack[@]}" --in tree --out plain --name t
check "its report says what it does not know" grep -q "PATIENTS UNKNOWN for [0-9]* pictures" plain/t-report.txt
check "and that lesions are unknown" grep -q "lesions are unknown" plain/t-report.txt
check "and how patients were divided" grep -q "split made by patient, seed 1: train 60 %, val 15 %, test 25 %" plain/t-report.txt
check "it is whole" "$ladnn" inspect plain --verify
check "the split is a manifest that makes the same pixels" "$ladnn" pack --manifest plain/t-split.csv --images tree --out again --name t --size 32
rows() { /usr/bin/python3 -c 'import h5py, sys, glob
for p in sorted(glob.glob(sys.argv[1] + "/*.h5")):
    f = h5py.File(p)
    print(p.split("/")[-1], f["file"][:].tolist(), f["patient"][:].tolist(), f["crc32c"][:].tolist())' "$1"; }
rows plain >plain.rows && rows again >again.rows
check "row for row" cmp plain.rows again.rows
check "another seed, another split" "${pack[@]}" --in tree --out seed2 --name t --set pack.seed=2
check "really another" bash -c '! cmp -s plain/t-split.csv seed2/t-split.csv'
check "a rule for patients" "${pack[@]}" --in tree --out rule --name t --patient '-(p[0-9]+)-'
check "unknown where it does not match" grep -q "PATIENTS UNKNOWN for $(ls tree/healthy | wc -l) pictures" rule/t-report.txt
check "a split of the data set's own rows" "$ladnn" pack --preset covid-ct --in phantom --out made --name t --size 32 --split make --by-figure
check "no figure is in two splits" bash -c '! grep -q "source figures with images in more than one split" made/t-report.txt'

mkdir tree3 && cp -r tree/COVID tree/healthy tree3/ && mkdir tree3/other
expect_error "three classes" any "3 class folders, not two: COVID, healthy, other" "${pack[@]}" --in tree3 --out x --name t
mv tree3/COVID tree3/sick && rmdir tree3/other
expect_error "which is COVID?" any "which class is COVID\? There are healthy, sick" "${pack[@]}" --in tree3 --out x --name t
check "told so" "${pack[@]}" --in tree3 --out told --name t --positive sick
expect_error "a rule without a group" any "pack.patient = 'abc'" "${pack[@]}" --in tree --out x --name t --patient abc
mkdir empty && expect_error "an empty folder" any "0 class folders, not two: none" "${pack[@]}" --in empty --out x --name t

# Odd things are packed or listed, never lost and never a hang.
one=$(ls tree/COVID/*.png | head -n 1)
odd=tree/COVID/deep
cp "$one" "$odd/$(printf 'line\nbreak.png')"
cp "$one" "$odd/$(printf 'comma, "quote".png')"
cp "$one" "$odd/$(printf 'latin\xe9.png')"
cp "$one" "$odd/no extension"
echo "not a picture" >"$odd/notes.txt"
ln -s .. "$odd/loop"
ln -s ../../healthy "$odd/other class"
ln -s ../.. "$odd/whole" # back to the tree: the other class must not come in as COVID
ln -s /nowhere "$odd/dangling.png"
mkfifo "$odd/fifo.png"
check "odd names and folders" timeout 60 "${pack[@]}" --in tree --out odd --name t
check "they are whole" "$ladnn" inspect odd --verify
check "a loop is listed" grep -q "deep/loop: .*leads back" odd/t-report.txt
check "nor the other class" grep -q "deep/other class: a link that leads back, or into another class" odd/t-report.txt
check "nor is the tree itself entered" grep -q "deep/whole: .*leads back" odd/t-report.txt
check "a dangling link is listed" grep -q "deep/dangling.png: cannot be opened" odd/t-report.txt
check "a pipe is listed" grep -q "deep/fifo.png: neither a file nor a folder" odd/t-report.txt
check "a text is listed" grep -q "deep/notes.txt: no picture" odd/t-report.txt
check "names are escaped in the report" grep -qF 'line\x0Abreak.png' odd/t-report.txt
check "the split's CSV is read back" "$ladnn" pack --manifest odd/t-split.csv --images tree --out odd2 --name t --size 32

# CSV in other dress.
{ printf '\xef\xbb\xbf'; sed 's/$/\r/' plain/t-split.csv; } >bom.csv
check "a byte order mark and CRLF" "$ladnn" pack --manifest bom.csv --images tree --out bom --name t --size 32
rows bom >bom.rows
check "the same rows" cmp plain.rows bom.rows
cut -d, -f1-3,5- plain/t-split.csv >nosplit.csv
check "no split column: one is made" "$ladnn" pack --manifest nosplit.csv --images tree --out nosplit --name t --size 32
cut -d, -f1,3- plain/t-split.csv >nopatient.csv
tr , ';' <nosplit.csv >semicolons.csv
expect_error "semicolons" 1 "semicolons.csv:1: columns must be separated by commas, not by semicolons" "$ladnn" pack --manifest semicolons.csv --images tree --out x --name t
expect_error "no patient column" any "nopatient.csv:1: no column 'patient'" "$ladnn" pack --manifest nopatient.csv --images tree --out x --name t

check "a contact sheet" "$ladnn" inspect plain --sheet sheet.png --samples 9
check "is a picture" /usr/bin/python3 -c 'from PIL import Image; assert Image.open("sheet.png").size[0] > 500'
check "bench load" "$ladnn" bench load --data plain --steps 2 --batch 8 --size 32 --json
check "bench pack, past loops and pipes" timeout 60 "$ladnn" bench pack --data tree --size 32 --json
check "tells all stages" bash -c '"$0" bench pack --data tree --size 32 | grep -cE "^(read|hash|decode|resize|store|all) " | grep -qx 6' "$ladnn"
expect_error "bench pack without pictures" 1 "no pictures" "$ladnn" bench pack --data empty

# A folder that may not be read is listed, and nothing else is lost. Root may read all: then as another user.
mkdir -p closed/COVID/shut closed/healthy && cp tree/COVID/*.png closed/COVID/ && cp tree/healthy/*.png closed/healthy/ && cp "$one" closed/COVID/shut/
mkdir -m 777 user && chmod 000 closed/COVID/shut
as_user=()
[ "$(id -u)" = 0 ] && as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
if "${as_user[@]}" ls closed/COVID >/dev/null 2>&1 && "${as_user[@]}" test -x "$ladnn"; then
  check "a folder that may not be read" "${as_user[@]}" "$ladnn" pack --preset imagefolder --in closed --out user/out --name t --size 32
  check "is listed" grep -q "COVID/shut: cannot be" user/out/t-report.txt
  check "and warned of" grep -q "WARNING: 1 files or folders cannot be read" user/out/t-report.txt
  expect_error "strict stops" 1 "strict: 1 files or folders cannot be read" "${as_user[@]}" "$ladnn" pack --preset imagefolder --in closed --out user/strict --name t --size 32 --strict
  expect_error "an --out that may not be written" 1 "cannot" "${as_user[@]}" "$ladnn" pack --preset imagefolder --in tree --out closed/x --name t --size 32
else
  echo "not tested here: a folder that may not be read (the program lies where another user cannot reach it)"
fi
chmod 755 closed/COVID/shut
verdict
