"""Kneser-Ney n-grams over words, on Penn Treebank and on WikiText-2 cut into words in three ways.

The data are looked for as `companion.data.fetch_ptb` and `fetch_wikitext2` say: COMPANION_DATA
   names a folder that has ptb and wikitext-2.
"""

import re
import time
from collections import Counter

import numpy as np

from book.experiments.lab.runner import run
from companion import ngram
from companion.data import fetch_ptb, fetch_wikitext2

PARTS = ("train", "valid", "test")
TEXTS = {
    "Penn Treebank": "as Mikolov prepared it",
    "WikiText-2": "as Merity prepared it",
    "WikiText-2, fewer words": "the most frequent 10,000 words kept, <unk> for the others",
    "WikiText-2, as Penn Treebank": "lower case, no punctuation, N for a number, 10,000 words",
}
SETTINGS = {
    "seeds": 1,
    "orders": 8,
    "discounts": [1, 3],
    "K": 10_000,
    "texts": TEXTS,
    "choice": "order and number of discounts by the validation part",
}


def outcome(job):
    """Count one text and measure all orders on the two other parts."""
    start = time.process_time()
    words = fetch_ptb() if job["text"] == "Penn Treebank" else fetch_wikitext2()
    texts = {part: [words.vocabulary[k] for k in getattr(words, part)] for part in PARTS}
    characters = sum(1 if word == "<eos>" else len(word) + 1 for word in texts["test"])
    if job["text"].endswith("as Penn Treebank"):
        texts = {part: _plain(text) for part, text in texts.items()}
    if "," in job["text"]:
        texts = _fewer(texts, SETTINGS["K"])
    vocabulary = sorted(set(texts["train"]))
    number = {word: k for k, word in enumerate(vocabulary)}
    numbers = {part: np.array([number[word] for word in text]) for part, text in texts.items()}
    counts = ngram.count(numbers["train"], len(vocabulary), SETTINGS["orders"])
    perplexity = {}
    for discounts in SETTINGS["discounts"]:
        rows = []
        for order in range(1, SETTINGS["orders"] + 1):
            model = ngram.kneser_ney(counts, order, discounts)
            rows.append({part: _perplexity(model, numbers[part]) for part in PARTS[1:]})
        perplexity[str(discounts)] = rows
    return {
        "words": {part: len(text) for part, text in texts.items()},
        "K": len(vocabulary),
        "unknown": round(texts["test"].count("<unk>") / len(texts["test"]), 4),
        "characters": characters,  # of the test part as it was read, spaces and line ends included
        "perplexity": perplexity,
        "data": words.card.checksum,
        "seconds": round(time.process_time() - start, 1),
    }


def jobs(seeds):
    """One table of counts a text; nothing is drawn."""
    return [{"text": text} for text in TEXTS]


def _perplexity(model, numbers):
    """The first word is given."""
    return round(float(2 ** -ngram.log2_probabilities(model, numbers)[1:].mean()), 2)


def _plain(text):
    kept = (word if word in ("<eos>", "<unk>") else word.lower() for word in text)
    kept = ["N" if re.fullmatch(r"[\d.,@-]*\d[\d.,@-]*", word) else word for word in kept]
    return [word for word in kept if word == "<eos>" or re.search(r"\w", word)]


def _fewer(texts, K):
    """Keep the K - 1 most frequent words of the training part, and <unk>."""
    kept = {word for word, _ in Counter(texts["train"]).most_common(K)}
    if len(kept) == K and "<unk>" not in kept:
        raise ValueError("texts must have <unk> among their most frequent words")
    return {part: [w if w in kept else "<unk>" for w in text] for part, text in texts.items()}


if __name__ == "__main__":
    run("word_ngrams", __doc__, SETTINGS, jobs, outcome)
