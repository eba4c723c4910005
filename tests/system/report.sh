#!/usr/bin/env bash
# timeout=600  `ladnn report`: a grid of 28 cells and 5 seeds, what is missing, what is refused, the page, two real small runs.
source "$(dirname "$0")/common.sh.inc"
python=/usr/bin/python3
"$python" -c 'import sklearn, scipy' 2>/dev/null || { echo "scikit-learn is missing: jobs/setup.sh test"; exit 1; }
make_grid() { "$python" "$tests/tools/make_grid.py" "$@"; }
report() { "$ladnn" report "$@" 2>report.log; }
says() { grep -qE -- "$1" "$2"; }
lacks() { ! grep -qE -- "$1" "$2"; }

# ---- the whole grid ----
make_grid whole --list
check "28 cells, 5 seeds" report whole --out page
check "all there" says '140 of 140 runs finished, 28 of 28 cells' report.log
check "the numbers are scikit-learn's" "$python" "$tests/reference/check_report.py" whole page
check "random beginnings are told" says 'These networks began with random weights' page/report.html
changed() { # sed expression, table
  rm -rf wrong && mkdir wrong && cp page/*.csv wrong/ && sed "$1" "page/$2" >"wrong/$2" && ! cmp -s "page/$2" "wrong/$2" &&
    ! "$python" "$tests/reference/check_report.py" whole wrong
}
check "and a changed one would be seen" changed 's/^\(d0,resnet50,ladnn,.*,auc,98,54,0\.\)\(.\)/\11/' table2.csv
check "of patients, too" changed 's/^\(d0,resnet50,ladnn,.*,patient_accuracy,54,54,0\.\)\(.\)/\11/' table2.csv
check "of a bin, too" changed 's/^\(d0,resnet50,ladnn,5,3,0.2,0.3,\)[0-9]*/\11/' calibration.csv
# User time, because the machine may be busy; the smallest of three. The clock's limit is for a machine that is not.
seconds=$(for i in 1 2 3; do ( TIMEFORMAT=%U; time OMP_NUM_THREADS=1 "$ladnn" report whole --out "page$i" 2>/dev/null ) 2>&1; done | sort -n | head -1)
echo "report of 140 runs: $seconds s of one core"
check "under 5 s of one core" awk "BEGIN { exit !($seconds < 5) }"
check "the same page numbers each time" cmp page1/table2.json page2/table2.json
for f in table2-d0 figure4-d0 figure4-d0d1 calibration-d0 calibration-d0d1 figure6-d0 training-d0 training-covid-d0d1; do
  check "$f alone as SVG" "$python" -c "import sys, xml.dom.minidom as m; m.parse('page/$f.svg')"
  check "$f alone as PNG" "$python" -c "from PIL import Image; i = Image.open('page/$f.png'); i.load(); assert i.size[0] > 600 and len(i.convert('L').getcolors()) > 20"
done
check "the page stands alone" lacks '<script|src=|href="?http|url\(|@import|<link' page/report.html
check "the page is small" test "$(stat -c %s page/report.html)" -lt 3000000
check "its SVG is the file's" bash -c "grep -qF \"\$(sed -n 20p page/figure4-d0.svg)\" page/report.html"
check "well-formed figures in the page" "$python" -c "
import re, xml.dom.minidom as m
svg = re.findall(r'<svg .*?</svg>', open('page/report.html').read(), re.S)
assert len(svg) == 12, len(svg)
for s in svg: m.parseString(s)"
check "research use" says 'class=notice>Research use only' page/report.html
check "not synthetic" lacks 'SYNTHETIC' page/report.html
check "n/a for a lesion without positives" says '<td>n/a<small>0 positives' page/report.html
check "no interval from fewer than 5 patients, one from more" "$python" -c "
import csv
seen = set()
for r in csv.DictReader(open('page/table2.csv')):
    few = int(r['support_patients']) < 5
    if r['figure'] == 'expected_calibration_error': # never
        assert r['mean'] and not r['low'] and not r['high']
        continue
    assert not (few and r['low']) and (few or r['low'] or not r['mean']), r
    seen.add((few, bool(r['mean']), bool(r['low'])))
assert (True, True, False) in seen and (False, True, True) in seen, seen"
check "0.5, as in the paper" says 'Positive means a probability of at least 0.5, as in the paper\.' page/report.html
check "patients, by the table" says '<td class=num>0.5</td><td class=num>96 \(54\)</td><td class=num>8[0-9.]* &plusmn; [0-9.]*<small>\[' page/report.html
check "the paper's numbers" says '<td class=p>84.7</td>' page/report.html
check "no figure 3 without the data, and that is said" says 'Figure 3 are without d0: /nowhere/d0' page/report.html
check "JSON" "$python" -c "
import json
t = json.load(open('page/table2.json'))
c = {(x['dataset'], x['backbone'], x['method']): x for x in t['cells']}
assert len(c) == 28 and c['d0', 'vgg16', 'ladnn']['figures']['auc']['paper'] == 0.898 and len(t['comparisons']) == 14
assert c['d0', 'vgg16', 'ladnn']['figures']['InSepThi']['mean'] is None and c['d0', 'vgg16', 'ladnn']['figures']['InSepThi']['support'] == 0"

# ---- intervals, by an own bootstrap ----
make_grid small --list --seeds 2 --backbones vgg16 --datasets d0
check "small" report small --out small.page
check "the intervals are those of the same resampled patients" "$python" "$tests/reference/check_report.py" small small.page --bootstrap d0,vgg16,ladnn
check "without a list" bash -c "rm -r small/grid && '$ladnn' report small --out nolist.page"
check "the same cells" cmp small.page/table2.csv nolist.page/table2.csv
check "another bootstrap, other intervals" bash -c "'$ladnn' report small --out seed.page --seed 2 && ! cmp -s small.page/table2.csv seed.page/table2.csv"
check "without PNG" report small --out nopng.page --png false
check "none written" bash -c '! ls nopng.page/*.png && ls nopng.page/*.svg'

# ---- judged otherwise than at 0.5 ----
make_grid rule --list --seeds 2 --backbones vgg16 --datasets d0 --threshold youden --flip
check "a threshold chosen on validation" report rule --out rule.page
check "its figures" "$python" "$tests/reference/check_report.py" rule rule.page --bootstrap d0,vgg16,baseline
check "agree with metrics.json" lacks 'not what its predictions give' rule.page/report.html
words='Positive means a probability, the mean of the picture.s and its mirror image.s, of at least the threshold that gave [^<]*sensitivity \+ specificity \(Youden\) on the validation split\.'
check "the paper's are not" says "</b> The paper's numbers are at 0.5" rule.page/report.html
check "said in the caption and in the method" test "$(grep -oE "$words" rule.page/report.html | wc -l)" -eq 2
check "from the lowest to the highest seed" says '<td class=num>0.410 to 0.420<small>Youden, with mirror images</small>' rule.page/report.html
check "each run's in runs.csv" "$python" -c "
import csv
rows = list(csv.DictReader(open('rule.page/runs.csv')))
assert [(r['threshold'], r['threshold_rule'], r['flip'], r['patients']) for r in rows] == [(t, 'youden', '1', '96') for t in ('0.41', '0.42')] * 2, rows"
check "the rule in table2.csv" says '^d0,vgg16,ladnn,2,203,96,sensitivity,.*,youden,1$' rule.page/table2.csv
make_grid fixed --list --seeds 2 --backbones vgg16 --datasets d0
check "at 0.5" report fixed --out fixed.page
check "is something else" bash -c "! cmp -s <(grep ,sensitivity, rule.page/table2.csv | cut -d, -f1-13) <(grep ,sensitivity, fixed.page/table2.csv | cut -d, -f1-13)"
check "with the same areas" cmp <(grep ,auc, rule.page/table2.csv | cut -d, -f1-15) <(grep ,auc, fixed.page/table2.csv | cut -d, -f1-15)
make_grid old --list --seeds 2 --backbones vgg16 --datasets d0 --old
check "runs of before there was a choice" report old --out old.page
check "are at 0.5" cmp fixed.page/table2.csv old.page/table2.csv
check "and no reason to warn" lacks 'not what its predictions give|refused:' old.page/report.html
make_grid mixed --seeds 2 --backbones vgg16,resnet18 --datasets d0
rm -r mixed/d0-vgg16-ladnn-s? && make_grid other --seeds 2 --backbones vgg16 --datasets d0 --threshold 0.4 && mv other/d0-vgg16-ladnn-s? mixed/
check "cells judged differently" report mixed --out mixed.page
check "are not compared" says 'not compared: not judged alike: positive means a probability of at least 0.5, as in the paper for the baseline, a probability of at least 0.4 for LA-DNN' mixed.page/report.html
check "and named" says 'at least 0.5, as in the paper \(d0 VGG-16 baseline, d0 ResNet-18 baseline, d0 ResNet-18 LA-DNN\); a probability of at least 0.4 \(d0 VGG-16 LA-DNN\)\.' mixed.page/report.html

# ---- judged otherwise than the settings say ----
make_grid judged --list --seeds 3 --backbones vgg16,resnet18,resnet50 --datasets d0 --threshold youden
run() { echo "judged/d0-$1"; }
sed -i 's/"threshold": 0.41/"threshold": 1.5/' "$(run vgg16-baseline-s1)/metrics.json"
sed -i 's/"threshold": 0.42/"threshold": null/' "$(run vgg16-baseline-s2)/metrics.json"
sed -i 's/"threshold_rule": "youden"/"threshold_rule": "f1"/' "$(run vgg16-baseline-s3)/metrics.json"
sed -i 's/^test.threshold = .*/test.threshold = 0.41/' "$(run vgg16-ladnn-s1)/identity.txt"
sed -i 's/"flip": false/"flip": true/' "$(run vgg16-ladnn-s2)/metrics.json"
sed -i 's/^test.threshold = .*/test.threshold = high/' "$(run vgg16-ladnn-s3)/identity.txt"
sed -i 's/^test.threshold = .*/test.threshold = 0.4/' "$(run resnet18-baseline-s1)/identity.txt"
sed -i 's/"threshold_rule": "youden"/"threshold_rule": "fixed"/' "$(run resnet18-baseline-s1)/metrics.json"
sed -i '/^test.threshold/d' "$(run resnet18-baseline-s2)/identity.txt"
sed -i 's/"threshold": 0.41, "threshold_rule": "youden", //' "$(run resnet18-ladnn-s1)/metrics.json"
sed -i 's/^test.threshold = .*/test.threshold = f1/' "$(run resnet50-baseline-s2)/identity.txt"
sed -i 's/"threshold_rule": "youden"/"threshold_rule": "f1"/' "$(run resnet50-baseline-s2)/metrics.json"
sed -i 's/"mixed": 0/"mixed": 3/' "$(run resnet50-ladnn-s1)/metrics.json"
sed -i 's/"brier": 0/"brier": 1/' "$(run resnet50-ladnn-s2)/metrics.json"
sed -i 's/"threshold": 0.43/"threshold": 0.6/' "$(run resnet50-ladnn-s3)/metrics.json"
check "is still reported" report judged --out judged.page
judged_says() { check "$1" says "$2" judged.page/report.html; }
judged_says "above 1" 'refused: judged/d0-vgg16-baseline-s1/metrics.json: the threshold 1.5 is not above 0 and at most 1'
judged_says "no number" 'refused: judged/d0-vgg16-baseline-s2/metrics.json: the threshold nan is not above 0'
judged_says "another rule" "refused: d0-vgg16-baseline-s3: metrics.json has a threshold by the rule 'f1', by its settings \(test.threshold\) it is 'youden'"
judged_says "a rule where a number was asked for" "refused: d0-vgg16-ladnn-s1: metrics.json has a threshold by the rule 'youden', by its settings \(test.threshold\) it is 'fixed'"
judged_says "with mirror images" 'refused: d0-vgg16-ladnn-s2: metrics.json was made with mirror images, against its settings'
judged_says "no such rule" "refused: judged/d0-vgg16-ladnn-s3/identity.txt: test.threshold: 'high' is no threshold"
judged_says "another number" 'refused: d0-resnet18-baseline-s1: metrics.json was made at the threshold 0.41, by its settings \(test.threshold\) it is 0.4<'
judged_says "a rule where nothing was asked for" "refused: d0-resnet18-baseline-s2: metrics.json has a threshold by the rule 'youden', by its settings \(test.threshold\) it is 'fixed'"
judged_says "an old result of a new run" "refused: d0-resnet18-ladnn-s1: metrics.json has a threshold by the rule 'fixed', by its settings \(test.threshold\) it is 'youden'"
judged_says "two rules in a cell" "refused: d0-resnet50-baseline-s1 and d0-resnet50-baseline-s2 differ in more than the seed: 'test.threshold = youden', 'test.threshold = f1'"
judged_says "other patients" 'd0-resnet50-ladnn-s1: metrics.json is not what its predictions give; they are used: patients mixed 3 \(they give 0\)'
judged_says "another Brier score" 'd0-resnet50-ladnn-s2: metrics.json is not what its predictions give; they are used: calibration brier 1.[0-9]* \(they give 0.[0-9]*\)'
judged_says "another threshold of the same rule, by what it gives" 'd0-resnet50-ladnn-s3: metrics.json is not what its predictions give; they are used: tp [0-9]* \(they give [0-9]*\), .*patients tp'

# ---- what is missing ----
make_grid holes --list --seeds 2 --backbones vgg16,resnet18,resnet50 --datasets d0
run() { echo "holes/d0-$1"; }
rm -r "$(run vgg16-ladnn-s1)"
rm "$(run vgg16-ladnn-s2)/metrics.json"
rm "$(run resnet18-ladnn-s2)/metrics.json"
printf '{"type": "begin", "attempt": 3}\n{"type": "end", "attempt": 3, "status": 1, "why": "disk <full> on node7"}\n' >"$(run resnet18-ladnn-s2)/attempts.jsonl"
rm "$(run resnet50-ladnn-s1)/metrics.json"
echo '{"state": "failed", "error": "the loss is not a number"}' >"$(run resnet50-ladnn-s1)/progress.json"
rm "$(run resnet50-ladnn-s2)/metrics.json"
echo '{"state": "running", "epoch": 3, "epochs": 15, "updated": "2026-11-25T20:00:00Z", "error": ""}' >"$(run resnet50-ladnn-s2)/progress.json"
check "a grid with holes" report holes --out holes.page
check "counted" says '7 of 12 runs finished, 4 of 6 cells' report.log
check "never begun" says 'd0-vgg16-ladnn-s1</td><td class=l>not started' holes.page/report.html
check "begun" says 'd0-vgg16-ladnn-s2</td><td class=l>not finished' holes.page/report.html
check "the last attempt's reason, escaped" says 'disk &lt;full&gt; on node7' holes.page/report.html
check "the run's own" says 'the loss is not a number' holes.page/report.html
check "still running" says 'running in epoch 3 of 15' holes.page/report.html
check "the cell says how many seeds it has" says '<td>1 of 2</td>' holes.page/report.html
check "an empty cell is no number" says 'no run with a result' holes.page/report.html
check "not compared" says 'not compared: LA-DNN: no run with a result' holes.page/report.html

# ---- what is refused ----
make_grid bad --list --seeds 2 --backbones vgg16,resnet18,resnet50,densenet121,efficientnet_b0 --datasets d0
run() { echo "bad/d0-$1"; }
head -c 20000 "$(run vgg16-baseline-s1)/predictions.csv" >cut && mv cut "$(run vgg16-baseline-s1)/predictions.csv"
head -n 150 "$(run vgg16-baseline-s2)/predictions.csv" >cut && mv cut "$(run vgg16-baseline-s2)/predictions.csv"
sed -i '5s/,0\.[0-9]*,/,1.5,/' "$(run vgg16-ladnn-s1)/predictions.csv"
sed -i '7p' "$(run vgg16-ladnn-s2)/predictions.csv"
sed -i 's/^data sha256 = ..../data sha256 = 0000/' "$(run resnet18-ladnn-s2)/identity.txt"
sed -i 's/^optim.lr = .*/optim.lr = 0.001/' "$(run resnet50-ladnn-s2)/identity.txt"
sed -i 's/program sha256 ..../program sha256 0000/' "$(run densenet121-ladnn-s1)/config.cfg"
sed -i 's/"auc": 0\./"auc": 0.1/' "$(run densenet121-ladnn-s2)/metrics.json"
sed -i '9s/,Patient \([0-9]*\),1,/,Patient \1,0,/' "$(run efficientnet_b0-ladnn-s2)/predictions.csv"
sed -i '$s/...$//' "$(run densenet121-baseline-s1)/record.jsonl"
echo '{"n": ' >"$(run efficientnet_b0-baseline-s1)/metrics.json"
cp "$(run efficientnet_b0-baseline-s1)/identity.txt" "$(run efficientnet_b0-baseline-s2)/identity.txt"
check "a bad grid is still reported" report bad --out bad.page
bad_says() { check "$1" says "$2" bad.page/report.html; }
bad_says "cut within a line" 'd0-vgg16-baseline-s1/predictions.csv: does not end with a line end: the file was cut'
bad_says "cut between lines" 'd0-vgg16-baseline-s2/predictions.csv: 149 images, metrics.json was made from 203'
bad_says "no probability" "d0-vgg16-ladnn-s1/predictions.csv:5: p_covid is '1.5', no probability"
bad_says "an image twice" "d0-vgg16-ladnn-s2/predictions.csv: the image '.*' is there twice"
bad_says "other data" 'refused: d0-resnet18-ladnn-s2 was trained on other data \(0000'
bad_says "other settings" "refused: d0-resnet50-ladnn-s1 and d0-resnet50-ladnn-s2 differ in more than the seed: 'optim.lr = 5[^']*', 'optim.lr = 0.001'"
bad_says "other programs, only said" 'Different programs made these runs: 1 of them'
bad_says "metrics that the predictions do not give" 'd0-densenet121-ladnn-s2: metrics.json is not what its predictions give; they are used: auc 0.1[0-9]* \(they give 0.[89]'
bad_says "other labels" 'refused: d0-efficientnet_b0-ladnn-s1 and d0-efficientnet_b0-ladnn-s2 were not tested on the same images with the same labels'
bad_says "a cut record" 'record.jsonl:[0-9]*: byte [0-9]*: .*; the training curve is without this line'
bad_says "a cut result" 'd0-efficientnet_b0-baseline-s1/metrics.json: byte [0-9]*: the text ends too early'
check "the cells that remain" bash -c "cut -d, -f1-3 bad.page/table2.csv | sort -u | tr '\n' ' ' | grep -qx 'd0,densenet121,baseline d0,densenet121,ladnn d0,efficientnet_b0,baseline d0,resnet18,baseline d0,resnet50,baseline dataset,backbone,method '"

# ---- nothing, and mistakes ----
mkdir empty
expect_error "an empty folder" 1 'no run folder in it' "$ladnn" report empty --out none
expect_error "no folder" 1 'nowhere: cannot open' "$ladnn" report nowhere --out none
expect_error "no --out" 2 'report.out is not set' "$ladnn" report whole
expect_error "no RUNS" 2 'report.runs is not set' "$ladnn" report --out none
mkdir -p list/grid && echo 'index,name' >list/grid/cells.csv
expect_error "another list" 1 "cells.csv: column 3 is not 'folder'" "$ladnn" report list --out none
printf 'index,name,folder,dataset,backbone,method,seed,identity\n0,a,../whole,d0,vgg16,ladnn,1,\n' >list/grid/cells.csv
expect_error "a folder outside" 1 "'../whole' is no folder below" "$ladnn" report list --out none
printf 'index,name,folder,dataset,backbone,method,seed,identity\n0,a,a,d0,vgg16,ladnn,1,\n' >list/grid/cells.csv
expect_error "no run finished" 1 'none of the 1 runs has a result: a: not started' "$ladnn" report list --out none
check "and no page" test ! -e none/report.html

# ---- real runs, of synthetic data ----
small_data 0.2
for method in baseline ladnn; do
  check "train $method" "$ladnn" train --data shards --out "runs/deep/$method" --set model.method=$method --set train.epochs=1 --set augment.size=64 \
    --set optim.lr=1e-3 --set train.threads=1
done
check "of real runs" report runs --out real.page
check "synthetic, on the page" says 'class=synthetic>SYNTHETIC' real.page/report.html
check "in the figures" says 'SYNTHETIC data; research use only' real.page/figure3-phantom.svg
check "in the tables" says 'SYNTHETIC' real.page/table1.json
check "Table 1 counts what inspect counts" bash -c "
  '$ladnn' inspect shards --json | '$python' -c \"
import csv, json, sys
s = json.load(sys.stdin)['splits']
rows = list(csv.DictReader(open('real.page/table1.csv')))
assert len(rows) == 6
for r in rows:
    t = s[r['split']]
    want = (t['covid'], t['covid_patients']) if r['class'] == 'covid' else (t['images'] - t['covid'], t['patients'] - t['covid_patients'])
    assert (int(r['images']), int(r['patients'])) == want, r\""
check "no warning" lacks 'class=warn' real.page/report.html
check "empty bins are without a mark" "$python" -c "
import csv
bins = [int(r['images']) for r in csv.DictReader(open('real.page/calibration.csv')) if r['method'] == 'ladnn']
marks = open('real.page/calibration-phantom.svg').read().count('h0')
assert len(bins) == 10 and 0 in bins and marks == sum(n > 0 for n in bins) + 1, (bins, marks)" # one is the key's
check "their numbers are scikit-learn's" "$python" "$tests/reference/check_metrics.py" runs/deep/baseline runs/deep/ladnn
mv shards moved
check "the data are gone" report runs --out gone.page
check "which is said" says 'not counted: .*shards: cannot open' gone.page/report.html
check "and they are found again" report runs --out again.page --data "whole,moved"
check "with their figure" test -s again.page/figure3-phantom.svg
verdict
