"""Counting in texts: words, their frequencies, and which texts are there twice."""

import re
from collections import Counter

import numpy as np
from scipy import sparse
from scipy.optimize import minimize_scalar

SPECIAL = {"<unk>", "<eos>"}  # words of the file format; none of the language
LISTS = (10, 100, 1000, 2000, 5000, 10_000, 20_000, 50_000)
SHINGLE, LONG_SHINGLE = 5, 13  # words that stand together; texts are compared by sets of them
NEAR = (0.5, 0.8)  # Jaccard index: shingles in both, divided by those in either
RANKS = {"first": (10, 1000), "later": (3000, 9000)}  # over which a slope is fitted
LEAST = 15  # times that the rarest of these words must come: chance mixes the ranks of rarer ones
QUANTILES = np.linspace(0, 1, 21)


def statistics(train, test, unit):
    """What one text is made of; train and test are lists of texts, which are lists of words."""
    counts = Counter(word for text in train for word in text)
    tested = Counter(word for text in test for word in text)
    N, test_N = counts.total(), tested.total()
    order = [w for w, _ in counts.most_common() if w not in SPECIAL]
    covered = np.cumsum([tested[w] for w in order]) / test_N
    return {
        "unit": unit,
        "texts": [len(train), len(test)],
        "tokens": [N, test_N],
        "types": [len(counts), len(tested)],
        "once": sum(c == 1 for c in counts.values()),
        "unk": [c["<unk>"] / n for c, n in ((counts, N), (tested, test_N))],
        "unseen": sum(c for w, c in tested.items() if w not in counts) / test_N,
        "unseen_types": sum(w not in counts for w in tested) / len(tested),
        "covered": {str(K): float(covered[K - 1]) for K in LISTS if K <= len(order)},
        "lengths": np.quantile([len(text) for text in train], QUANTILES).tolist(),
        "zipf": zipf(np.array([counts[w] for w in order])),
        "copies": copies(train, test),
    }


def zipf(counts):
    """Rank against frequency, and the slope, by halves of the text; and as it is often done."""
    rng = np.random.default_rng(0)
    ranking = rng.binomial(counts, 0.5)
    order = rng.permutation(len(counts))  # no half tells equal ranks apart
    order = order[np.argsort(-ranking[order], kind="stable")]
    c = (counts - ranking)[order]
    r = np.arange(1, len(c) + 1)
    edges = np.unique(np.geomspace(1, len(c) + 1, 60).astype(int))
    bins = list(zip(edges[:-1], edges[1:], strict=True))
    alike, slopes = np.sort(counts)[::-1], {}
    for name, (low, high) in RANKS.items():
        if high <= len(c) and alike[high - 1] >= LEAST:
            part = slice(low - 1, high)
            slopes[name] = _slope(r[part], c[part])
    slopes["least squares"] = -float(np.polyfit(np.log(r), np.log(alike), 1)[0])
    return {
        "rank": [float(np.sqrt(a * (b - 1))) for a, b in bins],
        "frequency": [float(c[a - 1 : b - 1].mean() / c.sum()) for a, b in bins],
        "slopes": slopes,
    }


def _slope(r, c):
    """The exponent of r^-slope that makes these counts the most likely, ranks being given."""

    def cost(slope):
        return c @ (slope * np.log(r)) + c.sum() * np.log((r**-slope).sum())

    return float(minimize_scalar(cost, bounds=(0.1, 4), method="bounded").x)


def plain(text):
    """Letters and digits in lower case, which is what stays when two texts are compared."""
    return re.findall(r"\w+", " ".join(text).lower())


def copies(train, test):
    """How many texts of the test part are in the training part, too, word for word or nearly."""
    train, test = [plain(t) for t in train], [plain(t) for t in test]
    seen = Counter(map(" ".join, train))
    found = {
        "exact": sum(" ".join(t) in seen for t in test),
        "exact_within_train": len(train) - len(seen),
        "exact_within_test": len(test) - len(set(map(" ".join, test))),
    }
    best, found["shingles_seen"] = nearest(train, test, SHINGLE)
    found["near"] = {str(j): int((best >= j).sum()) for j in NEAR}
    found["jaccard"] = np.quantile(best, QUANTILES).round(3).tolist()
    found["long_shingles_seen"] = _shared(train, test, LONG_SHINGLE)
    return found


def nearest(train, test, n):
    """For each test text the largest Jaccard index with a training text; and the shared share."""
    A, B = _matrices(train, test, n)
    common = (B @ A.T).tocoo()
    a, b = A.sum(1).A1, B.sum(1).A1
    index = common.data / (a[common.col] + b[common.row] - common.data)
    best = np.zeros(len(test))
    np.maximum.at(best, common.row, index)
    seen = np.asarray(A.sum(0)).ravel() > 0
    return best, float(B[:, seen].sum() / B.sum())


def _shared(train, test, n):
    A, B = _matrices(train, test, n)
    return float(B[:, np.asarray(A.sum(0)).ravel() > 0].sum() / B.sum())


def _matrices(train, test, n):
    """Which text has which run of n words: two sparse matrices over the same columns."""
    number, codes, rows = {}, [], []
    keys = np.random.default_rng(0).integers(1, 2**63, 1_000_000, np.uint64)
    odd = keys[-n:] | np.uint64(1)
    for k, text in enumerate([*train, *test]):
        x = keys[[number.setdefault(word, len(number)) for word in text]]
        m = min(n, len(x))  # a text that is shorter is one run
        with np.errstate(over="ignore"):
            runs = sum(x[j : len(x) - m + 1 + j] * odd[j] for j in range(m)) if m else x
        runs = np.unique(runs)
        codes.append(runs)
        rows.append(np.full(len(runs), k))
    _, columns = np.unique(np.concatenate(codes), return_inverse=True)
    rows = np.concatenate(rows)
    shape = len(train) + len(test), columns.max() + 1
    both = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape)
    return both[: len(train)], both[len(train) :]
