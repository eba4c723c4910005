#!/usr/bin/env python3
"""Recomputes a run's metrics.json from its predictions.csv with scikit-learn; exit status 1 when a figure differs by more than 1e-12.
Usage: check_metrics.py RUN [RUN ...]"""
import csv
import json
import math
import sys

from sklearn import metrics

LESIONS = ["GGO", "Csld", "CrPa", "AirBr", "InSepThi"]


def auc(label, score):
    return metrics.roc_auc_score(label, score) if 0 < sum(label) < len(label) and None not in score else None


def figures(rows):
    label = [int(r["covid"]) for r in rows]
    score = [float(r["p_covid"]) for r in rows]
    hard = [int(s >= 0.5) for s in score]
    tn, fp, fn, tp = (int(v) for v in metrics.confusion_matrix(label, hard, labels=[0, 1]).ravel())
    want = {"n": len(rows), "tp": tp, "fp": fp, "tn": tn, "fn": fn,  # a ratio of nothing is null, where scikit-learn says 0
            "sensitivity": metrics.recall_score(label, hard) if tp + fn else None,
            "specificity": metrics.recall_score(label, hard, pos_label=0) if tn + fp else None,
            "precision": metrics.precision_score(label, hard) if tp + fp else None,
            "f1": metrics.f1_score(label, hard) if tp + fp + fn else None, "accuracy": metrics.accuracy_score(label, hard),
            "auc": auc(label, score), "auc_hard": metrics.balanced_accuracy_score(label, hard) if tp + fn and tn + fp else None}
    for name in LESIONS:
        truth = [int(r[name]) for r in rows]
        p = [float(r["p_" + name]) if r["p_" + name] else None for r in rows]
        want[name] = (sum(truth), auc(truth, p))
    return want


def equal(a, b):
    return a is b is None or (a is not None and b is not None and math.isclose(a, b, rel_tol=0, abs_tol=1e-12))


bad = 0
for run in sys.argv[1:]:
    got = json.load(open(run + "/metrics.json"))
    rows = list(csv.DictReader(open(run + "/predictions.csv", newline="")))
    for name, want in figures(rows).items():
        have = got[name] if name in got else (got["lesions"][name]["support"], got["lesions"][name]["auc"])
        same = all(map(equal, have, want)) if isinstance(want, tuple) else equal(have, want)
        if not same:
            bad += 1
            print(f"{run}: {name}: metrics.json {have}, recomputed {want}")
print(f"{len(sys.argv) - 1} runs, {bad} differences")
sys.exit(bad > 0)
