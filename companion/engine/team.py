"""The threads that compiled code may take. Companion starts none: they are its caller's."""

from collections.abc import Callable
from typing import NamedTuple


class Team(NamedTuple):
    """Threads that run the same function at the same time."""

    size: int
    run: Callable[[Callable[[], None]], None]  # returns when all have returned


ALONE = Team(1, lambda function: function())
