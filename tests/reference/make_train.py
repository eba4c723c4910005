#!/usr/bin/env python3
"""Writes loss.txt, optim.txt, metrics.txt and results.txt beside this file: what PyTorch and scikit-learn make of made-up numbers.

    /usr/bin/python3 tests/reference/make_train.py

Nothing of this project is used. Inputs of the C code that are float are exact in the files (9 digits); results are double
(17 digits). Made with torch 1.13 and scikit-learn 1.2.1.
"""
import os
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from sklearn import calibration, metrics

HERE = os.path.dirname(os.path.abspath(__file__))
EPS32 = 2.0 ** -23


def words(values, digits):
    return " ".join("%.*g" % (digits, v) for v in np.asarray(values, dtype=np.float64).ravel())


# ---- loss.txt: "kind lesions covid_weight images total_images", then logits, targets, "loss covid", gradient, probability
def lesion_targets(rng, images):
    """Every third image has no lesion, whatever its diagnosis; the first lesion column alone and the last alone occur, too."""
    t = rng.integers(0, 2, (images, 6)).astype(np.float64)
    t[::3, 1:] = 0
    t[1, 1:] = [1, 0, 0, 0, 0]
    t[2, 1:] = [0, 0, 0, 0, 1]
    return t


def loss_case(out, rng, kind, lesions, weight, images, total):
    outputs = 6 if kind == "bce" else 2
    logits = (rng.standard_normal((images, outputs)) * 3).astype(np.float32)
    extreme = rng.random(logits.shape) < 0.2
    logits[extreme] = rng.choice([-50, 50, 0], int(extreme.sum()))
    target = lesion_targets(rng, images)
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    t = torch.tensor(target)
    if kind == "bce":
        with_lesion = (t[:, 1:].sum(1, keepdim=True) > 0) & bool(lesions)
        factor = torch.cat([torch.full((images, 1), float(weight), dtype=torch.float64), with_lesion.double().expand(images, 5)], 1)
        loss = (factor * F.binary_cross_entropy_with_logits(z, t, reduction="none")).sum() / (total * 6)
        covid = F.binary_cross_entropy_with_logits(z[:, 0], t[:, 0], reduction="sum")
        probability = torch.sigmoid(z)
    else:
        covid = F.cross_entropy(z, t[:, 0].long(), reduction="sum")
        loss = covid / total
        probability = torch.softmax(z, 1)[:, 1:]
    loss.backward()
    print(kind, int(lesions), weight, images, total, file=out)
    print(words(logits, 9), file=out)
    print(words(target, 1), file=out)
    print(words([loss.item(), covid.item()], 17), file=out)
    print(words(z.grad, 17), file=out)
    print(words(probability.detach(), 17), file=out)


def make_loss():
    rng = np.random.default_rng(1)
    with open(os.path.join(HERE, "loss.txt"), "w") as out:
        for kind, lesions, weight, images, total in [
                ("bce", 1, 5, 12, 12), ("bce", 1, 5, 7, 32), ("bce", 0, 5, 9, 32), ("bce", 1, 1, 3, 7), ("bce", 1, 0.25, 5, 5),
                ("bce", 1, 0, 4, 9), ("bce", 0, 1, 4, 4), ("softmax", 0, 5, 10, 10), ("softmax", 0, 1, 7, 13)]:
            loss_case(out, rng, kind, lesions, weight, images, total)


# ---- optim.txt: "cosine T_max epochs" and rates; start; gradients; then cases
COUNT, STEPS = 20, 14
ZEROS = slice(9, 13)  # alignment between two parameters
CASES = [  # name, lr, decay, beta1, beta2, eps, momentum, clip, T_max
    ("adam", 1e-2, 0, 0.9, 0.999, 1e-8, 0, 0, 0), ("adam", 5e-5, 5e-4, 0.9, 0.999, 1e-8, 0, 0, 0),
    ("adam", 3e-2, 0.3, 0.5, 0.9, 1e-3, 0, 0, 5), ("adam", 1e-2, 0.1, 0.9, 0.99, 1e-2, 0, 2.5, 0),
    ("sgd", 1e-2, 0, 0, 0, 1, 0, 0, 0), ("sgd", 1e-2, 0.2, 0, 0, 1, 0.9, 0, 4), ("sgd", 5e-2, 0.05, 0, 0, 1, 0.7, 2.5, 0)]


def optimise(case, start, gradients, dtype):
    """The parameters after each step, and each gradient's norm before clipping."""
    name, lr, decay, beta1, beta2, eps, momentum, clip, period = case
    w = torch.nn.Parameter(torch.tensor(start, dtype=dtype))
    if name == "adam":
        o = torch.optim.Adam([w], lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=decay)
    else:
        o = torch.optim.SGD([w], lr=lr, momentum=momentum, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(o, period) if period else None
    course, norms = [], []
    for g in gradients:
        w.grad = torch.tensor(g, dtype=dtype)
        norms.append(torch.nn.utils.clip_grad_norm_([w], clip if clip else 1e30).item())
        o.step()
        if schedule:
            schedule.step()
        course.append(w.detach().double().numpy().copy())
    return np.array(course), norms


def limits(start, course):
    """The bound that test_train_optim.c uses: a rounding of the parameter for each step, and 4 eps of the way gone."""
    way = np.abs(np.diff(np.vstack([start, course]), axis=0)).cumsum(0).max(1, keepdims=True)
    steps = np.arange(1, len(course) + 1)[:, None]
    largest = np.maximum.accumulate(np.abs(np.vstack([start, course])), 0)[1:]
    return EPS32 * (steps * largest / 2 + 4 * way)


def make_optim():
    rng = np.random.default_rng(2)
    start = rng.standard_normal(COUNT).astype(np.float32)
    gradients = (rng.standard_normal((STEPS, COUNT)) * 10.0 ** rng.uniform(-4, 0.5, COUNT)).astype(np.float32)
    gradients[STEPS // 2:] *= np.float32(0.25)  # so that clipping is on first and off later
    start[ZEROS] = 0
    gradients[:, ZEROS] = 0
    with open(os.path.join(HERE, "optim.txt"), "w") as out:
        for period in (1, 3, 10):
            o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(o, period)
            rates = []
            for _ in range(6 * period + 2):  # three periods of 2 T_max
                rates.append(schedule.get_last_lr()[0])
                o.step()
                schedule.step()
            print("cosine", period, len(rates), words(rates, 17), file=out)
        print("arena", COUNT, STEPS, file=out)
        print(words(start, 9), file=out)
        print(words(gradients, 9), file=out)
        for case in CASES:
            course, norms = optimise(case, start, gradients, torch.float64)
            single, _ = optimise(case, start, gradients, torch.float32)
            share = np.abs(single - course) / limits(start.astype(np.float64), course)
            assert not single[:, ZEROS].any() and not course[:, ZEROS].any()
            print(case[0], "lr", case[1], "torch float32 reaches %.2f of the limit" % share.max())
            if case[7]:
                assert max(norms) > case[7] > min(norms), norms
            print(*case, file=out)
            print(words(norms, 17), file=out)
            print(words(course, 17), file=out)


# ---- metrics.txt: "n denominator", labels, scores (numerators), "tp fp tn fn" and seven figures ("nan" where undefined)
def figures(label, score):
    hard = (score >= 0.5).astype(int)
    tn, fp, fn, tp = metrics.confusion_matrix(label, hard, labels=[0, 1]).ravel()
    both = 0 < label.sum() < len(label)
    nan = float("nan")
    values = [metrics.recall_score(label, hard, zero_division=0) if label.any() else nan,
              metrics.recall_score(label, hard, pos_label=0, zero_division=0) if not label.all() else nan,
              metrics.precision_score(label, hard, zero_division=0) if hard.any() else nan,
              metrics.f1_score(label, hard, zero_division=0) if label.any() or hard.any() else nan,
              metrics.accuracy_score(label, hard),
              metrics.roc_auc_score(label, score) if both else nan,
              metrics.balanced_accuracy_score(label, hard) if both else nan,
              metrics.average_precision_score(label, score) if label.any() else nan]
    if both:
        assert abs(metrics.roc_auc_score(label, hard) - values[-2]) < 1e-12
    return "%d %d %d %d " % (tp, fp, tn, fn) + words(values, 17)


def make_metrics():
    rng = np.random.default_rng(3)
    with open(os.path.join(HERE, "metrics.txt"), "w") as out:
        for i in range(1000):
            n = int(rng.integers(1, 30)) if i >= 4 else 300
            denominator = (1, 2, 4, 16, 1000, 1000000)[i % 6]
            share = (0.5, 0.5, 0.2, 0.9, 0, 1)[i // 6 % 6]
            label = (rng.random(n) < share).astype(int)
            score = rng.integers(0, denominator + 1, n)
            if i % 9 == 5:
                score[:] = score[0]  # all equal
            if i % 4 == 1:  # scores that follow the labels
                score = np.clip(score + label * (denominator // 2 + 1), 0, denominator)
            print(n, denominator, file=out)
            print("".join(map(str, label)), file=out)
            print(*score, file=out)
            print(figures(label, score / denominator), file=out)


# ---- results.txt: "n denominator patients", COVID labels, scores (numerators), GGO labels, patients' numbers; then for youden and f1
# "highest value" (the figure's maximum, the threshold; "nan nan" with one class), "ECE MCE Brier", ten bins "n probability positive", "mixed",
# and for each patient "COVID label, GGO label, mean COVID score, mean GGO score" (a GGO score is the COVID score of the next image)
def best_thresholds(label, score, denominator):
    """By definition: every place between two neighbouring scores is tried, the figure of merit in whole fractions."""
    positives, negatives = int(label.sum()), int((1 - label).sum())
    if not positives or not negatives:
        return [float("nan")] * 4
    distinct = sorted(set(score), reverse=True)
    places = [(a / denominator + b / denominator) / 2 for a, b in zip(distinct, distinct[1:])] + [distinct[-1] / denominator / 2]
    out = []
    for rule in ("youden", "f1"):
        merit = []
        for lowest in distinct:
            tp, fp = int(label[score >= lowest].sum()), int((1 - label[score >= lowest]).sum())
            merit.append(Fraction(tp, positives) - Fraction(fp, negatives) if rule == "youden" else Fraction(2 * tp, tp + fp + positives))
        best = [v for v, m in zip(places, merit) if m == max(merit)]
        out += [float(max(merit)), min(best, key=lambda v: (abs(v - 0.5), -v))]
    fpr, tpr, _ = metrics.roc_curve(label, score, drop_intermediate=False)
    assert abs((tpr - fpr).max() - out[0]) < 1e-12
    assert abs(max(metrics.f1_score(label, score >= s) for s in distinct) - out[2]) < 1e-12
    return out


def calibration_of(label, score, denominator):
    own = np.minimum(score * 10 // denominator, 9)  # whole numbers: an edge belongs to the bin above it
    p = score / denominator
    bins = [(int((own == b).sum()), p[own == b].mean() if (own == b).any() else float("nan"),
             label[own == b].mean() if (own == b).any() else float("nan")) for b in range(10)]
    gaps = [(n, abs(a - y)) for n, a, y in bins if n]
    if not ((score * 10) % denominator == 0).any():  # scikit-learn gives an edge to the bin below it
        positive, said = calibration.calibration_curve(label, p, n_bins=10, pos_label=1) if 0 < label.sum() < len(label) else ([], [])
        for k, (y, a) in enumerate(zip(positive, said)):
            want = [b for b in bins if b[0]][k]
            assert abs(want[1] - a) < 1e-12 and abs(want[2] - y) < 1e-12
    return [sum(n * g for n, g in gaps) / len(label), max(g for _, g in gaps), metrics.brier_score_loss(label, p, pos_label=1)], bins


def make_results():
    rng = np.random.default_rng(4)
    with open(os.path.join(HERE, "results.txt"), "w") as out:
        for i in range(400):
            n = int(rng.integers(1, 25)) if i >= 3 else 250
            denominator = (1, 2, 10, 20, 997, 1000000)[i % 6]
            share = (0.5, 0.5, 0.2, 0.9, 0, 1)[i // 6 % 6]
            label, ggo = (rng.random(n) < share).astype(int), rng.integers(0, 2, n)
            score = rng.integers(0, denominator + 1, n)
            if i % 9 == 5:
                score[:] = score[0]
            if i % 4 == 1:  # scores that follow the labels, in few bins
                score = np.clip(score // 3 + label * (2 * denominator // 3), 0, denominator)
            cluster = rng.integers(0, max(1, n // 3), n)
            names, first = np.unique(cluster, return_index=True)
            number = {names[k]: place for place, k in enumerate(np.argsort(first))}  # by first appearance
            cluster = np.array([number[c] for c in cluster])
            print(n, denominator, len(names), file=out)
            print("".join(map(str, label)), "".join(map(str, ggo)), file=out)
            print(*score, file=out)
            print(*cluster, file=out)
            print(words(best_thresholds(label, score, denominator), 17), file=out)
            errors, bins = calibration_of(label, score, denominator)
            print(words(errors, 17), words(bins, 17), file=out)
            groups = [cluster == c for c in range(len(names))]
            print(sum(0 < label[g].mean() < 1 for g in groups), file=out)
            print(words([(label[g].max(), ggo[g].max(), (score[g] / denominator).mean(), (np.roll(score, -1)[g] / denominator).mean())
                         for g in groups], 17), file=out)


if __name__ == "__main__":
    make_loss()
    make_optim()
    make_metrics()
    make_results()
