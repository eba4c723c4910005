#!/usr/bin/env python3
"""Works a report's numbers out again with scikit-learn, scipy and an own Philox, from the run folders alone; exit status 1 when one differs.

    check_report.py RUNS DIR [--bootstrap DATASET,BACKBONE,METHOD]

Reads grid/cells.csv of RUNS and the predictions; compares table2.csv (means, deviations, all cells, by image and by patient),
calibration.csv, comparisons.csv (DeLong and Obuchowski by the full matrix of pairs) and, for one cell, the intervals of all figures by
2,000 resamplings of the same patients. The threshold is the one in metrics.json."""
import argparse
import csv
import json
import os
import sys
import warnings

import numpy as np
from scipy import stats
from sklearn import metrics

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_report  # noqa: E402  (definitions of the two variances)

LESIONS = ["GGO", "Csld", "CrPa", "AirBr", "InSepThi"]
bad = 0
compared = 0


def compare(what, got, want, limit):
    global bad, compared
    compared += 1
    got = float(got) if got != "" else float("nan")
    if not (np.isnan(got) and np.isnan(want)) and not abs(got - want) <= limit:
        bad += 1
        print(f"{what}: {got:.17g}, recomputed {want:.17g}")


def figures(label, score, threshold, weight=None):
    """As the report names them; sample weights are resampled images."""
    hard = (score >= threshold).astype(int)
    w = np.ones(len(label)) if weight is None else weight
    both = w[label == 1].sum() > 0 and w[label == 0].sum() > 0
    nan = float("nan")
    part = lambda a, b: a / b if b else nan  # noqa: E731
    tp, fp = (w * hard * label).sum(), (w * hard * (1 - label)).sum()
    pos, neg = (w * label).sum(), (w * (1 - label)).sum()
    return {"sensitivity": part(tp, pos), "specificity": part(neg - fp, neg), "precision": part(tp, tp + fp), "f1": part(2 * tp, pos + tp + fp),
            "accuracy": part(tp + neg - fp, pos + neg), "auc_hard": (part(tp, pos) + part(neg - fp, neg)) / 2,
            "auc": metrics.roc_auc_score(label, score, sample_weight=w) if both else nan,
            "average_precision": metrics.average_precision_score(label, score, sample_weight=w) if pos else nan}


def all_figures(run, times=None):
    """Of images and of patients, each patient drawn so often."""
    weight = None if times is None else times[run["cluster"]]
    out = figures(run["label"], run["score"], run["threshold"], weight)
    out.update({"patient_" + k: v for k, v in figures(run["patient_label"], run["patient_score"], run["threshold"], times).items()})
    out["brier"] = metrics.brier_score_loss(run["label"], run["score"], sample_weight=weight, pos_label=1)
    return out


def calibration_error(label, score):
    bins = np.digitize(score, np.arange(1, 10) / 10)  # left-closed
    return sum(abs((score - label)[bins == b].sum()) for b in range(10)) / len(label)


def philox(counter, key):
    mask = 0xFFFFFFFF
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * x0, 0xCD9E8D57 * x2
        x0, x1, x2, x3 = (p1 >> 32) ^ x1 ^ k0, p1 & mask, (p0 >> 32) ^ x3 ^ k1, p0 & mask
        k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
    return x1 << 32 | x0, x3 << 32 | x2


def drawn(seed, replicate, patients):
    """How often each patient is drawn: base/random.h, purpose 10."""
    key = (seed & 0xFFFFFFFF, (seed >> 32) ^ (10 * 0x9E3779B9 & 0xFFFFFFFF))
    times, index = np.zeros(patients), 0
    uneven = (1 << 64) % patients
    for _ in range(patients):
        while True:
            value = philox((index // 2, 0, replicate, 0), key)[index % 2]
            index += 1
            if value >= uneven:
                break
        times[value % patients] += 1
    return times


def read_run(folder):
    rows = list(csv.DictReader(open(folder + "/predictions.csv", newline="")))
    told = json.load(open(folder + "/metrics.json"))
    names = list(dict.fromkeys(r["patient"] for r in rows))
    label, score = np.array([int(r["covid"]) for r in rows]), np.array([float(r["p_covid"]) for r in rows])
    cluster = np.array([names.index(r["patient"]) for r in rows])
    return {"label": label, "score": score, "cluster": cluster, "patients": len(names), "threshold": told.get("threshold", 0.5),
            "patient_label": np.array([label[cluster == c].max() for c in range(len(names))]),
            "patient_score": np.array([score[cluster == c].mean() for c in range(len(names))]),
            "lesion": {n: (np.array([int(r[n]) for r in rows]), np.array([float(r["p_" + n]) for r in rows])) for n in LESIONS}}


def check_cell(name, runs, rows, lesions):
    each = [all_figures(r) for r in runs]
    for e, r in zip(each, runs):
        e["expected_calibration_error"] = calibration_error(r["label"], r["score"])
    for k in LESIONS:
        for e, r in zip(each, runs):
            truth, score = r["lesion"][k]
            e["auc_" + k] = metrics.roc_auc_score(truth, score) if lesions and 0 < truth.sum() < len(truth) else float("nan")
    for figure, row in rows.items():
        values = np.array([e[figure] for e in each])
        compare(f"{name} {figure} mean", row["mean"], values.mean(), 1e-12)
        compare(f"{name} {figure} deviation", row["deviation"], values.std(ddof=1) if len(values) > 1 else float("nan"), 1e-12)


def check_comparison(name, base, ladnn, row):
    label, cluster = base[0]["label"], base[0]["cluster"]
    scores = [r["score"] for r in base + ladnn]
    weights = np.array([-1 / len(base)] * len(base) + [1 / len(ladnn)] * len(ladnn))
    value, variance = make_report.delong(scores, label, weights)
    patient = make_report.obuchowski(scores, label, weights, cluster)
    for lead, v in (("delong", variance), ("patient", patient)):
        compare(f"{name} {lead} z", row[lead + "_z"], value / np.sqrt(v), 1e-8)
        compare(f"{name} {lead} p", row[lead + "_p"], 2 * stats.norm.sf(abs(value) / np.sqrt(v)), 1e-9)
    compare(f"{name} difference", row["difference"], value, 1e-12)


def bca(values, estimate, left_out):
    below = ((values < estimate).sum() + 0.5 * (values == estimate).sum()) / len(values)
    bias = stats.norm.ppf(np.clip(below, 0.5 / len(values), 1 - 0.5 / len(values)))
    d = left_out.mean() - left_out
    a = (d ** 3).sum() / (6 * (d ** 2).sum() ** 1.5)
    return [np.quantile(values, stats.norm.cdf(bias + (bias + z) / (1 - a * (bias + z)))) for z in stats.norm.ppf([0.025, 0.975])]


def check_bootstrap(name, runs, rows):
    names = list(all_figures(runs[0]))
    mean = lambda times: [np.mean(v) for v in zip(*[[f[k] for k in names] for f in (all_figures(r, times) for r in runs)])]  # noqa: E731
    patients = runs[0]["patients"]
    values = np.array([mean(drawn(1, b, patients)) for b in range(2000)])
    left_out = np.array([mean((np.arange(patients) != c).astype(float)) for c in range(patients)])
    estimate = mean(None)
    for k, figure in enumerate(names):  # figures of equal value may differ in the last bit here: round, so that ties are ties
        low, high = bca(np.round(values[:, k], 12), round(estimate[k], 12), left_out[:, k])
        compare(f"{name} {figure} low", rows[figure]["low"], low, 1e-9)
        compare(f"{name} {figure} high", rows[figure]["high"], high, 1e-9)


def check_calibration(name, runs, bins):
    """The bins of all seeds together, for the figure."""
    label, score = (np.concatenate([r[k] for r in runs]) for k in ("label", "score"))
    own = np.digitize(score, np.arange(1, 10) / 10)
    for b in range(10):
        at, row = own == b, bins[b]
        compare(f"{name} bin {b} images", row["images"], at.sum(), 0)
        for column, values in (("probability", score), ("positive", label)):
            compare(f"{name} bin {b} {column}", row[column], values[at].mean() if at.any() else float("nan"), 1e-12)


def main():
    warnings.simplefilter("ignore")
    a = argparse.ArgumentParser()
    a.add_argument("runs")
    a.add_argument("report")
    a.add_argument("--bootstrap", default="")
    a = a.parse_args()
    cells = {}
    for row in csv.DictReader(open(a.runs + "/grid/cells.csv", newline="")):
        folder = os.path.join(a.runs, row["folder"])
        if os.path.exists(folder + "/metrics.json"):
            cells.setdefault((row["dataset"], row["backbone"], row["method"]), []).append(read_run(folder))
    table = {}
    for row in csv.DictReader(open(a.report + "/table2.csv", newline="")):
        table.setdefault((row["dataset"], row["backbone"], row["method"]), {})[row["figure"]] = row
    for key, rows in table.items():
        check_cell(" ".join(key), cells[key], rows, key[2] == "ladnn")
    calibration = {}
    for row in csv.DictReader(open(a.report + "/calibration.csv", newline="")):
        calibration.setdefault((row["dataset"], row["backbone"], row["method"]), []).append(row)
    for key in table:
        check_calibration(" ".join(key), cells[key], calibration[key])
    comparisons = 0
    for row in csv.DictReader(open(a.report + "/comparisons.csv", newline="")):
        if row["figure"] == "auc":
            key = (row["dataset"], row["backbone"])
            check_comparison(" ".join(key), cells[key + ("baseline",)], cells[key + ("ladnn",)], row)
            comparisons += 1
    if a.bootstrap:
        key = tuple(a.bootstrap.split(","))
        check_bootstrap(" ".join(key), cells[key], table[key])
    print(f"{len(table)} cells, {comparisons} comparisons, {compared} numbers, {bad} differences")
    sys.exit(bad > 0 or not table)


main()
