"""What is said where a package that is not always there is missing."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needed(*, by: str, what: str, install: str) -> Iterator[None]:
    """Has an import inside it that fails say what to install.

    by: who needs the package. what: the package, in words. install: what pip is to be given.
    Raises ImportError in place of the one that came.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{by} needs {what}: pip install {install}") from error
