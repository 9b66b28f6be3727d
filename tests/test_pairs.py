import gzip

import numpy as np
import pytest

from companion.data.pairs import (
    END,
    PAD,
    SPECIAL,
    START,
    UNKNOWN,
    draw_numbers,
    fetch_multi30k,
    number_words,
    numbered,
    paired,
    text,
    tokens,
    vocabulary,
)


def test_numbers_in_words():
    said = number_words([0, 97, 121, 80_000, 234_180], "fr")
    assert said[:2] == [["zéro"], ["quatre", "vingt", "dix", "sept"]]
    assert said[2] == ["cent", "vingt", "et", "un"]
    assert said[3] == ["quatre", "vingt", "mille"]
    assert said[4] == "deux cent trente quatre mille cent quatre vingts".split()
    assert number_words([97_084], "en") == ["ninety seven thousand and eighty four".split()]
    german = number_words([1, 21, 17, 66_101], "de")
    assert german[:3] == [["eins"], ["ein", "und", "zwanzig"], ["siebzehn"]]
    assert german[3] == "sechs und sechzig tausend ein hundert eins".split()


def test_german_parts_are_the_whole_word_and_few():
    from num2words import num2words

    numbers = [*range(1000), *draw_numbers(np.random.default_rng(0), 2000)]
    parts = number_words(numbers, "de")
    for number, words in zip(numbers, parts, strict=True):
        assert "".join(words) == num2words(number, lang="de")
    # null, 1 to 19 with ein and eins, eight tens, und, hundert, tausend
    assert len({word for words in parts for word in words}) == 32


@pytest.mark.parametrize("numbers", [[-1], [10**6], [0.5], [[1]], ["1"]])
def test_no_such_number(numbers):
    with pytest.raises(ValueError, match="from 0 to 999,999"):
        number_words(numbers, "en")
    with pytest.raises(ValueError, match="'xx'"):
        number_words([1], "xx")


def test_drawn_numbers_differ_and_are_short_and_long():
    drawn = draw_numbers(np.random.default_rng(0), 4000)
    assert drawn == draw_numbers(np.random.default_rng(0), 4000)
    assert len({*drawn}) == 4000 and 0 <= min(drawn) and max(drawn) < 10**6
    sizes = np.array([len(words) for words in number_words(drawn, "en")])
    assert 0.15 < np.mean(sizes > 8) < 0.3 and np.mean(sizes < 6) > 0.15
    for N in (0, 100_001):
        with pytest.raises(ValueError, match=str(N)):
            draw_numbers(np.random.default_rng(0), N)


def test_tokens_and_text():
    line = "Two T-shirts (one isn't blue), over there!"
    assert tokens(line) == "Two T-shirts ( one isn't blue ) , over there !".split()
    assert text(tokens("Ein Mann, der lacht.")) == "Ein Mann, der lacht."
    assert text(["Ein", "<unk>", "Hund", ".", "<pad>"]) == "Ein Hund."


def test_a_vocabulary_is_in_order_of_frequency_and_alphabet():
    known = vocabulary([["b", "a", "c"], ["c", "d", "c"]])
    assert [*known] == [*SPECIAL, "c", "a", "b", "d"] and [*known.values()] == [*range(8)]
    assert [*vocabulary([["b", "a", "b"]], least=2)] == [*SPECIAL, "b"]
    assert [*vocabulary([[SPECIAL[3], "a"]])] == [*SPECIAL, "a"]  # of a text that was cut already
    (row,) = numbered([["d", "z", "c"]], known)
    assert row.tolist() == [7, UNKNOWN, 4] and row.dtype == np.int64


def sentences(lengths, rng):
    return [rng.integers(4, 9, n) for n in lengths]


def test_batches_hold_each_pair_once_with_what_the_decoder_reads():
    rng = np.random.default_rng(0)
    sources, targets = sentences([3, 1, 5, 2, 2], rng), sentences([2, 4, 1, 3, 3], rng)
    for seed in (None, 0):
        found = []
        for (source, lengths, read), y in paired(sources, targets, 2, seed)(0):
            assert source.shape == (lengths.max(), len(lengths)) and read.shape == y.shape
            for b, n in enumerate(lengths.tolist()):
                assert (source[n:, b] == PAD).all() and (source[:n, b] != PAD).all()
                row = y[: int((y[:, b] != PAD).sum()), b].tolist()
                assert row[-1] == END and read[: len(row), b].tolist() == [START, *row[:-1]]
                assert (read[len(row) :, b] == PAD).all()
                found.append((source[:n, b].tolist(), row[:-1]))
        wanted = [(s.tolist(), t.tolist()) for s, t in zip(sources, targets, strict=True)]
        assert found == wanted if seed is None else sorted(found) == sorted(wanted)


def test_a_seed_gives_another_order_each_epoch_and_batches_of_like_length():
    rng = np.random.default_rng(0)
    sources = targets = sentences(rng.integers(1, 30, 300), rng)
    batches = paired(sources, targets, 10, 3)
    one, again, other = ([x[0].tolist() for x, _ in batches(epoch)] for epoch in (0, 0, 1))
    assert one == again != other
    for (_, lengths, _), _ in batches(0):
        assert lengths.max() - lengths.min() <= 4  # 1 to 29 in any order without sorting


def test_pairs_that_cannot_be():
    one = [np.array([5])]
    for sources, targets, B in (([], [], 1), (one, [], 1), (one, one, 0), (one, [np.array([])], 1)):
        with pytest.raises(ValueError, match="none empty"):
            paired(sources, targets, B)


def test_multi30k_is_read_as_it_lies(tmp_path):
    for part, n in (("train", 3), ("val", 2), ("test_2016_flickr", 1)):
        for language in ("en", "de", "fr"):
            lines = "".join(f"{language} ü {k}\n" for k in range(n))
            (tmp_path / f"{part}.{language}.gz").write_bytes(gzip.compress(lines.encode()))
    data = fetch_multi30k(tmp_path)
    assert [len(part.en) for part in data[:3]] == [3, 2, 1]
    assert data.train.de == ["de ü 0", "de ü 1", "de ü 2"] and data.test.fr == ["fr ü 0"]
    assert "3 train, 2 valid, 1 test" in str(data.card)
    (tmp_path / "val.de.gz").write_bytes(gzip.compress(b"one\n"))
    with pytest.raises(ValueError, match=r"val .*\[2, 1, 2\]"):
        fetch_multi30k(tmp_path)
    (tmp_path / "val.de.gz").unlink()
    with pytest.raises(FileNotFoundError, match="val.de.gz must be in the folder"):
        fetch_multi30k(tmp_path, download=False)
