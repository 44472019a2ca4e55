"""Slow, obvious versions of the statistics."""

import itertools

import numpy as np
from scipy import stats


def penalty(table, metric, confidence, names):
    """P[i][j] by loops and scipy's paired t-test, for a table with a column ``variant``."""
    total = {i: dict.fromkeys(names, 0.0) for i in names}
    for _, setting in table.groupby(["dataset", "backbone"]):
        later = setting[setting["cycle"] > 0]
        sizes = sorted(set(later["n_labelled"]))
        for size in sizes:
            here = later[later["n_labelled"] == size]
            values = {(r["variant"], r["seed"]): r[metric] for r in here.to_dict("records")}
            seeds = sorted({seed for _, seed in values})
            for i, j in itertools.permutations(names, 2):
                pairs = [
                    (values[i, s], values[j, s])
                    for s in seeds
                    if (i, s) in values and (j, s) in values
                ]
                if len(pairs) < 2:
                    continue
                first, second = zip(*pairs, strict=True)
                better = np.mean(first) > np.mean(second)
                p_value = stats.ttest_rel(first, second).pvalue
                if better and p_value < 1 - confidence:
                    total[i][j] += 1 / len(sizes)
    return total


def labels_needed(labels, heights, target, steps=20_000):
    """Walk along the running maximum in small steps until it reaches the target."""
    best = [max(heights[: k + 1]) for k in range(len(heights))]
    for x in np.linspace(labels[0], labels[-1], steps):
        if np.interp(x, labels, best) >= target - 1e-12:
            return x
    return np.inf


def wilcoxon(gaps):
    """The exact two-sided p-value by all assignments of signs; no ties, no zeros."""
    ranks = stats.rankdata(np.abs(gaps))
    observed = ranks[np.asarray(gaps) > 0].sum()
    centre = ranks.sum() / 2
    sums = [np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=len(gaps))]
    return np.mean(np.abs(np.array(sums) - centre) >= abs(observed - centre) - 1e-9)


def holm(p_values):
    """Reject step by step: the corrected value is the level at which a test is first rejected."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, largest = {}, 0.0
    for step, index in enumerate(order):
        largest = max(largest, (len(p_values) - step) * p_values[index])
        corrected[index] = min(largest, 1.0)
    return [corrected[index] for index in range(len(p_values))]


def bca(values, resamples, confidence=0.95):
    """The BCa interval of the mean (Efron 1987, equation 2.3) from given resamples (B, N)."""
    means = resamples.mean(axis=1)
    observed = values.mean()
    below = (np.mean(means < observed) + np.mean(means <= observed)) / 2
    shift = stats.norm.ppf(below)
    left_out = np.array([np.delete(values, i).mean() for i in range(len(values))])
    spread = left_out.mean() - left_out
    acceleration = (spread**3).sum() / (6 * (spread**2).sum() ** 1.5)
    ends = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        z = shift + stats.norm.ppf(tail)
        ends.append(np.quantile(means, stats.norm.cdf(shift + z / (1 - acceleration * z))))
    return ends
