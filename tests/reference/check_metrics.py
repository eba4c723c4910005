#!/usr/bin/env python3
"""Recomputes a run's metrics.json from its predictions.csv with scikit-learn; exit status 1 when a figure differs by more than 1e-12.

    check_metrics.py RUN [RUN ...] [--validation DIR]

By image and by patient, and the calibration; the threshold must be the one that identity.txt asks for. DIR holds predictions of the
validation split (ladnn eval RUN --split val --out DIR): a threshold that a rule chose must reach the highest figure of merit on them."""
import argparse
import csv
import json
import math
import re

import numpy as np
from sklearn import metrics

LESIONS = ["GGO", "Csld", "CrPa", "AirBr", "InSepThi"]


def read(folder):
    """Labels (n, 6), probabilities (n, 6) with None where there is no output, patients."""
    rows = list(csv.DictReader(open(folder + "/predictions.csv", newline="")))
    label = [[int(r[k]) for k in ["covid"] + LESIONS] for r in rows]
    p = [[float(r["p_" + k]) if r["p_" + k] else None for k in ["covid"] + LESIONS] for r in rows]
    return label, p, [r["patient"] for r in rows]


def auc(label, score):
    return metrics.roc_auc_score(label, score) if 0 < sum(label) < len(label) and None not in score else None


def figures(label, p, threshold):
    truth, score = [v[0] for v in label], [v[0] for v in p]
    hard = [int(s >= threshold) for s in score]
    tn, fp, fn, tp = (int(v) for v in metrics.confusion_matrix(truth, hard, labels=[0, 1]).ravel())
    want = {"n": len(truth), "tp": tp, "fp": fp, "tn": tn, "fn": fn,  # a ratio of nothing is null, where scikit-learn says 0
            "sensitivity": metrics.recall_score(truth, hard) if tp + fn else None,
            "specificity": metrics.recall_score(truth, hard, pos_label=0) if tn + fp else None,
            "precision": metrics.precision_score(truth, hard) if tp + fp else None,
            "f1": metrics.f1_score(truth, hard) if tp + fp + fn else None, "accuracy": metrics.accuracy_score(truth, hard),
            "auc": auc(truth, score), "auc_hard": metrics.balanced_accuracy_score(truth, hard) if tp + fn and tn + fp else None, "lesions": {}}
    for k, name in enumerate(LESIONS, 1):
        truth = [v[k] for v in label]
        want["lesions"][name] = {"support": sum(truth), "auc": auc(truth, [v[k] for v in p])}
    return want


def by_patient(label, p, patient):
    """Labels and mean probabilities of patients, and how many have images of both labels."""
    names = list(dict.fromkeys(patient))
    own = [[i for i, q in enumerate(patient) if q == name] for name in names]
    labels = [[max(label[i][k] for i in images) for k in range(6)] for images in own]
    means = [[float(np.mean([p[i][k] for i in images])) if p[images[0]][k] is not None else None for k in range(6)] for images in own]
    return labels, means, sum(len({label[i][0] for i in images}) == 2 for images in own)


def calibration(label, p):
    truth, score = np.array([v[0] for v in label]), np.array([v[0] for v in p])
    own = np.digitize(score, np.arange(1, 10) / 10)
    bins = [(int((own == b).sum()), float(score[own == b].mean()), float(truth[own == b].mean())) if (own == b).any() else (0, None, None)
            for b in range(10)]
    gaps = [(n, abs(a - y)) for n, a, y in bins if n]
    return {"expected_error": sum(n * g for n, g in gaps) / len(truth), "largest_error": max(g for _, g in gaps),
            "brier": metrics.brier_score_loss(truth, score, pos_label=1), "bins": [{"n": n, "probability": a, "positive": y} for n, a, y in bins]}


def differences(got, want, where):
    """Paths at which two values differ; numbers by more than 1e-12."""
    if isinstance(want, dict):
        return [d for k in want for d in differences(got.get(k) if isinstance(got, dict) else None, want[k], f"{where}.{k}")]
    if isinstance(want, list):
        if len(got or []) != len(want):
            return [f"{where}: {got}"]
        return [d for i, w in enumerate(want) for d in differences(got[i], w, f"{where}[{i}]")]
    number = isinstance(want, (int, float)) and isinstance(got, (int, float))
    same = math.isclose(got, want, rel_tol=0, abs_tol=1e-12) if number else got == want
    return [] if same else [f"{where}: metrics.json {got}, recomputed {want}"]


def merit(rule, truth, hard):
    return metrics.f1_score(truth, hard) if rule == "f1" else metrics.recall_score(truth, hard) + metrics.recall_score(truth, hard, pos_label=0)


def check_threshold(run, got, validation):
    asked = re.search(r"^test\.threshold = (.*)$", open(run + "/identity.txt").read(), re.M)
    asked = asked.group(1) if asked else "0.5"
    rule = asked if asked in ("youden", "f1") else "fixed"
    bad = differences(got, {"threshold_rule": rule} if rule != "fixed" else {"threshold_rule": rule, "threshold": float(asked)}, run)
    if rule != "fixed" and validation:
        label, p, _ = read(validation)
        truth, score = np.array([v[0] for v in label]), np.array([v[0] for v in p])
        reached, highest = merit(rule, truth, score >= got["threshold"]), max(merit(rule, truth, score >= s) for s in score)
        bad += differences(reached, float(highest), f"{run}: {rule} at {got['threshold']} on {len(truth)} validation images")
    return bad


def main():
    a = argparse.ArgumentParser()
    a.add_argument("runs", nargs="+")
    a.add_argument("--validation", default="")
    a = a.parse_args()
    bad = []
    for run in a.runs:
        got = json.load(open(run + "/metrics.json"))
        label, p, patient = read(run)
        pooled, means, mixed = by_patient(label, p, patient)
        want = {**figures(label, p, got["threshold"]), "calibration": calibration(label, p),
                "patients": {"mixed": mixed, **figures(pooled, means, got["threshold"])}}
        bad += differences(got, want, run) + check_threshold(run, got, a.validation)
    print("\n".join(bad))
    print(f"{len(a.runs)} runs, {len(bad)} differences")
    return bool(bad)


raise SystemExit(main())
