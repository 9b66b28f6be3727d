"""Sentences of a small English grammar in which sound alone does not decide the words.

Pairs of trades deal in things that sound alike: the baker buys flour, the gardener a flower. What
stands between who and what may be long, so that the word that decides is far away. A verb agrees
with its subject over the same distance, has and have. Nearer by are two, to and too, for and
four, eight and ate, one and won.
"""

from collections.abc import Collection

import numpy as np

THINGS = {
    "baker": "flour",
    "gardener": "flower",
    "sailor": "sail",
    "dealer": "sale",
    "pilot": "plane",
    "farmer": "plain",
    "cook": "pear",
    "tailor": "pair",
}
# The same phonemes in four accents of espeak-ng; but in some of them "four" and "for", or "one" and
# "won", differ by a vowel.
SOUND_ALIKE = [
    ("flour", "flower"),
    ("sail", "sale"),
    ("plane", "plain"),
    ("pear", "pair"),
    ("two", "to", "too"),
    ("four", "for"),
    ("eight", "ate"),
    ("one", "won"),
]
WORDS = sorted(
    {
        *THINGS,
        *(f"{trade}s" for trade in THINGS),
        *(word for alike in SOUND_ALIKE for word in alike),
        *"the by behind with who at past we they have has wait meet me go".split(),
        *"bought found lost five ten twenty red old house houses door doors".split(),
        *"hat hats week weeks".split(),
    }
)


def sentences(rng: np.random.Generator, N: int, without: Collection[str] = ()) -> list[str]:
    """Draw N sentences, none of which is in `without`: a list of strings, with repetitions.

    Two of three are of the form "the pilots by the old door who ate at ten to two have lost the
    plane", with one or two phrases between subject and verb; the others are short, as "meet me at
    ten to eight by the door".
    Raises ValueError if N is below 0.
    """
    if N < 0:
        raise ValueError(f"N must be at least 0, got {N}")
    found: list[str] = []
    without = set(without)
    while len(found) < N:
        sentence = " ".join(_long(rng) if rng.random() < 2 / 3 else _short(rng))
        if sentence not in without:
            found.append(sentence)
    return found


def _long(rng):
    trade, many = _pick(rng, [*THINGS]), rng.random() < 0.5
    words = ["the", trade + "s" * many]
    for k in rng.permutation(3)[: rng.integers(1, 3)]:
        words += [_place, _company, _relative][k](rng)
    words += ["have" if many else "has", _pick(rng, ["bought", "found", "lost"])]
    return [*words, "the", THINGS[trade], *_pick(rng, [[], [], ["too"], ["at", *_time(rng)]])]


def _short(rng):
    return _pick(
        rng,
        [
            lambda: [_pick(rng, ["we", "they"]), _pick(rng, ["ate", "won"]), "at", *_time(rng)],
            lambda: [_pick(rng, ["we", "they"]), "have", "won", _pick(rng, ["one", "two"]), "too"],
            lambda: ["wait", "for", *_duration(rng), *_place(rng)],
            lambda: ["meet", "me", "at", *_time(rng), *_place(rng)],
            lambda: ["go", "to", *_place(rng)[1:], "at", *_time(rng)],
            lambda: ["go", "to", *_place(rng)[1:], "for", *_duration(rng), "too"],
        ],
    )()


def _place(rng):
    noun = _pick(rng, ["house", "houses", "door", "doors"])
    return [_pick(rng, ["by", "behind"]), "the", *_adjective(rng), noun]


def _company(rng):
    number = _pick(rng, ["one", "two", "four", "eight"])
    return ["with", number, *_adjective(rng), "hat" if number == "one" else "hats"]


def _relative(rng):
    return ["who", _pick(rng, ["ate", "won"]), "at", *_time(rng)]


def _adjective(rng):
    return _pick(rng, [[], ["red"], ["old"]])


def _time(rng):
    hour = _pick(rng, ["one", "two", "four", "eight"])
    if rng.random() < 0.5:
        return [hour]
    return [_pick(rng, ["five", "ten", "twenty"]), _pick(rng, ["to", "past"]), hour]


def _duration(rng):
    number = _pick(rng, ["one", "two", "four", "eight"])
    return [number, "week" if number == "one" else "weeks"]


def _pick(rng, choices):
    return choices[rng.integers(len(choices))]
