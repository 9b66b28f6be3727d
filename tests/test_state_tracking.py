"""Words over a group, and when a step of them counts as right."""

import itertools
import zlib

import numpy as np
import pytest

from companion.tasks import group_words, group_words_correct
from companion.tasks.state_tracking import PARITY, S3


@pytest.mark.parametrize("table", [PARITY, S3], ids=["parity", "S3"])
def test_the_table_is_a_group(table):
    K = len(table)
    every = set(range(K))
    assert all(set(line) == every for line in (*table, *table.T))
    assert table[0].tolist() == table[:, 0].tolist() == list(range(K))
    for a, b, c in itertools.product(range(K), repeat=3):
        assert table[table[a, b], c] == table[a, table[b, c]]


def test_s3_is_what_its_names_say():
    for turn, swap in itertools.product((1, 2), (3, 4, 5)):
        assert S3[turn, S3[turn, turn]] == S3[swap, swap] == 0
        assert S3[turn, swap] != S3[swap, turn]
        assert S3[turn, swap] in (3, 4, 5) and S3[swap, 3] in (0, 1, 2)


def test_parity_counts_the_ones():
    batch = group_words(np.random.default_rng(0), 5, 30)
    odd = np.cumsum(batch.xs.argmax(-1), 0) % 2
    assert np.array_equal(batch.targets.argmax(-1), odd) and batch.mask.all()
    assert batch.mask.shape == (30, 5) and batch.mask.dtype == bool
    assert batch.xs.shape == batch.targets.shape == (30, 5, 2) and batch.xs.dtype == np.float32


def test_s3_carries_three_things_about():
    """By matrices: the state that is reached is the product of all symbols, the first one left."""
    ways = [(0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2), (0, 2, 1), (2, 1, 0)]
    matrices = np.array([np.eye(3)[list(way)] for way in ways])
    batch = group_words(np.random.default_rng(1), 4, 20, S3)
    symbols, states = batch.xs.argmax(-1), batch.targets.argmax(-1)
    for b in range(4):
        product = np.eye(3)
        for symbol, state in zip(symbols[:, b], states[:, b], strict=True):
            # Row k of a matrix says which thing lies in place k.
            product = matrices[symbol] @ product
            assert np.array_equal(product, matrices[state])
    assert len(set(symbols.ravel())) == len(set(states.ravel())) == 6


def test_a_seed_gives_the_words_that_stored_results_were_made_of():
    batch = group_words(np.random.default_rng(0), 40, 30, S3)
    assert batch.xs[:8, 0].argmax(-1).tolist() == [5, 2, 4, 3, 5, 1, 3, 0]
    assert zlib.crc32(batch.xs.tobytes()) == 2862442536


def test_a_step_is_right_if_the_right_output_is_the_only_largest():
    batch = group_words(np.random.default_rng(2), 2, 3, S3)
    assert group_words_correct(batch.targets, batch).all()
    outputs = batch.targets.copy()
    outputs[1, 0] = 1.0
    assert group_words_correct(outputs, batch).tolist() == [[True, True], [False, True], [True] * 2]
    # Whatever the numbers are: here the right one is 0.4 everywhere.
    outputs = 0.4 * batch.targets + 0.3 * (1 - batch.targets)
    assert group_words_correct(outputs, batch).all()
    outputs[0, 1] += 0.2 * (1 - batch.targets[0, 1])
    assert group_words_correct(outputs, batch).tolist() == [[True, False], [True] * 2, [True] * 2]
    with pytest.raises(ValueError, match="outputs must have shape"):
        group_words_correct(outputs[1:], batch)


@pytest.mark.parametrize("table", [[0, 1], [[0, 1]], [[0, 2], [1, 0]], [[0.0, 1.0], [1.0, 0.0]]])
def test_a_wrong_table_is_refused(table):
    with pytest.raises(ValueError, match="table must have shape"):
        group_words(np.random.default_rng(0), 2, 3, table)


def test_one_symbol_is_a_word_and_none_is_not():
    assert group_words(np.random.default_rng(0), 1, 1).xs.shape == (1, 1, 2)
    for name in ("B", "T"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got 0"):
            group_words(np.random.default_rng(0), **{"B": 1, "T": 1, name: 0})
