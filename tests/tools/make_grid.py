#!/usr/bin/env python3
"""Writes a made-up grid of finished run folders, as `ladnn grid` and `ladnn train` leave them: predictions with a known AUC, no network.

    make_grid.py OUT [--seeds 5] [--backbones vgg16,resnet18] [--datasets d0,d0d1] [--list] [--threshold 0.4|youden|f1] [--flip] [--old]

--list writes grid/cells.csv, too. --threshold and --flip are those of the settings; a rule's value is made up, 0.4 and a hundredth for each
seed. --old leaves out what metrics.json did not say before there were thresholds. Test set: 203 images of 96 patients (d0), 308 of 146 (d0d1). The same numbers at each call."""
import argparse
import csv
import hashlib
import json
import math
import os
import random

BACKBONES = "vgg16,resnet18,resnet50,densenet121,densenet169,efficientnet_b0,efficientnet_b1"
LESIONS = ["GGO", "Csld", "CrPa", "AirBr", "InSepThi"]
TEST = {"d0": (98, 54, 105, 42), "d0d1": (143, 66, 165, 80)}  # positive images, patients, negative images, patients


def test_set(name):
    """Rows file, patient, six labels; each patient has at least one image."""
    rng = random.Random("test set " + name)
    pos_images, pos_patients, neg_images, neg_patients = TEST.get(name, TEST["d0"])
    rows = []
    for covid, images, patients in ((1, pos_images, pos_patients), (0, neg_images, neg_patients)):
        owner = list(range(patients)) + [rng.randrange(patients) for _ in range(images - patients)]
        for i, p in enumerate(sorted(owner)):
            lesions = [int(covid and rng.random() < share) for share in (0.66, 0.18, 0.04, 0.03, 0)]
            folder = "CT_COVID" if covid else "CT_NonCOVID"
            rows.append([f"{folder}/{name}, image {i}.png", f"{'Patient' if covid else 'crawled_patient'} {p}", covid] + lesions)
    return rows


def logistic(z):
    return 1 / (1 + math.exp(-z))


def predictions(rows, auc, rng, lesions):
    """Scores of two normal populations with this AUC; half of the spread is the patient's."""
    shift = math.sqrt(2) * normal_quantile(auc)
    patient = {}
    out = []
    for row in rows:
        common = patient.setdefault(row[1], rng.gauss(0, 1))
        z = shift * (row[2] - 0.5) + math.sqrt(0.5) * (common + rng.gauss(0, 1))
        p = [logistic(1.5 * z)]
        for k in range(5):
            p.append(logistic(1.2 * row[3 + k] + 0.8 * z - 1 + 0.7 * rng.gauss(0, 1)) if lesions else None)
        out.append(p)
    return out


def normal_quantile(share):
    low, high = -9.0, 9.0
    for _ in range(80):
        mid = (low + high) / 2
        low, high = (mid, high) if 0.5 * math.erfc(-mid / math.sqrt(2)) < share else (low, mid)
    return low


def auc_of(label, score):
    pos = [s for s, y in zip(score, label) if y]
    neg = [s for s, y in zip(score, label) if not y]
    if not pos or not neg or None in score:
        return None
    return sum((a > b) + 0.5 * (a == b) for a in pos for b in neg) / (len(pos) * len(neg))


def metrics(rows, p, threshold):
    label, hard = [r[2] for r in rows], [int(q[0] >= threshold) for q in p]
    tp = sum(y and h for y, h in zip(label, hard))
    fp = sum((not y) and h for y, h in zip(label, hard))
    fn, tn = sum(label) - tp, len(label) - sum(label) - fp
    part = lambda a, b: a / b if b else None
    m = {"n": len(rows), "tp": tp, "fp": fp, "tn": tn, "fn": fn, "sensitivity": part(tp, tp + fn), "specificity": part(tn, tn + fp),
         "precision": part(tp, tp + fp), "f1": part(2 * tp, 2 * tp + fp + fn), "accuracy": part(tp + tn, len(rows)),
         "auc": auc_of(label, [q[0] for q in p]), "auc_hard": auc_of(label, hard)}
    m["lesions"] = {name: {"support": sum(r[3 + k] for r in rows), "auc": auc_of([r[3 + k] for r in rows], [q[1 + k] for q in p])}
                    for k, name in enumerate(LESIONS)}
    return m


def by_patient(rows, p):
    """Rows and probabilities of patients: any label, mean probability."""
    own = {}
    for row, q in zip(rows, p):
        own.setdefault(row[1], []).append((row, q))
    pooled = [["", name] + [max(row[k] for row, _ in images) for k in range(2, 8)] for name, images in own.items()]
    means = [[sum(q[k] for _, q in images) / len(images) for k in range(6)] for images in own.values()]
    mixed = sum(len({row[2] for row, _ in images}) == 2 for images in own.values())
    return pooled, means, mixed


def calibration(rows, p):
    bins = [[(q[0], row[2]) for row, q in zip(rows, p) if min(int(q[0] * 10), 9) == b] for b in range(10)]
    mean = lambda v: sum(v) / len(v) if v else None
    means = [(mean([a for a, _ in b]), mean([y for _, y in b])) for b in bins]
    return {"expected_error": sum(len(b) * abs(x - y) for b, (x, y) in zip(bins, means) if b) / len(rows),
            "largest_error": max(abs(x - y) for b, (x, y) in zip(bins, means) if b),
            "brier": mean([(q[0] - row[2]) ** 2 for row, q in zip(rows, p)]),
            "bins": [{"n": len(b), "probability": x, "positive": y} for b, (x, y) in zip(bins, means)]}


def write_run(folder, dataset, backbone, method, seed, auc, rows, judging, epochs=15):
    rng = random.Random(f"{dataset} {backbone} {method} {seed}")
    os.makedirs(folder)
    data_hash = hashlib.sha256(("data " + dataset).encode()).hexdigest()
    program = hashlib.sha256(b"program").hexdigest()
    identity = {"model.backbone": backbone, "model.method": method, "train.batch": 32, "train.seed": seed, "train.loss": "bce",
                "optim.lr": "5.0000000000000002e-05", "augment.size": 224}
    if judging.flip:
        identity["test.flip"] = "true"
    if judging.threshold != "0.5":
        identity["test.threshold"] = judging.threshold
    with open(folder + "/identity.txt", "w") as f:
        f.writelines(f"{k} = {v}\n" for k, v in identity.items())
        f.write(f"data sha256 = {data_hash}\n")
    with open(folder + "/config.cfg", "w") as f:
        f.write(f"// ladnn 0.1.0, 2026-11-25T20:{seed % 60:02}:00Z. Research use only: not for diagnosis.\n// program sha256 {program}\n"
                f"// data {dataset} sha256 {data_hash}, 3 shards\n// ranks 2, threads of rank 0: 8\n"
                f"train = {{ data = \"/nowhere/{dataset}\"; epochs = {epochs}; seed = {seed}; }};\nmodel = {{ backbone = \"{backbone}\"; method = \"{method}\"; }};\n")
    best, least = 1, 9.0
    with open(folder + "/record.jsonl", "w") as f:
        f.write(json.dumps({"type": "start", "version": "0.1.0", "dataset": dataset, "train_images": 425, "val_images": 118}) + "\n")
        for e in range(1, epochs + 1):
            train = 0.62 * math.exp(-e / 6) + 0.05 + rng.gauss(0, 0.01)
            val = 0.4 * math.exp(-e / 4) + 0.3 + 0.004 * e + rng.gauss(0, 0.02)
            best, least = (e, val) if val < least else (best, least)
            for step in range(14):
                f.write(json.dumps({"type": "step", "step": 14 * (e - 1) + step + 1, "epoch": e, "loss": train, "covid_loss": train, "gradient_norm": 1.0}) + "\n")
            f.write(json.dumps({"type": "epoch", "epoch": e, "step": 14 * e, "lr": 5e-5, "train_loss": 1.3 * train, "train_covid_loss": train,
                                "val_loss": 1.3 * val, "val_covid_loss": val, "best": e == best, "seconds": 61.5}) + "\n")
    p = predictions(rows, auc, rng, True)
    with open(folder + "/predictions.csv", "w", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["file", "patient", "covid"] + LESIONS + ["p_covid"] + ["p_" + n for n in LESIONS] + ["synthetic"])
        for row, q in zip(rows, p):
            out.writerow(row + ["%.17g" % v for v in q] + [0])
    head = {"notice": "research use only, not for diagnosis", "dataset": dataset, "backbone": backbone, "method": method, "seed": seed,
            "epochs": epochs, "best_epoch": best, "votes": 0}
    rule = judging.threshold if judging.threshold in ("youden", "f1") else "fixed"
    threshold = (40 + seed) / 100 if rule != "fixed" else float(judging.threshold)
    result = {**head, **metrics(rows, p, threshold)}
    if not judging.old:
        pooled, means, mixed = by_patient(rows, p)
        result.update(flip=judging.flip, threshold=threshold, threshold_rule=rule, calibration=calibration(rows, p),
                      patients={"mixed": mixed, **metrics(pooled, means, threshold)})
    with open(folder + "/metrics.json", "w") as f:
        json.dump(result, f)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("out")
    a.add_argument("--seeds", type=int, default=5)
    a.add_argument("--backbones", default=BACKBONES)
    a.add_argument("--datasets", default="d0,d0d1")
    a.add_argument("--list", action="store_true")
    a.add_argument("--threshold", default="0.5")
    a.add_argument("--flip", action="store_true")
    a.add_argument("--old", action="store_true")
    a = a.parse_args()
    cells = []
    for dataset in a.datasets.split(","):
        rows = test_set(dataset)
        for b, backbone in enumerate(a.backbones.split(",")):
            for method in ("baseline", "ladnn"):
                for seed in range(1, a.seeds + 1):
                    name = f"{dataset}-{backbone}-{method}-s{seed}"
                    auc = 0.83 + 0.01 * b + (0.05 if method == "ladnn" else 0) + (0.02 if dataset == "d0d1" else 0)
                    write_run(os.path.join(a.out, name), dataset, backbone, method, seed, auc, rows, a)
                    cells.append([len(cells), name, name, dataset, backbone, method, seed, ""])
    if a.list:
        os.makedirs(a.out + "/grid")
        with open(a.out + "/grid/cells.csv", "w", newline="") as f:
            out = csv.writer(f)
            out.writerow(["index", "name", "folder", "dataset", "backbone", "method", "seed", "identity"])
            out.writerows(cells)


main()
