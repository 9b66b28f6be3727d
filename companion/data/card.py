"""What one has to know about a data set before using it."""

import hashlib
from typing import NamedTuple


class Card(NamedTuple):
    """Where a data set comes from, what one may do with it, and which bytes were read.

    checksum: sha256 of the file that was read, in hexadecimal.
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
