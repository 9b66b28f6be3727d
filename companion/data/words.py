"""Texts for language models over words, in the form in which the field compares them."""

from typing import NamedTuple

import numpy as np

from companion.data.card import Card, sha256
from companion.data.folders import read
from companion.data.sources import whole_folder

END = "<eos>"  # stands for the end of each line


class Words(NamedTuple):
    """A text as numbers of words, int64 of shape (N,) each; K words are known.

    vocabulary: the K words of the training part, in order of their first occurrence.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    vocabulary: list
    card: Card


def fetch_ptb(folder=None, download=True):
    """Penn Treebank as Mikolov prepared it: news of 1989, 10,000 known words.

    folder: has ptb.train.txt, ptb.valid.txt and ptb.test.txt; see `data_folder` for None.
    download: whether to download what the folder lacks, with a checksum; False for a clear error
    instead.
    All is in lower case without punctuation, a number is N, a rare word <unk>, and the end of a
    line counts as a word. Returns `Words`: 929,589, 73,760 and 82,430 words.
    Raises DownloadError where no download succeeds, FileNotFoundError where a file is missing,
    ValueError for one that is empty or has a word that the training part lacks.
    Sources: Marcus, Santorini and Marcinkiewicz (1993), Mikolov et al. (2011).
    """
    return _read(
        whole_folder("ptb", folder, download),
        "ptb.{}.txt",
        name="Penn Treebank",
        what="articles of the Wall Street Journal, 1989, as prepared by Mikolov",
        source="Marcus, Santorini and Marcinkiewicz (1993); Mikolov et al. (2011)",
        licence="Linguistic Data Consortium; not to be redistributed",
    )


def fetch_wikitext2(folder=None, download=True):
    """WikiText-2: good and featured articles of Wikipedia, 33,278 known words.

    folder: has wiki.train.tokens, wiki.valid.tokens and wiki.test.tokens; see `data_folder` for
    None.
    download: whether to download what the folder lacks, with a checksum; False for a clear error
    instead.
    Case, numbers and punctuation are kept, a word that occurs less than three times is
    <unk>, and the end of a line counts as a word. Returns `Words`: 2,088,628, 217,646 and 245,569
    words.
    Raises DownloadError where no download succeeds, FileNotFoundError where a file is missing,
    ValueError for one that is empty or has a word that the training part lacks.
    Source: Merity et al. (2017).
    """
    return _read(
        whole_folder("wikitext-2", folder, download),
        "wiki.{}.tokens",
        name="WikiText-2",
        what="good and featured articles of the English Wikipedia",
        source="Merity et al. (2017)",
        licence="CC BY-SA",
    )


def _read(folder, pattern, **card):
    names = [pattern.format(part) for part in ("train", "valid", "test")]
    contents = [read(folder, name) for name in names]
    texts = [_words(content) for content in contents]
    vocabulary = list(dict.fromkeys(texts[0]))
    number = {word: k for k, word in enumerate(vocabulary)}
    for name, text in zip(names, texts, strict=True):
        if not text:
            raise ValueError(f"{name} must hold a text, it has no words")
        if unknown := set(text) - set(number):
            raise ValueError(
                f"{name} must be written in the words of {names[0]}, got {sorted(unknown)[:3]}"
            )
    parts = [np.array([number[word] for word in text], np.int64) for text in texts]
    card = Card(
        **card,
        size=f"{sum(map(len, parts)):,} words, {len(vocabulary):,} different",
        split="{:,} train, {:,} valid, {:,} test".format(*map(len, parts)),
        checksum=sha256(b"".join(contents)),
    )
    return Words(*parts, vocabulary, card)


def _words(content):
    lines = content.decode("utf-8").split("\n")
    if lines[-1] == "":
        lines.pop()
    return [word for line in lines for word in [*line.split(), END]]
