"""The lists to be rescored: no sentence on two sides, and nothing lost on the way to a list."""

import numpy as np
import pytest

pytest.importorskip("torch")

from book.experiments import nbest  # noqa: E402
from companion.data import load_result  # noqa: E402
from companion.decode import ctc_beam_search  # noqa: E402

PARTS = [nbest.material(seed) for seed in range(3)]


def test_what_is_recognised_was_not_trained():
    first = PARTS[0]
    assert len(first["valid"]) == 150 and len(first["outside"]) == 100
    looked_at = {*first["valid"], *first["test"]}
    for seed, parts in enumerate(PARTS):
        assert len(parts["train"]) == 1500 and len(parts["test"]) == 300
        assert not {*parts["train"]} & (looked_at | {*parts["test"]})
        if seed:
            assert list(parts) == ["train", "test"] and not {*parts["test"]} & looked_at
    assert PARTS[1]["test"] != PARTS[2]["test"] and PARTS[1]["train"] != PARTS[2]["train"]


def test_no_voice_is_in_two_parts():
    train, valid, test = (
        {name.split("+")[1] for name in nbest.VOICES[part]} for part in ("train", "valid", "test")
    )
    assert len(nbest.VOICES["train"]) == 40
    assert not train & valid and not train & test and not valid & test


def test_the_stored_lists_are_those_of_these_sentences():
    stored = load_result("nbest")
    assert stored["settings"]["letters"] == nbest.LETTERS
    assert stored["settings"]["sentences"] == nbest.SETTINGS["sentences"]
    for run in stored["runs"]:
        parts = PARTS[run["job"]["seed"]]
        for part in set(parts) - {"train"}:
            said = [[nbest.WORDS[nbest.LETTERS.index(c)] for c in one["said"]] for one in run[part]]
            assert said == [text.split() for text in parts[part]]
            for one in run[part]:
                assert one["score"] == sorted(one["score"], reverse=True)
                assert len(set(one["heard"])) == len(one["heard"]) <= 32


def test_errors():
    assert nbest.errors("abc", "abc") == 0 and nbest.errors("abc", "") == 3
    assert nbest.errors("abcd", "abd") == 1 and nbest.errors("abc", "xabyc") == 2


def test_fewer_steps_and_classes_leave_the_best_output():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(40, 65))
    logits[:, 0] += 15  # mostly surely blank
    for t, k in ((5, 3), (11, 7), (12, 9), (30, 3)):
        logits[t, k] += 25
    log_p = logits - np.logaddexp.reduce(logits, 1, keepdims=True)
    short = nbest.compact(log_p)
    assert 4 < len(short) < 12
    whole = ctc_beam_search(log_p, 8)[0].tokens
    assert whole == (3, 7, 9, 3)
    heard, scores = nbest.best(short)
    assert heard[0] == "".join(nbest.LETTERS[k - 1] for k in whole)
    assert len(scores) == len(heard) <= 32 and scores[0] == max(scores)


def test_likely_classes_as_letters():
    log_p = np.full((2, 65), -9.0)
    log_p[0, [0, 2]] = -0.5, -1.25
    log_p[1, 64] = -0.25
    assert nbest.sparse(log_p) == [[" b", [-0.5, -1.25]], ["_", [-0.25]]]
