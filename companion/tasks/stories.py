"""Short stories of people, places and things, with a question that one, two or three facts answer.

The form is that of the first three bAbI tasks (Weston et al. 2015). What differs: every question
has a story of its own (there five questions share one), verbs do not vary, and stories have at most
10, 20 or 30 sentences where one, two or three facts answer.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from companion.types import Array

PEOPLE = ["mary", "john", "daniel", "sandra"]
PLACES = ["bathroom", "bedroom", "garden", "hallway", "kitchen", "office"]
THINGS = ["apple", "football", "milk"]
WORDS = sorted({*PEOPLE, *PLACES, *THINGS, *"went to the took dropped where is was before".split()})
LONGEST = {1: 10, 2: 20, 3: 30}


class Story(NamedTuple):
    """A story and its question.

    sentences: a list of words for each. question: a list of words. answer: a word, one of six
    places. facts: numbers of the sentences that give the answer, from 0, in their order.
    """

    sentences: list[list[str]]
    question: list[str]
    answer: str  #: one of PLACES
    facts: list[int]  #: numbers of the sentences that give the answer, from 0, in their order


def stories(rng: np.random.Generator, N: int, facts: int) -> list[Story]:
    """Draw N stories whose question needs 1, 2 or 3 facts: a list of `Story`.

    facts: which kind of question is asked.

      - 1: "where is mary". The fact is her last journey.
      - 2: "where is the milk". The facts are who took it and that person's last journey; if it lies
        somewhere, who dropped it and that person's last journey before.
      - 3: "where was the milk before the office". The facts are who took it, the journey on which
        that person carried it to the office, and the journey of the same person before.

    A story has at least 2 · facts sentences, at most 10, 20 or 30 for 1, 2 or 3 facts. A story that
    gives rise to no question is drawn anew.
    Raises ValueError for another number of facts, or N below 0.
    """
    if facts not in LONGEST or N < 0:
        raise ValueError(f"facts must be 1, 2 or 3 and N at least 0, got {facts} and {N}")
    found: list[Story] = []
    while len(found) < N:
        length = rng.integers(2 * facts, LONGEST[facts] + 1)
        told, people, things = _tell(rng, length, things=facts > 1)
        asked = {1: _who, 2: _what, 3: _before}[facts](people if facts == 1 else things)
        if asked:
            question, answer, because = asked[rng.integers(len(asked))]
            found.append(Story(told, question.split(), answer, sorted(because)))
    return found


def _tell(rng, length, things):
    """Sentences, and what is known after them.

    people: name -> (place, sentence). things: name -> list of (place, sentences that say so,
    sentence that brought it there), one entry for each place where it was.
    """
    told: list[list[str]] = []
    people: dict[str, tuple] = {}
    carried: dict[str, tuple] = {}
    been: dict[str, list[tuple]] = {}
    while len(told) < length:
        who, k = PEOPLE[rng.integers(len(PEOPLE))], len(told)
        place, since = people.get(who, (None, None))
        free = [x for x in THINGS if x not in carried]
        here = [x for x in free if x not in been or been[x][-1][0] == place]
        mine = [x for x in carried if carried[x][0] == who]
        chance = rng.random() if things else 0.0
        if chance < 0.6 or place is None:
            new = [x for x in PLACES if x != place]
            place = new[rng.integers(len(new))]
            people[who] = place, k
            told.append(f"{who} went to the {place}".split())
            for x in mine:
                been[x].append((place, [k, carried[x][1]], k))
        elif chance < 0.85 and here:
            x = here[rng.integers(len(here))]
            carried[x] = who, k
            told.append(f"{who} took the {x}".split())
            *before, (_, _, brought) = been.get(x, [(None, None, None)])
            been[x] = [*before, (place, [since, k], brought)]
        elif chance >= 0.85 and mine:
            x = mine[rng.integers(len(mine))]
            del carried[x]
            told.append(f"{who} dropped the {x}".split())
            been[x][-1] = place, [since, k], been[x][-1][2]
    return told, people, been


def _who(people):
    return [(f"where is {who}", place, [k]) for who, (place, k) in people.items()]


def _what(things):
    return [(f"where is the {x}", *been[-1][:2]) for x, been in things.items()]


def _before(things):
    """Where a thing was before it came to where it is now."""
    asked = []
    for x, been in things.items():
        if len(been) > 1:
            (before, because, _), (now, _, brought) = been[-2:]
            asked.append((f"where was the {x} before the {now}", before, [*because, brought]))
    return asked


def numbered(told: Iterable[Story]) -> tuple[list[Array], Array]:
    """Stories as arrays of words' numbers, the question as the last row, and the answers' numbers.

    told: N stories.
    Returns a list of N int64 arrays (sentences + 1, 7), each row filled up with 0, and the answers,
    int64 (N,). A word's number is its place in `companion.tasks.stories.WORDS`, counted from 1.
    """
    number = {word: k for k, word in enumerate(WORDS, 1)}
    rows = []
    for story in told:
        row = np.zeros((len(story.sentences) + 1, 7), np.int64)
        for k, words in enumerate([*story.sentences, story.question]):
            row[k, : len(words)] = [number[word] for word in words]
        rows.append(row)
    return rows, np.array([number[story.answer] for story in told], np.int64)
