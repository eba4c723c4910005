#!/usr/bin/env bash
# timeout=300  `ladnn report` of what a user may have made of a grid: refused results, one class, few patients, names that meet, folders of `ladnn eval`.
source "$(dirname "$0")/common.sh.inc"
python=/usr/bin/python3
make_grid() { "$python" "$tests/tools/make_grid.py" "$@"; }
report() { "$ladnn" report "$@" --png false 2>report.log; }
says() { grep -qE -- "$1" "$2"; }
lacks() { ! grep -qE -- "$1" "$2"; }
edit_rows() { # run folder, expression that says of a row whether it stays: predictions.csv and n of metrics.json
  "$python" - "$@" <<'EOF'
import csv, json, sys
folder, keep = sys.argv[1:]
with open(folder + "/predictions.csv") as f: rows = list(csv.DictReader(f))
kept = [r for r in rows if eval(keep, {"r": r})]
with open(folder + "/predictions.csv", "w", newline="") as f:
    out = csv.DictWriter(f, rows[0].keys(), lineterminator="\n")
    out.writeheader()
    out.writerows(kept)
with open(folder + "/metrics.json") as f: told = json.load(f)
told["n"] = len(kept)
with open(folder + "/metrics.json", "w") as f: json.dump(told, f)
EOF
}

# ---- a refused result is said before anything else, a missing one is counted ----
make_grid base --list --seeds 2 --backbones resnet18 --datasets d0
cp -r base refused
head -c 5000 base/d0-resnet18-ladnn-s1/predictions.csv >refused/d0-resnet18-ladnn-s1/predictions.csv
rm -r refused/d0-resnet18-baseline-s2
check "a cut file, and a missing run" report refused --out refused.page
check "the cut one is said on the terminal" says 'warning: The result of d0-resnet18-ladnn-s1 is refused: .*does not end with a line end' report.log
check "and at the top of the page" says '<li>The result of d0-resnet18-ladnn-s1 is refused' refused.page/report.html
check "the missing one is no warning" lacks 'baseline-s2' report.log
check "one of each" says '; <b>1 run is missing</b>; <b>1 result was refused</b>' refused.page/report.html

# ---- metrics.json of another run ----
cp -r base other
sed -i 's/"method": "ladnn"/"method": "baseline"/' other/d0-resnet18-ladnn-s1/metrics.json
sed -i 's/"votes": 0/"votes": 3/' other/d0-resnet18-ladnn-s2/metrics.json
sed -i 's/"votes": 0/"votes": 2/' other/d0-resnet18-baseline-s2/metrics.json
echo 'train.vote_last = 2' >>other/d0-resnet18-baseline-s2/identity.txt
check "results of others" report other --out other.page
check "another method" says "refused: d0-resnet18-ladnn-s1: metrics.json is of method 'baseline', identity.txt of 'ladnn'" other.page/report.html
check "votes that nobody asked for" says 'refused: d0-resnet18-ladnn-s2: metrics.json is a vote of 3 epochs, by its settings \(train.vote_last\) of 0' other.page/report.html
check "votes that were asked for" lacks 'refused: d0-resnet18-baseline-s2' other.page/report.html

# ---- one class, few patients: n/a and "no interval", never nan ----
cp -r base negative && cp -r base few
for run in negative/d0-*; do edit_rows "$run" 'r["covid"] == "0"'; done
for run in few/d0-*; do edit_rows "$run" 'r["patient"] in ("Patient 1", "Patient 2", "crawled_patient 1", "crawled_patient 2")'; done
check "negatives alone" report negative --out negative.page
check "of four patients" report few --out few.page
for page in negative few; do check "no nan: $page" lacks '>[^<]*\bnan\b[^<]*<' <(grep -vE 'metrics.json is not what' $page.page/report.html); done
check "no AUC" says '>AUC n/a<' negative.page/figure4-d0.svg
check "nor in the provenance" says '<td>n/a</td><td class=num>2026' negative.page/report.html
check "no interval" says '>AUC [01]\.[0-9]{3}, no interval<' few.page/figure4-d0.svg
check "no test of so few" says '<td>n/a</td><td>n/a</td><td>n/a</td><td>n/a</td></tr>' few.page/report.html
check "Table 2 as a picture has every mean" "$python" - few.page <<'EOF'
import csv, re, sys
want = [r for r in csv.DictReader(open(sys.argv[1] + "/table2.csv")) if r["figure"] in ("sensitivity", "auc", "f1", "accuracy") and r["mean"]]
svg = open(sys.argv[1] + "/table2-d0.svg").read()
assert len(want) == 8 and min(float(r["mean"]) for r in want) < 0.8, want
low = float(re.search(r">(0\.\d)</text>", svg).group(1))
assert low <= min(float(r["mean"]) for r in want), low
EOF

# ---- data sets whose names make one file name ----
for name in + _; do
  make_grid meet$name --seeds 1 --backbones resnet18 --datasets d0
  sed -i "s/data d0 sha/data d${name}0 sha/" meet$name/*/config.cfg
  sed -i "s/\"dataset\": \"d0\"/\"dataset\": \"d${name}0\"/" meet$name/*/metrics.json meet$name/*/record.jsonl
  mkdir -p meet && mv meet$name meet/
done
check "names that meet" report meet --out meet.page
check "each its own figure" bash -c "grep -q 'd+0' meet.page/figure4-d_0.svg && grep -q 'd_0' meet.page/figure4-d_0-2.svg"

# ---- what ladnn eval leaves is no run ----
cp -r base evaluated && rm -r evaluated/grid && mkdir evaluated/on-val
echo 'ladnn eval' >evaluated/on-val/identity.txt
cp base/d0-resnet18-ladnn-s1/predictions.csv evaluated/on-val/
check "a folder of ladnn eval between the runs" report evaluated --out evaluated.page
check "is passed over" says '4 of 4 runs finished, 2 of 2 cells' report.log

# ---- again into the same folder ----
check "with PNG" "$ladnn" report base --out again.page
rm again.page/table2.csv && mkdir again.page/table2.csv
expect_error "a report that cannot be finished" 1 'table2.csv' "$ladnn" report base --out again.page --png false
check "leaves no page, which would stand for all of it" test ! -e again.page/report.html
rmdir again.page/table2.csv
check "again, without PNG" report base --out again.page
check "no picture of the other report beside the new ones" bash -c "! ls again.page/*.png && ls again.page/*.svg"
verdict
