"""The threads that compiled code may take. Companion starts none: they are its caller's."""

from typing import NamedTuple


class Team(NamedTuple):
    """Threads that run the same function at the same time."""

    size: int
    #: Address of a C function: it has `size` threads each run a function, of a pointer, and returns
    #: when all have returned. Its arguments: these three, and an int that is 0.
    run: int


ALONE = Team(1, 0)
