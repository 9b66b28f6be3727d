"""From how many sentences on do ready word vectors no longer help to judge reviews of films?

One LSTM, from random vectors, from GloVe's held as they are, and from GloVe's trained further;
beside it naive Bayes, and a linear model on the mean of GloVe's vectors. A seed draws the training
sentences and all that is random; all methods of a seed get the same sentences.
"""

import base64
from functools import cache, partial

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from book.experiments.lab.runner import run
from companion.data import load_glove, load_movie_snippets, padded, tokens
from companion.models.nbsvm import counter, naive_bayes
from companion.models.sentiment import Reader, first_vectors, loss, numbered, vocabulary

EPOCHS = {100: 25, 300: 25, 1000: 15, 3000: 10, 7390: 6}  # by the number of training sentences
WAYS = ("random", "frozen", "tuned")
TRIED = [(lr, pool) for lr in (0.003, 0.01) for pool in ("last", "mean")]
# Rate and reading of each network at all sizes: what was best in `choose`.
CHOSEN = {"random": (0.01, "last"), "frozen": (0.01, "mean"), "tuned": (0.003, "last")}
SETTINGS = {
    "seeds": 5,
    "epochs": EPOCHS,
    "chosen": CHOSEN,
    "K": 10_000,
    "D": 50,
    "H": 32,
    "B": 32,
    "alike": 20,
    "dropout": 0.3,
    "clip": 5.0,
    "runs of words": [1, 2],
    "C": [0.001, 0.01, 0.1, 1, 10],
    "choice": {
        "rate and reading": "of every network by the mean share right of the sentences to choose "
        "by, over 100, 300 and 1,000 sentences of seeds 100 and 101: rates of 0.003 and 0.01, the "
        "last state and the mean of the states",
        "epoch, length of runs, C": "in every run, by the share right of the sentences to choose "
        "by, which are 1,080 at every size",
    },
    "torch": torch.__version__,
}


@cache
def sentences():
    """Lists of words and labels of the three parts, and the card; those at exactly 0 are left."""
    data = load_movie_snippets()
    parts = []
    for part in data[:3]:
        keep = np.flatnonzero(part.scores)
        labels = (part.scores[keep] > 0).astype(np.int64)
        parts.append(([tokens(part.texts[k]) for k in keep], labels))
    return parts, data.card


def drawn(n, seed):
    """The training sentences of a seed: those of a smaller n are among those of a larger one."""
    texts, labels = sentences()[0][0]
    order = np.random.default_rng(seed).permutation(len(texts))[:n]
    return [texts[k] for k in order], labels[order]


def known_words(way, texts):
    """A number for each word that a network has a vector for.

    From random vectors these are the words of the training sentences; GloVe knows others, too.
    """
    ready = load_glove().words
    own = vocabulary(texts, SETTINGS["K"])
    if way == "random":
        return own
    words = ready if way == "frozen" else dict.fromkeys([*own, *ready])
    return {word: k for k, word in enumerate(words, start=2)}


def network(n, way, seed, lr, pool, test=True):
    """Train one network, and take the epoch that is right most often on the sentences to choose by.

    Returns the share right there, the epoch, and whether each test sentence was judged rightly;
    None for the last without `test`.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    texts, y = drawn(n, seed)
    (_, valid, tests), _ = sentences()
    known = known_words(way, texts)
    vectors = first_vectors(known, SETTINGS["D"], rng, None if way == "random" else load_glove())
    model = Reader(vectors, SETTINGS["H"], pool=pool, dropout=SETTINGS["dropout"])
    model.embedding.weight.requires_grad_(way != "frozen")
    trained = [value for value in model.parameters() if value.requires_grad]
    adam = torch.optim.Adam(trained, lr=lr)
    batches = padded(numbered(texts, known), y, SETTINGS["B"], seed, SETTINGS["alike"])
    whole = [next(padded(numbered(x, known), y, len(x))(0)) for x, y in (valid, tests)]
    best = (0.0, -1, None)
    for epoch in range(EPOCHS[n]):
        model.train()
        for x, labels in batches(epoch):
            adam.zero_grad()
            loss(model(x), labels).backward()
            torch.nn.utils.clip_grad_norm_(trained, SETTINGS["clip"])
            adam.step()
        model.eval()
        share = float(right(model, *whole[0]).mean())
        if share > best[0]:
            best = (share, epoch, right(model, *whole[1]) if test else None)
    return best


@torch.no_grad()
def right(model, batch, labels):
    """Which sentences of a batch are judged rightly: bool (B,)."""
    return ((model(batch) > 0) == (labels > 0)).numpy()


def counts(n, seed):
    """Naive Bayes on single words or on pairs, too, whichever is right more often to choose by."""
    texts, y = drawn(n, seed)
    (_, valid, test), _ = sentences()
    tries = []
    for longest in SETTINGS["runs of words"]:
        count = counter(longest)
        weights, bias = naive_bayes(count.fit_transform(texts), y)
        parts = [(count.transform(x) @ weights + bias > 0) == z for x, z in (valid, test)]
        tries.append((float(parts[0].mean()), longest, parts[1]))
    return max(tries, key=lambda each: each[0])


@cache
def means():
    """The mean of GloVe's vectors of each sentence, of the three parts; of no known word, zero."""
    glove = load_glove()
    number = {word: k for k, word in enumerate(glove.words)}
    table = np.concatenate([glove.vectors, np.zeros((1, SETTINGS["D"]), np.float32)])
    return [
        np.array([table[[number[w] for w in text if w in number] or [-1]].mean(0) for text in x])
        for x, _ in sentences()[0]
    ]


def linear(n, seed):
    """Logistic regression on those means, with the C that is right most often to choose by."""
    (train, valid, test), _ = sentences()
    order = np.random.default_rng(seed).permutation(len(train[0]))[:n]
    X, V, Z = means()
    tries = []
    for C in SETTINGS["C"]:
        model = LogisticRegression(C=C, max_iter=2000).fit(X[order], train[1][order])
        share = float((model.predict(V) == valid[1]).mean())
        tries.append((share, C, model.predict(Z) == test[1]))
    return max(tries, key=lambda each: each[0])


def outcome(job):
    """Right answers on the 2,098 test sentences, and what was chosen."""
    n, way, seed = job["n"], job["way"], job["seed"]
    if way in WAYS:
        share, chosen, bits = network(n, way, seed, *CHOSEN[way])
    else:
        share, chosen, bits = {"naive bayes": counts, "mean of glove": linear}[way](n, seed)
    words_of = {"naive bayes": "random", "mean of glove": "frozen"}
    known = set(known_words(words_of.get(way, way), drawn(n, seed)[0]))
    test = [word for text in sentences()[0][2][0] for word in text]
    return {
        "right": int(bits.sum()),
        "of": len(bits),
        "valid": round(share, 4),
        "chosen": chosen,
        "known": round(float(np.mean([word in known for word in test])), 4),
        "bits": base64.b64encode(np.packbits(bits)).decode(),
        "data": sentences()[1].checksum,
    }


def choose():
    """Print what `CHOSEN` was read from: the share right to choose by, for each setting."""
    for way in WAYS:
        for lr, pool in TRIED:
            trial = partial(network, way=way, lr=lr, pool=pool, test=False)
            shares = [trial(n, seed=seed)[0] for n in (100, 300, 1000) for seed in (100, 101)]
            row = " ".join(f"{share:.3f}" for share in shares)
            print(way, lr, pool, row, f"mean {np.mean(shares):.4f}", flush=True)


def jobs(seeds):
    """Seed by seed, every method at every size; all methods of a seed see the same sentences."""
    ways = [*WAYS, "naive bayes", "mean of glove"]
    return [{"n": n, "way": way, "seed": s} for s in seeds for n in EPOCHS for way in ways]


if __name__ == "__main__":
    run("vectors_for_sentiment", __doc__, SETTINGS, jobs, outcome)
