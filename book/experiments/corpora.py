"""What is in the data sets that the book fetches: words, lengths, Zipf's law, copies, one batch.

The data are looked for as `companion.data.fetch_ptb` and its like say: COMPANION_DATA names a
folder that has ptb, wikitext-2, aclImdb, multi30k and fsdd.
"""

import re
import time

import numpy as np

from book.experiments.lab import texts
from book.experiments.lab.runner import run
from companion.data import (
    fetch_fsdd,
    fetch_imdb,
    fetch_multi30k,
    fetch_ptb,
    fetch_wikitext2,
    padded,
    streams,
    tokens,
)
from companion.data.pairs import numbered, paired, vocabulary
from companion.data.pairs import tokens as sentence_tokens
from companion.sound import log_mel

SENTENCE = "Pierre Vinken , 61 years old , will join the board as a nonexecutive director Nov. 29 ."
SETTINGS = {
    "seeds": 1,
    "sentence": SENTENCE,
    "lists": texts.LISTS,
    "shingle": texts.SHINGLE,
    "long_shingle": texts.LONG_SHINGLE,
    "near": texts.NEAR,
    "ranks": texts.RANKS,
    "least": texts.LEAST,
    "zipf": "rank by one half of the tokens, frequency from the other; slope by likelihood",
}


def lines(words, part):
    """The lines of one part, each a list of words without its end."""
    text = " ".join(words.vocabulary[k] for k in getattr(words, part))
    return [line.split() for line in text.split("<eos>")[:-1]]


def articles(words, part):
    """The articles of one part, and their titles.

    A heading of the first level, "= Title =", stands alone in its line, between empty ones.
    """
    rows, found, titles = lines(words, part), [], []
    for k, row in enumerate(rows):
        alone = not (rows[k - 1] or any(rows[k + 1 : k + 2]))
        if alone and re.fullmatch(r"= [^=]+ =", " ".join(row)):
            titles.append(" ".join(row[1:-1]))
            found.append([])
        if found:
            found[-1] += row
    return found, titles


def _first(words, columns):
    """The first words of the first two streams."""
    return [[words.vocabulary[k] for k in columns[:12, b]] for b in (0, 1)]


def penn_treebank():
    """Lines, which are sentences; and what its list of words leaves of one of them."""
    words = fetch_ptb()
    train, test = (lines(words, part) for part in ("train", "test"))
    columns = streams(words.train, 20)
    return words.card, {
        **texts.statistics(train, test, "sentence"),
        "letters": {"test": sum(len(" ".join(text)) + 1 for text in test)},  # and an end of line
        "batch": {"shape": [35, 20], "first": _first(words, columns)},
        "sentence": " ".join(train[1]),  # SENTENCE, as it stands there
    }


def wikitext():
    """Articles; their titles; and which words of the sentence WikiText-2 knows."""
    words = fetch_wikitext2()
    (train, titles), (test, tested) = (articles(words, part) for part in ("train", "test"))
    columns = streams(words.train, 20)
    return words.card, {
        **texts.statistics(train, test, "article"),
        "letters": {"test": sum(len(words.vocabulary[k]) + 1 for k in words.test)},
        "titles_in_train": sorted(set(titles) & set(tested)),
        "batch": {"shape": [35, 20], "first": _first(words, columns)},
        "sentence": " ".join(w if w in words.vocabulary else "<unk>" for w in SENTENCE.split()),
    }


def imdb():
    """Reviews; how friendly they are; and whether copies agree in that."""
    data = fetch_imdb()
    train, test = ([tokens(text) for text in part.texts] for part in (data.train, data.test))
    label = {}
    for words, star in zip(train, data.train.scores, strict=True):
        label.setdefault(" ".join(texts.plain(words)), star)
    pairs = [
        (label[key], star)
        for words, star in zip(test, data.test.scores, strict=True)
        if (key := " ".join(texts.plain(words))) in label
    ]
    stars = [np.bincount(part.scores.astype(int), minlength=11) for part in (data.train, data.test)]
    first = sorted(train[:4], key=len)
    return data.card, {
        **texts.statistics(train, test, "review"),
        "stars": [row[1:].tolist() for row in stars],
        "same_label": int(sum((a > 5) == (b > 5) for a, b in pairs)),
        "same_stars": int(sum(a == b for a, b in pairs)),
        "breaks": sum("<br />" in text for text in data.train.texts) / len(train),
        "batch": {
            "shape": [max(map(len, first)), len(first)],
            "lengths": [len(text) for text in first],
            "first": train[0][:12],
        },
    }


def multi30k(language):
    """Sentences of one language; and how many pairs are there twice."""
    data = fetch_multi30k()
    train, test = (
        [sentence_tokens(line) for line in getattr(part, language)]
        for part in (data.train, data.test)
    )
    known = {k: vocabulary(map(sentence_tokens, getattr(data.train, k)), 2) for k in ("en", "de")}
    both = [
        numbered(map(sentence_tokens, getattr(data.train, k)[:8]), known[k]) for k in ("en", "de")
    ]
    ((source, sizes, read), target) = next(iter(paired(*both, 8)(0)))
    seen = set(zip(data.train.en, data.train.de, strict=True))
    return data.card, {
        **texts.statistics(train, test, "sentence"),
        "pairs": sum(pair in seen for pair in zip(data.test.en, data.test.de, strict=True)),
        "batch": {
            "shape": [list(x.shape) for x in (source, read, target)],
            "lengths": sizes.tolist(),
            "first": train[0][:12],
        },
    }


def fsdd():
    """Recordings: how long they are, and whether one is there twice."""
    data = fetch_fsdd()
    waves = [wave for one in data.speakers.values() for wave in one.waves]
    seconds = np.array([len(wave) for wave in waves]) / data.rate
    features = [log_mel(wave, data.rate) for wave in waves[::500]]  # the first of each speaker
    ((x, lengths), _) = next(iter(padded(features, [0] * len(features), len(features))(0)))
    return data.card, {
        "unit": "recording",
        "texts": [len(waves), 0],
        "lengths": np.quantile(seconds, texts.QUANTILES).tolist(),
        "seconds": float(seconds.sum()),
        "copies": {"exact": len(waves) - len({wave.tobytes() for wave in waves})},
        "batch": {
            "shape": list(x.shape),
            "lengths": lengths.tolist(),
            "first": features[0][20, :12].round(2).tolist(),
        },
    }


SETS = {
    "Penn Treebank": penn_treebank,
    "WikiText-2": wikitext,
    "IMDB": imdb,
    "Multi30k, English": lambda: multi30k("en"),
    "Multi30k, German": lambda: multi30k("de"),
    "Free Spoken Digits": fsdd,
}


def outcome(job):
    """All about one set, with its card."""
    start = time.process_time()
    card, found = SETS[job["set"]]()
    return {**found, "card": card._asdict(), "seconds_cpu": round(time.process_time() - start, 1)}


def jobs(seeds):
    """One a set; nothing is trained."""
    return [{"set": name} for name in SETS]


if __name__ == "__main__":
    run("corpora", __doc__, SETTINGS, jobs, outcome)
