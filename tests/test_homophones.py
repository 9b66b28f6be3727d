"""The grammar whose sentences sound does not decide."""

import re
import zlib

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


TIME = "(?:(?:five|ten|twenty) (?:to|past) )?(?:one|two|four|eight)"
BUILDING = "the (?:red |old )?(?:house|houses|door|doors)"
PLACE = f"(?:by|behind) {BUILDING}"
WEEKS = "(?:one week|(?:two|four|eight) weeks)"
HATS = "(?:one (?:red |old )?hat|(?:two|four|eight) (?:red |old )?hats)"
PHRASE = f"{PLACE}|with {HATS}|who (?:ate|won) at {TIME}"
LONG = f"the [a-z]+ ({PHRASE})(?: ({PHRASE}))? (?:has|have) [a-z]+ the [a-z]+(?:| too| at {TIME})"
SHORT = [
    f"(?:we|they) (?:ate|won) at {TIME}",
    "(?:we|they) have won (?:one|two) too",
    f"wait for {WEEKS} {PLACE}",
    f"meet me at {TIME} {PLACE}",
    f"go to {BUILDING} at {TIME}",
    f"go to {BUILDING} for {WEEKS} too",
]


def test_every_sentence_has_a_form_of_the_grammar():
    """With one or two phrases, of two kinds, between subject and verb."""
    phrases = {1: 0, 2: 0}
    met = set()
    for sentence in DRAWN:
        if long := re.fullmatch(LONG, sentence):
            kinds = [part.split()[0].replace("behind", "by") for part in long.groups() if part]
            assert len(set(kinds)) == len(kinds)
            phrases[len(kinds)] += 1
        else:
            met |= {form for form in SHORT if re.fullmatch(form, sentence)}
            assert any(re.fullmatch(form, sentence) for form in SHORT), sentence
    assert met == set(SHORT)
    # Four standard deviations, each being drawn about 667 times.
    assert abs(phrases[1] - phrases[2]) < 4 * 1333**0.5


def test_a_seed_gives_the_sentences_that_stored_results_were_made_of():
    assert DRAWN[0] == "the pilots who ate at ten past eight have lost the plane"
    assert zlib.crc32("\n".join(DRAWN).encode()) == 979842301


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


def test_none_and_fewer():
    assert sentences(np.random.default_rng(0), 0) == []
    with pytest.raises(ValueError, match="at least 0, got -1"):
        sentences(np.random.default_rng(0), -1)
