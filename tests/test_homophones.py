"""The grammar whose sentences sound does not decide."""

import re

import numpy as np
import pytest

from companion.tasks.homophones import SOUND_ALIKE, THINGS, WORDS, sentences

DRAWN = sentences(np.random.default_rng(0), 2000)


def test_sentences_are_repeatable_and_others_where_wanted():
    assert sentences(np.random.default_rng(0), 50) == DRAWN[:50]
    others = sentences(np.random.default_rng(0), 500, without=DRAWN)
    assert len(others) == 500 and not set(others) & set(DRAWN)


def test_the_words_are_those_of_the_list():
    assert {word for sentence in DRAWN for word in sentence.split()} == set(WORDS)
    assert len(WORDS) == 64 and sorted(WORDS) == WORDS


def test_thing_and_verb_follow_from_the_subject():
    long = [s.split() for s in DRAWN if re.search(r" (has|have) (bought|found|lost) ", s)]
    assert 0.6 < len(long) / len(DRAWN) < 0.73
    gaps = []
    for words in long:
        trade, many = words[1].removesuffix("s"), words[1].endswith("s")
        at = next(k for k, word in enumerate(words) if word in ("has", "have"))
        assert words[at] == ("have" if many else "has")
        assert words[at + 3] == THINGS[trade]
        gaps.append(at - 2)
    assert min(gaps) >= 3 and max(gaps) >= 9


def test_numbers_agree_nearby():
    for sentence in DRAWN:
        assert not re.search(r"one (red |old )?(hats|weeks)\b", sentence)
        assert not re.search(r"(two|four|eight) (red |old )?(hat|week)\b", sentence)


def test_what_sounds_alike_does_so_for_espeak():
    pytest.importorskip("espeakng_loader")
    from companion.data import speak
    from companion.data.voices import ACCENTS

    differ = set()
    for accent in ACCENTS["train"]:
        for alike in SOUND_ALIKE:
            sounds = [[e.name for e in speak(word, f"{accent}+m1").events] for word in alike]
            if any(sound != sounds[0] for sound in sounds):
                differ.add(alike)
    assert differ == {("four", "for"), ("one", "won")}


def test_bad_number():
    with pytest.raises(ValueError, match="at least 0, got -1"):
        sentences(np.random.default_rng(0), -1)
