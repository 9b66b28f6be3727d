"""What CTC means, word by word: every path, one after the other, in plain probabilities."""

from itertools import groupby, product
from math import fsum, log, prod

import numpy as np


def spell(path):
    """Merge equal neighbours, then drop the blanks."""
    return tuple(k for k, _ in groupby(path) if k != 0)


def paths(T, K):
    return product(range(K), repeat=T)


def exact(log_probs):
    """Log-probability of every label that some path spells: a dict tokens -> number."""
    p = np.exp(log_probs)
    found = {}
    for path in paths(*p.shape):
        found.setdefault(spell(path), []).append(prod(p[t, k] for t, k in enumerate(path)))
    return {label: log(fsum(many)) for label, many in found.items() if fsum(many) > 0}
