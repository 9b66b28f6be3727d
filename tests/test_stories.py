"""Stories whose answers another reader finds, too."""

import zlib

import numpy as np
import pytest

from companion.tasks.stories import LONGEST, PLACES, WORDS, numbered, stories

DRAWN = {facts: stories(np.random.default_rng(facts), 400, facts) for facts in LONGEST}


def read(sentences):
    """Where everybody is, and where everything has been, by acting the story out."""
    at, holder, been = {}, {}, {}
    for who, verb, *_, what in sentences:
        if verb == "went":
            assert at.get(who) != what, "nobody goes where they are"
            at[who] = what
            for thing, by in holder.items():
                if by == who:
                    been[thing].append(what)
        elif verb == "took":
            assert what not in holder, "nobody takes what another one holds"
            assert not been.get(what) or been[what][-1] == at[who]
            been.setdefault(what, [at[who]])
            holder[what] = who
        else:
            assert verb == "dropped" and holder.pop(what) == who
    return at, been


@pytest.mark.parametrize("facts", LONGEST)
def test_answers_are_those_of_the_story_acted_out(facts):
    for story in DRAWN[facts]:
        at, been = read(story.sentences)
        if facts == 1:
            assert story.question[:2] == ["where", "is"] and story.answer == at[story.question[2]]
        elif facts == 2:
            assert story.question[:3] == "where is the".split()
            assert story.answer == been[story.question[3]][-1]
        else:
            *_, thing, before, the, now = story.question
            assert [before, the] == ["before", "the"]
            assert [story.answer, now] == been[thing][-2:]


@pytest.mark.parametrize("facts", LONGEST)
def test_the_facts_alone_give_the_answer(facts):
    for story in DRAWN[facts]:
        assert len(set(story.facts)) == facts and story.facts == sorted(story.facts)
        told = [story.sentences[k] for k in story.facts]
        assert any(words[-1] == story.answer for words in told)
        if facts > 1:
            assert any(words[-1] == story.question[3] for words in told), "who had the thing"
        if facts == 3:
            assert told[-1][-1] == story.question[-1] and told[-1][1] == "went"
        assert len({words[0] for words in told}) == 1 or facts == 3


def test_who_had_a_thing_last_is_a_fact():
    for story in DRAWN[2]:
        met = [k for k, words in enumerate(story.sentences) if words[-1] == story.question[3]]
        assert met[-1] in story.facts
    assert all(row[1] == "went" for story in DRAWN[1] for row in story.sentences)


@pytest.mark.parametrize("facts", LONGEST)
def test_lengths_and_words(facts):
    lengths = [len(story.sentences) for story in DRAWN[facts]]
    assert min(lengths) == 2 * facts and max(lengths) == LONGEST[facts]
    words = {word for story in DRAWN[facts] for row in story.sentences for word in row}
    assert words <= set(WORDS) and {story.answer for story in DRAWN[facts]} == set(PLACES)
    if facts > 1:
        assert any("dropped" in row for story in DRAWN[facts] for row in story.sentences)


def test_a_seed_gives_the_stories_that_stored_results_were_made_of():
    assert stories(np.random.default_rng(1), 20, 1) == DRAWN[1][:20]
    assert DRAWN[2][0].facts == [6, 17] and DRAWN[2][0].sentences[6] == "john took the milk".split()
    for facts, checksum in {1: 2836047108, 2: 1535511777, 3: 1763658226}.items():
        told = repr([tuple(story) for story in DRAWN[facts]])
        assert zlib.crc32(told.encode()) == checksum


def test_numbers_are_those_of_the_words():
    told = DRAWN[3][:5]
    rows, answers = numbered(told)
    assert answers.dtype == np.int64
    for story, row, answer in zip(told, rows, answers, strict=True):
        back = [[WORDS[k - 1] for k in sentence if k] for sentence in row]
        assert row.shape[1] == 7 and row.dtype == np.int64
        assert back == [*story.sentences, story.question] and WORDS[answer - 1] == story.answer


def test_none_and_what_cannot_be():
    assert stories(np.random.default_rng(0), 0, 1) == []
    with pytest.raises(ValueError, match="facts must be 1, 2 or 3"):
        stories(np.random.default_rng(0), 1, 4)
    with pytest.raises(ValueError, match="N at least 0"):
        stories(np.random.default_rng(0), -1, 1)
