"""Pairs of sentences, for networks that translate: numbers in words, and human translations."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from companion.data.card import Card, sha256
from companion.data.folders import read
from companion.data.sources import whole_folder
from companion.types import Array, Batches

SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")
PAD, START, END, UNKNOWN = range(4)  # their numbers in every vocabulary


class Lines(NamedTuple):
    """The same sentences in three languages, a list of strings each."""

    en: list[str]
    de: list[str]
    fr: list[str]


class Multi30k(NamedTuple):
    """What `fetch_multi30k` returns."""

    train: Lines
    valid: Lines
    test: Lines
    card: Card


def number_words(numbers: ArrayLike, language: str) -> list[list[str]]:
    """Numbers as they are read out: a list that has, for each, a list of words. Needs num2words.

    Hyphens and commas are left out, so that "quatre-vingt-un" is three words; a German number,
    which is written in one word, is cut into those it is made of, so that "einundzwanzig" is ein,
    und, zwanzig.

    numbers: a list of whole numbers from 0 to 999,999. language: "en", "fr" or "de".
    Raises ValueError for another language, or numbers out of range, and ImportError without
    num2words.
    """
    from num2words import num2words

    if language not in ("en", "fr", "de"):
        raise ValueError(f"language must be 'en', 'fr' or 'de', got {language!r}")
    numbers = np.asarray(numbers)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not set(numbers // 10**6) <= {0}:
        raise ValueError(
            "numbers must be a list of whole numbers from 0 to 999,999, "
            f"got {numbers.dtype} of shape {numbers.shape}: {numbers}"
        )
    found = [num2words(number, lang=language) for number in numbers.tolist()]
    if language == "de":
        basic = [num2words(k, lang="de") for k in [*range(20), *range(20, 100, 10)]]
        part = "|".join(sorted(["ein", "und", "hundert", "tausend", *basic], key=len)[::-1])
        return [re.findall(part, text) for text in found]
    return [re.sub("[-,]", " ", text).split() for text in found]


def draw_numbers(rng: np.random.Generator, N: int) -> list[int]:
    """N different numbers of up to six digits, some short and some long to say: a list.

    Each digit is 0 with a probability of 0.45, else 1 to 9; if all digits were as likely, nearly
    all numbers would be long. Raises ValueError for N below 1 or above 100,000.
    """
    if not 1 <= N <= 100_000:
        raise ValueError(f"N must be in 1 … 100,000, got {N!r}")
    found: dict[int, None] = {}
    while len(found) < N:
        digits = rng.integers(1, 10, (N, 6)) * (rng.random((N, 6)) > 0.45)
        found |= dict.fromkeys((digits @ 10 ** np.arange(6)).tolist())
    return list(found)[:N]


def fetch_multi30k(folder: str | PathLike | None = None, download: bool = True) -> Multi30k:
    """Multi30k, task 1: one sentence about each of 31,014 photographs, in three languages.

    A person wrote the English sentence for a picture, others translated it into German, and into
    French.

    folder: has train, val and test_2016_flickr, each as .en.gz, .de.gz and .fr.gz; None means
    `multi30k` in the folder of all data sets.
    download: whether to download what the folder lacks, checked by its checksum; False raises
    FileNotFoundError instead.
    Returns splits `train`, `valid` and `test` of 29,000, 1,014 and 1,000 sentences, as published,
    and a `card`. A split has `en`, `de` and `fr`, a list of strings each, in the same order.
    Raises DownloadError where no download succeeds, FileNotFoundError where a file is missing, and
    ValueError where the languages of a split have different numbers of sentences.
    Sources: Elliott et al. (2016); Elliott et al. (2017) for the French.
    """
    folder, parts, contents = whole_folder("multi30k", folder, download), [], []
    for name in ("train", "val", "test_2016_flickr"):
        own = [gzip.decompress(read(folder, f"{name}.{k}.gz")) for k in Lines._fields]
        parts.append(Lines(*(text.decode("utf-8").removesuffix("\n").split("\n") for text in own)))
        contents += own
        if len({*map(len, parts[-1])}) > 1:
            raise ValueError(
                f"{name} must have as many lines in each language, got {[*map(len, parts[-1])]}"
            )
    sizes = [len(part.en) for part in parts]
    card = Card(
        name="Multi30k, task 1",
        what="descriptions of photographs, in English, translated into German and French",
        source="Elliott, Frank, Sima'an and Specia (2016); Elliott et al. (2017) for the French",
        licence="for research; not to be redistributed",
        size=f"{sum(sizes):,} sentences in each language",
        split="{:,} train, {:,} valid, {:,} test (test 2016)".format(*sizes),
        checksum=sha256(b"".join(contents)),
    )
    train, valid, test = parts
    return Multi30k(train, valid, test, card)


def tokens(line: str) -> list[str]:
    """Words and punctuation marks of a line, as it stands, capitals included.

    A word may have hyphens and apostrophes inside; every other mark is a token of its own.
    """
    return re.findall(r"\w+(?:[-'’]\w+)*|[^\w\s]", line)


def text(words: Iterable[str]) -> str:
    """Words joined to a line, with no space before a mark that closes; no word of SPECIAL."""
    line = " ".join(word for word in words if word not in SPECIAL)
    return re.sub(r" ([.,;:!?)%])", r"\1", line)


def vocabulary(sentences: Iterable[Iterable[str]], least: int = 1) -> dict[str, int]:
    """The words to know: SPECIAL, then all that occur at least so often, the most frequent first.

    sentences: lists of words. least: how often a word must occur.
    Returns a dict from word to number, in the order of the numbers; equally frequent words are in
    alphabetical order.
    """
    counts = Counter(word for words in sentences for word in words)
    known = [word for word in counts if counts[word] >= least and word not in SPECIAL]
    known.sort(key=lambda word: (-counts[word], word))
    return {word: k for k, word in enumerate([*SPECIAL, *known])}


def numbered(sentences: Iterable[Iterable[str]], vocabulary: Mapping[str, int]) -> list[Array]:
    """Each sentence as an int64 array of its words' numbers, UNKNOWN for a word without one."""
    return [np.array([vocabulary.get(w, UNKNOWN) for w in s], np.int64) for s in sentences]


def paired(
    sources: Sequence[Array], targets: Sequence[Array], B: int, seed: int | None = None
) -> Batches:
    """Batches of pairs of sentences for `companion.models.translator` and `fit`. Needs torch.

    sources, targets: N int64 arrays of words' numbers each, none empty. B: pairs in a batch.
    seed: of the order, drawn anew for every epoch; sentences of like length then share a batch.
    None keeps the order that is given.
    Returns a function of the epoch. It yields pairs (x, y): x is (source (S, B), lengths (B,),
    read (T, B)) and y is (T, B), all int64 and filled up with PAD: `y` is the target and END,
    `read` is what the decoder reads before each of these, START and the target.
    Raises ValueError for unequal numbers of sentences, none, an empty one, or B below 1.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    if not 0 < len(sources) == len(targets) or B < 1 or not all(map(len, [*sources, *targets])):
        raise ValueError(
            "sources and targets must be as many, at least one, none empty, and B at least 1, "
            f"got {len(sources)} and {len(targets)}, and B = {B}"
        )
    sizes = np.array([len(s) for s in sources])

    def padded(rows):
        return pad_sequence([torch.from_numpy(row) for row in rows], padding_value=PAD)

    def batches(epoch):
        order = np.arange(len(sources))
        if seed is not None:
            rng = np.random.default_rng([seed, epoch])
            order = rng.permutation(order)
            order = order[np.argsort(sizes[order], kind="stable")]
        starts = np.arange(0, len(order), B)
        for start in starts if seed is None else rng.permutation(starts):
            part = order[start : start + B]
            source, target = ([all_[k] for k in part] for all_ in (sources, targets))
            x = padded(source), torch.from_numpy(sizes[part])
            yield (
                (*x, padded([np.r_[START, row] for row in target])),
                padded([np.r_[row, END] for row in target]),
            )

    return batches
