import numpy as np
import pytest

from companion.data import encode, shakespeare, streams


def test_the_text_is_plain_english():
    text = shakespeare()
    assert 500_000 < len(text) < 600_000
    assert all(
        line in text for line in ("To be, or not to be", "Out, damned spot!", "wherefore art thou")
    )
    assert set(text) <= set(map(chr, range(32, 127))) | {"\n"}


def test_encode_is_undone_by_its_alphabet():
    numbers, alphabet = encode("hello")
    assert alphabet == "ehlo" and numbers.tolist() == [1, 0, 2, 2, 3]
    assert "".join(alphabet[k] for k in numbers) == "hello"
    assert encode("he", alphabet)[0].tolist() == [1, 0]
    with pytest.raises(ValueError, match=r"got \['x'\]"):
        encode("xe", alphabet)


def test_streams_go_on_where_they_stopped():
    columns = streams(np.arange(11), 3)
    assert columns.tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    with pytest.raises(ValueError, match="B must be in 1 … 2"):
        streams(np.arange(2), 3)
