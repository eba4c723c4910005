#!/usr/bin/env bash
# timeout=600  test.flip and test.threshold in training and in `ladnn eval`: against scikit-learn, mirrored pictures and other rank counts.
source "$(dirname "$0")/common.sh.inc"
python=/usr/bin/python3
"$python" -c 'import sklearn, PIL' 2>/dev/null || { echo "scikit-learn is missing: jobs/setup.sh test"; exit 1; }
small_data 0.2
train=("$ladnn" train --set train.epochs=2 --set augment.size=64 --set optim.lr=1e-3 --set train.threads=1)
judge() { "$ladnn" eval "$@"; }
same_numbers() { # metrics.json, output of eval, members that may differ ...: all others are the same, to the last bit
  "$python" - "$@" <<'EOF'
import json, sys
told, got = (json.load(open(f)) for f in sys.argv[1:3])
shared = [k for k in told if k in got and k not in sys.argv[3:]]
assert {"n", "auc", "patients", "calibration", "threshold", "threshold_rule", "flip", "lesions"} - set(sys.argv[3:]) <= set(shared), shared
wrong = [k for k in shared if told[k] != got[k]]
assert not wrong, (wrong, [(told[k], got[k]) for k in wrong])
EOF
}

# ---- a run with both ----
check "mirrored, a threshold by Youden" "${train[@]}" --data shards --out run --set test.flip=true --set test.threshold=youden
check "in its identity" grep -qx 'test.threshold = youden' run/identity.txt
check "and mirror images, too" grep -qx 'test.flip = true' run/identity.txt
check "its validation split" judge run --split val --out val
check "scikit-learn agrees, also that no threshold is better there" "$python" "$tests/reference/check_metrics.py" run --validation val
sed 's/"threshold": 0\./"threshold": 0.9/' run/metrics.json >wrong.json && cp -r run wrong && mv wrong.json wrong/metrics.json
check "and would say so" bash -c "! '$python' '$tests/reference/check_metrics.py' wrong --validation val"
judge run >again.json
check "eval of the run has its numbers" same_numbers run/metrics.json again.json
mpi 2 "$ladnn" eval run >two.json
check "on two ranks" cmp again.json two.json

# ---- a run without, judged later ----
check "plain" "${train[@]}" --data shards --out plain
check "the same weights" cmp run/best.h5 plain/best.h5
check "as it was told, at 0.5" "$python" "$tests/reference/check_metrics.py" plain
judge plain >plain.json
check "eval of it" same_numbers plain/metrics.json plain.json
judge plain --set test.flip=true --set test.threshold=youden >later.json
check "both when it is evaluated" same_numbers run/metrics.json later.json
judge run --set test.flip=false --set test.threshold=0.5 >back.json
check "and taken back" same_numbers plain/metrics.json back.json
check "which is something else" bash -c "! cmp -s <(grep auc plain.json) <(grep auc later.json)"
judge plain --split val --out plainval >plainval.json
check "the losses of validation are the record's, and scikit-learn's" "$python" - <<'EOF'
import csv, json
from sklearn.metrics import log_loss
told, rows = json.load(open("plainval.json")), list(csv.DictReader(open("plainval/predictions.csv")))
epochs = [e for e in map(json.loads, open("plain/record.jsonl")) if e["type"] == "epoch"]
best = min(epochs, key=lambda e: e["val_covid_loss"])
assert best["epoch"] == json.load(open("plain/metrics.json"))["best_epoch"], epochs
assert (told["loss"], told["covid_loss"]) == (best["val_loss"], best["val_covid_loss"]), (told, best)
assert abs(log_loss([int(r["covid"]) for r in rows], [float(r["p_covid"]) for r in rows]) - told["covid_loss"]) < 1e-9
EOF
judge plain --set test.threshold=f1 >f1.json
judge plain --set "test.threshold=$(sed -n 's/^ *"threshold": \([0-9.e-]*\),/\1/p' f1.json)" >number.json
check "a rule's threshold, given as a number" same_numbers f1.json number.json threshold_rule
judge plain --out test >/dev/null
judge plain --split train --out train >/dev/null

# ---- mirrored pictures: the mean with the mirror image is the same for both, and is the mean of both ----
check "a manifest without validation, and mirrored pictures" "$python" - <<'EOF'
import csv, os
from PIL import Image, ImageOps
columns = ["file", "patient", "covid", "GGO", "Csld", "CrPa", "AirBr", "InSepThi"]
with open("manifest.csv", "w", newline="") as f:
    out = csv.writer(f)
    out.writerow(columns + ["split"])
    for split in ("train", "test"):
        for r in csv.DictReader(open(split + "/predictions.csv", newline="")):
            out.writerow([r[k] for k in columns] + [split])
            os.makedirs(os.path.dirname("mirrored/" + r["file"]), exist_ok=True)
            ImageOps.mirror(Image.open("phantom/" + r["file"])).save("mirrored/" + r["file"])
EOF
check "pack them" "$ladnn" pack --manifest manifest.csv --images mirrored --out mirror --name phantom --size 96
judge plain --data mirror --out mirror.plain >/dev/null 2>&1
judge plain --data mirror --set test.flip=true --out mirror.flip >/dev/null 2>&1
judge plain --set test.flip=true --out flip >/dev/null 2>&1
check "agree" "$python" - <<'EOF'
import csv
import numpy as np
a, b, both, mirrored = (np.array([float(r["p_covid"]) for r in csv.DictReader(open(f + "/predictions.csv", newline=""))])
                        for f in ("test", "mirror.plain", "flip", "mirror.flip"))
plain = abs(a - b).max()
assert plain > 0.01, plain
# not to the last bit: pictures are made smaller, and rounded, from one side
far = abs(both - mirrored).max(), abs((a + b) / 2 - both).max()
assert max(far) < plain / 20, (plain, far)
EOF

# ---- refused ----
expect_error "a rule with votes" 1 'test.threshold = youden \(--set\) does not go with train.vote_last' "${train[@]}" --data shards --out votes --set train.vote_last=1 --set test.threshold=youden
check "says why" grep -q 'hint: the epochs vote on the test images alone; give a number' expect.err
expect_error "no threshold" 1 "test.threshold \(--set\): '1.5' is no threshold" "${train[@]}" --data shards --out none --set test.threshold=1.5
expect_error "no rule" 1 "test.threshold \(--set\): 'Youden' is no threshold: a number above 0 and at most 1, youden, or f1" "$ladnn" eval plain --set test.threshold=Youden
expect_error "neither true nor false" any "test.flip" "$ladnn" eval plain --set test.flip=maybe
expect_error "eval without validation images" 1 'no threshold can be chosen by f1: there are no validation images' "$ladnn" eval plain --data mirror --set test.threshold=f1
check "says what to do" grep -q 'hint: give test.threshold as a number' expect.err
expect_error "training without" 1 'mirror: no val images' "${train[@]}" --data mirror --out none --set test.threshold=youden
"$python" - >one.csv <<'EOF'
import csv, glob, sys
out = csv.writer(sys.stdout)
out.writerow(["file", "patient", "covid", "GGO", "Csld", "CrPa", "AirBr", "InSepThi", "split"])
for covid, folder in ((1, "CT_COVID"), (0, "CT_NonCOVID")):
    for i, name in enumerate(sorted(glob.glob("phantom/" + folder + "/*"))[:12]):
        split = "val" if i > 9 and covid else "test" if i > 7 else "train"
        out.writerow([name, f"{folder} {i}", covid, 0, 0, 0, 0, 0, split])
EOF
check "validation images of one class" "$ladnn" pack --manifest one.csv --out one --name one --size 96
expect_error "a rule for them, before anything is trained" 1 'one: no threshold can be chosen by youden: the validation images are all of one class' \
  "${train[@]}" --data one --out run1 --set test.threshold=youden
check "no run folder" test ! -e run1
check "eval into a run's folder" bash -c "! '$ladnn' eval plain --data shards --out plain 2>into.err >into.out && grep -q 'plain: holds another run' into.err"
check "is not told of --overwrite, which eval lacks" bash -c "! grep -q overwrite into.err && grep -q 'hint: choose another --out' into.err"
expect_error "another threshold is another run" 1 'test.threshold' "${train[@]}" --data shards --out run --set test.flip=true --set test.threshold=f1
verdict
