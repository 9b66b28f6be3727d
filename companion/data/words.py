"""Texts for language models over words, in the form in which the field compares them."""

import hashlib
from array import array
from os import PathLike
from typing import NamedTuple

import numpy as np

from companion.data.card import Card
from companion.data.sources import whole_folder

END = "<eos>"  # stands for the end of each line


class Words(NamedTuple):
    """A text as numbers of words, int64 of shape (N,) each; K words are known.

    vocabulary: the K words of the training part, in order of their first occurrence.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    vocabulary: list[str]
    card: Card


def fetch_ptb(folder: str | PathLike | None = None, download: bool = True) -> Words:
    """Penn Treebank as Mikolov prepared it: news of 1989, 10,000 known words.

    All is in lower case without punctuation, a number is `N`, a rare word is `<unk>`, and the end
    of a line counts as a word, `<eos>`.

    folder: has ptb.train.txt, ptb.valid.txt and ptb.test.txt; None means `ptb` in the folder of all
    data sets.
    download: whether to download what the folder lacks, checked by its checksum; False raises
    FileNotFoundError instead.
    Returns `train`, `valid` and `test`, int64 arrays of 929,589, 73,760 and 82,430 words' numbers;
    `vocabulary`, the list of known words in the order of their numbers; and a `card`.
    Raises DownloadError where no download succeeds, FileNotFoundError where a file is missing,
    and ValueError for one that is empty or has a word that the training part lacks.
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


def fetch_wikitext2(folder: str | PathLike | None = None, download: bool = True) -> Words:
    """WikiText-2: good and featured articles of Wikipedia, 33,278 known words.

    Case, numbers and punctuation are kept, a word that occurs less than three times is `<unk>`, and
    the end of a line counts as a word, `<eos>`.

    folder: has wiki.train.tokens, wiki.valid.tokens and wiki.test.tokens; None means `wikitext-2`
    in the folder of all data sets.
    download: whether to download what the folder lacks, checked by its checksum; False raises
    FileNotFoundError instead.
    Returns what `fetch_ptb` does, with 2,088,628, 217,646 and 245,569 words.
    Raises DownloadError where no download succeeds, FileNotFoundError where a file is missing,
    and ValueError for one that is empty or has a word that the training part lacks.
    Source: Merity et al. (2017).
    """
    return _wikitext("WikiText-2", folder, download)


def fetch_wikitext103(folder: str | PathLike | None = None, download: bool = True) -> Words:
    """WikiText-103: all good and featured articles of 2016, 103 million words, 267,735 known.

    The form is that of `fetch_wikitext2`, and the valid and test parts are the same articles, but
    with more words known: a perplexity on one does not compare with one on the other.

    folder: has wiki.train.tokens, wiki.valid.tokens and wiki.test.tokens; None means `wikitext-103`
    in the folder of all data sets.
    download: whether to download what the folder lacks, 190 MB, checked by a checksum; False raises
    FileNotFoundError instead.
    Returns what `fetch_ptb` does, after a minute; `train` alone takes 0.8 GB, and hardly more while
    it is read.
    Raises DownloadError where no download succeeds, FileNotFoundError where a file is missing,
    and ValueError for one that is empty or has a word that the training part lacks.
    Source: Merity et al. (2017).
    """
    return _wikitext("WikiText-103", folder, download)


def _wikitext(name, folder, download):
    return _read(
        whole_folder(name.lower(), folder, download),
        "wiki.{}.tokens",
        name=name,
        what="good and featured articles of the English Wikipedia",
        source="Merity et al. (2017)",
        licence="CC BY-SA",
    )


def _read(folder, pattern, **card):
    names = [pattern.format(part) for part in ("train", "valid", "test")]
    number: dict[str, int] = {}
    digest, parts = hashlib.sha256(), []
    for name in names:
        known = len(number)
        parts.append(_numbers(folder / name, number, digest))
        if parts[1:] and len(number) > known:
            raise ValueError(
                f"{name} must be written in the words of {names[0]}, got {list(number)[known:][:3]}"
            )
    vocabulary = list(number)
    card = Card(
        **card,
        size=f"{sum(map(len, parts)):,} words, {len(vocabulary):,} different",
        split="{:,} train, {:,} valid, {:,} test".format(*map(len, parts)),
        checksum=digest.hexdigest(),
    )
    train, valid, test = parts
    return Words(train, valid, test, vocabulary, card)


def _numbers(path, number, digest):
    """The words of a file as numbers; a new word gets the next one, and the digest all bytes.

    Line by line, since 100 million words as strings would take 6 GB.
    """
    found = array("q")
    with open(path, "rb") as file:
        for line in file:
            digest.update(line)
            words = [*line.decode("utf-8").split(), END]
            found.extend([number.setdefault(word, len(number)) for word in words])
    if not found:
        raise ValueError(f"{path.name} must hold a text, it has no words")
    return np.frombuffer(found, np.int64)
