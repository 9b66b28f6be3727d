"""Word2Vec and FastText on WikiText-2: neighbours, analogies, and words that were never seen.

The data are looked for as `companion.data.fetch_wikitext2` says: COMPANION_DATA names a folder that
has wikitext-2. All is judged on the words that GloVe's 10,000 and the text have in common, so that
the three answer the same questions out of the same words. 300 of these words are taken out of the
text before training: what FastText says of them by their letters is judged by GloVe, which knows
them.
"""

import base64
import time
import zlib
from collections import Counter
from functools import cache

import gensim
import numpy as np
from gensim.models import FastText, Word2Vec

from book.experiments.lab.runner import run
from companion.data import fetch_wikitext2, load_glove
from companion.data.words import END
from companion.word_vectors import analogies, nearest, questions, units

SHOWN = ["good", "bad", "king", "paris", "river", "film", "eight", "quickly", "larger", "walking"]
SETTINGS = {
    "seeds": 3,
    "D": 50,
    "epochs": 5,
    "window": 5,
    "negative": 5,
    "least": 5,
    "buckets": 200_000,
    "hidden": 300,
    "hidden seen": [20, 200],
    "near": 50,
    "shown": SHOWN,
    "choice": "D as of GloVe, skip-gram; all else as gensim has it by default, nothing was tuned",
    "gensim": gensim.__version__,
}
METHODS = {
    "word2vec": (Word2Vec, {}),
    "fasttext": (FastText, {"bucket": SETTINGS["buckets"], "min_n": 3, "max_n": 6}),
}


@cache
def text():
    """Sentences without the hidden words, the common words, the hidden, others seen as often."""
    data = fetch_wikitext2()
    words = [word.lower() for word in data.vocabulary]
    lines, line = [], []
    for k in data.train:
        if words[k] == END:
            lines.append(line)
            line = []
        elif words[k] != "<unk>":
            line.append(words[k])
    counts = Counter(word for line in lines for word in line)
    common = [word for word in load_glove().words if counts[word] >= SETTINGS["least"]]
    asked = {common[k] for rows in questions(common).values() for k in rows.ravel()}
    low, high = SETTINGS["hidden seen"]
    free = [
        word
        for word in common
        if low <= counts[word] <= high and word.isalpha() and word not in asked | set(SHOWN)
    ]
    drawn = np.random.default_rng(0).permutation(len(free))[: 2 * SETTINGS["hidden"]]
    drawn = [free[k] for k in drawn]
    hidden, control = drawn[: SETTINGS["hidden"]], drawn[SETTINGS["hidden"] :]
    away = set(hidden)
    lines = [kept for line in lines if (kept := [word for word in line if word not in away])]
    return lines, common, hidden, control, data.card.checksum


def crc(word):
    """A hash that is the same in every process, unlike Python's own."""
    return zlib.crc32(word.encode("utf-8"))


def outcome(job):
    """Train one method with one seed, or judge what spelling alone gives."""
    lines, common, hidden, control, checksum = text()
    judged = [word for word in common if word not in set(hidden)]
    if job["method"] == "spelling":
        near = spelled(hidden, judged)
        return {"unseen": unseen(hidden, near), "data": checksum}
    kind, more = METHODS[job["method"]]
    start = time.process_time()
    model = kind(
        lines,
        sg=1,
        vector_size=SETTINGS["D"],
        epochs=SETTINGS["epochs"],
        window=SETTINGS["window"],
        negative=SETTINGS["negative"],
        min_count=SETTINGS["least"],
        workers=1,
        seed=job["seed"],
        hashfxn=crc,
        **more,
    )
    seconds = time.process_time() - start
    vectors = np.array([model.wv[word] for word in judged])
    found = {
        "words": len(model.wv),
        "seconds": round(seconds, 1),
        "common": base64.b64encode(np.packbits(mask(judged))).decode(),
        "analogies": scored(vectors, questions(judged)),
        "neighbours": {word: neighbours(vectors, judged, word) for word in SHOWN},
        "lengths": lengths(model.wv),
        "seen": unseen(control, near_known(vectors, judged, control)),
        "data": checksum,
    }
    if job["method"] == "fasttext":
        queries = units(np.array([model.wv[word] for word in hidden]))
        near = nearest(units(vectors), queries, 3)
        found["unseen"] = unseen(hidden, [[judged[k] for k in row] for row in near])
    return found


def mask(words):
    """Which of GloVe's words these are: bool (10,000,)."""
    words = set(words)
    return np.array([word in words for word in load_glove().words])


def scored(vectors, asked):
    """For each kind of question how many there are, and how many each way of asking gets right.

    "free" may answer with a word of the question; "c back" are those that then answer c itself.
    """
    found = {}
    for kind, rows in asked.items():
        free = analogies(vectors, rows, exclude=False)
        found[kind] = {
            "n": len(rows),
            "usual": int((analogies(vectors, rows) == rows[:, 3]).sum()),
            "free": int((free == rows[:, 3]).sum()),
            "c back": int((free == rows[:, 2]).sum()),
            "only c": int((analogies(vectors, rows, offset=False) == rows[:, 3]).sum()),
        }
    return found


def neighbours(vectors, words, word):
    """The six nearest by angle."""
    k = words.index(word)
    near = nearest(units(vectors), units(vectors[[k]]), 6, [[k]])[0]
    return [words[j] for j in near]


def near_known(vectors, words, asked):
    """The three nearest of each of some words that have a vector."""
    rows = np.array([words.index(word) for word in asked])
    near = nearest(units(vectors), units(vectors[rows]), 3, rows[:, None])
    return [[words[k] for k in row] for row in near]


def lengths(wv):
    """The median length of the vectors of words seen so often: up to 9 times, to 99, …"""
    counts = np.array([wv.get_vecattr(word, "count") for word in wv.index_to_key])
    norms = np.linalg.norm(wv.vectors, axis=1)
    group = np.digitize(counts, [10, 100, 1000, 10_000])
    return [round(float(np.median(norms[group == k])), 3) for k in range(5)]


def pieces(word):
    """The runs of 3 to 6 letters of a word between < and >, as FastText cuts it."""
    word = f"<{word}>"
    return {word[k : k + n] for n in range(3, 7) for k in range(len(word) - n + 1)}


def spelled(asked, words):
    """The three words that share the largest part of their pieces with each word asked for."""
    own = [pieces(word) for word in words]
    found = []
    for word in asked:
        these = pieces(word)
        shared = np.array([len(these & p) / np.sqrt(len(these) * max(1, len(p))) for p in own])
        found.append([words[k] for k in np.argsort(-shared, kind="stable")[:3]])
    return found


def unseen(asked, near):
    """How many of the words have a nearest word that GloVe has among its 50 nearest, and which."""
    glove = load_glove()
    number = {word: k for k, word in enumerate(glove.words)}
    _, common, *_ = text()
    rows = np.array([number[word] for word in common])  # judged among the common words
    vectors = units(glove.vectors[rows])
    place = {word: k for k, word in enumerate(common)}
    own = np.array([place[word] for word in asked])
    by_glove = nearest(vectors, vectors[own], SETTINGS["near"], own[:, None])
    good = [place[close[0]] in row for close, row in zip(near, by_glove, strict=True)]
    words = {word: [int(g), *close] for word, g, close in zip(asked, good, near, strict=True)}
    return {"n": len(asked), "good": int(np.sum(good)), "words": words}


def jobs(seeds):
    """Both methods, seed by seed; spelling has no seed."""
    trained = [{"method": method, "seed": seed} for seed in seeds for method in METHODS]
    return [{"method": "spelling"}, *trained]


if __name__ == "__main__":
    run("word_vectors", __doc__, SETTINGS, jobs, outcome)
