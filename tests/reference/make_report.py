#!/usr/bin/env python3
"""Writes report.txt beside this file: what numpy, scipy and scikit-learn make of made-up predictions, by the definitions and not by the
algorithms of jobs/report.

    /usr/bin/python3 tests/reference/make_report.py

Three kinds of blocks: "contrast" (areas under ROC curves compared, DeLong 1988 and Obuchowski 1997, from the full matrix of pairs),
"interval" (BCa by scipy's normal distribution and numpy's quantiles) and "curve" (from scikit-learn's ROC and precision-recall
points). Scores are whole numbers over a denominator, so that ties are exact. Made with numpy 1.24, scipy 1.10, scikit-learn 1.2.1."""
import os

import numpy as np
from scipy import stats
from sklearn import metrics

HERE = os.path.dirname(os.path.abspath(__file__))


def words(values):
    return " ".join("%.17g" % v for v in np.asarray(values, dtype=np.float64).ravel())


def kernel(score, label):
    x, y = score[label == 1], score[label == 0]
    return (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])


def delong(scores, label, weights):
    """Contrast and its variance by the covariance matrices of the paper, curve by curve."""
    k = [kernel(s, label) for s in scores]
    m, n = k[0].shape
    areas = np.array([a.mean() for a in k])
    if m < 2 or n < 2:
        return weights @ areas, float("nan")
    s10 = np.cov([a.mean(1) for a in k], ddof=1).reshape(len(k), len(k))
    s01 = np.cov([a.mean(0) for a in k], ddof=1).reshape(len(k), len(k))
    return weights @ areas, weights @ (s10 / m + s01 / n) @ weights


def obuchowski(scores, label, weights, cluster):
    """Variance by clusters, with the sums written out over clusters as in the paper's equations."""
    k = [kernel(s, label) for s in scores]
    m, n = k[0].shape
    v10 = sum(w * a.mean(1) for w, a in zip(weights, k))
    v01 = sum(w * a.mean(0) for w, a in zip(weights, k))
    theta = sum(w * a.mean() for w, a in zip(weights, k))
    of10, of01 = cluster[label == 1], cluster[label == 0]
    names = sorted(set(cluster))
    i10, i01, i = len(set(of10)), len(set(of01)), len(names)
    if i10 < 2 or i01 < 2:
        return float("nan")
    a = np.array([v10[of10 == c].sum() - (of10 == c).sum() * theta for c in names])
    b = np.array([v01[of01 == c].sum() - (of01 == c).sum() * theta for c in names])
    s10 = i10 / ((i10 - 1) * m) * (a * a).sum()
    s01 = i01 / ((i01 - 1) * n) * (b * b).sum()
    s11 = i / (i - 1) * (a * b).sum()
    return s10 / m + s01 / n + 2 * s11 / (m * n)


def make_contrasts(out, rng):
    for i in range(60):
        n = int(rng.integers(6, 60)) if i else 203
        curves = int(rng.integers(1, 7))
        denominator = (3, 20, 1000000)[i % 3]
        clusters = max(2, n // int(rng.integers(1, 4)))
        label = rng.integers(0, 2, n)
        label[:2] = 0, 1
        cluster = rng.integers(0, clusters, n)
        if i % 2:  # a patient has one label, as in the data here
            label = (cluster % 2).astype(int)
            label[:2], cluster[:2] = (0, 1), (0, 1)
        common = rng.random(n)
        scores = np.array([np.round(np.clip(0.5 * common + 0.3 * rng.random(n) + 0.2 * label, 0, 1) * denominator) for _ in range(curves)])
        weights = np.full(curves, 1 / curves) if i % 5 == 4 else rng.choice([-1, 1], curves) / curves
        if curves == 2:
            weights = np.array([-1.0, 1.0])
        value, variance = delong(scores, label, weights)
        patient = obuchowski(scores, label, weights, cluster)
        sd, patient_sd = np.sqrt(max(variance, 0)) if variance == variance else variance, np.sqrt(max(patient, 0)) if patient == patient else patient
        p = [2 * stats.norm.sf(abs(value / s)) if s > 1e-9 else float("nan") for s in (sd, patient_sd)]
        print("contrast", n, curves, clusters, denominator, file=out)
        print(*label, file=out)
        print(*cluster, file=out)
        for s in scores:
            print(*s.astype(int), file=out)
        print(words(weights), file=out)
        print(words([value, sd, patient_sd] + p), file=out)


def make_intervals(out, rng):
    for i in range(24):
        count, clusters = (200, 40) if i else (2000, 96)
        left_out = rng.integers(600, 1000, clusters) ** 2 / 1e6
        value = np.round(stats.beta(9, 2).rvs(count, random_state=rng) * (1000 if i % 2 else 20)) / (1000 if i % 2 else 20)
        estimate = float(np.quantile(value, 0.3 + 0.02 * i))
        below = ((value < estimate).sum() + 0.5 * (value == estimate).sum()) / count
        bias = stats.norm.ppf(np.clip(below, 0.5 / count, 1 - 0.5 / count))
        d = left_out.mean() - left_out
        a = (d ** 3).sum() / (6 * (d ** 2).sum() ** 1.5)
        ends = [stats.norm.cdf(bias + (bias + z) / (1 - a * (bias + z))) for z in stats.norm.ppf([0.025, 0.975])]
        print("interval", count, clusters, "%.17g" % estimate, file=out)
        print(words(value), file=out)
        print(words(left_out), file=out)
        print(words(np.quantile(value, ends)), words(np.quantile(value, [0.025, 0.975])), file=out)


def make_curves(out, rng):
    points = 21
    for i in range(20):
        n = int(rng.integers(4, 50))
        denominator = (3, 10, 1000000)[i % 3]
        label = rng.integers(0, 2, n)
        label[:2] = 0, 1
        score = np.clip(rng.integers(0, denominator + 1, n) + label * (denominator // 3), 0, denominator)
        fpr, tpr, _ = metrics.roc_curve(label, score, drop_intermediate=False)
        roc = []
        for g in np.arange(points) / (points - 1):
            at = np.flatnonzero(fpr <= g)[-1]
            roc.append(tpr[at] if fpr[at] == g else tpr[at] + (tpr[at + 1] - tpr[at]) * (g - fpr[at]) / (fpr[at + 1] - fpr[at]))
        precision, recall, _ = metrics.precision_recall_curve(label, score)
        precision, recall = precision[:-1][::-1], recall[:-1][::-1]  # without the end point that no threshold has; recall rises
        pr = [precision[np.flatnonzero((recall >= g) & (recall > 0))[0]] for g in np.arange(points) / (points - 1)]
        print("curve", n, points, denominator, file=out)
        print(*label, file=out)
        print(*score, file=out)
        print(words(roc), file=out)
        print(words(pr), file=out)


def main():
    rng = np.random.default_rng(11)
    with open(os.path.join(HERE, "report.txt"), "w") as out:
        make_contrasts(out, rng)
        make_intervals(out, rng)
        make_curves(out, rng)


main()
