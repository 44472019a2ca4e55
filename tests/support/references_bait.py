"""BAIT with every matrix written out and inverted anew."""

import numpy as np

from tests.support.references import softmax


def information(features, logits, fisher):
    """The Fisher information (C D, C D) of one instance."""
    p = softmax(logits)
    if fisher == "binary":
        return p.max() * (1 - p.max()) * np.outer(features, features)
    return np.kron(np.diag(p) - np.outer(p, p), np.outer(features, features))


def bait(query, size, fisher, oversample, regularisation):
    """Greedy picks and removals by the trace of explicit inverses; positions, in order."""
    features, logits = query.features.numpy(), query.logits.numpy()
    labelled = query.labelled_features
    known = zip(labelled.numpy(), query.posterior.logits(labelled).numpy(), strict=True)
    each = [information(x, f, fisher) for x, f in zip(features, logits, strict=True)]
    pool = sum(each)
    matrix = regularisation * np.eye(len(pool)) + sum(information(x, f, fisher) for x, f in known)
    free, picked = [i for i in range(len(features)) if not query.taken[i]], []

    def trace(m):
        return np.trace(np.linalg.inv(m) @ pool)

    for _ in range(min(oversample * size, len(free))):
        pick = min(free, key=lambda i: trace(matrix + each[i]))
        free.remove(pick)
        picked.append(pick)
        matrix = matrix + each[pick]
    while len(picked) > size:
        dropped = min(picked, key=lambda i: trace(matrix - each[i]))
        picked.remove(dropped)
        matrix = matrix - each[dropped]
    return picked
