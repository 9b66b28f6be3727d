"""Where the files of a data set that may not come with the package lie."""

import os
from pathlib import Path


def data_folder(name, folder=None):
    """The folder of data set `name`: `folder` itself if it is given.

    Else a folder of that name in the one that the environment variable COMPANION_DATA names, or
    in ~/.cache/companion.
    """
    if folder is not None:
        return Path(folder)
    home = os.environ.get("COMPANION_DATA") or Path.home() / ".cache" / "companion"
    return Path(home) / name


def read(folder, name):
    """The bytes of a file. Raises FileNotFoundError that says which file is wanted where."""
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"{name} must be in the folder {folder}, which does not have it")
    return path.read_bytes()
