#!/usr/bin/env bash
# timeout=900  ladnn explain: the pixels and probabilities of eval, the same maps from shards and from files, and what it refuses.
source "$(dirname "$0")/common.sh.inc"
small_data
options=(--data shards --set augment.size=64 --set train.batch=16 --set train.epochs=2 --set optim.lr=1e-3 --set model.backbone=resnet18)
check "train LA-DNN" "$ladnn" train "${options[@]}" --out ladnn
check "train the baseline" "$ladnn" train "${options[@]}" --set model.method=baseline --out baseline
explain() { # OUT option ...
  local out=$1
  shift
  "$ladnn" explain ladnn --out "$out" "$@" >"$out.json" 2>"$out.log" || { cat "$out.log"; return 1; }
}
same_bits() { # TWO explanations: equal maps and probabilities
  h5diff "$1/maps.h5" "$2/maps.h5" maps && h5diff "$1/maps.h5" "$2/maps.h5" probability
}
labels_and_probabilities() { cut -d, -f1,3-14 "$1"; }
names() { tail -n +2 "$1/explain.csv" | cut -d, -f1; }
pictures() { ls "$1" | grep -c "$2"; }

# ---- a whole split: eval's own numbers, a row and three pictures each ----
check "eval" "$ladnn" eval ladnn --data shards --out judged
check "explain the test split" explain all
labels_and_probabilities judged/predictions.csv >want.csv
labels_and_probabilities all/explain.csv >got.csv
check "probabilities are eval's, bit for bit" cmp want.csv got.csv
count=$(names all | wc -l)
check "three pictures an image" test "$(pictures all overlay.png)" -eq "$count" -a "$(pictures all '.png$')" -eq $((3 * count))
check "the notice is in the map file" grep -aq "research use only" all/maps.h5
check "the notice is told" grep -q '"notice": "SYNTHETIC' all.json
check "the map file is whole" "$ladnn" inspect all/maps.h5 --verify

# ---- the same picture from a shard, a file and a folder ----
file=$(names all | sed -n 3p)
check "by its name in the manifest" explain named --files "$file"
check "by the last part of its name" explain short --files "${file##*/}"
check "from its file" explain file --in "phantom/$file"
mkdir folder && cp "phantom/$file" folder/ && echo "no picture" >folder/notes.txt
check "from a folder" explain folder.out --in folder
check "what is no picture is told" grep -q "1 entries are no picture" folder.out.log
for other in short file folder.out; do check "map of $other" same_bits named $other; done
other=$(names all | sed -n 5p)
check "another picture" explain another --files "$other"
check "another picture has another map" bash -c "! h5diff named/maps.h5 another/maps.h5"
check "a list keeps its order" explain two --files "$other,$file"
check "order of the list" test "$(names two | tr '\n' ' ')" = "$other $file "
check "evenly spread" explain spread --count 4
check "four rows" test "$(names spread | wc -l)" -eq 4

# ---- backends, methods, targets ----
check "ref" explain ref --count 3 --backend ref
check "cpu" explain cpu --count 3
check "ref and cpu agree" h5diff -p 1e-3 ref/maps.h5 cpu/maps.h5 maps
check "Grad-CAM" explain plain --count 3 --method gradcam
check "another method has other maps" bash -c "! h5diff cpu/maps.h5 plain/maps.h5 maps"
check "a lesion" explain lesion --count 3 --what GGO
check "another target has other maps" bash -c "! h5diff cpu/maps.h5 lesion/maps.h5 maps"
check "the paper's formula" explain paper --count 3 --eps 0
check "faithfulness" explain faithful --count 3 --faithfulness --steps 5
check "areas in the table" bash -c "head -1 faithful/explain.csv | grep -q 'deletion_auc,insertion_auc,random_deletion_auc,random_insertion_auc'"
check "areas are shares" awk -F, 'NR > 1 { for (i = 21; i <= 24; i++) if (!($i >= 0 && $i <= 1)) exit 1 } END { exit NR != 4 }' faithful/explain.csv
check "areas are told" grep -q '"random_insertion_auc": 0' faithful.json

# ---- figure 5 ----
check "figure 5" explain figure --count 3 --against baseline
mkdir runs && mv ladnn baseline runs/ && check "figure 5 on the page" "$ladnn" report runs --out page --maps figure --png false && mv runs/* .
check "as it was drawn" cmp figure/figure5.png page/figure5.png
check "and within an SVG of its own" /usr/bin/python3 -c "
import base64, re
svg, page = open('page/figure5.svg').read(), open('page/report.html').read()
picture = re.search('base64,([^\"]*)\"', svg).group(1)
assert base64.b64decode(picture, validate=True) == open('figure/figure5.png', 'rb').read() and picture in page"
expect_error "no sheet there" 1 'figure5.png: cannot open' "$ladnn" report . --out page --maps nowhere
check "the figure is there" test -s figure/figure5.png
check "five panels a row" test "$(file -b figure/figure5.png | grep -o '^PNG image data, [0-9]* x [0-9]*')" = "PNG image data, 1008 x $((48 + 3 * 230))"

# ---- refused, with the reason ----
expect_error "no run" 2 "which run folder" "$ladnn" explain --out none
expect_error "nowhere to write" 2 "where shall the pictures go" "$ladnn" explain ladnn
expect_error "no such run" 1 "nowhere/config.cfg" "$ladnn" explain nowhere --out none
expect_error "a full folder" 1 "all: this folder is not empty" "$ladnn" explain ladnn --out all
expect_error "a lesion of a baseline" 1 "trained without lesions" "$ladnn" explain baseline --what GGO --out none
expect_error "a lesion against a baseline" 1 "baseline was trained without lesions" "$ladnn" explain ladnn --against baseline --what GGO --out none
expect_error "no such lesion" 2 "explain.what|--what" "$ladnn" explain ladnn --what tumour --out none
expect_error "no such image" 1 "no image 'x.png' in the test split" "$ladnn" explain ladnn --files x.png --out none
expect_error "no such picture" 1 "x.png: cannot open" "$ladnn" explain ladnn --in x.png --out none
check "is in no folder from which it could be taken" bash -c "! grep -q 'take it out' expect.err"
expect_error "two choices" 1 "chooses images of a split" "$ladnn" explain ladnn --files x.png --in folder --out none
expect_error "a window of shards" 1 "window is for picture files" "$ladnn" explain ladnn --window lung --out none
expect_error "no such picture" 1 "missing.png" "$ladnn" explain ladnn --in missing.png --out none
mkdir empty && expect_error "an empty folder" 1 "no pictures" "$ladnn" explain ladnn --in empty --out none
head -c 900 "phantom/$file" >folder/cut.png
expect_error "a cut picture" 1 "folder/cut.png" "$ladnn" explain ladnn --in folder --out none
mv shards moved
expect_error "the data are gone" 1 "shards" "$ladnn" explain ladnn --out none
check "the data are elsewhere" explain elsewhere --data moved --count 2
mv moved shards
cp -r ladnn broken && head -c 100000 ladnn/best.h5 >broken/best.h5
expect_error "cut weights" 1 "broken/best.h5" "$ladnn" explain broken --out cut.out
check "nothing that looks whole is left" test ! -e cut.out/explain.csv -a ! -e none/explain.csv
verdict
