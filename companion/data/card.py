"""What one has to know about a data set before using it."""

import hashlib
from typing import NamedTuple


class Card(NamedTuple):
    """Where a data set comes from, what one may do with it, and which bytes were read.

    name: of the data set. what: what it holds. source: who made it, or where it is. licence: the
    terms of use. size: how much of what. split: how much is for training, for choosing and for
    tests, and how that was decided. checksum: sha256, in hexadecimal, of the bytes that were read,
    those of several files one after another.
    """

    name: str
    what: str
    source: str
    licence: str
    size: str
    split: str
    checksum: str

    def __str__(self) -> str:
        """One line a field, for `print`."""
        return "\n".join(f"{field:9} {value}" for field, value in self._asdict().items())


def sha256(content: bytes) -> str:
    """The checksum of bytes, as a `Card` has it."""
    return hashlib.sha256(content).hexdigest()
